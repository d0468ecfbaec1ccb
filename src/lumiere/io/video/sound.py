"""Copy a file's sound into a new video; it is re-encoded where the format does not hold its codec."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import OutputContainer

_HELD = {
    "mp4": {"aac", "ac3", "alac", "eac3", "flac", "mp3", "opus"},
    "webm": {"opus", "vorbis"},
}
_ENCODER = {"mp4": "aac", "webm": "libopus"}
_RATE = 48_000


class Sound:
    """The first sound track of ``source``, written into ``target`` as its video proceeds.

    A context manager, entered once all other streams are added; leaving it writes the rest. Without a
    ``source``, or if that has no sound, it does nothing. Time 0 is the first picture of ``source``.
    """

    def __init__(self, target: OutputContainer, source: Path | None):
        self.target, self.source = target, source
        self.packets: Iterator[Any] = iter(())
        self.next: Any = None

    def __enter__(self) -> Sound:
        self._closing = ExitStack()
        if self.source is not None and self.source.is_file():  # a folder of frames has no sound
            container = self._closing.enter_context(av.open(str(self.source), metadata_errors="replace"))
            if container.streams.audio:
                self.packets = self._packets(container)
                self.next = next(self.packets, None)
        return self

    def write_until(self, seconds: Fraction) -> None:
        """Write the sound up to ``seconds``, so that sound and frames are interleaved in the file."""
        while self.next is not None and self.next.pts * self.next.time_base < seconds:
            self.target.mux(self.next)
            self.next = next(self.packets, None)

    def __exit__(self, kind: Any, *details: Any) -> None:
        with self._closing:
            if kind is None and self.next is not None:
                self.target.mux(self.next)
                for packet in self.packets:
                    self.target.mux(packet)

    def _packets(self, container: Any) -> Iterator[Any]:
        track, name = container.streams.audio[0], self.target.format.name
        pictures = container.streams.video[0] if container.streams.video else None
        began = (pictures.start_time or 0) * pictures.time_base if pictures else Fraction(0)
        if track.codec_context.name.removesuffix("float") in _HELD[name]:
            out = self.target.add_stream_from_template(track)
            return self._copied(container, track, out, began)
        out = self.target.add_stream(_ENCODER[name], rate=_RATE, layout=track.codec_context.layout.name)
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
