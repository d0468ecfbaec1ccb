"""Ordinary prompts in the words of a model's captions, for verbs that take a prompt."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from lumiere.cli.loading import kept
from lumiere.errors import InputError

rewrite_option = click.option(
    "--no-rewrite", is_flag=True, help="Pass the prompt to the model as it is, not in its captions' words."
)


def model_prompt(prompt: str, model: str | Path, rewrite: bool = True, source: bool = False) -> str:
    """The prompt that the model gets: rewritten if its bundle has ``words.json``, which is then printed.

    Args:
        model: name or folder of a bundle.
        source: whether the clip is conditioned on a picture or a video, which shows what the prompt leaves
            out: no background is added, and a prompt that names no object of the model stays as it is.

    Raises:
        InputError: the prompt names nothing near what the model knows.
    """
    from lumiere.io import bundle

    folder = bundle.resolve(model)
    if not rewrite or not (folder / "words.json").is_file():
        return prompt
    from lumiere.emoji.prompt_rewriter import PromptRewriter
    from lumiere.pipelines.travel import Travel

    if (travel := Travel.of(prompt)) is not None:
        return str(travel.changed(lambda each: model_prompt(each, folder, source=source)))

    rewriter = kept("rewriter", folder, lambda: PromptRewriter.from_bundle(folder))
    assert rewriter is not None
    try:
        rewritten = rewriter(prompt, default_background=not source)
    except InputError as error:
        if not source:
            raise
        click.echo(f"note: {error}", err=True)
        return prompt
    if rewritten.prompt != prompt:
        click.echo(f"prompt: {rewritten.prompt}", err=True)
    for note in rewritten.notes:
        click.echo(f"note: {note}", err=True)
    return rewritten.prompt


def with_user_prompt(metadata: Mapping[str, Any], prompt: str) -> dict[str, Any]:
    """A clip's metadata with what the user wrote as ``prompt``, and what the model got, if that differs, as
    ``rewritten_prompt``."""
    noted: dict[str, Any] = {}
    for name, value in metadata.items():
        if name == "prompt" and value != prompt:
            noted |= {"prompt": prompt, "rewritten_prompt": value}
        else:
            noted[name] = value
    return noted
