"""The conditioned model's tasks: with a tiny random model, and with stand-ins whose figures are known."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from lumiere.cli import evaluate as cli_evaluate
from lumiere.cli import main
from lumiere.emoji.data.sprites import load_sprites
from lumiere.emoji.data.styles import STYLES
from lumiere.emoji.evaluation.bench import Bench
from lumiere.emoji.evaluation.editing import STRENGTHS
from lumiere.emoji.evaluation.prompts import choose_prompts
from lumiere.emoji.evaluation.recogniser import Recogniser
from lumiere.emoji.evaluation.tasks import TASKS, summarise, table
from lumiere.io.video import Clip
from lumiere.pipelines.text_to_video import LumierePipeline

pytestmark = pytest.mark.usefixtures("tiny_recogniser")


@pytest.fixture(scope="module")
def conditioned_bundle(make_pipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny random model with condition channels."""
    folder = tmp_path_factory.mktemp("models") / "conditioned"
    make_pipe(conditioned=True).save_pretrained(folder)
    return folder


def _run(*words: object) -> Result:
    return CliRunner().invoke(main, ["evaluate", *map(str, words)])


def test_the_command_names_every_task() -> None:
    assert set(cli_evaluate.TASKS) == {cli_evaluate.TEXT, *TASKS}


@pytest.fixture
def styles(labels: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Squares in place of the discs, of a colour for each style; judges that have learnt little."""
    from lumiere.emoji.evaluation import style_judges as module
    from lumiere.train.style import fit

    monkeypatch.setattr(module, "JUDGE_STEPS", 2)
    monkeypatch.setattr(module, "fit", partial(fit, steps=1, rank=1))
    folder = tmp_path / "styles"
    for number, name in enumerate(STYLES):
        square = np.zeros((128, 128, 4), np.uint8)
        square[32:96, 32:96] = (50 * number, 100, 255 - 50 * number, 255)
        (folder / name).mkdir(parents=True)
        for label in labels.values():
            Image.fromarray(square).save(folder / name / f"{label.replace(' ', '-')}.png")
    (folder / "manifest.json").write_text("{}")
    return folder


@pytest.mark.slow
def test_every_task_writes_clips_figures_and_a_sheet_and_reuses_its_clips(
    conditioned_bundle: Path, data: Path, styles: Path, tmp_path: Path
) -> None:
    chosen = [task for task in TASKS if task != "ordinary"]  # which needs the words of a bundle
    tasks = [word for task in chosen for word in ("--task", task)]
    tasks += ["--styles", str(styles)]
    arguments = (conditioned_bundle, "--data", data, "--out", tmp_path, "--steps", 1, "--guidance", 1, *tasks)
    result = _run(*arguments, "--prompts", 1)
    assert result.exit_code == 0, result.output
    for task in chosen:
        folder = tmp_path / task
        figures = json.loads((folder / "figures.json").read_text())
        assert figures["prompts"] == 1 and figures["settings"]["steps"] == 1
        assert figures["figures"].get("exact", {"mean": 1})["mean"] == 1
        assert len(Clip.load(folder / "000.mp4")) == (400 if task == "extend" else 80)
        assert (folder / "sheet.png").exists()
        assert f"{task}: 1 held-out cases" in result.output
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.mp4")}
    result = _run(*arguments, "--prompts", 2, "--task", "transition")
    assert result.exit_code == 0, result.output
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.mp4")}
    assert before.items() < after.items(), "what is there is not made again"
    result = _run(*arguments, "--prompts", 1, "--seed", 3)
    assert result.exit_code == 2 and "was made with seed 0, not 3" in result.output


def test_a_task_that_cannot_run_is_refused_in_one_line(
    tiny_bundle: Path, conditioned_bundle: Path, data: Path, tmp_path: Path
) -> None:
    for arguments, message in (
        (("emoji", "--task", "animate"), "animate needs real clips"),
        ((tiny_bundle, "--task", "animate", "--data", data), "is not a conditioned model"),
        ((conditioned_bundle, "--task", "style", "--data", data), "give --styles"),
        ((conditioned_bundle, "--task", "style", "--data", data, "--styles", data), "holds no styles"),
        (("--real-only", "--data", data, "--task", "loop"), "leave out --task"),
        ((conditioned_bundle, "--task", "dance"), "--task"),
    ):
        result = _run(*arguments, "--out", tmp_path / "out")
        assert result.exit_code == 2 and message in result.output and result.output.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.fixture
def bench(make_pipe, data: Path, labels: dict[str, str]) -> Bench:
    sprites = {sprite.code: sprite for sprite in load_sprites(data)}
    settings = {"steps": 1, "guidance": 1.0, "seed": 0}
    return Bench(make_pipe(conditioned=True), Recogniser.load(), sprites, labels, settings)


@pytest.fixture
def measured(bench: Bench, labels: dict[str, str], monkeypatch: pytest.MonkeyPatch):
    """Figures and clips of a task's case, if the model makes what ``make`` says of scene and condition."""

    def made(frames: np.ndarray, condition) -> Clip:
        if condition is None:
            return Clip(frames, 16)
        return Clip(condition.composite(frames), 16, {"known_psnr": condition.psnr(frames)})

    def measure(task: str, make, number: int = 0):
        prompt = choose_prompts(labels, 4)[number]
        monkeypatch.setattr(
            LumierePipeline,
            "__call__",
            lambda self, text, condition=None, **_: made(make(prompt.scene, condition), condition),
        )
        return TASKS[task].measure(bench, prompt, number, 0)

    return measure


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 3])
def test_the_real_clip_scores_above_every_baseline(bench: Bench, measured, number: int) -> None:
    figures, shown = measured("inpaint", lambda scene, _: bench.real(scene), number)
    assert figures["exact"] and figures["raw_psnr"] > 90 and figures["hole_psnr"] > 90
    assert figures["warped"] == figures["real_warped"]
    assert figures["hole_warped"] == figures["real_hole_warped"]
    assert figures["hole_psnr"] >= max(figures["copy_psnr"], figures["telea_psnr"])
    assert len(shown) == 4
    figures, _ = measured("transition", lambda scene, _: bench.real(scene), number)
    assert figures["between_psnr"] > 90 > figures["crossfade_psnr"]


@pytest.mark.parametrize("task", ["animate", "cinemagraph", "transition"])
def test_a_still_does_not_move(measured, task: str) -> None:
    figures, _ = measured(task, lambda _, condition: np.repeat(condition.video[:1], len(condition), 0))
    assert figures["exact"] is True
    assert figures["moves"] is (task == "transition"), "the last frame is put back, and it is another one"


@pytest.mark.parametrize("number", [0, 1])
def test_an_edit_that_changes_nothing_keeps_the_motion_and_misses_its_target(
    bench: Bench, measured, number: int
) -> None:
    figures, shown = measured("edit", lambda scene, _: bench.real(scene), number)
    assert figures["near_psnr"] > 90 and len(shown) == len(STRENGTHS) + 1
    for strength in STRENGTHS:
        assert figures[f"flow_{strength}"] == pytest.approx(1)
        assert figures[f"{('background', 'object')[number]}_{strength}"] is False


def test_an_edit_that_shows_a_plain_colour_keeps_no_motion(bench: Bench, measured) -> None:
    figures, _ = measured("edit", lambda scene, _: np.full_like(bench.real(scene), 245))
    assert all(figures[f"flow_{strength}"] == 0 for strength in STRENGTHS)


@pytest.mark.slow
def test_flicker_shows_as_warped_error(bench: Bench, measured) -> None:
    def flickering(scene, _):
        frames = bench.real(scene).astype(int)
        return (frames + 40 * (np.arange(len(frames)) % 2)[:, None, None, None]).clip(0, 255).astype(np.uint8)

    figures, _ = measured("inpaint", flickering)
    assert figures["hole_warped"] > 5 * figures["real_hole_warped"]
    assert figures["hole_warped"] > figures["warped"] > figures["real_warped"]


@pytest.mark.parametrize(("places", "seam"), [(np.abs(np.arange(80) - 40), 1), (np.arange(80), 79)])
def test_only_a_clip_that_returns_is_seamless(measured, places: np.ndarray, seam: float) -> None:
    frames = np.broadcast_to(places.astype(np.uint8)[:, None, None, None], (80, 16, 16, 3))
    figures, _ = measured("loop", lambda *_: frames)
    assert figures["seamless"] is (seam == 1) and figures["seam"] == pytest.approx(seam)
    assert figures["roughest"] == pytest.approx(seam)


def test_shares_have_intervals_and_means_have_none() -> None:
    summary = summarise([{"moves": True, "seam": 2.0}, {"moves": False, "seam": 4.0, "direction": None}])
    assert summary["moves"]["mean"] == 0.5 and summary["moves"]["low"] < 0.5 < summary["moves"]["high"]
    assert summary["seam"] == {"mean": 3.0, "of": 2} and "direction" not in summary
    one_is_exact = summarise([{"hole_psnr": 20.0}, {"hole_psnr": 148.0}])["hole_psnr"]["mean"]
    assert one_is_exact == pytest.approx(20 + 10 * np.log10(2))
    text = table(summary)
    assert "50.0 %" in text and "3.00" in text and text.count("of 2") == 2
