from pathlib import Path

import pytest

from fake_npm import Registry
from lumiere.cli import main

NOTHING = ["--stills", "0", "--clips", "0", "--held-out", "0", "--workers", "1"]


def _run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as exit:
        main(["data", "emoji", *map(str, arguments)])
    return exit.value.code if isinstance(exit.value.code, int) else 1


def test_the_sprites_alone_can_be_asked_for(
    tiny_emoji: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--out", tmp_path / "out", "--cache", tmp_path / "cache", *NOTHING]
    assert _run(*arguments) == 0
    assert capsys.readouterr().out == f"{tmp_path}/out is ready\n"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "heldout-prompts.json",
        "manifest.json",
        "sprites",
    ]
    assert _run(*arguments) == 0
    assert "already complete; nothing to do" in capsys.readouterr().out


def test_a_missing_network_is_one_line_and_exit_code_2(
    tiny_emoji: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_emoji.mode("offline")
    assert _run("--out", tmp_path / "out", "--cache", tmp_path / "cache", *NOTHING) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and "ENOTFOUND" in lines[0]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--clips", "1"], "--out"),
        (["--out", "x", "--clips", "-1"], "--clips"),
        (["--out", "x", "--seed", "a"], "a"),
        (["--out", "x", "--group", "cats"], "--group is 'cats'; choose from smileys-emotion"),
    ],
)
def test_bad_options_are_named(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert _run(*arguments) == 2
    assert complaint in capsys.readouterr().err
