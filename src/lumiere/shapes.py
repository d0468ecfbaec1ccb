"""Names of axes, and of the tensors that they make up.

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
Mask = Float[Tensor, "b 1 t H W"]
#: displacement (x, y) and share, see ``lumiere.models.warping``
Displacement = Float[Tensor, "b 3 t h w"]
