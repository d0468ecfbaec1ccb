"""A file or a folder of every kind of figures, and the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from measured import cascade, clip_metrics, evaluation, make_clip, multidiffusion, nearest, task, write_json

from lumiere.research.study.build import build
from lumiere.research.study.plan import ANSWERS, load
from lumiere.research.study.storage import Answer, Storage


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Of every kind one; shared, and not to be changed."""
    root = tmp_path_factory.mktemp("measured")
    for method, shade in (("ours", 200), ("pika", 60)):
        for prompt in ("a red fox", "a blue owl"):
            make_clip(root / "rated" / method / f"{prompt}.mp4", shade)
    build({method: root / "rated" / method for method in ("ours", "pika")}, root / "study", checks=0)
    study = load(root / "study")
    storage = Storage(root / "study" / ANSWERS, study.id)
    rater = storage.rater(storage.join())
    assert rater is not None
    for pair in study.pairs:
        storage.put(Answer(rater, pair.id, 1, pair.clip, "left", 2.0, 0))
    storage.close()
    slices = [
        {"video": f"{way}/frog.mp4", "change": 9.0, "roughness": 2.0, "jitter": 0.5} for way in ("a", "b")
    ]
    moving = {"frames": 8, "pixels": 32, "speed": 1.0, "period": None, "phase": None}
    write_json(root / "cascade" / "figures.json", cascade(root / "cascade"))
    return {
        "evaluation": evaluation(root / "emoji", "emoji", wrong=2),
        "other": evaluation(root / "other", "other", wrong=4),
        "task": task(root / "emoji-tasks" / "animate", "emoji"),
        "multidiffusion": multidiffusion(root / "multidiffusion"),
        "ablation": root / "cascade",
        "metrics": clip_metrics(root / "metrics.json"),
        "nearest": nearest(root / "nearest.json"),
        "study": root / "study",
        "slices": write_json(root / "slices.json", [slice_ | moving for slice_ in slices]),
        "picture": root / "cascade" / "slices.png",
    }


@pytest.fixture
def changed(measured: dict[str, Path], tmp_path: Path) -> Callable[..., Path]:
    """A copy of a kind's JSON with other words in the place of some."""

    def change(kind: str, old: str, new: str) -> Path:
        path = measured[kind]
        text = (path / "figures.json" if path.is_dir() else path).read_text("utf-8")
        assert old in text
        return write_json(tmp_path / f"{kind}.json", json.loads(text.replace(old, new)))

    return change
