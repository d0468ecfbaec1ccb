"""Prompts to the contexts that the net's cross-attention reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from lumiere.pipelines.regions import Regions
from lumiere.pipelines.travel import Travel

if TYPE_CHECKING:
    from lumiere.pipelines.request import Request
    from lumiere.pipelines.text_to_video import LumierePipeline


def encode_regions(pipe: LumierePipeline, regions: Sequence[Regions]) -> list[Float[Tensor, "b l d"]]:
    """The context of each region, for clips with equally many regions."""
    by_region = zip(*(each.prompts for each in regions), strict=True)
    return [pipe.text_encoder(list(prompts)).to(pipe._execution_device) for prompts in by_region]


def contexts(pipe: LumierePipeline, request: Request, batch: slice) -> list[Float[Tensor, "b *t l d"]]:
    """The context of each region of a batch; of each frame, if a prompt of the batch changes."""
    if request.prompt_embeds is not None:
        return [request.prompt_embeds[batch].to(pipe._execution_device)]
    if any(request.travels[batch]):
        both = zip(request.travels[batch], request.prompts[batch], strict=True)
        texts = [travel or Travel(((0, 0, prompt),)) for travel, prompt in both]
        states = [pipe.text_encoder(list(each.prompts)).to(pipe._execution_device) for each in texts]
        length, loop = request.num_frames, request.loop
        by_clip = [each.contexts(of, length, loop) for each, of in zip(texts, states, strict=True)]
        return [torch.stack(by_clip)]
    return encode_regions(pipe, request.regions[batch])


def negative_context(pipe: LumierePipeline, request: Request, batch: slice) -> Float[Tensor, "#b l d"]:
    """What guidance leads away from: a context for each clip of a batch, or one for all."""
    if request.negative_prompt_embeds is not None:
        return request.negative_prompt_embeds[batch].to(pipe._execution_device)
    texts = request.negative_prompts[batch]
    encoded: Tensor = pipe.text_encoder(texts if len(set(texts)) > 1 else texts[:1])
    return encoded.to(pipe._execution_device)
