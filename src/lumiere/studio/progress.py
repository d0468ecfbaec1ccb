"""Progress of a running job: steps, time left, a preview, and a way to cancel it."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from PIL import Image

_PREVIEW_FRAMES = 12
_PREVIEW_SIDE = 192
#: the share of the time that previews may take
_PREVIEW_SHARE = 0.1


class Cancelled(Exception):
    """Raised in the running job."""


class Watcher:
    """Follows the pipelines of one job: their progress bars report here.

    Attributes:
        stage: what is being done, such as "sampling".
        done, total: steps of this stage.
        preview: the decoded estimate as an animated WebP, and ``previews`` how many there were.
    """

    def __init__(self) -> None:
        self.stage, self.done, self.total = "preparing", 0, 0
        self.preview: bytes | None = None
        self.previews = 0
        self._cancelled = threading.Event()
        self._began = time.monotonic()
        self._spent_on_previews = 0.0

    def cancel(self) -> None:
        self._cancelled.set()

    @property
    def seconds_left(self) -> float | None:
        """Of this stage; None before its first step."""
        if not self.done or not self.total:
            return None
        return (time.monotonic() - self._began) / self.done * (self.total - self.done)

    def facts(self) -> dict[str, Any]:
        left = self.seconds_left
        return {
            "stage": self.stage,
            "done": self.done,
            "total": self.total,
            "left": None if left is None else round(left, 1),
            "preview": self.previews,
        }

    def attach(self, pipe: Any) -> None:
        """Have a pipeline, a copy of this job's own, report here in place of its progress bar."""

        def progress_bar(iterable: Iterable[Any] | None = None, total: int | None = None) -> _Bar:
            return _Bar(self, pipe, iterable, total)

        pipe.progress_bar = progress_bar

    def begin(self, stage: str, total: int) -> None:
        self.check()
        self.stage, self.done, self.total = stage, 0, total
        self._began = time.monotonic()

    def check(self) -> None:
        """Raise :class:`Cancelled` if the job is to end."""
        if self._cancelled.is_set():
            raise Cancelled

    def step(self, pipe: Any, count: int) -> None:
        self.done += count
        self.check()
        if self.done < self.total:
            self._show(pipe)

    def _show(self, pipe: Any) -> None:
        elapsed = time.monotonic() - self._began
        if self._spent_on_previews > _PREVIEW_SHARE * elapsed:
            return
        latents = _estimate(pipe)
        if latents is not None:
            began = time.monotonic()
            self.preview = _animation(pipe, latents)
            self.previews += 1
            self._spent_on_previews += time.monotonic() - began


class _Bar:
    """What a pipeline uses of tqdm's bar."""

    def __init__(self, watcher: Watcher, pipe: Any, iterable: Any, total: int | None) -> None:
        self._watcher, self._pipe, self._iterable = watcher, pipe, iterable
        length = len(iterable) if total is None and hasattr(iterable, "__len__") else total
        stage = getattr(pipe, "_progress_bar_config", {}).get("desc") or "sampling"
        watcher.begin(stage, length or 0)

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[Any]:
        for each in self._iterable or ():
            yield each
            self.update()

    def update(self, count: int = 1) -> None:
        self._watcher.step(self._pipe, count)


def _estimate(pipe: Any) -> Any:
    """The scheduler's estimate of the clean latents, c t h w of the first clip; None if it keeps none."""
    outputs = getattr(pipe.scheduler, "model_outputs", None)
    last = outputs[-1] if outputs else None
    if last is None or last.ndim != 5 or not hasattr(pipe, "decode_latents"):
        return None
    return last[0] if last.shape[1] == pipe.codec.channels else None


def _animation(pipe: Any, latents: Any) -> bytes:
    picked = np.unique(np.linspace(0, latents.shape[1] - 1, _PREVIEW_FRAMES).round().astype(int))
    video = pipe.decode_latents(latents[:, picked.tolist()])
    frames = ((video / 2 + 0.5).clamp(0, 1) * 255).round().byte().permute(1, 2, 3, 0).cpu().numpy()
    pictures = [Image.fromarray(frame) for frame in frames]
    for picture in pictures:
        picture.thumbnail((_PREVIEW_SIDE, _PREVIEW_SIDE))
    file = io.BytesIO()
    pictures[0].save(
        file, "WEBP", save_all=True, append_images=pictures[1:], duration=120, loop=0, quality=70, method=0
    )
    return file.getvalue()
