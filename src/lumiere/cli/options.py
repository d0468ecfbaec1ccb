"""What several verbs share: checks to make before heavy work, and options that mean the same everywhere."""

from __future__ import annotations

from pathlib import Path

import click

from lumiere.files import check_output as check_writable

__all__ = ["CLIP_ENDINGS", "PICTURE_ENDINGS", "check_writable", "overwrite_option", "path_type"]

# As lumiere.video has them, which is not imported for a --help.
CLIP_ENDINGS = (".mp4", ".webm", ".gif", ".webp", "")
PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp")

path_type = click.Path(path_type=Path)
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace an output that exists.")
