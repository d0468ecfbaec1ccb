"""Two evaluations side by side."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lumiere.cli import main
from lumiere.emoji.evaluation.comparing import compare


def _run(*words: object) -> Result:
    return CliRunner().invoke(main, ["metrics", "compare", *map(str, words)])


def _write(folder: Path, answers: list[dict[str, object]], of: str = "answers") -> Path:
    folder.mkdir()
    lines = [
        {"clip": f"{n:03d}.mp4", "prompt": "a crab", "answers": answer}
        if of == "answers"
        else {"prompt": f"a crab {n}", "settings": {}, "figures": answer}
        for n, answer in enumerate(answers)
    ]
    (folder / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_what_both_were_asked_is_compared_prompt_by_prompt(tmp_path: Path) -> None:
    few = [{"top1": n % 2 == 0, "direction": None} for n in range(40)]
    many = [{"top1": n % 2 == 0 or n < 10, "direction": True} for n in range(60)]
    (row,) = compare(_write(tmp_path / "few", few), _write(tmp_path / "many", many))
    assert (row.ours, row.theirs, row.prompts) == (20 / 40, 25 / 40, 40)
    assert row.value == pytest.approx(-5 / 40) and row.low < row.value < row.high < 0
    result = _run(tmp_path / "few", tmp_path / "many", "--json", tmp_path / "out.json")
    assert result.exit_code == 0 and "object right (top 1)" in result.output and "-12.5" in result.output
    (difference,) = json.loads((tmp_path / "out.json").read_text())["differences"]
    assert difference["prompts"] == 40


def test_other_tasks_are_compared_by_their_prompts(tmp_path: Path) -> None:
    answers = [{"both_named": True, "warped": 3.0}] * 3
    (row,) = compare(
        _write(tmp_path / "one", answers, "figures"), _write(tmp_path / "other", answers, "figures")
    )
    assert (row.title, row.value, row.low, row.high) == (
        "both objects right (top 1), each on its side",
        0,
        0,
        0,
    )


def test_what_cannot_be_compared_is_said(tmp_path: Path) -> None:
    text = _write(tmp_path / "text", [{"top1": True}])
    pairs = _write(tmp_path / "pairs", [{"both_named": True}], "figures")
    for other, message in ((pairs, "no prompt in common"), (tmp_path, "no results.jsonl in")):
        result = _run(text, other)
        assert result.exit_code == 2 and message in result.output and result.output.count("\n") == 1
