"""Clips, and the files that hold them."""

from lumiere.video.clip import ENDINGS, PICTURE_ENDINGS, Clip, read_metadata, save_picture
from lumiere.video.reading import ClipInfo, probe

__all__ = ["ENDINGS", "PICTURE_ENDINGS", "Clip", "ClipInfo", "probe", "read_metadata", "save_picture"]
