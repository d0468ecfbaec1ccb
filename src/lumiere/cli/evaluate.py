"""``lumiere evaluate``: a model's figures on held-out prompts, beside those of real clips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lumiere.cli.options import guidance_option, path_type, pick_device, steps_option
from lumiere.errors import InputError


@click.command()
@click.argument("model", required=False)
@click.option("--out", type=path_type, help="Folder for clips and figures.  [default: out/evaluate-MODEL]")
@click.option(
    "--prompts", type=click.IntRange(1), default=100, show_default=True, help="How many; at most 270."
)
@steps_option
@guidance_option
@click.option(
    "--seed", type=click.IntRange(0, 2**53), default=0, show_default=True, help="Of the first prompt's clip."
)
@click.option(
    "--data",
    type=path_type,
    help="What `lumiere data emoji` made: compose and measure the real clips anew, instead of taking the "
    "figures that were measured when the recogniser was made.",
)
@click.option("--real-only", is_flag=True, help="Measure the real clips alone; needs --data.")
def command(
    model: str | None,
    out: Path | None,
    prompts: int,
    steps: int | None,
    guidance: float | None,
    seed: int,
    data: Path | None,
    real_only: bool,
) -> None:
    """Measure MODEL on prompts whose combinations of object, colour and motion training never showed.

    Prints how often the background's colour, the direction of motion and the object are right, and how many
    clips move, each with its 95 % interval and beside it the same figures of the real clips that the prompts
    describe: what a perfect model would reach. The prompts are about the objects that the model was trained
    on; which one a clip shows is asked among all that there are.

    The folder gets the clips, figures.json, a line of JSON per clip, a sheet of all clips and an x-t slice of
    each. Finished clips are kept: the same command, once more, makes the missing ones.

    \b
    lumiere evaluate emoji
    lumiere evaluate emoji --prompts 20 --steps 10 --out out/quick
    lumiere evaluate --real-only --data data/emoji
    """
    if model is None and not real_only:
        raise InputError("no model is given; name a shipped model or a model's folder, or say --real-only")
    if real_only and data is None:
        raise InputError("--real-only composes real clips; say with --data what `lumiere data emoji` made")

    from lumiere.evaluate.recogniser import Recogniser
    from lumiere.models import bundle

    labels = bundle.objects(bundle.resolve(model)) if model is not None else {}
    recogniser = Recogniser.load()
    sprites = {}
    if data is not None:
        from lumiere.data.emoji import load_sprites

        sprites = {sprite.code: sprite for sprite in load_sprites(data)}

    from lumiere.evaluate.prompts import choose_prompts, table

    labels = labels or {code: sprite.label for code, sprite in sprites.items()} or recogniser.labels
    if sprites and (lacking := labels.keys() - sprites.keys()):
        raise InputError(
            f"{data} lacks {len(lacking)} of the model's objects, such as {labels[min(lacking)]}; "
            "give the folder of all sprites"
        )
    chosen = choose_prompts(labels, prompts)
    out = out or Path("out") / f"evaluate-{Path(model).name if model else 'real'}"
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {out}: {error.strerror}; choose another") from error

    about: dict[str, Any] = {}
    figures: dict[str, Any] = {}
    if model is not None and not real_only:
        figures["model"], about = _of_model(model, chosen, steps, guidance, seed, out, recogniser)
    if real := _of_real(chosen, sprites, out, recogniser):
        figures["real"] = real
    _write(out, figures, about, len(chosen), len(labels), recogniser)
    click.echo(f"{len(chosen)} held-out prompts about {len(labels)} objects, 95 % intervals")
    click.echo(table(figures))
    if not real:
        click.echo("No figures of these objects' real clips are at hand; --data composes and measures them.")
    click.echo(out / "figures.json")


def _of_model(
    model: str, chosen: Any, steps: int | None, guidance: float | None, seed: int, out: Path, recogniser: Any
) -> tuple[Any, dict[str, Any]]:
    from lumiere.diffusion.sampling import scheduler_name
    from lumiere.evaluate.prompts import generate, judge_folder, summarise
    from lumiere.models import bundle
    from lumiere.pipeline import LumierePipeline

    folder = bundle.resolve(model)
    device = pick_device(None)
    pipe = LumierePipeline.from_pretrained(folder).to(device)
    settings = {
        "model": pipe.model_name,
        "model_sha256": bundle.sha256(folder / bundle.MANIFEST),
        "scheduler": scheduler_name(pipe.scheduler),
        "steps": pipe.config.steps if steps is None else steps,
        "guidance": pipe.config.guidance if guidance is None else guidance,
        "seed": seed,
    }
    # On a CPU one clip keeps all cores busy.
    generate(pipe, chosen, out / "clips", settings, batch_size=8 if device == "cuda" else 1)
    return summarise(judge_folder(chosen, out / "clips", out / "results", recogniser)), settings


def _of_real(chosen: Any, sprites: Any, out: Path, recogniser: Any) -> Any:
    from lumiere.evaluate.prompts import compose_real, judge_folder, shipped_real_results, summarise

    if not sprites:
        results = shipped_real_results(chosen)
        return results and summarise(results)
    compose_real(chosen, sprites, out / "real-clips")
    return summarise(judge_folder(chosen, out / "real-clips", out / "real", recogniser))


def _write(
    out: Path, figures: Any, settings: dict[str, Any], prompts: int, objects: int, recogniser: Any
) -> None:
    import json
    import platform

    import torch

    from lumiere import __version__
    from lumiere.evaluate.prompts import QUESTIONS, write_text

    about = {
        "figures": figures,
        "questions": QUESTIONS,
        "prompts": prompts,
        "settings": settings,
        "objects": objects,
        "recogniser_sha256": recogniser.sha256,
        "versions": {
            "lumiere": __version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
    }
    write_text(out / "figures.json", json.dumps(about, indent=1) + "\n")
