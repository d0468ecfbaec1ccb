"""Output of ``lumiere xt-slice``: its figures as JSON, and images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lumiere.research.report.fields import cell, distinct, objects, text
from lumiere.research.report.section import Column, Picture, Row, Section, Table

_TITLE = "X-t slices"
_COLUMNS = {
    "change": Column("change", "of 255"),
    "roughness": Column("roughness", "of 255"),
    "jitter": Column("jitter", "pixels"),
    "speed": Column("speed", "pixels a frame"),
    "period": Column("period", "frames"),
    "phase": Column("phase", "of the period"),
}
_NOTE = (
    "Along one line of pixels: change is that from frame to frame, roughness what remains of it along "
    "smooth motion, jitter how far what is seen lies from its smooth path. Each is of one clip: none has an"
    " interval."
)


def read(content: Any, file: Path) -> Section | None:
    """The section of what ``--json`` printed; None if it is none."""
    if not isinstance(content, list) or not content:
        return None
    videos = objects(content)
    if not all(video.keys() >= {"video", *_COLUMNS} for video in videos):
        return None
    names = distinct([Path(text(video["video"])) for video in videos])
    rows = tuple(
        Row(name, tuple(cell(video, key) for key in _COLUMNS))
        for name, video in zip(names, videos, strict=True)
    )
    table = Table("", tuple(_COLUMNS.values()), rows, (_NOTE,), "clip")
    return Section(_TITLE, (table,), comparable=True)


def picture(file: Path) -> Section:
    """The section of a slice's picture."""
    return Section(_TITLE, pictures=(Picture(file, f"{file.stem}, time going down"),), comparable=True)
