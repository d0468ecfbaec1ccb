"""Clips, and the files that hold them."""

from lumiere.video.clip import ENDINGS, PICTURE_ENDINGS, Clip, read_metadata, save_picture, write_frames
from lumiere.video.reading import ClipInfo, probe, stream

__all__ = [
    "ENDINGS",
    "PICTURE_ENDINGS",
    "Clip",
    "ClipInfo",
    "probe",
    "read_metadata",
    "save_picture",
    "stream",
    "write_frames",
]
