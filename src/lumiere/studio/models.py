"""The served models: what the page knows of each, and what each gets of a prompt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from lumiere.errors import InputError
from lumiere.studio import limits
from lumiere.studio.answers import as_json, json_of


@dataclass(frozen=True)
class Model:
    """A served model, as the page knows it.

    Attributes:
        about: size, frames, fps, steps, guidance; ``conditioned``: whether it takes conditions; ``words``:
            what its prompts can say.
        read_prompt: what the model gets of a prompt, and notes about it; None if it gets it as it is.
    """

    folder: Path
    about: dict[str, Any]
    read_prompt: Callable[[str, bool], tuple[str, list[str]]] | None = None


class ModelRoutes:
    def __init__(self, models: Mapping[str, Model]) -> None:
        self.models = models

    async def prompt(self, request: Request) -> Response:
        """What a model gets of a prompt: {"prompt": "...", "model": "...", "source": false}."""
        fields = await json_of(request)
        text, name = fields.get("prompt"), fields.get("model") or next(iter(self.models))
        if not isinstance(text, str):
            raise InputError("prompt is to be text")
        limits.check_text("prompt", text)
        if not isinstance(name, str) or name not in self.models:
            raise InputError(f"no model {limits.shown(name)} is served; there are {', '.join(self.models)}")
        read = self.models[name].read_prompt
        if read is None or not text.strip():
            return as_json({"prompt": text, "notes": []})
        said, notes = await run_in_threadpool(read, text, bool(fields.get("source")))
        return as_json({"prompt": said, "notes": notes})
