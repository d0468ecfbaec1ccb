"""``lumiere rival``: generate clips with another video model from the same prompts."""

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
    exact_dtype_option,
    line_seed_option,
    overwrite_option,
    path_type,
    pick_device,
)
from lumiere.errors import InputError


@click.command()
@click.argument("pipeline", type=path_type)
@click.argument("prompts", type=path_type)
@click.option("--out", "folder", required=True, type=path_type, help="Folder for the clips.")
@click.option(
    "--images",
    type=path_type,
    help="Folder of images with the clips' names, or of clips whose first frames are used.",
)
@click.option(
    "--motion-adapter", type=path_type, help="Folder of a MotionAdapter (AnimateDiff on Stable Diffusion)."
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
    help="Guidance scale; 1 disables classifier-free guidance.  [default: the pipeline's]",
)
@click.option("--negative-prompt", "--negative", help="Negative prompt.")
@click.option("--height", type=click.IntRange(8), help="Height in pixels.  [default: the pipeline's]")
@click.option("--width", type=click.IntRange(8), help="Width in pixels.  [default: the pipeline's]")
@click.option(
    "--fps",
    type=FloatRange(0, 1000, min_open=True),
    help="Frame rate in frames per second.  [default: the pipeline's, or 8]",
)
@click.option(
    "--set",
    "others",
    metavar="NAME=VALUE",
    multiple=True,
    help="Another argument of the pipeline's call; repeatable.",
)
@line_seed_option
@exact_dtype_option
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
    """Generate a clip for each of PROMPTS with the diffusers pipeline in the folder PIPELINE.

    PROMPTS is a .txt, .jsonl or .csv as for `lumiere batch`, and clips are named as by batch; or it is a
    folder of clips, whose prompts and names are used. Clips of the same prompt share a name, for `lumiere
    study build` and `lumiere metrics`.

    Existing clips with the same settings are kept: run the same command again to resume. Only local folders
    with safetensors weights are loaded.

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
    arguments = {name: value for name, value in options.items() if value is not None}
    rival = find_rival(pipeline, arguments | dict(map(parse_argument, others)), motion_adapter)
    if rival.needs_picture and images is None:
        raise InputError(f"{rival.kind.__name__} needs images; give their folder with --images")
    if images is not None and not rival.takes_picture:
        raise InputError(f"{rival.kind.__name__} takes no image; leave out --images {images}")
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
