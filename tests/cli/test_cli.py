"""The command line as a whole: helps that answer, and errors of one line."""

import errno
import importlib.util
import subprocess
import sys
import time

import click
import pytest

from lumiere import cli
from lumiere.errors import InputError

PRESENT = [verb for verb, (module, _) in cli.VERBS.items() if importlib.util.find_spec(module)]


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exit:
        cli.main(list(arguments))
    assert isinstance(exit.value.code, int)
    return exit.value.code


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch):
    """Makes ``lumiere show`` raise what the test wants."""

    def install(exception: BaseException) -> None:
        @click.command()
        def command() -> None:
            raise exception

        monkeypatch.setattr(cli.LazyGroup, "get_command", lambda *_: command)

    return install


def commands() -> list[list[str]]:
    """Every verb whose module is there, and the commands within it."""
    words = []
    for verb in PRESENT:
        command = cli.main.get_command(click.Context(cli.main), verb)
        words += [[verb, name] for name in command.commands] if isinstance(command, click.Group) else [[verb]]
    return words


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_verb_has_help_with_an_example(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*words, "--help") == 0
    usage, *rest = capsys.readouterr().out.splitlines()
    line = " ".join(["lumiere", *words])
    assert usage.startswith(f"Usage: {line} ")
    assert any(other.strip().startswith(line) for other in rest), "no example"


def test_help_lists_every_verb_and_answers_at_once(record_property) -> None:
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "lumiere", "--help"], capture_output=True, text=True)
    record_property("seconds", round(time.perf_counter() - start, 3))
    assert done.returncode == 0
    for verb, (_, help_line) in cli.VERBS.items():
        assert f"  {verb} " in done.stdout
        assert help_line in done.stdout


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out.startswith("lumiere")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["shwo"], "unknown verb 'shwo'; choose from generate, loop, animate"),
        (["--bad"], "No such option '--bad'"),
        (["show"], "Missing argument 'FILE' (see lumiere show --help)"),
        (["xt-slice", "a.mp4", "--out", "b.png", "--row", "x"], "'x' is not a valid integer"),
    ],
)
def test_wrong_use_is_one_line(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("error: ") and complaint in err


@pytest.mark.parametrize(
    ("exception", "code", "message"),
    [
        (InputError("frames is 0;\n give 1 or more"), 2, "error: frames is 0; give 1 or more"),
        (click.ClickException("no"), 2, "error: no"),
        (
            OSError(errno.ENOSPC, "No space left on device", "a.mp4"),
            2,
            "error: No space left on device: a.mp4",
        ),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
    ids=["input", "click", "full disk", "Ctrl-C"],
)
def test_errors_are_one_line(
    raising, exception: BaseException, code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(exception)
    assert run("show") == code
    assert capsys.readouterr().err.strip() == message


def test_our_own_mistakes_keep_their_traceback(raising) -> None:
    for mistake in (ValueError("ours"), FileNotFoundError(errno.ENOENT, "ours")):
        raising(mistake)
        with pytest.raises(type(mistake), match="ours"):
            cli.main(["show"])


def test_a_reader_that_left_is_no_error() -> None:
    script = "import sys; sys.stdin.read(); from lumiere.cli import main; main(['--help'])"
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout and process.stdin and process.stderr
    process.stdout.close()
    process.stdin.close()
    assert process.stderr.read() == b""
    assert process.wait() == 1
