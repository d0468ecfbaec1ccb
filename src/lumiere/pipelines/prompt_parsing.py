"""What a pipeline asks of a prompt: its objects and its motion, by the grammar of the model's captions.

A bundle names its parser (``prompt_parser`` in ``model_index.json``). Parsers are entry points of the group
``lumiere.prompt_parsers``, so that a package brings the grammar of its own models.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Protocol, runtime_checkable

from lumiere.errors import InputError

GROUP = "lumiere.prompt_parsers"


@runtime_checkable
class PromptParser(Protocol):
    """The grammar of a model's captions."""

    def split_objects(self, prompt: str) -> tuple[tuple[str, ...], ...]:
        """A prompt for each object, in rows as they stand in the frame; the prompt itself if it has one."""
        ...

    def without_motion(self, prompt: str) -> str:
        """The prompt without its words for motion; the prompt itself if nothing else would be left."""
        ...


def load_parser(name: str) -> PromptParser:
    """The parser of this name. Raises :class:`InputError` if no installed package has it."""
    found = {point.name: point for point in entry_points(group=GROUP)}
    if name not in found:
        known = ", ".join(sorted(found)) or "none; reinstall the package"
        raise InputError(f"no prompt parser {name!r} is installed; there are {known}")
    parser: PromptParser = found[name].load()()
    return parser
