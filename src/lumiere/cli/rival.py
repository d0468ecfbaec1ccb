"""``lumiere rival``: another video model's clips of the same prompts."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click

from lumiere.batch.note import note_call, noted
from lumiere.cli.options import (
    MOST_FRAMES,
    FloatRange,
    device_option,
    dtype_option,
    line_seed_option,
    overwrite_option,
    path_type,
    pick_device,
)
from lumiere.errors import InputError


@click.command()
@click.argument("pipeline", type=path_type)
@click.argument("prompts", type=path_type)
@click.option("--out", "folder", required=True, type=path_type, help="The folder of the clips.")
@click.option(
    "--images",
    type=path_type,
    help="Pictures of the clips' names, or another method's clips, whose first frames are taken.",
)
@click.option(
    "--motion-adapter", type=path_type, help="A MotionAdapter's folder: AnimateDiff of a Stable Diffusion."
)
@click.option(
    "--num-frames",
    "--frames",
    type=click.IntRange(1, MOST_FRAMES),
    help="Frames of a clip.  [default: the pipeline's]",
)
@click.option(
    "--num-inference-steps",
    "--steps",
    type=click.IntRange(1, 1000),
    help="Denoising steps.  [default: the pipeline's]",
)
@click.option(
    "--guidance-scale",
    "--guidance",
    type=FloatRange(1, 100),
    help="Weight of the prompt; 1 is off.  [default: the pipeline's]",
)
@click.option("--negative-prompt", "--negative", help="What the clips should lead away from.")
@click.option("--height", type=click.IntRange(8), help="In pixels.  [default: the pipeline's]")
@click.option("--width", type=click.IntRange(8), help="In pixels.  [default: the pipeline's]")
@click.option(
    "--fps",
    type=FloatRange(0, 1000, min_open=True),
    help="Frames per second.  [default: the pipeline's, or 8]",
)
@click.option(
    "--set",
    "others",
    metavar="NAME=VALUE",
    multiple=True,
    help="Anything else that the pipeline's call is told; may be given several times.",
)
@line_seed_option
@dtype_option
@device_option
@overwrite_option
def command(
    pipeline: Path,
    prompts: Path,
    folder: Path,
    images: Path | None,
    motion_adapter: Path | None,
    others: tuple[str, ...],
    seed: int,
    dtype: str,
    device: str | None,
    overwrite: bool,
    **options: int | float | str | None,
) -> None:
    """Make a clip of each of PROMPTS with the diffusers pipeline in the folder PIPELINE; print their names.

    PROMPTS is a .txt, .jsonl or .csv, as `lumiere batch` takes it, and the clips are called as batch calls
    them; or another method's folder of clips, whose prompts and names are taken. So clips of the same prompt
    have the same name, for `lumiere study build` and `lumiere metrics`.

    A clip that is there, made with the same settings, is not made again: call it once more to go on. Only
    folders on this machine are read, and of weights only safetensors.

    \b
    lumiere rival zeroscope prompts.txt --out clips/zeroscope --width 576 --height 320
    lumiere rival stable-diffusion-v1-5 clips/ours --motion-adapter motion-adapter --out clips/animatediff
    lumiere rival svd clips/ours --images clips/ours --set decode_chunk_size=4 --out clips/svd
    """
    import torch
    from tqdm import tqdm

    from lumiere.batch.plan import is_made
    from lumiere.batch.work import alone_in
    from lumiere.io.files import check_parent, remove_unfinished
    from lumiere.research.rivals.cases import find_pictures, first_frame, read_cases
    from lumiere.research.rivals.pipelines import find_rival, parse_argument

    cases = read_cases(prompts, seed)
    told = {name: value for name, value in options.items() if value is not None}
    rival = find_rival(pipeline, told | dict(map(parse_argument, others)), motion_adapter)
    if rival.needs_picture and images is None:
        raise InputError(f"{rival.kind.__name__} makes clips of pictures; give their folder by --images")
    if images is not None and not rival.takes_picture:
        raise InputError(f"{rival.kind.__name__} takes no picture; leave out --images {images}")
    pictures = {} if images is None else find_pictures(images, cases)
    paths = {case: folder / f"{case.name}.mp4" for case in cases}
    wanted = {case: rival.settings(case, dtype, pictures.get(case.name)) for case in cases}
    left = [case for case in cases if not is_made(paths[case], wanted[case], overwrite)]
    if left:
        check_parent(paths[left[0]])
        pipe = rival.load(getattr(torch, dtype), pick_device(device))
        pipe.set_progress_bar_config(unit="step", leave=False, disable=None)
        names, context = sys.stdout, click.get_current_context()
        with alone_in(folder), tqdm(left, unit="clip", disable=None) as bar:
            for parent in {path.parent for path in paths.values()} - {folder}:
                if parent.is_dir():
                    remove_unfinished(parent)
            for case in bar:
                picture = pictures.get(case.name)
                clip = rival.make(pipe, case, None if picture is None else first_frame(picture))
                note_call(context, wanted[case])
                path = replace(clip, metadata=noted(clip.metadata)).save(paths[case], overwrite=overwrite)
                bar.write(str(path), file=names)
    click.echo(f"{len(cases)} clips: {len(left)} made, {len(cases) - len(left)} kept", err=True)
