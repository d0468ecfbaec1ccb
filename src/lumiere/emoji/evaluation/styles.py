"""How well a style is applied: is it the reference's, is the object there, and does it still move?"""

from __future__ import annotations

from lumiere.emoji.data.heldout import HeldOutPrompt
from lumiere.emoji.data.scenes import CLIP_FRAMES, FPS, Sprite, render
from lumiere.emoji.evaluation.bench import Bench, Figures, Shown
from lumiere.emoji.evaluation.motion import flow_correlation, flow_magnitude
from lumiere.emoji.evaluation.style_judges import OWN
from lumiere.io.video import Clip

ALPHAS = (0.0, 0.5, 0.75, 1.0)
#: of a real clip that is edited into the style
STRENGTH = 0.8


def style(bench: Bench, prompt: HeldOutPrompt, number: int, seed: int) -> tuple[Figures, Shown]:
    """One of the styles, in turn, at each alpha; the real clip edited into it; and the real drawing in it."""
    style_judges = bench.style_judges
    assert style_judges is not None
    name, code = list(style_judges.drawings)[number % len(style_judges.drawings)], prompt.scene.objects[0]
    fitted = style_judges.style(name, bench.pipe)
    figures: Figures = {}
    shown: Shown = {}
    moved = None
    for alpha in ALPHAS:
        clip = bench.pipe(prompt.prompt, style=fitted, alpha=alpha, seed=seed, **bench.sampling)
        shares, named = style_judges.shares(clip.frames), style_judges.among_five(clip.frames, code)
        figures |= {f"style_{alpha}": shares[name], f"among_five_{alpha}": named}
        figures[f"own_style_{alpha}"] = shares[OWN]
        moves = flow_magnitude(clip.frames)
        moved = moves if moved is None else moved
        figures[f"motion_{alpha}"] = moves / moved if moved else None
        shown[f"{prompt.prompt}: {name} {alpha}"] = clip.frames
    figures |= {f"{name}_style": shares[name], f"{name}_among_five": named}
    own = bench.real(prompt.scene)
    size = {"height": own.shape[1], "width": own.shape[2]}
    options = {"strength": STRENGTH, "style": fitted, "seed": seed, **size, **bench.sampling}
    edited = bench.pipe(prompt.prompt, video=Clip(own, FPS), **options).frames
    figures["edited_style"] = style_judges.shares(edited)[name]
    figures["edited_flow"] = flow_correlation(own, edited)
    shown[f"{prompt.prompt}: edited into {name}"] = edited
    if code in style_judges.drawings[name]:
        drawing = Sprite(code, "", (), "", style_judges.drawings[name][code][None])
        real = render(prompt.scene, {code: drawing}, CLIP_FRAMES)
        figures |= {
            "style_real": style_judges.shares(real)[name],
            "among_five_real": style_judges.among_five(real, code),
        }
    return figures, shown
