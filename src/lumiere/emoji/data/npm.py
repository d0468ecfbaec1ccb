"""Fetch pinned packages with ``npm pack`` into a cache folder, each checked against its SHA-512."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lumiere.errors import InputError


@dataclass(frozen=True)
class Package:
    """One npm package at one version.

    Attributes:
        sha512: of its tarball, in base64, as npm writes integrity.
        size: of its tarball, in bytes.
        licence: SPDX name.
        credit: whose work it is.
    """

    name: str
    version: str
    sha512: str
    size: int
    licence: str
    credit: str

    @property
    def filename(self) -> str:
        """The name that ``npm pack`` gives the tarball."""
        return f"{self.name.lstrip('@').replace('/', '-')}-{self.version}.tgz"


def default_cache() -> Path:
    """The user's cache folder for fetched packages; ``LUMIERE_CACHE`` overrides it."""
    if chosen := os.environ.get("LUMIERE_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData/Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library/Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "lumiere" / "npm"


def fetch(package: Package, cache: Path) -> Path:
    """The package's tarball in ``cache``, fetched if it is not there yet.

    A tarball is put into the cache only once its hash is right; what an interrupted fetch leaves is never
    used.

    Raises:
        InputError: npm is missing or fails (no network, say), the disk is too full, or a hash is wrong.
    """
    tarball = cache / package.filename
    if tarball.exists():
        _check(tarball, package, f"delete {tarball} to fetch it again")
        return tarball
    try:
        cache.mkdir(parents=True, exist_ok=True)
        if (free := shutil.disk_usage(cache).free) < package.size:
            needed = f"{package.size / 1e6:.0f} MB for {package.filename}"
            raise InputError(f"{cache} has {free / 1e6:.0f} MB free; make room for {needed}, or say --cache")
        with tempfile.TemporaryDirectory(dir=cache, prefix=".fetching-") as folder:
            _npm_pack(package, Path(folder))
            fetched = Path(folder) / package.filename
            if not fetched.exists():
                raise InputError(
                    f"npm pack {package.name} left no {package.filename}; is this npm 7 or later?"
                )
            _check(fetched, package, "the registry serves another file; set npm's registry to npmjs.org")
            os.replace(fetched, tarball)
    except OSError as error:
        raise InputError(
            f"cannot write to the cache {cache}: {error.strerror}; choose another --cache"
        ) from error
    return tarball


def _npm_pack(package: Package, folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise InputError(
            f"npm is not installed, and it fetches {package.name}@{package.version}; install Node.js "
            f"(https://nodejs.org), or put {package.filename} into the cache folder yourself"
        )
    wanted = f"{package.name}@{package.version}"
    arguments = [npm, "pack", wanted, "--json", "--ignore-scripts", "--loglevel=error"]
    done = subprocess.run(arguments, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise InputError(f"npm could not fetch {wanted}: {_npm_reason(done)}; is there a network?")


def _npm_reason(done: subprocess.CompletedProcess[str]) -> str:
    try:
        error = json.loads(done.stdout)["error"]
        return f"{error['code']}, {error['summary']}"
    except (ValueError, KeyError, TypeError):
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return lines[0].removeprefix("npm error ").removeprefix("npm ERR! ")


def _check(tarball: Path, package: Package, remedy: str) -> None:
    digest = hashlib.sha512()
    for chunk in chunks(tarball):
        digest.update(chunk)
    if (found := base64.b64encode(digest.digest()).decode()) != package.sha512:
        raise InputError(
            f"{package.filename} has SHA-512 {found[:12]}..., not {package.sha512[:12]}...; {remedy}"
        )


def chunks(path: Path, size: int = 1 << 20) -> Iterator[bytes]:
    """The file's bytes, ``size`` at a time."""
    with path.open("rb") as file:
        while chunk := file.read(size):
            yield chunk
