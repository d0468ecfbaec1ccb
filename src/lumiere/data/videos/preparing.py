"""Prepare a folder of videos as a folder of shards."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from lumiere.data import on_ray, parallel
from lumiere.data.files import read_manifest, write_whole
from lumiere.data.videos.clips import Settings, Video, crashed, prepare
from lumiere.data.videos.inputs import find_inputs
from lumiere.data.videos.scenes import check_detector
from lumiere.data.videos.store import JOURNAL, Line, Store
from lumiere.errors import InputError
from lumiere.io.files import check_parent

MANIFEST, SKIPPED = "manifest.json", "skipped.csv"
_FORMAT = "lumiere-videos/1"


@dataclass(frozen=True)
class Report:
    """What a folder of shards holds, and whether this run added to it."""

    lines: list[Line]
    shards: dict[str, list[int]]
    ignored: Counter[str]
    made: bool

    @property
    def skipped(self) -> list[Line]:
        return [line for line in self.lines if line.reason]

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """Why videos were skipped, and how many, the most frequent first."""
        return Counter(line.reason for line in self.skipped).most_common()

    @property
    def sizes(self) -> dict[str, int]:
        """Clips of each size."""
        counts: Counter[str] = Counter()
        for name, (_, clips) in self.shards.items():
            counts[name.split("-")[1]] += clips
        return dict(sorted(counts.items()))


def prepare_folder(
    folder: Path, out: Path, settings: Settings, *, jobs: int, ray: str | None = None, overwrite: bool = False
) -> Report:
    """Make the videos of ``folder`` into shards in ``out``.

    ``out`` gets ``clips-WIDTHxHEIGHT-NUMBER.tar``, ``progress.jsonl``, ``skipped.csv`` and ``manifest.json``.
    What an interrupted run finished is kept; what is new in ``folder`` is added. Shards that are whole never
    change.

    Args:
        jobs: processes.
        ray: address of a Ray cluster that does the work instead.
        overwrite: replace what was made with other settings, or of videos that have changed since.

    Raises:
        InputError: ``folder`` holds no video, none that can be used, or metadata that cannot; ``out`` holds
            something else, or was made with other settings, or of other videos; it cannot be written.
    """
    if settings.scenes:
        check_detector()
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; --out names a folder")
    check_parent(out / MANIFEST)
    found = find_inputs(folder, out)
    request = {"folder": str(folder.resolve()), **_plain(settings)}
    complete = _claim(out, request, overwrite)
    with closing(Store(out)) as store:
        left = _left(found.videos, store.lines, out)
        if left:
            _prepare_all(left, len(found.videos), store, settings, jobs, ray)
        store.finish()
        latest = {line.file: line for line in store.lines}
        lines, shards = [latest[video.name] for video in found.videos], store.ends
    report = Report(lines, shards, found.ignored, bool(left) or not complete)
    if report.made:
        _write(out, request, report)
    if not any(line.clips for line in lines):
        why = ", ".join(f"{count} {reason}" for reason, count in report.reasons)
        raise InputError(
            f"none of the {len(lines)} videos of {folder} can be used: {why}; see {out / SKIPPED}"
        )
    return report


def _plain(settings: Settings) -> dict[str, Any]:
    """As JSON gives it back."""
    buckets = [str(bucket) for bucket in settings.buckets]
    return {**dataclasses.asdict(settings), "fps": str(settings.fps), "buckets": buckets}


def _claim(out: Path, request: dict[str, Any], overwrite: bool) -> bool:
    """Whether ``out`` is complete; begun if it is not there. Nothing that is not ours is written over."""
    manifest = read_manifest(out / MANIFEST, _FORMAT)
    if manifest is None and out.exists() and any(path.name[0] != "." for path in out.iterdir()):
        raise InputError(f"{out} holds something else than prepared videos; choose a new or empty folder")
    if manifest is not None and not overwrite:
        before = manifest["request"]
        differing = [
            f"{key} {before.get(key)}, not {request[key]}"
            for key in request
            if before.get(key) != request[key]
        ]
        if differing:
            raise InputError(
                f"{out} was made with {'; '.join(differing)}: ask for the same, choose another folder, or "
                "add --overwrite to rebuild it"
            )
        return bool(manifest["complete"])
    if manifest is not None:
        for path in [out / SKIPPED, out / JOURNAL, *out.glob("clips-*.tar"), *out.glob(".clips-*.part")]:
            path.unlink(missing_ok=True)
    write_whole(out / MANIFEST, _json({"format": _FORMAT, "complete": False, "request": request}))
    return False


def _left(videos: list[Video], lines: list[Line], out: Path) -> list[Video]:
    """Videos that are new, or were skipped and have changed since.

    Raises :class:`InputError` if one that clips were made of has changed, or is gone.
    """
    latest = {line.file: line for line in lines}
    now = {video.name: video for video in videos}
    for line in latest.values():
        if line.clips and (line.file not in now or now[line.file].identity != line.identity):
            what = "or its caption has changed" if line.file in now else "is gone"
            raise InputError(
                f"{line.file} {what} since {out} was made of it; add --overwrite to rebuild everything"
            )
    done = {(line.file, line.identity) for line in latest.values()}
    return [video for video in videos if (video.name, video.identity) not in done]


def _prepare_all(
    left: list[Video], total: int, store: Store, settings: Settings, jobs: int, ray: str | None
) -> None:
    work = partial(prepare, settings=settings)
    if ray is None:
        results = parallel.in_order(work, left, min(jobs, len(left)), crashed)
    else:
        results = on_ray.in_order(work, left, ray, crashed)
    with (
        closing(results),
        tqdm(total=total, initial=total - len(left), desc="videos", unit="video", disable=None) as bar,
    ):
        for video, outcome in results:
            store.add(video, outcome)
            bar.update()


def _write(out: Path, request: dict[str, Any], report: Report) -> None:
    from lumiere import __version__

    table = io.StringIO()
    rows = csv.writer(table)
    rows.writerow(["file", "reason", "detail"])
    rows.writerows([line.file, line.reason, line.detail] for line in report.skipped)
    write_whole(out / SKIPPED, table.getvalue().encode())
    manifest = {
        "format": _FORMAT,
        "complete": True,
        "request": request,
        "lumiere": __version__,
        "videos": len(report.lines),
        "clips": report.sizes,
        "frames": sum(line.frames for line in report.lines),
        "skipped": dict(report.reasons),
        "too_short_shots": sum(line.short for line in report.lines),
        "shards": {name: clips for name, (_, clips) in sorted(report.shards.items())},
    }
    write_whole(out / MANIFEST, _json(manifest))


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()
