"""``lumiere metrics``: measure clips and their distance from real clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lumiere.cli.options import device_option, overwrite_option, path_type, pick_device
from lumiere.errors import InputError
from lumiere.io.text import plain

if TYPE_CHECKING:
    from lumiere.emoji.evaluation.recogniser import Recogniser
    from lumiere.metrics.features import Features
    from lumiere.metrics.report import Value

clips_argument = click.argument("clips", metavar="CLIPS...", nargs=-1, required=True, type=path_type)
recogniser_option = click.option(
    "--recogniser",
    metavar="NAME",
    help="Recogniser of the objects in the clips: emoji, or a recogniser's file.  [default: none]",
)
features_option = click.option(
    "--features",
    type=path_type,
    help="Feature network: a TorchScript file (I3D) or a folder of VideoMAE.  [default: the recogniser]",
)
cache_option = click.option(
    "--cache", type=path_type, help="Folder to cache the measurements of each clip for the next run."
)
json_option = click.option(
    "--json", "json_file", type=path_type, help="Write all numbers to this .json file."
)


def frames_options(stride: int | None) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Options for the frames that the feature network sees."""
    said = str(stride) if stride else "evenly over the clip"

    def decorated(function: Callable[..., None]) -> Callable[..., None]:
        function = click.option(
            "--stride",
            type=click.IntRange(1),
            default=stride,
            help=f"Stride between frames, from the first one on.  [default: {said}]",
        )(function)
        return click.option(
            "--frames",
            type=click.IntRange(1),
            default=16,
            show_default=True,
            help="Frames of a clip that the network sees.",
        )(function)

    return decorated


@click.group()
def command() -> None:
    """Measure clips: motion, flicker, consistency, text alignment, and the distance from real clips.

    CLIPS are videos, folders that are searched for videos, or shards (.tar). See docs/metrics.md for the
    definition of each number, and which are comparable with published ones.
    """


@command.command()
@clips_argument
@click.option(
    "--real", type=path_type, multiple=True, help="Real clips; adds the Frechet distance from them."
)
@click.option(
    "--paired",
    type=path_type,
    help="Reference clips of the same names; adds PSNR, SSIM, and ratios of warping error and Frechet "
    "distance.",
)
@click.option(
    "--prompts",
    type=path_type,
    help='Prompts: a .jsonl with lines {"clip": "000.mp4", "prompt": "a crab"}, or a folder of clips of the '
    "same names whose metadata holds them.  [default: the clips' own metadata]",
)
@click.option("--text-model", type=path_type, help="Folder of a CLIP or X-CLIP model, for text alignment.")
@recogniser_option
@features_option
@frames_options(None)
@cache_option
@json_option
@device_option
@overwrite_option
def clips(
    clips: tuple[Path, ...],
    real: tuple[Path, ...],
    paired: Path | None,
    prompts: Path | None,
    text_model: Path | None,
    recogniser: str | None,
    features: Path | None,
    frames: int,
    stride: int | None,
    cache: Path | None,
    json_file: Path | None,
    device: str | None,
    overwrite: bool,
) -> None:
    """Measure each of CLIPS, and all of them as a set.

    + is better when larger, - when smaller. Intervals are bootstrapped over clips.

    Subject consistency needs --recogniser. Text alignment needs --recogniser or --text-model, and prompts: in
    the clips' own metadata, or from --prompts. Frechet distances and the inception score need --recogniser or
    --features.

    \b
    lumiere metrics clips out/clips
    lumiere metrics clips out/clips --recogniser emoji --real out/real-clips --json metrics.json
    lumiere metrics clips out/clips --recogniser emoji --paired out/real-clips --cache out/metrics
    lumiere metrics clips out/clips --real data/real --features i3d_torchscript.pt --stride 1
    lumiere metrics clips out/clips --prompts prompts.jsonl --text-model models/clip-vit-base-patch32
    """
    from tqdm import tqdm

    from lumiere.metrics import report
    from lumiere.metrics.cache import Cache
    from lumiere.metrics.clips import find, pair, prompts_of
    from lumiere.metrics.optical_flow import opencv
    from lumiere.metrics.text_alignment import load_text_model

    opencv()
    _check_json(json_file, overwrite)
    if features is None and recogniser is None and (real or stride is not None):
        option = "--real" if real else "--stride"
        raise InputError(f"{option} needs a net to look through; give --features or --recogniser emoji")
    if prompts is not None and recogniser is None and text_model is None:
        raise InputError(f"--prompts {prompts} is of no use without --text-model or --recogniser emoji")
    sources, real_sources = find(clips), find(real) if real else []
    if real and min(len(sources), len(real_sources)) < 2:
        raise InputError(
            f"{len(sources)} clips and {len(real_sources)} real clips; give two or more of each for a "
            "Frechet distance"
        )
    partners = [report.Loaded(truth) for _, truth in pair(sources, find([paired]))] if paired else []
    texts = prompts_of(sources, prompts, needed=text_model is not None)
    device = pick_device(device)
    judge = None if recogniser is None else _load_recogniser(recogniser)
    net = _load_net(features, judge, frames, stride, device)
    align = load_text_model(text_model, device) if text_model else None
    kept = Cache(cache)

    figures = []
    for index, source in enumerate(tqdm(sources, "measuring", unit="clip", disable=None)):
        loaded = report.Loaded(source)
        figure = report.measure(loaded, judge, kept)
        if text := texts[index]:
            figure = figure | report.measure_text(loaded, text, judge, align)
        if partners:
            figure = figure | report.measure_pair(loaded, partners[index], judge, kept)
        figures.append(figure)
    values = report.summarise(figures)
    if len(partners) > 1:
        values.append(report.warping_ratio(figures))
    if net is not None:
        seen = report.look(sources, net, kept, "looking at the clips")
        if real:
            truth = report.look(real_sources, net, kept, "looking at real clips")
            values.append(report.frechet(seen, truth, net))
        if len(partners) >= 4:
            truth = report.look([each.source for each in partners], net, kept, "looking at the true clips")
            values.append(report.frechet_ratio(seen, truth, net))
        if score := report.inception(seen, net):
            values.append(score)
    each = [
        {"clip": source.name, "prompt": text, **figure}
        for source, text, figure in zip(sources, texts, figures, strict=True)
    ]
    _tell(values, json_file, {"clips": each})


@command.command()
@clips_argument
@click.option(
    "--among",
    type=path_type,
    multiple=True,
    required=True,
    help="Clips to search, such as the training data.",
)
@click.option("--sheet", type=path_type, help="Write an image of the closest pairs: .png, .jpg or .webp.")
@click.option("--pairs", type=click.IntRange(1), default=10, show_default=True, help="Closest pairs to show.")
@recogniser_option
@features_option
@frames_options(None)
@cache_option
@json_option
@device_option
@overwrite_option
def nearest(
    clips: tuple[Path, ...],
    among: tuple[Path, ...],
    sheet: Path | None,
    pairs: int,
    recogniser: str | None,
    features: Path | None,
    frames: int,
    stride: int | None,
    cache: Path | None,
    json_file: Path | None,
    device: str | None,
    overwrite: bool,
) -> None:
    """Find the nearest neighbour of each of CLIPS in another set, to detect copies.

    Prints the closest pairs: their distance, the root mean square of the features' difference in standard
    deviations of the other set, and the share of that set's clips whose own nearest neighbour is farther. A
    copy has distance 0, closer than 100 %.

    \b
    lumiere metrics nearest out/clips --among data/videos --features i3d_torchscript.pt --sheet nearest.png
    lumiere metrics nearest out/clips --among data/emoji/train-clips-00000.tar --recogniser emoji
    """
    import dataclasses

    from lumiere.io.files import check_output
    from lumiere.io.video import PICTURE_ENDINGS, save_picture
    from lumiere.metrics import nearest as copies
    from lumiere.metrics import report
    from lumiere.metrics.cache import Cache
    from lumiere.metrics.clips import find

    _check_json(json_file, overwrite)
    if features is None and recogniser is None:
        raise InputError("nearest needs a net to look through; give --features or --recogniser emoji")
    if sheet is not None:
        check_output(sheet, overwrite, PICTURE_ENDINGS)
    ours, others = find(clips), find(among)
    judge = None if recogniser is None else _load_recogniser(recogniser)
    net, kept = _load_net(features, judge, frames, stride, pick_device(device)), Cache(cache)
    assert net is not None
    found = copies.nearest_clips(
        report.look(ours, net, kept, "looking at the clips").features,
        report.look(others, net, kept, "looking at the others").features,
        [source.name for source in ours],
        [source.name for source in others],
    )
    click.echo("distance  closer than  clip, and the nearest one")
    for pair in found[:pairs]:
        names = f"{pair.clip}  {pair.nearest}"
        click.echo(f"{pair.distance:8.3f}  {100 * pair.closer_than:9.0f} %  {plain(names)}")
    if sheet is not None:
        save_picture(copies.sheet(found[:pairs], ours, others), sheet, overwrite)
        click.echo(sheet)
    about = {"pairs": [dataclasses.asdict(pair) for pair in found], "features": net.about}
    _write_json(json_file, about)


@command.command()
@click.argument("ours", type=path_type)
@click.argument("theirs", type=path_type)
@json_option
@overwrite_option
def compare(ours: Path, theirs: Path, json_file: Path | None, overwrite: bool) -> None:
    """Compare two folders of `lumiere evaluate` on their common prompts.

    Differences are paired by prompt and bootstrapped over prompts, so that their intervals are narrower than
    those of the shares. A difference is significant if its interval excludes 0.

    \b
    lumiere evaluate emoji --steps 4 --out out/steps-4
    lumiere metrics compare out/steps-4 out/evaluate-emoji
    """
    import dataclasses

    from lumiere.emoji.evaluation.comparing import compare, table

    _check_json(json_file, overwrite)
    differences = compare(ours, theirs)
    click.echo(plain(table(differences, ours.name, theirs.name)))
    _write_json(json_file, {"differences": [dataclasses.asdict(each) for each in differences]})


@command.command("ucf101-prompts")
@click.argument("ucf101", type=path_type)
@click.option("--out", type=path_type, required=True, help="File to write, .jsonl.")
@click.option("--count", type=click.IntRange(1), default=10_000, show_default=True, help="Clips to generate.")
@click.option(
    "--list", "listed", type=path_type, help="Split file, such as trainlist01.txt.  [default: all clips]"
)
@click.option("--sentences", type=path_type, help="Prompts by class, a .json.  [default: the class names]")
@overwrite_option
def ucf101_prompts(
    ucf101: Path, out: Path, count: int, listed: Path | None, sentences: Path | None, overwrite: bool
) -> None:
    """Write the prompts of the zero-shot protocol for the local folder UCF101, with a sub-folder per class.

    A line is {"clip": "YoYo/0000.mp4", "prompt": "YoYo"}; classes are distributed as in the real clips.

    \b
    lumiere metrics ucf101-prompts UCF-101 --out prompts.jsonl
    """
    from lumiere.io.files import check_output, write_text
    from lumiere.metrics import ucf101 as protocol

    check_output(out, overwrite, {".jsonl"})
    real = {name: len(sources) for name, sources in protocol.real_clips(ucf101, listed).items()}
    lines = protocol.prompt_lines(real, count, sentences)
    write_text(out, "\n".join(lines) + "\n")
    click.echo(f"{out}: {len(lines)} prompts of {len(real)} classes")


@command.command()
@clips_argument
@click.option("--real", type=path_type, required=True, help="Folder UCF-101, with a sub-folder per class.")
@click.option("--features", type=path_type, required=True, help="I3D as a TorchScript file.")
@click.option(
    "--classifier",
    type=path_type,
    help="C3D as a TorchScript file, for the published score.  [default: the features]",
)
@click.option(
    "--list", "listed", type=path_type, help="Split file, such as trainlist01.txt.  [default: all clips]"
)
@frames_options(1)
@cache_option
@json_option
@device_option
@overwrite_option
def ucf101(
    clips: tuple[Path, ...],
    real: Path,
    features: Path,
    classifier: Path | None,
    listed: Path | None,
    frames: int,
    stride: int,
    cache: Path | None,
    json_file: Path | None,
    device: str | None,
    overwrite: bool,
) -> None:
    """Measure the Frechet video distance and inception score of generated CLIPS on zero-shot UCF-101.

    All of CLIPS and all of the real clips are used. Published figures use 10,000 clips or more, of the
    prompts that `lumiere metrics ucf101-prompts` writes. Departures from the protocol are printed with the
    numbers. With --cache, an interrupted run resumes.

    \b
    lumiere metrics ucf101 out/ucf101 --real UCF-101 --features i3d_torchscript.pt --cache out/ucf101-cache
    """
    import dataclasses

    from lumiere.metrics import report
    from lumiere.metrics import ucf101 as protocol
    from lumiere.metrics.cache import Cache
    from lumiere.metrics.clips import find
    from lumiere.metrics.features import load_classifier, load_features

    _check_json(json_file, overwrite)
    by_class = protocol.real_clips(real, listed)
    sources, real_sources = find(clips), [source for found in by_class.values() for source in found]
    device, kept = pick_device(device), Cache(cache)
    if len(sources) < protocol.SPLITS:
        raise InputError(f"{len(sources)} clips; give 10 or more, for an inception score over 10 splits")
    if not features.is_file():
        raise InputError(f"no I3D at {features}; give a TorchScript file")

    def as_real(net: Any) -> Any:
        return dataclasses.replace(net, preprocessing=f"covers 320x240, middle kept; {net.preprocessing}")

    net = as_real(load_features(features, frames, stride, device))
    seen = report.look(sources, net, kept, "looking at the clips", protocol.as_real)
    truth = report.look(real_sources, net, kept, "looking at UCF-101", protocol.as_real)
    values = [report.frechet(seen, truth, net)]
    if classifier is not None:
        net = as_real(load_classifier(classifier, frames, stride, device))
        seen = report.look(sources, net, kept, "classifying the clips", protocol.as_real)
    if score := report.inception(seen, net, splits=protocol.SPLITS):
        if classifier is None:
            score.warnings.append(
                "the classes are those of the features; published scores use C3D (--classifier)"
            )
        values.append(score)
    values[0].warnings.extend(protocol.departures(len(sources), len(by_class)))
    _tell(
        values, json_file, {"clips": len(sources), "real_clips": len(real_sources), "classes": len(by_class)}
    )


def _load_recogniser(name: str) -> Recogniser:
    from lumiere.emoji.evaluation.recogniser import Recogniser

    return Recogniser.load(None if name == "emoji" else Path(name))


def _load_net(
    features: Path | None, recogniser: Recogniser | None, frames: int, stride: int | None, device: str
) -> Features | None:
    """The net of ``features``, else the recogniser's, else none."""
    if features is not None:
        from lumiere.metrics.features import load_features

        return load_features(features, frames, stride, device)
    if recogniser is None:
        return None
    from lumiere.emoji.evaluation.features import recogniser_features

    return recogniser_features(recogniser, frames, stride)


def _check_json(file: Path | None, overwrite: bool) -> None:
    from lumiere.io.files import check_output

    if file is not None:
        check_output(file, overwrite, {".json"})


def _tell(values: Sequence[Value], json_file: Path | None, about: dict[str, Any]) -> None:
    import dataclasses

    from lumiere.metrics.report import table

    click.echo(plain(table(values)))
    _write_json(json_file, {"values": [dataclasses.asdict(value) for value in values], **about})


def _write_json(file: Path | None, about: dict[str, Any]) -> None:
    import json

    from lumiere import __version__
    from lumiere.io.files import write_text

    if file is not None:
        write_text(file, json.dumps({"lumiere": __version__, **about}, indent=1, ensure_ascii=False) + "\n")
        click.echo(file)
