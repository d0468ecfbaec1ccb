"""Videos to test on."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def smooth_frames(count: int, height: int = 32, width: int = 48) -> np.ndarray:
    """Colours that drift, so that every frame differs from the others."""
    t, y, x = np.mgrid[:count, :height, :width]
    waves = np.sin((x + 3 * t) / 9), np.sin((y - 2 * t) / 11), np.cos((x + y + t) / 13)
    return (127.5 + 100 * np.stack(waves, axis=-1)).astype(np.uint8)


def write_movie(
    path: Path,
    frames: np.ndarray,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    milliseconds: list[int] | None = None,
    rotation: int | None = None,
) -> Path:
    """A video as another program writes it: rgb or rgba frames, at 25 fps or at the given times."""
    unit = Fraction(1, 1000) if milliseconds else Fraction(1, 25)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = unit
        if rotation is not None:
            stream.set_display_rotation(rotation)
        for index, pixels in enumerate(frames):
            layout = "rgba" if frames.shape[3] == 4 else "rgb24"
            frame = av.VideoFrame.from_ndarray(pixels, format=layout).reformat(format=pix_fmt)
            frame.pts = milliseconds[index] if milliseconds else index
            frame.time_base = unit
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def add_sound(path: Path, codec: str, seconds: float, begins: float = 0.0) -> Path:
    """A copy of a movie with a tone of 440 Hz in it; pictures begin at ``begins``."""
    new = path.with_name(f"sound-{codec}{path.suffix}")
    with av.open(str(path)) as old, av.open(str(new), "w") as container:
        pictures = container.add_stream_from_template(old.streams.video[0])
        tone = container.add_stream(codec, rate=48_000, layout="mono")
        for packet in old.demux(video=0):
            if packet.size:
                packet.pts += round(begins / packet.time_base)
                packet.dts += round(begins / packet.time_base)
                packet.stream = pictures
                container.mux(packet)
        samples = np.sin(2 * np.pi * 440 * np.arange(int(48_000 * seconds)) / 48_000)
        frame = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, 0, Fraction(1, 48_000)
        container.mux(tone.encode(frame))
        container.mux(tone.encode(None))
    return new


def heard(path: Path) -> tuple[str, np.ndarray]:
    """Codec and samples of a file's sound."""
    with av.open(str(path)) as container:
        (track,) = container.streams.audio
        parts = [frame.to_ndarray().mean(0) for frame in container.decode(track)]
        return track.codec_context.name, np.concatenate(parts)
