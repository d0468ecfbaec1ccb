"""The sections as one self-contained HTML file, with style, plots, images and clips."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from pathlib import Path

from lumiere.io.files import check_output, replacing
from lumiere.research.report import media
from lumiere.research.report.section import Picture, Section, ShownClip
from lumiere.research.report.tables import Colours, name_html, table_html

_STYLE = Path(__file__).with_name("page.css")
_SCRIPT = Path(__file__).with_name("page.js")
_COLOURS = 8  # in the style
# Nothing but what is in the page: should the words of a prompt ever become markup, they still reach nobody.
_POLICY = "default-src 'none'; img-src data:; media-src data:; style-src {style}; script-src {script}"
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{style}</style>
<script>{script}</script>
</head>
<body>
<header><h1>{title}</h1><p>{contains}</p></header>
{contents}
<main>
{sections}
</main>
</body>
</html>
"""


def check_page(path: Path, overwrite: bool) -> None:
    """Raises :class:`InputError` if a page cannot be written there."""
    check_output(path, overwrite, (".html",))


def write_page(
    sections: Sequence[Section], path: Path, title: str, clips: int = 6, overwrite: bool = False
) -> None:
    """Write one HTML file, whole or not at all. The same sections give the same bytes.

    Args:
        clips: of how many prompts a section shows clips, evenly spaced.

    Raises:
        InputError: it cannot be written there, or a clip or a picture cannot be read.
    """
    check_page(path, overwrite)
    page = html(sections, title, clips)
    with replacing(path) as part:
        part.write_text(page, "utf-8")


def html(sections: Sequence[Section], title: str, clips: int = 6) -> str:
    """The page; arguments and errors as those of :func:`write_page`."""
    style, script = _STYLE.read_text("utf-8"), _SCRIPT.read_text("utf-8")
    files = len(
        {(source.name, source.facts.get("SHA-256")) for section in sections for source in section.sources}
    )
    tables = _many(sum(len(section.tables) for section in sections), "table")
    contains = f"{tables} from {_many(files, 'file')} of figures." if files else f"{tables}."
    return _PAGE.format(
        policy=escape(_POLICY.format(style=_hashed(style), script=_hashed(script))),
        title=escape(title),
        style=style,
        script=script,
        contains=contains,
        contents=_contents(sections) if len(sections) > 1 else "",
        sections="\n".join(_section(section, number, clips) for number, section in enumerate(sections, 1)),
    )


def _hashed(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return f"'sha256-{digest}'"


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _contents(sections: Sequence[Section]) -> str:
    links = "".join(
        f'<li><a href="#section-{number}">{escape(section.title)}</a></li>'
        for number, section in enumerate(sections, 1)
    )
    return f'<nav aria-label="Contents"><ol>{links}</ol></nav>'


def _section(section: Section, number: int, clips: int) -> str:
    methods = dict.fromkeys(
        [row.method for table in section.tables for row in table.rows]
        + [clip.method for clip in section.clips]
    )
    colours = {method: f"m{place % _COLOURS}" for place, method in enumerate(methods)}
    parts = [table_html(table, section.sources, colours) for table in section.tables]
    if shown := media.comparisons(section.clips, clips):
        parts.append(_clips(shown, section.clips, colours))
    parts += map(_picture, section.pictures)
    return (
        f'<section id="section-{number}" aria-labelledby="title-{number}">\n'
        f'<h2 id="title-{number}">{escape(section.title)}</h2>\n' + "\n".join(parts) + "\n</section>"
    )


def _picture(picture: Picture) -> str:
    image, caption = (
        f'<div class="table">{_image(picture.file, picture.caption)}</div>',
        escape(picture.caption),
    )
    if picture.folded:
        return f"<details><summary>{caption}</summary>{image}</details>"
    return f'<figure class="picture">{image}<figcaption>{caption}</figcaption></figure>'


def _image(file: Path, description: str, css: str = "") -> str:
    made = media.picture(file)
    return (
        f'<img class="{css}" src="{made.uri}" width="{made.width}" height="{made.height}" '
        f'alt="{escape(description)}"/>'
    )


def _clips(shown: dict[str, list[ShownClip]], clips: Sequence[ShownClip], colours: Colours) -> str:
    there = len({clip.prompt for clip in clips})
    most = max(map(len, shown.values()))
    spaced = "all of them" if len(shown) == there else f"{len(shown)} of {there}, evenly spaced, not picked"
    sliced = "; below each clip its x-t slice" if any(clip.xt_slice for clip in clips) else ""
    figures = "\n".join(_comparison(prompt, each, colours) for prompt, each in shown.items())
    return (
        f'<h3>Clips</h3>\n<p class="note">By prompt: {spaced}{sliced}.</p>\n'
        f'<div class="comparisons of-{min(most, 4)}">\n{figures}\n</div>'
    )


def _comparison(prompt: str, clips: Sequence[ShownClip], colours: Colours) -> str:
    play = '<button type="button" class="play">Play together</button>' if len(clips) > 1 else ""
    return (
        f'<figure class="comparison"><figcaption>{escape(prompt)} {play}</figcaption><div class="clips">'
        + "".join(_clip(clip, colours) for clip in clips)
        + "</div></figure>"
    )


def _clip(clip: ShownClip, colours: Colours) -> str:
    made = media.video(clip.file)
    drawn = "" if clip.xt_slice is None else _image(clip.xt_slice, f"x-t slice of {clip.method}", "slice")
    return (
        f'<div class="clip"><video src="{made.uri}" width="{made.width}" height="{made.height}" loop="" '
        f'muted="" playsinline="" controls="" preload="metadata" poster="{made.poster}" '
        f'aria-label="{escape(clip.method)}: {escape(clip.prompt)}"></video>'
        f"{drawn}{name_html(clip.method, colours)}</div>"
    )
