"""``lumiere evaluate``: evaluate a model on held-out prompts, next to real clips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lumiere.cli.options import exact_dtype_option, guidance_option, interval_option, path_type, steps_option
from lumiere.errors import InputError

if TYPE_CHECKING:
    from lumiere.emoji.data.scenes import Sprite
    from lumiere.emoji.evaluation.recogniser import Recogniser
    from lumiere.pipelines.text_to_video import LumierePipeline

TEXT, STYLE = "text", "style"
TASKS = (
    TEXT,
    "pairs",
    "synonyms",
    "ordinary",
    "animate",
    "cinemagraph",
    "inpaint",
    "add",
    "transition",
    "loop",
    "extend",
    "edit",
    STYLE,
)


@click.command()
@click.argument("model", required=False)
@click.option("--out", type=path_type, help="Folder for clips and figures.  [default: out/evaluate-MODEL]")
@click.option(
    "--task",
    "tasks",
    type=click.Choice(TASKS),
    multiple=True,
    default=[TEXT],
    show_default=True,
    help="Task to evaluate; repeatable.",
)
@click.option(
    "--prompts",
    type=click.IntRange(1),
    help="Number of prompts, at most 270.  [default: 100; fewer for some tasks]",
)
@steps_option
@guidance_option
@interval_option
@click.option(
    "--seed",
    type=click.IntRange(0, 2**53),
    default=0,
    show_default=True,
    help="Seed of the first prompt's clip.",
)
@exact_dtype_option
@click.option(
    "--data",
    type=path_type,
    help="Folder of `lumiere data emoji`, to compose and measure real clips instead of using the shipped "
    "figures. Required by all tasks except text, ordinary, loop and extend.",
)
@click.option(
    "--one-pass",
    is_flag=True,
    help="Sample all frames in one pass and one region: no generated first frame, no region per object.",
)
@click.option("--styles", type=path_type, help="Folder of `lumiere data styles`; required by the task style.")
@click.option("--real-only", is_flag=True, help="Measure real clips only; requires --data.")
def command(
    model: str | None,
    out: Path | None,
    tasks: tuple[str, ...],
    prompts: int | None,
    steps: int | None,
    guidance: float | None,
    guidance_interval: tuple[float, float] | None,
    seed: int,
    dtype: str,
    data: Path | None,
    one_pass: bool,
    styles: Path | None,
    real_only: bool,
) -> None:
    """Evaluate MODEL on prompts whose combinations of object, colour and motion are held out from training.

    Prints the share of clips with the right background colour, direction of motion and object, and the share
    that moves, with 95 % intervals, next to the same figures of the matching real clips, which a perfect
    model would reach. The prompts name objects of the training set; the recogniser chooses among all objects.

    The task pairs asks for two objects and checks each on its side; synonyms names an object by a synonym and
    by its label; ordinary rewrites prompts as people write them, as `lumiere generate` does, some of them
    about no object of the model. The other tasks condition the model on a part of a real clip. `lumiere
    metrics compare` compares two evaluations.

    The folder receives the clips, figures.json, a JSON line per clip, a contact sheet and x-t slices.
    Finished clips are kept: run the same command again to resume.

    \b
    lumiere evaluate emoji
    lumiere evaluate emoji --prompts 20 --steps 10 --out out/quick
    lumiere evaluate emoji --task ordinary --prompts 60
    lumiere evaluate emoji --task pairs --task synonyms --data data/emoji
    lumiere evaluate emoji --task animate --task inpaint --data data/emoji
    lumiere evaluate --real-only --data data/emoji
    """
    if model is None and not real_only:
        raise InputError("MODEL is missing; give a shipped model or a model's folder, or add --real-only")
    if real_only and data is None:
        raise InputError("--real-only needs real clips; give --data, a folder of `lumiere data emoji`")
    if real_only and set(tasks) != {TEXT}:
        raise InputError("--real-only measures real clips; leave out --task")

    from lumiere.emoji.evaluation.recogniser import Recogniser
    from lumiere.io import bundle

    labels = bundle.objects(bundle.resolve(model)) if model is not None else {}
    if not labels and data is None:
        raise InputError(
            f"{model} has no {bundle.OBJECTS} that says which emoji it was trained on; give those of --data, "
            "or measure its clips with `lumiere metrics clips`"
        )
    recogniser = Recogniser.load()
    sprites = {}
    if data is not None:
        from lumiere.emoji.data.sprites import load_sprites

        sprites = {sprite.code: sprite for sprite in load_sprites(data, codes=labels)}

    labels = labels or {code: sprite.label for code, sprite in sprites.items()}
    if sprites and (lacking := labels.keys() - sprites.keys()):
        raise InputError(
            f"{data} lacks {len(lacking)} of the model's objects, such as {labels[min(lacking)]}; "
            "give the folder of all sprites"
        )
    out = out or Path("out") / f"evaluate-{Path(model).name if model else 'real'}"
    asked = _Asked(
        model,
        out,
        prompts,
        steps,
        guidance,
        guidance_interval,
        seed,
        dtype,
        one_pass,
        labels,
        sprites,
        recogniser,
        styles,
    )
    if TEXT in tasks:
        asked.text_to_video(real_only)
    if others := [task for task in tasks if task != TEXT]:
        asked.others(others)


@dataclass(frozen=True)
class _Asked:
    model: str | None
    out: Path
    prompts: int | None
    steps: int | None
    guidance: float | None
    guidance_interval: tuple[float, float] | None
    seed: int
    dtype: str
    one_pass: bool
    labels: dict[str, str]
    sprites: dict[str, Sprite]
    recogniser: Recogniser
    styles: Path | None

    def text_to_video(self, real_only: bool) -> None:
        from lumiere.emoji.evaluation import prompts

        chosen = prompts.choose_prompts(self.labels, self.prompts or 100)
        _make_folder(self.out)
        figures: dict[str, Any] = {}
        settings: dict[str, Any] = {}
        if not real_only:
            pipe, settings = self._load()
            # on a CPU one clip keeps all cores busy
            batch_size = 8 if pipe.device.type == "cuda" else 1
            prompts.generate(pipe, chosen, self.out / "clips", settings, batch_size)
            judged = prompts.judge_folder(chosen, self.out / "clips", self.out / "results", self.recogniser)
            figures["model"] = prompts.summarise(judged)
        if self.sprites:
            prompts.compose_real(chosen, self.sprites, self.out / "real-clips")
            real = prompts.judge_folder(chosen, self.out / "real-clips", self.out / "real", self.recogniser)
        else:
            real = prompts.shipped_real_results(chosen) or []
        if real:
            figures["real"] = prompts.summarise(real)
        click.echo(f"{len(chosen)} held-out prompts about {len(self.labels)} objects, 95 % intervals")
        click.echo(prompts.table(figures))
        if not real:
            click.echo("No shipped figures of real clips for these objects; give --data to measure them.")
        click.echo(self._write(self.out, figures, prompts.QUESTIONS, settings, len(chosen)))

    def others(self, tasks: list[str]) -> None:
        from lumiere.emoji.evaluation import tasks as known_tasks
        from lumiere.emoji.evaluation.bench import Bench
        from lumiere.emoji.evaluation.prompts import choose_prompts
        from lumiere.io.files import check_parent
        from lumiere.metrics.optical_flow import opencv

        known = known_tasks.TASKS
        if not self.sprites and (needing := [task for task in tasks if known[task].needs_real]):
            raise InputError(
                f"the task {needing[0]} needs real clips; give --data, a folder of `lumiere data emoji`"
            )
        counts = {task: self.prompts or known[task].cases for task in tasks}
        chosen = {task: known[task].choose(self.labels, self.sprites, counts[task]) for task in tasks}
        if STYLE in tasks and self.styles is None:
            raise InputError(
                "the task style needs reference images; give --styles, a folder of `lumiere data styles`"
            )
        if any(known[task].needs_opencv for task in tasks):
            opencv()
        check_parent(self.out / tasks[0] / "figures.json")
        pipe, settings = self._load()
        if not pipe.unet.config.condition_channels and any(known[task].needs_condition for task in tasks):
            raise InputError(
                f"{self.model} is not a conditioned model; choose from the tasks text, loop, edit and style"
            )
        bench = Bench(pipe, self.recogniser, self.sprites, self.labels, settings)
        if STYLE in tasks and self.styles is not None:
            from lumiere.emoji.evaluation.style_judges import open_wardrobe

            style_judges = open_wardrobe(self.styles, self.sprites, self.labels, self.out / STYLE)
            bench = replace(bench, style_judges=style_judges)
            others = {
                code: label for code, label in self.labels.items() if code not in style_judges.references
            }
            chosen[STYLE] = choose_prompts(others, len(chosen[STYLE]))
        for task, prompts in chosen.items():
            folder = self.out / task
            _make_folder(folder)
            summary = known_tasks.summarise(known_tasks.run(bench, task, prompts, folder))
            click.echo(f"{task}: {len(prompts)} held-out cases, 95 % intervals")
            click.echo(known_tasks.table(summary))
            titles = {name: known_tasks.FIGURES[name] for name in summary}
            click.echo(self._write(folder, summary, titles, settings, len(prompts)))

    def _load(self) -> tuple[LumierePipeline, dict[str, Any]]:
        """The model, and the settings of its clips."""
        from lumiere.cli.loading import load
        from lumiere.diffusion.sampling import scheduler_name
        from lumiere.io import bundle
        from lumiere.pipelines.text_to_video import LumierePipeline

        assert self.model is not None
        folder = bundle.resolve(self.model)
        pipe = load(LumierePipeline, folder, None, self.dtype)
        return pipe, {
            "model": pipe.model_name,
            "model_sha256": bundle.sha256(folder / bundle.MANIFEST),
            "scheduler": scheduler_name(pipe.scheduler),
            "steps": pipe.config.steps if self.steps is None else self.steps,
            "guidance": pipe.config.guidance if self.guidance is None else self.guidance,
            "guidance_interval": list(self.guidance_interval or pipe.config.guidance_interval),
            "one_pass": self.one_pass or pipe.prompt_parser is None,
            "seed": self.seed,
            "dtype": self.dtype,
        }

    def _write(
        self,
        folder: Path,
        figures: Any,
        titles: Mapping[str, str],
        settings: dict[str, Any],
        prompts: int,
    ) -> Path:
        """Write figures.json; ``titles`` are what ``lumiere report`` calls each figure."""
        import json
        import platform

        import torch

        from lumiere import __version__
        from lumiere.io.files import write_text

        about = {
            "figures": figures,
            "titles": titles,
            "prompts": prompts,
            "settings": settings,
            "objects": len(self.labels),
            "recogniser_sha256": self.recogniser.sha256,
            "versions": {
                "lumiere": __version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
        }
        path = folder / "figures.json"
        write_text(path, json.dumps(about, indent=1) + "\n")
        return path


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {path}: {error.strerror}; choose another") from error
