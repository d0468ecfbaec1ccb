"""Classifier-free guidance: a denoiser of one window from a denoiser that takes a context."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from lumiere.errors import InputError

#: called as ``denoise(x, t, context, *aligned)``
ContextDenoiser = Callable[..., Tensor]
#: called as ``denoise(x, t, *aligned)``
WindowDenoiser = Callable[..., Tensor]


def classifier_free(
    denoise: ContextDenoiser,
    context: Float[Tensor, "b *t l d"],
    uncond: Float[Tensor, "#b l d"],
    guidance_scale: float | Callable[[], float],
    *,
    rescale: float = 0.0,
    timesteps: tuple[float, float] | None = None,
) -> WindowDenoiser:
    """Guide ``denoise`` away from ``uncond`` and towards ``context`` (Ho & Salimans 2022).

    ``uncond + guidance_scale * (cond - uncond)``, both evaluated in one batch of 2 b. A ``guidance_scale``
    of 1 is the conditional denoiser itself and costs one evaluation.

    Args:
        denoise: called as ``denoise(x, t, context, *aligned)`` with ``x`` of b or 2 b items.
        context: of each clip, or of each of its frames.
        guidance_scale: a number, or a function that is called at each step.
        rescale: 0 to 1, how much of the guided prediction's standard deviation is brought back to the
            conditional one's, clip by clip. With zero terminal SNR guidance overexposes without it; Lin et
            al. 2023 (section 3.4) find 0.7 good.
        timesteps: guide from the lower to the higher one, both included; the other steps cost one evaluation
            (Kynkaanniemi et al. 2024, arXiv 2404.07724). Default: guide all steps.

    Returns:
        A denoiser of one window, called as ``guided(x, t, *aligned)``.

    Raises:
        InputError: ``guidance_scale`` is below 1, or ``rescale`` outside [0, 1].
    """
    if not callable(guidance_scale) and not guidance_scale >= 1:
        raise InputError(f"guidance is {guidance_scale}; give a number of at least 1 (1 switches it off)")
    if not 0 <= rescale <= 1:
        raise InputError(f"guidance rescale is {rescale}; give a number from 0 to 1")
    if context.ndim == 4:
        uncond = uncond[:, None]
    both = torch.cat([uncond.expand_as(context), context])

    def guided(x: Tensor, t: Tensor, *aligned: Tensor) -> Tensor:
        scale = guidance_scale() if callable(guidance_scale) else guidance_scale
        outside = timesteps is not None and not timesteps[0] <= float(t.max()) <= timesteps[1]
        if scale <= 1 or outside:
            return denoise(x, t, context, *aligned)
        unconditional, conditional = denoise(torch.cat([x, x]), t, both, *aligned).chunk(2)
        prediction = unconditional + scale * (conditional - unconditional)
        return rescale_std(prediction, conditional, rescale) if rescale else prediction

    return guided


def check_interval(interval: Sequence[float]) -> None:
    """Raise :class:`InputError` unless ``interval`` is two shares of the noise schedule, the lower first."""
    if len(interval) != 2 or not 0 <= interval[0] <= interval[1] <= 1:
        raise InputError(
            f"guidance interval is {', '.join(map(str, interval))}; give two numbers from 0 to 1, the lower "
            "first, such as 0.4, 0.8"
        )


def rescale_std(
    guided: Float[Tensor, "b ..."], conditional: Float[Tensor, "b ..."], rescale: float
) -> Float[Tensor, "b ..."]:
    """Bring each item's standard deviation back to ``conditional``'s (Lin et al. 2023, equations 15, 16)."""
    axes = tuple(range(1, guided.ndim))
    ratio = conditional.std(axes, keepdim=True) / guided.std(axes, keepdim=True)
    return guided * (rescale * ratio + (1 - rescale))
