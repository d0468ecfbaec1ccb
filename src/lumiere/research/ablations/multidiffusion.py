"""Ablation of MultiDiffusion in super-resolution (section 3.2): same clips and seeds, different windows."""

from __future__ import annotations

import dataclasses
import itertools
import json
import tarfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lumiere.diffusion.windows import windows
from lumiere.errors import InputError
from lumiere.io.files import write_text
from lumiere.io.sheet import side_by_side
from lumiere.io.source import Kind, Packed, files_of, kind_of_bytes
from lumiere.io.video import resize, save_picture, stream
from lumiere.metrics.consistency import borders, change_errors, flows, psnr, seam, ssim, warped_error
from lumiere.pipelines.memory import peak_bytes
from lumiere.pipelines.superres import UpscalePipeline

INTERPOLATIONS = {"bicubic": Image.Resampling.BICUBIC, "Lanczos": Image.Resampling.LANCZOS}
WHOLE = "one window"
HEAD: tuple[str, ...] = (
    "way",
    "PSNR",
    "SSIM",
    "warped",
    "change",
    "seam",
    "control",
    "time",
    "work",
    "peak GB",
)


@dataclass(frozen=True)
class Measured:
    """One clip, enlarged in one way.

    Attributes:
        way: an interpolation, or how the clip was cut into windows.
        psnr, ssim, warped: see ``lumiere.metrics.consistency``; dB, -1 to 1, and of 255.
        changes: its ``change_errors``; of 255.
        seconds, memory: on the clock, and bytes of tensors at their highest; 0 for interpolations.
    """

    clip: str
    way: str
    psnr: float
    ssim: float
    warped: float
    changes: list[float]
    seconds: float = 0.0
    memory: int = 0


def ways(frames: int, window: int) -> dict[str, tuple[int, int]]:
    """Window and overlap of what is compared, by name: no overlap, 2 frames, half, and all frames at once."""
    overlaps = sorted({0, min(2, window - 1), window // 2})
    return {f"overlap {overlap}": (window, overlap) for overlap in overlaps} | {WHOLE: (frames, 0)}


def true_clips(paths: Iterable[Path], frames: int) -> Iterator[tuple[str, np.ndarray]]:
    """Names, and the first frames (uint8, t x h x w x 3), of video files and of the MP4s in ``.tar`` shards.

    Raises:
        InputError: a file cannot be read, or is too short.
    """
    for path in paths:
        for name, pictures in _in_shard(path) if path.suffix == ".tar" else [(path.name, stream(path)[1])]:
            found = list(itertools.islice(pictures, frames))
            if len(found) < frames:
                raise InputError(f"{name} has {len(found)} frames; --frames asks for {frames}")
            yield name, np.stack(found)


def _in_shard(path: Path) -> Iterator[tuple[str, Iterable[np.ndarray]]]:
    try:
        with tarfile.open(path, "r:") as shard:
            for member, file in files_of(shard):
                data = file.read()
                if kind_of_bytes(data) is Kind.VIDEO:
                    name = f"{path.name}:{member.name}"
                    yield name, stream(Packed(name, data))[1]
    except (OSError, ValueError, tarfile.TarError) as error:
        raise InputError(f"the shard {path} cannot be read: {error}; give an uncompressed tar") from error


def smaller(truth: np.ndarray, side: int) -> np.ndarray:
    """The clip with its longer side reduced to ``side`` pixels, each the mean of the area that it covers.

    Raises:
        InputError: ``side`` is not below the clip's.
    """
    height, width = truth.shape[1:3]
    if side >= max(height, width):
        raise InputError(f"--source is {side}; give less than the clip's {width}x{height}")
    scale = side / max(height, width)
    return resize(truth, max(1, round(height * scale)), max(1, round(width * scale)))


def compare(
    pipe: UpscalePipeline, truth: np.ndarray, side: int, window: int, **options: Any
) -> Iterator[tuple[str, np.ndarray, dict[str, Any]]]:
    """A true clip, reduced to ``side`` pixels and enlarged in every way: the way's name, the frames, and its
    cost, as :class:`Measured` names it. The truth itself comes first.

    Options are those of :meth:`UpscalePipeline.stream`.
    """
    height, width = truth.shape[1:3]
    source = smaller(truth, side)
    yield "truth", truth, {}
    for way, how in INTERPOLATIONS.items():
        yield way, resize(source, height, width, how), {}
    for way, (size, overlap) in ways(len(truth), window).items():
        large = pipe.stream(source, len(truth), (height, width), window=size, overlap=overlap, **options)
        made: list[np.ndarray] = []
        start = time.perf_counter()
        memory = peak_bytes(pipe.unet, partial(made.extend, large))
        yield way, np.stack(made), {"seconds": time.perf_counter() - start, "memory": memory}


def run(
    pipe: UpscalePipeline,
    clips: Iterable[tuple[str, np.ndarray]],
    out: Path,
    side: int,
    window: int,
    **options: Any,
) -> list[Row]:
    """Compare on every clip that ``true_clips`` gives, and write into the folder ``out``.

    It gets results.jsonl, a line for each clip and way as soon as it is measured; figures.json; and
    slices.png, the x-t slices of the first clip's middle row.

    Raises:
        InputError: a clip cannot be read or is too small, or an option is out of its range.
    """
    results: list[Measured] = []
    for name, truth in clips:
        flow = flows(truth)
        slices: dict[str, np.ndarray] = {}
        for way, made, cost in compare(pipe, truth, side, window, **options):
            figures = psnr(made, truth), ssim(made, truth), warped_error(made, truth, flow)
            results.append(Measured(name, way, *figures, change_errors(made, truth).tolist(), **cost))
            slices[way] = made[:, made.shape[1] // 2]
            out.mkdir(parents=True, exist_ok=True)
            with (out / "results.jsonl").open("a" if len(results) > 1 else "w", encoding="utf-8") as file:
                file.write(json.dumps(dataclasses.asdict(results[-1])) + "\n")
        if len(results) == len(slices):
            save_picture(
                side_by_side(list(slices.values()), list(slices)), out / "slices.png", overwrite=True
            )
    rows = summarise(results, window)
    about = {
        "model": pipe.model_name,
        "side": side,
        "window": window,
        "options": options,
        "figures": [dataclasses.asdict(row) for row in rows],
    }
    write_text(out / "figures.json", json.dumps(about, indent=1) + "\n")
    return rows


@dataclass(frozen=True)
class Row:
    """The figures of one way over all clips; ``control`` is one window's seam at the same borders."""

    way: str
    clips: int
    psnr: float
    ssim: float
    warped: float
    change: float
    seam: float | None = None
    control: float | None = None
    seconds: float | None = None
    memory: int | None = None
    frames_denoised: int | None = None


def summarise(results: Sequence[Measured], window: int) -> list[Row]:
    """A row for each way, in the order of the results."""
    by_way: dict[str, list[Measured]] = {}
    for result in results:
        by_way.setdefault(result.way, []).append(result)
    frames = len(results[0].changes) + 1
    cuts = {way: windows(frames, *cut) for way, cut in ways(frames, window).items()}
    changes = {way: np.array([each.changes for each in found]) for way, found in by_way.items()}
    rows = []
    for way, found in by_way.items():
        means = {
            what: float(np.mean([getattr(each, what) for each in found]))
            for what in ("psnr", "ssim", "warped")
        }
        row: dict[str, Any] = {"change": float(changes[way].mean()), **means}
        if way in cuts:
            crossed, cut = borders(cuts[way]), cuts[way]
            if crossed.any() and not crossed.all():
                row["seam"], row["control"] = (seam(changes[each], crossed) for each in (way, WHOLE))
            row["seconds"] = float(np.mean([each.seconds for each in found]))
            row["memory"] = max(each.memory for each in found)
            row["frames_denoised"] = len(cut.starts) * cut.size
        rows.append(Row(way, len(found), **row))
    return rows


def table(rows: Sequence[Row]) -> str:
    """The rows as text, aligned."""
    whole = next(row for row in rows if row.way == WHOLE)
    lines = [HEAD]
    for row in rows:
        cells = [f"{row.psnr:.2f}", f"{row.ssim:.4f}", f"{row.warped:.2f}", f"{row.change:.3f}"]
        if row.way == "truth":
            cells[:2], cells[3] = ["", ""], ""
        cells += [f"{each:.3f}" if each else "" for each in (row.seam, row.control)]
        if row.seconds and row.frames_denoised and row.memory:
            cells += [f"{row.seconds / (whole.seconds or 1):.2f}x"]
            cells += [f"{row.frames_denoised / (whole.frames_denoised or 1):.2f}x", f"{row.memory / 1e9:.2f}"]
        lines.append((row.way, *cells, *[""] * (len(lines[0]) - 1 - len(cells))))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join([cells[0].ljust(widths[0]), *map(str.rjust, cells[1:], widths[1:])]).rstrip()
        for cells in lines
    )
