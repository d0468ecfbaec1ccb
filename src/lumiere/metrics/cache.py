"""Cache of measurements per clip, so that an interrupted run resumes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lumiere.data.files import write_whole
from lumiere.io.bundle import read_json

_FORMAT = "lumiere-metrics/1"


class Cache:
    """A folder with a small JSON file for each measurement; without a folder nothing is kept."""

    def __init__(self, folder: Path | None = None):
        self.folder = folder

    def get(self, what: dict[str, Any], compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What is kept under ``what``, the clip's hash and all settings; else it is computed.

        Raises:
            InputError: the folder cannot be written, or a file in it is damaged.
        """
        if self.folder is None:
            return compute()
        key = hashlib.sha256(json.dumps([_FORMAT, what], sort_keys=True).encode()).hexdigest()
        path = self.folder / f"{key}.json"
        if path.exists():
            return read_json(path)
        value = compute()
        write_whole(path, json.dumps(value).encode())
        return value
