"""What the documents say holds: their commands parse, their imports exist, their links lead somewhere."""

import ast
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import click
import pytest

import lumiere
from lumiere.cli import main

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    {*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("src/lumiere/emoji/weights/*/*.md")}
)
SCRIPTS = sorted(ROOT.glob("configs/**/*.sh"))
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHELL = {"", "bash", "sh", "shell", "console"}
README_LINES = 150
#: vague where the field has a term: conditioned on, retrained, applied, known region, first frame
BANNED = ("told", "anew", "worn", "what is given", "given beginning")


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _without_fences(text: str) -> str:
    return FENCE.sub("", text)


def _commands(shell: str) -> Iterator[list[str]]:
    for line in shell.replace("\\\n", " ").splitlines():
        if command := re.match(r"\s*(?:\$ )?(?:[A-Z_]+=\S* )*lumiere( .*)", line):
            yield shlex.split(command[1], comments=True)


def _fenced_commands() -> list[tuple[str, list[str]]]:
    fences = [
        (path.name, body)
        for path in DOCUMENTS
        for language, body in FENCE.findall(_read(path))
        if language in SHELL
    ]
    scripts = [(path.name, _read(path)) for path in SCRIPTS]
    recipes = [("Makefile", _read(ROOT / "Makefile").replace("\t$(LUMIERE)", "lumiere").replace("$$", "$"))]
    return [(name, words) for name, body in fences + scripts + recipes for words in _commands(body)]


def _mentions() -> list[tuple[str, list[str]]]:
    """Commands in running text, which may leave arguments out: `lumiere generate --scheduler`."""
    return [
        (path.name, shlex.split(span)[1:])
        for path in DOCUMENTS
        for span in re.findall(r"`(lumiere [^`]*)`", _without_fences(_read(path)))
        if "VERB" not in span
    ]


def _parse(command: click.Command, words: list[str], complete: bool) -> None:
    """Parse as the command line would, down to the verb, but touch no file and run nothing."""
    context = click.Context(command, info_name=command.name)
    values, rest, _ = command.make_parser(context).parse_args(list(words))
    if isinstance(command, click.Group) and rest:
        verb = command.get_command(context, rest[0])
        if verb is None:
            raise click.UsageError(f"no verb {rest[0]!r}")
        return _parse(verb, rest[1:], complete)
    if rest:
        raise click.UsageError(f"left over: {rest}")
    for parameter in command.get_params(context):
        value = values.get(parameter.name)
        given = isinstance(value, (str, tuple, list)) and bool(value)
        if given and str(value).startswith("--"):
            raise click.UsageError(f"{parameter.name} has no value")
        if complete and parameter.required and not given:
            raise click.UsageError(f"{parameter.name} is missing")
        if given and "$" not in str(value) and not isinstance(parameter.type, (click.Path, click.File)):
            parameter.type_cast_value(context, value)


def _names(cases: list[tuple[str, list[str]]]) -> list[str]:
    return [f"{name}: {shlex.join(command)}" for name, command in cases]


@pytest.mark.parametrize(("_where", "command"), _fenced_commands(), ids=_names(_fenced_commands()))
def test_commands_parse(_where: str, command: list[str]) -> None:
    _parse(main, command, complete=True)


@pytest.mark.parametrize(("_where", "command"), _mentions(), ids=_names(_mentions()))
def test_commands_in_running_text_parse(_where: str, command: list[str]) -> None:
    _parse(main, command, complete=False)


@pytest.mark.parametrize(
    "command",
    ["generate --no-such-option x", "no-such-verb", "generate a b", "generate a --out --overwrite", "train"],
)
def test_a_wrong_command_would_be_found(command: str) -> None:
    with pytest.raises(click.UsageError):
        _parse(main, command.split(), complete=True)


def test_every_verb_is_shown_in_the_list_of_commands() -> None:
    shown = {words[0] for name, words in _fenced_commands() if name == "commands.md"}
    assert shown >= set(main.list_commands(click.Context(main)))


def test_the_readme_is_short() -> None:
    assert len(_read(ROOT / "README.md").splitlines()) <= README_LINES


def test_the_readme_links_every_page() -> None:
    linked = set(re.findall(r"\]\(docs/([\w-]+\.md)\)", _read(ROOT / "README.md")))
    assert linked == {path.name for path in ROOT.glob("docs/*.md")}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_words_of_the_field_are_used(path: Path) -> None:
    words = " ".join(_read(path).split())
    assert not re.findall(rf"\b(?:{'|'.join(BANNED)})\b", words, re.IGNORECASE)


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", _read(ROOT / "Makefile"), re.MULTILINE))
    used = {
        target
        for path in DOCUMENTS
        for target in re.findall(r"^(?:\$ )?make ([a-z-]+)", _read(path), re.MULTILINE)
        + re.findall(r"`make ([a-z-]+)", _read(path))
    }
    assert {"demo", "test"} <= used <= targets


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_python_examples_import_what_exists(path: Path) -> None:
    for body in (body for language, body in FENCE.findall(_read(path)) if language == "python"):
        for node in ast.walk(ast.parse(body)):
            if isinstance(node, ast.ImportFrom) and node.module == "lumiere":
                for alias in node.names:
                    assert hasattr(lumiere, alias.name), alias.name


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_files(path: Path) -> None:
    text = _without_fences(_read(path))
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)
    local = [unquote(target.partition("#")[0]) for target in targets if "://" not in target]
    assert not [target for target in local if target and not (path.parent / target).exists()]


def _symbols(path: Path) -> set[str]:
    names = set()
    for node in ast.parse(_read(path)).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{part.name}" for part in node.body if isinstance(part, ast.FunctionDef)}
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def test_the_paper_map_points_at_code() -> None:
    places = re.findall(r"`([\w/.-]+\.py)(?::([\w.]+))?`", _read(ROOT / "docs" / "paper-map.md"))
    assert len(places) > 10
    for file, symbol in places:
        path = ROOT / "src" / "lumiere" / file
        assert path.is_file(), file
        assert not symbol or symbol in _symbols(path), f"{file}:{symbol}"


def test_the_scripts_can_be_run() -> None:
    scripts = [*SCRIPTS, ROOT / "scripts" / "setup", ROOT / ".ci" / "run"]
    assert all(os.access(script, os.X_OK) for script in scripts)
    assert SCRIPTS
