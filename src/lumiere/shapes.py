"""Names of axes, of the tensors that they make up, and the fold of frames into the batch.

    b  clips in a batch        c  channels
    t  frames                  h  rows          w  columns   (H, W: of pixels)
    l  text tokens             d  width of a text token

A *video* is in pixels, a *sample* in whatever the net works in (see ``lumiere.models.codec``).
"""

from jaxtyping import Float
from torch import Tensor

Video = Float[Tensor, "b 3 t H W"]
Sample = Float[Tensor, "b c t h w"]
Context = Float[Tensor, "b l d"]
#: of each frame
FrameContext = Float[Tensor, "b text_frames l d"]
Mask = Float[Tensor, "b 1 t H W"]
#: displacement (x, y) and share, see ``lumiere.models.warping``
Displacement = Float[Tensor, "b 3 t h w"]


def fold(clips: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b*t c h w"]:
    """Frames of clips as a batch of pictures, for layers that see one frame at a time."""
    return clips.transpose(1, 2).flatten(0, 1)


def unfold(frames: Float[Tensor, "bt c h w"], clips: int) -> Float[Tensor, "{clips} c t h w"]:
    """The inverse of :func:`fold` for a batch of ``clips``."""
    return frames.unflatten(0, (clips, -1)).transpose(1, 2)
