"""A call of a verb, made of options by their names, and carried out as the command line does.

The verbs are the caller's, see :class:`Program`. Every option of a verb is an option of a line, means the
same, and is refused in the same words.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import click

from lumiere.batch.note import note_call
from lumiere.errors import InputError

_SAID = {"true": True, "false": False}
#: names of models, which may be folders
_MODELS = {"model", "upscaler"}
#: what the batch itself decides on, and what makes no clip, or several
_NOT_A_LINES = {"out", "overwrite", "device", "count", "alpha_sweep", "strength_sweep", "keep", "help"}


@dataclass(frozen=True)
class Program:
    """The verbs that a batch may call.

    Attributes:
        verbs: names of those that make a clip.
        find: the command of a verb; a function of a module, since calls are pickled for other machines.
    """

    verbs: Sequence[str]
    find: Callable[[str], click.Command]

    def command(self, verb: str) -> click.Command:
        """Raises :class:`InputError` if there is no such verb."""
        if verb not in self.verbs:
            raise InputError(f"no verb {verb!r} makes clips; there are {', '.join(self.verbs)}")
        return self.find(verb)

    def options(self, verb: str) -> dict[str, click.Parameter]:
        """A verb's arguments and options by their names, underscores between the words.

        Raises:
            InputError: there is no such verb.
        """
        named = {}
        for parameter in self.command(verb).params:
            if parameter.name not in _NOT_A_LINES:
                named[max(parameter.opts, key=len).lstrip("-").replace("-", "_")] = parameter
        return named


@dataclass(frozen=True)
class Call:
    """``words`` are the options, as the command line has them, and ``arguments`` what follows them."""

    program: Program
    verb: str
    words: tuple[str, ...]
    arguments: tuple[str, ...]

    def __str__(self) -> str:
        return shlex.join(["lumiere", self.verb, *self.words, "--", *self.arguments])

    def parsed(self, *more: str, parent: click.Context | None = None) -> click.Context:
        """Click's context of the call, with ``more`` options. Raises :class:`InputError` for a bad value."""
        words = [*self.words, *more, "--", *self.arguments]
        try:
            return self.program.command(self.verb).make_context(self.verb, words, parent=parent)
        except click.ClickException as error:
            raise InputError(error.format_message().rstrip(".")) from None

    def settings(self, digest: Callable[[Path], str]) -> dict[str, Any]:
        """All that decides on the clip, as JSON holds it: of files and models what ``digest`` says.

        Raises:
            InputError: a file is not there.
        """
        settings: dict[str, Any] = {"verb": self.verb}
        for name, value in self.parsed().params.items():
            if name in _NOT_A_LINES or value is None or value is False or value == "":
                continue
            if name in _MODELS:
                from lumiere.io import bundle

                value = bundle.resolve(value)
            if isinstance(value, tuple):
                settings[name] = [digest(each) if isinstance(each, Path) else each for each in value]
            else:
                settings[name] = digest(value) if isinstance(value, Path) else value
        read: dict[str, Any] = json.loads(json.dumps(settings))
        return read

    def make(self, *more: str, settings: dict[str, Any], parent: click.Context) -> str:
        """Carry the call out, with ``more`` options; the clip says ``settings``.

        Nothing is printed; what the verb would have printed to stderr is returned.

        Args:
            parent: holds the models that the last call loaded.
        """
        context = self.parsed(*more, parent=parent)
        note_call(context, settings)
        with context, redirect_stdout(StringIO()), redirect_stderr(StringIO()) as printed:
            context.command.invoke(context)
        return printed.getvalue()


def make_call(program: Program, verb: str, options: Mapping[str, Any]) -> Call:
    """A call of a program's verb with options by their names, dashes or underscores between the words.

    Args:
        options: text, numbers, True for flags, lists where an option may be given several times; those that
            are None are left out.

    Raises:
        InputError: there is no such verb or option, an argument is missing, or a value is not of its kind.
    """
    known = program.options(verb)
    given = {name.replace("-", "_"): value for name, value in options.items() if value is not None}
    for name in given:
        if name not in known:
            raise InputError(f"{verb} has no option {name!r}; there are {', '.join(known)}")
    words: list[str] = []
    arguments: list[str] = []
    for name, parameter in known.items():
        if isinstance(parameter, click.Argument):
            if name not in given and parameter.required:
                raise InputError(f"{verb} needs {name!r}")
            arguments.append(_text(name, given.get(name, "")))
        elif name in given:
            words += _words(name, parameter, given[name])
    call = Call(program, verb, tuple(words), tuple(arguments))
    call.parsed()
    return call


def _words(name: str, parameter: click.Parameter, value: Any) -> list[str]:
    option = "--" + name.replace("_", "-")
    if isinstance(parameter, click.Option) and parameter.is_flag:
        said = _SAID.get(value.lower()) if isinstance(value, str) else value  # CSV knows text alone
        if not isinstance(said, bool):
            raise InputError(f"{name!r} is {json.dumps(value)}; give true or false")
        return [option] if said else []
    several = value if parameter.multiple and isinstance(value, list) else [value]
    return [f"{option}={_text(name, each)}" for each in several]


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InputError(f"{name!r} is {json.dumps(value)}; give text or a number")
    return str(value)
