"""A study is made from folders of clips: anonymous pairs of one size and length, and attention checks."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lumiere.errors import InputError
from lumiere.io.files import check_parent, replacing
from lumiere.io.video import Clip, ClipInfo, resize, stream, write_frames
from lumiere.research.study.pairing import Found, listed, pair_up
from lumiere.research.study.plan import CLIPS, FILE, Pair, Study

# The paper, section 4.2.
QUESTIONS = ("Which clip matches the prompt better?", "Which clip has better quality and motion?")
_NOISE_CELLS = 32  # along the shorter side
_NOISE_SHARE = 0.55


@dataclass(frozen=True)
class _Fit:
    """The part of a clip that is shown, from its middle, and the size that it is shown in; pixels."""

    crop: tuple[int, int]
    size: tuple[int, int]
    frames: int


def build(
    folders: Mapping[str, Path],
    out: Path,
    *,
    questions: Sequence[str] = QUESTIONS,
    checks: int = 3,
    pairs_per_rater: int = 30,
    seed: int = 0,
    common: bool = False,
    fit: bool = False,
) -> Study:
    """Make the folder ``out``: the first method's clips against those of each other one, and checks.

    All clips are encoded alike (H.264), without sound and without what their files say of how they were made.
    A clip has another name in every pair.

    Args:
        folders: of two or more methods, by name.
        checks: how many clips stand against a broken version of themselves; every rater sees all of these.
        seed: chooses sides and order, and which clips the checks are made of.
        common: leave out prompts that a method lacks, instead of refusing them.
        fit: where the two clips of a pair differ, cut both to one size and length, instead of refusing them:
            the longer one loses its end, the wider one its sides, and the smaller one is enlarged.

    Raises:
        InputError: fewer than two methods; clips that cannot be read, do not pair up or differ in size or
            length; no question; ``out`` exists or cannot be written.
    """
    if len(folders) < 2:
        raise InputError(f"a study compares 2 methods or more, not {len(folders)}; give METHOD=FOLDER each")
    if not questions or not all(question.strip() for question in questions):
        raise InputError("a study asks 1 question or more, and none is empty")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} exists, and a study is never overwritten; choose another name")
    check_parent(out)
    method, *rivals = folders
    prompts = pair_up(folders, common)
    if not fit:
        _refuse_differing(prompts, method)

    with replacing(out) as part:
        writer = _Writer(part / CLIPS, seed)
        cases = [(rival, clips) for rival in rivals for clips in prompts]
        pairs = [
            writer.pair(clips[method], clips[rival], rival)
            for rival, clips in tqdm(cases, "encoding", unit="pair", disable=None)
        ]
        clips = list({clip.path: clip for case in prompts for clip in case.values()}.values())
        chosen = np.random.default_rng(seed).permutation(len(clips))[:checks]
        study = Study(
            id=secrets.token_hex(8),
            seed=seed,
            method=method,
            rivals=tuple(rivals),
            questions=tuple(questions),
            pairs_per_rater=pairs_per_rater,
            pairs=tuple(pairs),
            checks=tuple(writer.check(clips[index]) for index in chosen),
        )
        (part / FILE).write_text(study.dumps(), "utf-8")
    return study


def _refuse_differing(prompts: Sequence[Mapping[str, Found]], method: str) -> None:
    differing = [
        f"{clips[method].path} ({_facts(clips[method].info)}) and {clip.path} ({_facts(clip.info)})"
        for clips in prompts
        for clip in clips.values()
        if _differ(clips[method].info, clip.info)
    ]
    if differing:
        raise InputError(
            f"{len(differing)} pairs differ in size or length: {listed(differing)}. Make them alike, or let "
            "both be cut and scaled to one size and length (--fit)"
        )


def _differ(one: ClipInfo, other: ClipInfo) -> bool:
    """Whether two clips are not of one size, or one ends more than a frame before the other."""
    frame = 1 / min(one.fps, other.fps)
    sizes_differ = (one.width, one.height) != (other.width, other.height)
    return sizes_differ or abs(one.frames / one.fps - other.frames / other.fps) > frame


def _facts(info: ClipInfo) -> str:
    return f"{info.width}x{info.height}, {info.duration:.2f} s"


def _fits(one: ClipInfo, other: ClipInfo) -> tuple[_Fit, _Fit]:
    if not _differ(one, other):
        size = (one.width, one.height)
        return _Fit(size, size, one.frames), _Fit(size, size, other.frames)
    ratio = min(Fraction(info.width, info.height) for info in (one, other))
    height = max(info.height for info in (one, other))
    seconds = min(info.frames / info.fps for info in (one, other))

    def fit(info: ClipInfo) -> _Fit:
        crop = (max(1, round(info.height * ratio)), info.height)
        return _Fit(crop, (max(1, round(height * ratio)), height), max(1, round(seconds * info.fps)))

    return fit(one), fit(other)


class _Writer:
    """Encodes clips under anonymous names; each source once, however many pairs it is in."""

    def __init__(self, folder: Path, seed: int) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.seed = seed
        self.encoded: dict[tuple[Path, _Fit], str] = {}

    def pair(self, clip: Found, rival_clip: Found, rival: str) -> Pair:
        fit, rival_fit = _fits(clip.info, rival_clip.info)
        width, height = fit.size
        return Pair(
            id=secrets.token_hex(8),
            prompt=(rival_clip if clip.named else clip).prompt,
            rival=rival,
            clip=self._shown(clip, fit),
            rival_clip=self._shown(rival_clip, rival_fit),
            width=width,
            height=height,
            sources=(str(clip.path), str(rival_clip.path)),
        )

    def check(self, clip: Found) -> Pair:
        info = clip.info
        size = (info.width, info.height)
        return Pair(
            id=secrets.token_hex(8),
            prompt=clip.prompt,
            rival=None,
            clip=self._shown(clip, _Fit(size, size, info.frames)),
            rival_clip=self._encode(_broken(clip, self.seed), info.frames, size, info.fps),
            width=info.width,
            height=info.height,
            sources=(str(clip.path), str(clip.path)),
        )

    def _shown(self, clip: Found, fit: _Fit) -> str:
        if (clip.path, fit) in self.encoded:
            name = _new_name()
            shutil.copyfile(self.folder / self.encoded[clip.path, fit], self.folder / name)
            return self._aged(name)
        _, frames = stream(clip.path)
        name = self._encode(_fitted(frames, fit), fit.frames, fit.size, clip.info.fps)
        return self.encoded.setdefault((clip.path, fit), name)

    def _encode(self, frames: Iterator[np.ndarray], count: int, size: tuple[int, int], fps: Fraction) -> str:
        name = _new_name()
        write_frames(self.folder / name, frames, count, (size[1], size[0]), fps, {})
        return self._aged(name)

    def _aged(self, name: str) -> str:
        """When a file was written would say in which order, and so which method's it is."""
        os.utime(self.folder / name, (0, 0))
        return name


def _new_name() -> str:
    return f"{secrets.token_hex(8)}.mp4"


def _fitted(frames: Iterator[np.ndarray], fit: _Fit) -> Iterator[np.ndarray]:
    for frame in islice(frames, fit.frames):
        left = max(0, (frame.shape[1] - fit.crop[0]) // 2)
        cropped = frame[:, left : left + fit.crop[0]]
        yield resize(cropped[None], fit.size[1], fit.size[0])[0]


def _broken(clip: Found, seed: int) -> Iterator[np.ndarray]:
    """The clip's frames in a wrong order, under coarse noise.

    The noise stands still: noise that flickers can hurt people with photosensitive epilepsy.
    """
    frames = Clip.load(clip.path).frames
    height, width = frames.shape[1:3]
    generator = np.random.default_rng(seed)
    cell = max(1, min(height, width) // _NOISE_CELLS)
    coarse = generator.integers(0, 256, (-(-height // cell), -(-width // cell), 3), dtype=np.uint8)
    noise = _NOISE_SHARE * coarse.repeat(cell, 0).repeat(cell, 1)[:height, :width]
    for index in generator.permutation(len(frames)):
        yield (noise + (1 - _NOISE_SHARE) * frames[index]).astype(np.uint8)
