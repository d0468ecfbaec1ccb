"""What is given of a clip, as a net takes it and as sampling keeps it (section 4 of arXiv 2401.12945).

The paper concatenates the noisy clip J with the given video C and a mask M. Here C's unknown pixels hold the
nearest frame, in time, in which that pixel is given, so that a first frame is told to all others; M has every
pixel's value, at the sample's resolution with as many channels as a patch has pixels.
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
    """Channels of what :func:`encode_condition` makes."""
    return codec.channels + codec.factor**2


def fill_unknown(video: Video, given: Mask) -> Video:
    """The video, its pixels that are not given taken from the nearest frame in which they are.

    Of two as near, from the earlier one. Pixels that no frame gives are 0, gray.

    Args:
        given: 1 or 0.
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
    """1, in every frame, for the pixels that some frame gives: :func:`fill_unknown` has something to take.

    Args:
        given: 1 or 0.
    """
    return given.amax(2, keepdim=True).expand_as(given)


class EncodedCondition(NamedTuple):
    """What is given of clips, in all the forms that it is needed in.

    Attributes:
        channels: C and M for the net, ``condition_channels`` of them; all zero for a clip of which nothing is
            given, which is the same as no condition.
        sample: C alone.
        whole: the places of the sample that are given whole.
        nearest: the video that C is the sample of.
        given: 1 where the video is given, 0 elsewhere.
    """

    channels: Float[Tensor, "b d t h w"]
    sample: Sample
    whole: Bool[Tensor, "b 1 t h w"]
    nearest: Video
    given: Mask

    def of(self, index: int) -> EncodedCondition:
        """What one of the clips is told; if all are told the same, that."""
        return EncodedCondition(*(part if len(part) == 1 else part[index : index + 1] for part in self))


def encode_condition(codec: Codec, video: Video, given: Mask) -> EncodedCondition:
    """Say what is given to the net, and to sampling.

    Args:
        given: 1 where the video is given, 0 elsewhere.
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
    """A denoiser that is certain of what is given whole: there its prediction leads to that.

    Args:
        alphas_cumprod: of the schedule's timesteps.
        prediction_type: what the denoiser predicts, under diffusers' names.
    """

    def held(x: Tensor, t: Tensor) -> Tensor:
        a, s = scales(signal_power(alphas_cumprod, t.long(), x))
        certain = from_sample(encoded.sample.to(x), x, a, s, prediction_type)
        return torch.where(encoded.whole, certain, denoiser(x, t))

    return held
