"""Encode a condition for the net, and clamp its known region while sampling (section 4 of arXiv 2401.12945).

The paper concatenates the noisy clip J with a masked video C and a mask M. Here an unknown pixel of C holds
its value in the nearest frame, in time, in which it is known, so that a known first frame fills all others. M
keeps every pixel's value: it is unshuffled to the sample's resolution, one channel per pixel of a patch.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from lumiere.diffusion.parametrization import from_sample, scales, signal_power
from lumiere.diffusion.sampling import Denoiser
from lumiere.models.codec import Codec
from lumiere.shapes import Mask, Sample, Video, fold, unfold


def condition_channels(codec: Codec) -> int:
    """Number of channels of C and M together, as :func:`encode_condition` concatenates them."""
    return codec.channels + codec.factor**2


def fill_unknown(video: Video, given: Mask) -> Video:
    """Fill each unknown pixel with its value in the nearest frame in which it is known, in [-1, 1].

    Of two frames equally near, the earlier one counts. Pixels that are known in no frame are 0, gray.

    Args:
        given: the mask, 1 where the video is known and 0 elsewhere.
    """
    frames = video.shape[2]
    index = torch.arange(frames, device=video.device).view(1, 1, -1, 1, 1)
    known = given > 0
    before = torch.where(known, index, -2 * frames).cummax(2).values
    after = torch.where(known, index, 3 * frames).flip(2).cummin(2).values.flip(2)
    nearest = torch.where(index - before <= after - index, before, after)
    found = (nearest >= 0) & (nearest < frames)
    taken = video.gather(2, nearest.clamp(0, frames - 1).expand_as(video))
    return torch.where(found, taken, 0)


def known_in_any_frame(given: Mask) -> Mask:
    """The mask, in every frame, of the pixels that are known in any: those that :func:`fill_unknown` fills.

    Args:
        given: the mask, 1 where the video is known and 0 elsewhere.
    """
    return given.amax(2, keepdim=True).expand_as(given)


class EncodedCondition(NamedTuple):
    """A batch of conditions, for the net, for sampling and for the warp net.

    Attributes:
        channels: C and M for the net, concatenated, ``d = condition_channels``. All zero for a clip without
            known pixels, which equals no condition.
        sample: C alone.
        whole: the positions of the sample whose pixels are all known.
        nearest: the filled video, in [-1, 1], that C encodes.
        given: the mask, 1 where the video is known and 0 elsewhere.
    """

    channels: Float[Tensor, "b d t h w"]
    sample: Sample
    whole: Bool[Tensor, "b 1 t h w"]
    nearest: Video
    given: Mask

    def of(self, index: int) -> EncodedCondition:
        """The condition of one clip of the batch; a single condition holds for all clips."""
        return EncodedCondition(*(part if len(part) == 1 else part[index : index + 1] for part in self))


def encode_condition(codec: Codec, video: Video, given: Mask) -> EncodedCondition:
    """Encode known pixels with ``codec``.

    Args:
        video: in [-1, 1].
        given: the mask, 1 where the video is known and 0 elsewhere.
    """
    nearest = fill_unknown(video, given)
    sample = codec.encode(nearest)
    mask = unfold(F.pixel_unshuffle(fold(given), codec.factor), len(video))
    something = given.amax((1, 2, 3, 4), keepdim=True) > 0
    channels = torch.cat([sample, mask], 1) * something
    return EncodedCondition(channels, sample, (mask == 1).all(1, keepdim=True), nearest, given)


def clamp_known(
    denoiser: Denoiser,
    encoded: EncodedCondition,
    alphas_cumprod: Float[Tensor, "n"],
    prediction_type: str = "v_prediction",
) -> Denoiser:
    """Wrap a denoiser so that its prediction leads to the known sample wherever that is wholly known.

    Args:
        alphas_cumprod: the noise schedule, one value per timestep.
        prediction_type: of the denoiser, under diffusers' names.

    Raises:
        InputError: (when it denoises) ``prediction_type`` is unknown.
    """

    def held(x: Tensor, t: Tensor) -> Tensor:
        a, s = scales(signal_power(alphas_cumprod, t.long(), x))
        certain = from_sample(encoded.sample.to(x), x, a, s, prediction_type)
        return torch.where(encoded.whole, certain, denoiser(x, t))

    return held
