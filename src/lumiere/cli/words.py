"""``lumiere words``: what a model's prompts can say."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import fill

import click

from lumiere.errors import InputError

WIDTH = 100


@click.command()
@click.option("--model", default="emoji", show_default=True, help="A shipped model, or a model's folder.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(model: str, as_json: bool) -> None:
    """List the objects, motions, backgrounds and relations that a model knows.

    Other words of a prompt are rewritten to these where they mean the same, or ignored with a note.

    \b
    lumiere words
    lumiere words --json
    """
    from lumiere.io import bundle

    folder = bundle.resolve(model)
    known = known_words(folder)
    if not known:
        raise InputError(f"{folder} has no {bundle.OBJECTS}, which lists what the model knows")
    if as_json:
        click.echo(json.dumps(known, indent=1, ensure_ascii=False))
        return
    for name, words in known.items():
        click.echo(f"{len(words)} {name}")
        click.echo(fill(", ".join(words), WIDTH, initial_indent="  ", subsequent_indent="  "))


def known_words(folder: Path) -> dict[str, list[str]]:
    """The objects, motions, colours, backgrounds and relations of a bundle's captions; empty if it has no
    list of objects."""
    from lumiere.emoji.data.scenes import BACKGROUND_PHRASES, COLOURS, MOTION_WORDS, RELATION_WORDS
    from lumiere.io import bundle

    objects = bundle.objects(folder)
    if not objects:
        return {}
    return {
        "objects": sorted(objects.values(), key=str.casefold),
        "motions": list(MOTION_WORDS),
        "colours": list(COLOURS),
        "backgrounds": [phrase.format("COLOUR", "COLOUR") for phrase in BACKGROUND_PHRASES.values()],
        "relations": list(RELATION_WORDS),
    }
