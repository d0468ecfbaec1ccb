"""Clips, and the files that hold them."""

from lumiere.io.video.clip import (
    ENDINGS,
    PICTURE_ENDINGS,
    Clip,
    check_rate,
    read_metadata,
    save_picture,
    write_frames,
)
from lumiere.io.video.reading import ClipInfo, probe, stream
from lumiere.io.video.resize import resize
from lumiere.io.video.sound import usable_sound

__all__ = [
    "ENDINGS",
    "PICTURE_ENDINGS",
    "Clip",
    "ClipInfo",
    "check_rate",
    "probe",
    "read_metadata",
    "resize",
    "save_picture",
    "stream",
    "usable_sound",
    "write_frames",
]
