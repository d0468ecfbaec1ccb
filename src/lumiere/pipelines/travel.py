"""Prompt travel: a prompt for some frames, and between them their embeddings interpolated."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lumiere.errors import InputError

#: a frame, or the first and the last one of a span
Frames = int | tuple[int, int]
_PART = re.compile(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?:\s*(.*?)\s*", re.DOTALL)


@dataclass(frozen=True)
class Travel:
    """Prompts by the frames that have exactly that prompt, in order.

    Attributes:
        spans: first frame, last frame and prompt of each.
        part: whether they are seen from within a longer clip, so that some may lie outside.

    Raises:
        InputError: there is none, a prompt is empty, or spans overlap.
    """

    spans: tuple[tuple[int, int, str], ...]
    part: bool = False

    def __post_init__(self) -> None:
        if not self.spans:
            raise InputError("the prompt is empty; give a prompt for each of some frames")
        before = None
        for first, last, prompt in self.spans:
            name = str(first) if first == last else f"{first}-{last}"
            if not prompt.strip():
                raise InputError(f"the prompt for frame {name} is empty; say what is to be seen")
            if last < first:
                raise InputError(f"a prompt is for frames {name}; give the lower one first")
            if before is not None and first <= before:
                raise InputError(f"two prompts are for frame {first}; give each frame one")
            before = last

    @classmethod
    def of(cls, prompt: object) -> Travel | None:
        """The travel that a call's prompt is: a mapping, or text such as ``0: a seed | 40-60: a flower`` with
        at least two parts. None for an ordinary prompt.

        Raises:
            InputError: as the class does; or a frame of a mapping is no number or pair of numbers.
        """
        if isinstance(prompt, Travel):
            return prompt
        if isinstance(prompt, Mapping):
            return cls(tuple(sorted(_span(frames, text) for frames, text in prompt.items())))
        parts = [_PART.fullmatch(part) for part in prompt.split("|")] if isinstance(prompt, str) else []
        if len(parts) < 2 or None in parts:
            return None
        found = [part.groups() for part in parts if part is not None]
        return cls(tuple(sorted((int(first), int(last or first), text) for first, last, text in found)))

    def __str__(self) -> str:
        return " | ".join(
            f"{first}: {prompt}" if first == last else f"{first}-{last}: {prompt}"
            for first, last, prompt in self.spans
        )

    @property
    def prompts(self) -> tuple[str, ...]:
        return tuple(prompt for _, _, prompt in self.spans)

    def changed(self, change: Callable[[str], str]) -> Travel:
        """With other prompts for the same frames."""
        return Travel(tuple((first, last, change(prompt)) for first, last, prompt in self.spans), self.part)

    def shifted(self, frames: int) -> Travel:
        """As a clip sees it that starts ``frames`` later."""
        spans = ((first - frames, last - frames, prompt) for first, last, prompt in self.spans)
        return Travel(tuple(spans), part=True)

    def check(self, num_frames: int) -> None:
        """Raise :class:`InputError` unless all frames are those of a clip of ``num_frames``."""
        if not self.part and self.spans[-1][1] >= num_frames:
            raise InputError(
                f"a prompt is for frame {self.spans[-1][1]}; the clip has {num_frames} frames, 0 to"
                f" {num_frames - 1}"
            )

    def contexts(
        self, states: Float[Tensor, "n l d"], num_frames: int, loop: bool = False
    ) -> Float[Tensor, "t l d"]:
        """The context of each frame, linearly interpolated between those that have a prompt.

        Args:
            states: of ``prompts``.
            loop: whether the last prompt leads back to the first one; else it holds to the end.
        """
        places = [(frame, number) for number, span in enumerate(self.spans) for frame in span[:2]]
        if loop:
            (first, number), (last, other) = places[0], places[-1]
            places = [(last - num_frames, other), *places, (first + num_frames, number)]
        frames = [frame for frame, _ in places]
        made = []
        for frame in range(num_frames):
            after = bisect_right(frames, frame)
            (start, a), (end, b) = places[max(after - 1, 0)], places[min(after, len(places) - 1)]
            share = min(max((frame - start) / (end - start), 0.0), 1.0) if end > start else 0.0
            made.append(torch.lerp(states[a], states[b], share))
        return torch.stack(made)


def _span(frames: object, prompt: object) -> tuple[int, int, str]:
    pair = frames if isinstance(frames, tuple) else (frames, frames)
    whole = [each for each in pair if isinstance(each, int) and not isinstance(each, bool) and each >= 0]
    if len(pair) != 2 or len(whole) != 2:
        raise InputError(f"a prompt is for frame {frames!r}; give a number from 0, or (first, last)")
    if not isinstance(prompt, str):
        raise InputError(f"the prompt for frame {frames!r} is {prompt!r}; give text")
    return whole[0], whole[1], prompt
