"""What is read: a file, or bytes in its place; and what it is, by its content."""

from __future__ import annotations

import io
import stat
import tarfile
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from lumiere.errors import InputError
from lumiere.io.text import printable

#: enough to find how a PNG or a WebP is animated
HEAD = 4096
#: of files that are videos by their names, whatever they hold
_NAMED = "3gp avi flv gif m2ts m4v mkv mov mp4 mpeg mpg mts ogv ts webm webp wmv"
VIDEO_ENDINGS = frozenset(f".{each}" for each in _NAMED.split())
_ISO_PICTURES = (b"avif", b"heic", b"heix", b"mif1")
_ISO = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp")
_VIDEOS = (
    b"\x1aE\xdf\xa3",  # EBML: Matroska, WebM
    b"OggS",
    b"FLV\x01",
    b"\x00\x00\x01\xba",  # MPEG
    b"\x00\x00\x01\xb3",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF, WMV
    b"GIF87a",
    b"GIF89a",
    b"DKIF",  # IVF
)
_PICTURES = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"II*\0",
    b"MM\0*",
    b"BM",
    b"\0\0\0\x0cjP  ",
    b"\xff\x4f\xff\x51",
    b"qoif",
)
_SPECIAL = {
    stat.S_ISFIFO: "a named pipe",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}


class Packed(NamedTuple):
    """The bytes of a file that is in another one, and its name for messages."""

    name: str
    data: bytes

    def __str__(self) -> str:
        return self.name


Source = Path | Packed


class Kind(Enum):
    """What a file's beginning says that it is; a GIF, and what is animated, is a video."""

    PICTURE = "picture"
    VIDEO = "video"
    OTHER = "other"


def special(path: Path) -> str | None:
    """What a path is that is neither a file nor a folder, such as "a named pipe"; else None.

    Raises:
        OSError, ValueError: it cannot be asked: a loop of links, a name that is too long.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    return next((said for test, said in _SPECIAL.items() if test(mode)), None)


def check_path(path: Path, hint: str = "give a file or a folder") -> None:
    """Raises :class:`InputError` for a named pipe, a socket, a device, a loop of links and the like.

    Opening one of them may wait for ever. A path where nothing is passes.
    """
    try:
        found = special(path)
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{_short(path)} cannot be used: {said}; {hint}") from None
    if found:
        raise InputError(f"{path} is {found}; {hint}")


def open_source(source: Source) -> io.BufferedIOBase:
    """A file, or bytes in its place, open for reading.

    Raises :class:`InputError` for what :func:`check_path` refuses, a folder, and a file that is missing or
    cannot be read.
    """
    if isinstance(source, Packed):
        return io.BytesIO(source.data)
    check_path(source, "give a file")
    try:
        return source.open("rb")
    except FileNotFoundError:
        raise InputError(f"{source} does not exist; give a file") from None
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror}; give a file") from None


def kind_of(source: Source) -> Kind:
    """What a file is, by how it begins; raises as :func:`open_source` does."""
    return kind_of_bytes(read_head(source))


def is_video(path: Path) -> bool:
    """Whether a file is a video, or is called one, so that a damaged one is refused and not passed over."""
    return path.suffix.lower() in VIDEO_ENDINGS or kind_of(path) is Kind.VIDEO


def read_head(source: Source) -> bytes:
    """The first :data:`HEAD` bytes of a file; raises as :func:`open_source` does."""
    with open_source(source) as file:
        try:
            return file.read(HEAD)
        except OSError as error:
            raise InputError(f"{source} cannot be read: {error.strerror}; give a file") from None


def files_of(shard: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, io.BufferedIOBase]]:
    """The files of a tar, each with its bytes.

    Raises:
        tarfile.TarError: a header is damaged, or claims a size below 0, which would be read for ever.
    """
    for member in shard:
        if member.size < 0:
            raise tarfile.ReadError(f"{printable(member.name)} claims {member.size} bytes")
        if member.isreg() and (file := shard.extractfile(member)) is not None:
            yield member, file  # type: ignore[misc]


def kind_of_bytes(head: bytes) -> Kind:
    """What a file is that begins so, with :data:`HEAD` bytes or all of its own."""
    if head.startswith(b"RIFF"):
        if head[8:12] != b"WEBP":
            return Kind.VIDEO if head[8:11] == b"AVI" else Kind.OTHER
        animated = head[12:16] == b"VP8X" and len(head) > 20 and head[20] & 2
        return Kind.VIDEO if animated else Kind.PICTURE
    if head[4:8] == b"ftyp" and head[8:12] in _ISO_PICTURES:
        return Kind.PICTURE
    if head.startswith(_VIDEOS) or head[4:8] in _ISO or _is_transport_stream(head):
        return Kind.VIDEO
    if head.startswith(_PICTURES):
        return Kind.VIDEO if b"acTL" in head.split(b"IDAT", 1)[0] else Kind.PICTURE
    return Kind.OTHER


def _is_transport_stream(head: bytes) -> bool:
    """MPEG-TS: a sync byte every 188 bytes, or, with a time stamp before each packet, every 192."""
    return any(head[first : first + 3 * step + 1 : step] == b"GGGG" for first, step in ((0, 188), (4, 192)))


def _short(path: Path) -> str:
    text = printable(path)
    return text if len(text) <= 100 else f"{text[:100]}..."
