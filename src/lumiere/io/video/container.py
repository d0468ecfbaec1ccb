"""Open a video's container: as a local file, by the demuxers that are meant, within the limits."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from io import BufferedIOBase
from typing import Any

import av
from av.container import InputContainer

from lumiere.errors import InputError
from lumiere.io.limits import PIXELS, check_length, check_size, limit
from lumiere.io.pictures import opened
from lumiere.io.source import Source, open_source
from lumiere.io.video.note import parse_note
from lumiere.io.video.timing import Track

# Containers of videos alone: FFmpeg also has demuxers of playlists and scripts, which open other files.
_DEMUXERS = (
    "apng asf av1 avi dv flv gif gxf h264 hevc ivf m4v matroska mjpeg mov mpeg mpegts mpegvideo mxf nut "
    "obu ogg rm swf vc1 vvc wtv yuv4mpegpipe"
)


@contextmanager
def open_container(source: Source) -> Iterator[InputContainer]:
    """A container, open for reading. FFmpeg gets the open file, and no path that it could take for a URL.

    Raises :class:`InputError` for what cannot be opened, and for errors of FFmpeg within the context.
    """
    with open_source(source) as file:
        _check_gif(file, source)
        options = {"format_whitelist": ",".join(_DEMUXERS.split()), "max_pixels": str(limit(PIXELS))}
        try:
            with av.open(_Seekable(file), options=options, metadata_errors="replace") as container:
                yield container
        except av.error.FFmpegError as error:
            raise InputError(f"{source} is no video, or is damaged or cut short: {error.strerror}") from error


@contextmanager
def open_movie(source: Source, track: Track) -> Iterator[tuple[InputContainer, Any]]:
    """A container and its video stream, whose timing and note are put into ``track``.

    Raises :class:`InputError` as :func:`open_container` does, if there is no video stream, and if it is
    larger or longer than the limits.
    """
    with open_container(source) as container:
        if not container.streams.video:
            raise InputError(f"{source} has no video stream; give a video")
        stream: Any = container.streams.video[0]
        if stream.codec_context is None:
            raise InputError(f"{source} has a video stream that no decoder here reads; convert it to H.264")
        check_size(stream.codec_context.width, stream.codec_context.height, source)
        check_length(stream.frames, (container.duration or 0) / av.time_base, source)
        stream.codec_context.options = {"max_pixels": str(limit(PIXELS))}
        track.expected = stream.frames
        track.declared_fps = stream.average_rate
        track.unit = stream.time_base or track.unit
        track.note = parse_note(_comment(container, source), source)
        yield container, stream


def _comment(container: InputContainer, source: Source) -> str | None:
    if container.format.name == "apng":  # FFmpeg passes over a PNG's text
        with opened(source) as picture:
            text = picture.info.get("Comment")
        return text if isinstance(text, str) else None
    return next((text for key, text in container.metadata.items() if key.lower() == "comment"), None)


def refuse_corrupt(packet: Any, source: Source) -> None:
    if packet.is_corrupt:
        raise InputError(f"{source} is damaged or cut short; download or generate it again")


def refuse_missing_end(container: InputContainer, track: Track, source: Source) -> None:
    """Detect truncated Matroska files and GIFs, which PyAV reads without an error."""
    if container.format.name == "gif":
        with open_source(source) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(-min(64, size), os.SEEK_END)
            if not file.read().rstrip(b"\0\r\n").endswith(b";"):
                raise InputError(f"{source} is cut short: it lacks the final ';' of a GIF; download it again")
    only_video = len(container.streams) == 1 and "matroska" in container.format.name
    if only_video and container.duration:
        whole = Fraction(container.duration, av.time_base)
        end = max((time for time in track.times if time is not None), default=Fraction(0)) + track.last
        if whole - end > (track.last * 3 / 2 or Fraction(1, 4)):
            raise InputError(
                f"{source} is cut short: it has {float(end):.2f} of {float(whole):.2f} seconds; fetch it "
                "again"
            )


class _Seekable:
    """A file whose seeks fail as FFmpeg's own do: by a number, for what a damaged header leads to."""

    def __init__(self, file: BufferedIOBase):
        self.read, self.tell, self.seekable, self._file = file.read, file.tell, file.seekable, file

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            return -errno.EINVAL


def _check_gif(file: Any, source: Source) -> None:
    """FFmpeg decodes a GIF's first frame to find its size, and allocates what the header claims."""
    head = file.read(10)
    file.seek(0)
    if head.startswith(b"GIF8") and len(head) == 10:
        check_size(int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:], "little"), source)
