"""Clips, and the files that hold them."""

from lumiere.video.clip import ENDINGS, Clip, read_metadata, save_picture
from lumiere.video.reading import ClipInfo, probe

__all__ = ["ENDINGS", "Clip", "ClipInfo", "probe", "read_metadata", "save_picture"]
