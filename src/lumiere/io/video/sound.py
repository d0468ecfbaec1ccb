"""Copy a file's sound into a new video; it is re-encoded where the format does not hold its codec.

A clip is never lost for its sound: what cannot be copied or encoded is left out, and a line says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
from av.container import OutputContainer

from lumiere.errors import InputError
from lumiere.io.text import warn_once
from lumiere.io.video.container import open_container

_HELD = {
    "mp4": {"aac", "ac3", "alac", "eac3", "flac", "mp3", "opus"},
    "webm": {"opus", "vorbis"},
}
_ENCODER = {"mp4": "aac", "webm": "libopus"}
#: for 1, 2, 3 ... channels, the layout that the encoder has and players know
_LAYOUTS = {
    "mp4": ("mono", "stereo", "stereo", "4.0", "5.0", "5.1"),
    "webm": ("mono", "stereo", "stereo", "quad", "5.0", "5.1", "6.1", "7.1"),
}
_RATE = 48_000
_TRIED_FRAMES = 8
_FAILURES = (av.error.FFmpegError, InputError, AttributeError, ValueError, TypeError, KeyError)


def usable_sound(source: Path | None, target: Path) -> Path | None:
    """``source`` if a video at ``target`` will have its sound; decided by decoding and encoding its start.

    None if it has no sound, if the format holds none, or if it cannot be used, which a line says. Call it
    before any long work.
    """
    kind = target.suffix.lower().removeprefix(".")
    if source is None or kind not in _HELD or not source.is_file():
        return None
    try:
        with open_container(source) as container:
            if not container.streams.audio:
                return None
            track: Any = container.streams.audio[0]
            if track.codec_context is None:
                raise ValueError("nothing here decodes its codec")
            if not _held(track, kind):
                _try(container, track, kind)
    except _FAILURES as error:
        _left_out(source, error)
        return None
    return source


def _try(container: Any, track: Any, kind: str) -> None:
    encoder: Any = av.CodecContext.create(_ENCODER[kind], "w")
    encoder.sample_rate, encoder.layout = _RATE, _layout(track, kind)
    encoder.format = {"mp4": "fltp", "webm": "flt"}[kind]
    encoder.time_base = Fraction(1, _RATE)
    for frame in islice(container.decode(track), _TRIED_FRAMES):
        encoder.encode(frame)
    encoder.encode(None)


def _held(track: Any, kind: str) -> bool:
    return track.codec_context.name.removesuffix("float") in _HELD[kind]


def _layout(track: Any, kind: str) -> str:
    """The layout that the sound is mixed to: the encoder's of as many channels, or of its most."""
    layouts = _LAYOUTS[kind]
    return layouts[min(max(1, track.codec_context.layout.nb_channels), len(layouts)) - 1]


def _left_out(source: Path, error: Exception) -> None:
    reason = getattr(error, "strerror", None) or str(error)
    warn_once(f"{source}: its sound is left out: {reason}")


class Sound:
    """The first sound track of ``source``, written into ``target`` as its video proceeds.

    A context manager, entered once all other streams are added; leaving it writes the rest. Without a
    ``source``, or if that has no sound that can be used, it does nothing; sound that breaks off ends there,
    and a line says so. Time 0 is the first picture of ``source``.
    """

    def __init__(self, target: OutputContainer, source: Path | None):
        self.target = target
        self.source = usable_sound(source, Path(f"x.{target.format.name}"))
        self.packets: Iterator[Any] = iter(())
        self.next: Any = None

    def __enter__(self) -> Sound:
        self._closing = ExitStack()
        if self.source is not None:
            container: Any = self._closing.enter_context(open_container(self.source))
            self.packets = self._packets(container)
            self.next = self._following()
        return self

    def write_until(self, seconds: Fraction) -> None:
        """Write the sound up to ``seconds``, so that sound and frames are interleaved in the file."""
        while self.next is not None and self.next.pts * self.next.time_base < seconds:
            self._advance()

    def __exit__(self, kind: Any, *details: Any) -> None:
        with self._closing:
            while kind is None and self.next is not None:
                self._advance()

    def _advance(self) -> None:
        assert self.source is not None
        try:
            self.target.mux(self.next)
            self.next = self._following()
        except _FAILURES as error:
            self.next = None
            _left_out(self.source, error)

    def _following(self) -> Any:
        try:
            return next(self.packets, None)
        except _FAILURES as error:
            assert self.source is not None
            _left_out(self.source, error)
            return None

    def _packets(self, container: Any) -> Iterator[Any]:
        track, name = container.streams.audio[0], self.target.format.name
        pictures = container.streams.video[0] if container.streams.video else None
        began = (pictures.start_time or 0) * pictures.time_base if pictures else Fraction(0)
        if _held(track, name):
            out = self.target.add_stream_from_template(track)
            return self._copied(container, track, out, began)
        out = self.target.add_stream(_ENCODER[name], rate=_RATE, layout=_layout(track, name))
        return self._encoded(container, track, out, began)

    @staticmethod
    def _copied(container: Any, track: Any, out: Any, began: Fraction) -> Iterator[Any]:
        for packet in container.demux(track):
            if packet.size and packet.pts is not None:
                shift = round(began / packet.time_base)
                packet.pts -= shift
                packet.dts = packet.pts
                # The packet that ends where the pictures begin is not heard, but the first one builds on it.
                if packet.pts + (packet.duration or 0) >= 0:
                    packet.stream = out
                    yield packet

    @staticmethod
    def _encoded(container: Any, track: Any, out: Any, began: Fraction) -> Iterator[Any]:
        for frame in container.decode(track):
            if frame.pts is not None:
                frame.pts -= round(began / frame.time_base)
                if frame.pts >= 0:
                    yield from out.encode(frame)
        yield from out.encode(None)
