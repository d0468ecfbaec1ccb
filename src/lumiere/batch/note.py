"""How a clip was called, written into its metadata, so that a batch knows its own clips again.

The settings lie in the ``meta`` of click's context, which the batch shares with the verb that it calls.
"""

from __future__ import annotations

from typing import Any

import click

_CALL = "call"


def note_call(context: click.Context, settings: dict[str, Any]) -> None:
    """Have the clips that are made in ``context`` say in their metadata how it was called."""
    context.meta[_CALL] = settings


def noted(metadata: dict[str, Any]) -> dict[str, Any]:
    """A clip's metadata, with what :func:`note_call` says in the current context."""
    meta = click.get_current_context().meta
    return {**metadata, _CALL: meta[_CALL]} if _CALL in meta else metadata


def noted_call(metadata: dict[str, Any]) -> dict[str, Any] | None:
    """What :func:`noted` wrote, or None."""
    return metadata.get(_CALL)
