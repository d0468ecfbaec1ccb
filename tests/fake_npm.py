"""A folder of tiny packages, the ``npm`` that serves them, and animations to put into them."""

import base64
import hashlib
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from lumiere.emoji.data.npm import Package

CODES = ["1f308", "1f44d", "2764", "2b50"]
FAKE_NPM = """#!{python}
import json, os, pathlib, shutil, signal, sys
registry = pathlib.Path({registry!r})
with open(registry / "calls", "a") as calls:
    calls.write(sys.argv[2] + chr(10))
name, version = sys.argv[2].rsplit("@", 1)
filename = name.lstrip("@").replace("/", "-") + "-" + version + ".tgz"
mode = (registry / "mode").read_text()
if mode == "offline":
    print(json.dumps({{"error": {{"code": "ENOTFOUND", "summary": "getaddrinfo ENOTFOUND registry"}}}}))
    sys.exit(1)
if mode == "killed":
    pathlib.Path(filename).write_bytes((registry / filename).read_bytes()[:100])
    os.kill(os.getpid(), signal.SIGKILL)
shutil.copy(registry / filename, filename)
"""


@dataclass
class Registry:
    """``folder`` holds the tarballs, ``calls`` and ``mode``: "ok", "offline" or "killed"."""

    folder: Path

    def mode(self, mode: str) -> None:
        (self.folder / "mode").write_text(mode)

    def calls(self) -> list[str]:
        calls = self.folder / "calls"
        return calls.read_text().splitlines() if calls.exists() else []

    def publish(self, name: str, files: dict[str, bytes]) -> Package:
        package = Package(name, "1.0.0", "", 0, "MIT", "nobody")
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w:gz") as tar:
            for path, content in files.items():
                member = tarfile.TarInfo(f"package/{path}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        (self.folder / package.filename).write_bytes(data.getvalue())
        sha512 = base64.b64encode(hashlib.sha512(data.getvalue()).digest()).decode()
        return Package(name, "1.0.0", sha512, len(data.getvalue()), "MIT", "nobody")


def disc(colour: tuple[int, int, int], frames: int = 6, duration: int = 125) -> list[Image.Image]:
    """A disc that goes from left to right, with a soft edge, on nothing."""
    y, x = np.mgrid[:256, :256]
    pictures = []
    for n in range(frames):
        distance = np.hypot(x - 60 - 130 * n / max(1, frames - 1), y - 128)
        alpha = np.clip(50 - distance / 1.2, 0, 1) * 255
        rgb = np.broadcast_to(np.array(colour), (256, 256, 3))
        pictures.append(Image.fromarray(np.dstack([rgb, alpha]).astype(np.uint8), "RGBA"))
    return pictures


def webp(pictures: list[Image.Image], durations: int | list[int] = 125) -> bytes:
    file = io.BytesIO()
    pictures[0].save(
        file,
        "WEBP",
        lossless=True,
        exact=True,
        method=0,
        **({"save_all": True, "append_images": pictures[1:], "duration": durations} if pictures[1:] else {}),
    )
    return file.getvalue()
