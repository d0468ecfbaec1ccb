"""Help texts: every verb and option has one, in the field's words, and every example parses."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import pytest

from lumiere import cli

BANNED = ("told", "anew", "worn", "what is given", "given beginning", "as it was said", "the one that")
#: a help text that opens with one of these is a fragment or a riddle, not an imperative or a noun phrase
FRAGMENTS = re.compile(
    r"about|also|among|and|are|as|at|be|because|begins|but|by|can|could|does|for|from|given|goes|had|"
    r"has|have|how|if|in|is|it|its|made|makes|must|may|no|not|of|on|or|our|says|such|takes|that|their|"
    r"them|then|there|these|they|this|those|to|too|was|were|what|when|where|which|while|who|whose|why|"
    r"with|would"
)
IMPERATIVES = re.compile(
    r"ablate|animate|benchmark|build|collect|compare|compose|convert|edit|evaluate|extend|find|fit|"
    r"generate|inflate|inpaint|interpolate|list|measure|outpaint|plot|prepare|render|report|run|serve|show|"
    r"stack|train|upscale|write"
)
EXAMPLE = re.compile(r"^ *(lumiere [^\n]*?)(?: {2,}.*)?$", re.MULTILINE)


def commands(
    command: click.Command = cli.main, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every verb and the commands within it, groups included."""
    if words:
        yield words, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from commands(child, (*words, name))


COMMANDS = list(commands())
TEXTS = {
    **{("--help of lumiere", verb): line for verb, (_, line) in cli.VERBS.items()},
    **{words: command.help or "" for words, command in COMMANDS},
    **{
        (*words, option.opts[0]): option.help or ""
        for words, command in COMMANDS
        for option in command.params
        if isinstance(option, click.Option)
    },
}


def _parse(line: str) -> None:
    """Parse an example as the command line would, without running it."""
    context, words = click.Context(cli.main), shlex.split(line)[1:]
    command: click.Command = cli.main
    while isinstance(command, click.Group):
        name = words.pop(0)
        child = command.get_command(context, name)
        assert child is not None, f"no verb {name}"
        command, context = child, click.Context(child, parent=context, info_name=name)
    command.parse_args(context, words)


@pytest.mark.parametrize("words", TEXTS, ids=" ".join)
def test_every_verb_and_option_has_a_help_text(words: tuple[str, ...]) -> None:
    text = TEXTS[words]
    assert text, "no help text"
    first = re.findall(r"[\w-]+", text)[0]
    assert first[0].isupper() and not FRAGMENTS.fullmatch(first.lower()), f"begins with {first!r}"
    assert words[-1].startswith("--") is False or text[-1] in ".]", f"ends with {text[-10:]!r}"
    found = [phrase for phrase in BANNED if re.search(rf"\b{phrase}\b", text, re.IGNORECASE)]
    assert not found, f"says {found}"


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=[" ".join(words) for words, _ in COMMANDS])
def test_every_verb_begins_with_an_imperative(words: tuple[str, ...], command: click.Command) -> None:
    assert command.help
    assert IMPERATIVES.fullmatch(command.help.split()[0].lower()), command.help.splitlines()[0]
    if line := cli.VERBS.get(" ".join(words)):
        assert IMPERATIVES.fullmatch(line[1].split()[0].lower()) and line[1].endswith(".")


@pytest.mark.parametrize(
    ("words", "command"),
    [case for case in COMMANDS if not isinstance(case[1], click.Group)],
    ids=[" ".join(words) for words, command in COMMANDS if not isinstance(command, click.Group)],
)
def test_every_verb_has_examples_that_parse(words: tuple[str, ...], command: click.Command) -> None:
    examples = EXAMPLE.findall((command.help or "").partition("\b")[2])
    assert any(example.startswith(" ".join(["lumiere", *words])) for example in examples), "no example"
    for example in examples:
        _parse(example)


@pytest.mark.parametrize(
    "example", ["lumiere generate", "lumiere show a --no-such", "lumiere edit a b --strength 2"]
)
def test_a_wrong_example_would_be_found(example: str) -> None:
    with pytest.raises(click.UsageError):
        _parse(example)
