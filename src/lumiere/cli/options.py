"""Options that mean the same for several verbs."""

from __future__ import annotations

from pathlib import Path

import click

path_type = click.Path(path_type=Path)
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace files that exist.")
