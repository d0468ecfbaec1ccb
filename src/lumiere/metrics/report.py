"""All metrics of one or two sets of clips, each with its interval and how it was computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from tqdm import tqdm

from lumiere.errors import InputError
from lumiere.io.video import Clip
from lumiere.metrics import bootstrap, consistency
from lumiere.metrics.cache import Cache
from lumiere.metrics.clips import Source
from lumiere.metrics.dynamic_degree import dynamic_degree
from lumiere.metrics.features import RECOGNISER, Features
from lumiere.metrics.frechet import frechet_distance
from lumiere.metrics.inception import inception_score
from lumiere.metrics.motion_smoothness import motion_smoothness
from lumiere.metrics.recogniser import Recogniser
from lumiere.metrics.subject_consistency import subject_consistency
from lumiere.metrics.temporal_flickering import temporal_flickering
from lumiere.metrics.text_alignment import Alignment, object_probability
from lumiere.metrics.warping_error import warping_error

#: what is printed of each number, and the sign of what is better
TITLES = {
    "temporal_flickering": "temporal flickering +",
    "motion_smoothness": "motion smoothness +",
    "dynamic_degree": "dynamic degree",
    "fastest_motion": "fastest motion, px / 0.125 s",
    "warping_error": "warping error x 1000 -",
    "occluded": "  occluded share",
    "true_warping_error": "  warping error x 1000 of the true clips",
    "true_occluded": "  occluded share of the true clips",
    "subject_consistency": "subject consistency (recogniser) +",
    "object_probability": "text alignment (recogniser) +",
    "text_similarity": "text alignment (text model) +",
    "psnr": "PSNR, dB +",
    "ssim": "SSIM +",
    "change_error": "error of change, of 255 -",
}
_LEAST_FRAMES = 3
_HALVINGS = 50

Figures = dict[str, float | None]


@dataclass(frozen=True)
class Value:
    """A number with its 95 % interval (None for too few clips), and the number of clips.

    ``about`` records how it was computed, ``warnings`` its limitations.
    """

    title: str
    value: float
    low: float | None
    high: float | None
    clips: int
    about: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Loaded:
    """A clip that is read lazily, when a measurement is not cached."""

    source: Source

    @cached_property
    def clip(self) -> Clip:
        return self.source.load()

    @cached_property
    def sha256(self) -> str:
        return self.source.sha256()


def measure(loaded: Loaded, recogniser: Recogniser | None, cache: Cache) -> Figures:
    """What can be said of one clip by itself; the subject's consistency only with a recogniser.

    Raises:
        InputError: it has fewer than 3 frames or too small a picture, or OpenCV is not installed.
    """

    def compute() -> Figures:
        clip = loaded.clip
        if len(clip) < _LEAST_FRAMES:
            raise InputError(
                f"{loaded.source.name} has {len(clip)} frames; metrics need {_LEAST_FRAMES} or more"
            )
        try:
            warped = warping_error(clip.frames)
        except InputError as error:
            raise InputError(f"{loaded.source.name}: {error}") from None
        dynamic, fastest = dynamic_degree(clip.frames, clip.fps)
        figures: Figures = {
            "temporal_flickering": temporal_flickering(clip.frames),
            "motion_smoothness": motion_smoothness(clip.frames),
            "dynamic_degree": float(dynamic),
            "fastest_motion": fastest,
            "warping_error": 1000 * warped.error,
            "occluded": warped.occluded,
        }
        if recogniser is not None:
            figures["subject_consistency"] = subject_consistency(recogniser.features(clip.frames))
        return figures

    seen_by = None if recogniser is None else recogniser.sha256
    return cache.get({"clip": loaded.sha256, "figures": 1, "recogniser": seen_by}, compute)


def measure_text(
    loaded: Loaded, prompt: str, recogniser: Recogniser | None, align: Alignment | None
) -> Figures:
    """How well a clip shows its prompt, by the recogniser and by the text model, whichever there are."""
    figures: Figures = {}
    if recogniser is None and align is None:
        return figures
    frames = loaded.clip.frames
    if recogniser is not None:
        figures["object_probability"] = object_probability(recogniser, frames, prompt)
    if align is not None:
        figures["text_similarity"] = align(frames, prompt, loaded.source.name)
    return figures


def measure_pair(loaded: Loaded, truth: Loaded, recogniser: Recogniser | None, cache: Cache) -> Figures:
    """How near a clip is to the true one, and how much that one flickers.

    Raises:
        InputError: they differ in frames or size.
    """
    made, true = loaded.clip.frames, truth.clip.frames
    if made.shape != true.shape:
        (t, h, w), (t2, h2, w2) = made.shape[:3], true.shape[:3]
        raise InputError(
            f"{loaded.source.name} is {t} frames of {w}x{h}, its true clip {t2} of {w2}x{h2}; "
            "give clips of one size and length"
        )
    figures = measure(truth, recogniser, cache)
    return {
        "psnr": consistency.psnr(made, true),
        "ssim": consistency.ssim(made, true),
        "change_error": float(consistency.change_errors(made, true).mean()),
        **{f"true_{name}": figures[name] for name in ("warping_error", "occluded")},
    }


def summarise(figures: Sequence[Figures]) -> list[Value]:
    """Means over clips, without those that have no number."""
    found = []
    for key, title in TITLES.items():
        values = np.array([each[key] for each in figures if each.get(key) is not None], float)
        if len(values):
            low, high = bootstrap.mean_interval(values) if len(values) > 1 else (None, None)
            found.append(Value(title, float(values.mean()), low, high, len(values), {"metric": key}))
    return found


def warping_ratio(figures: Sequence[Figures]) -> Value:
    """The mean warping error of the clips over that of their true clips, which were paired with them."""
    errors = np.array([[each["warping_error"], each["true_warping_error"]] for each in figures], float)

    def ratio(pairs: np.ndarray) -> float:
        ours, true = pairs.mean(0)
        return float(ours / max(true, 1e-9))

    low, high = bootstrap.interval(ratio, errors, resamples=1000)
    about = {"metric": "warping_ratio"}
    return Value("warping error over that of the true clips -", ratio(errors), low, high, len(errors), about)


@dataclass(frozen=True)
class Seen:
    """Output of a feature network for a set of clips: features n x d, class probabilities n x k or None."""

    features: np.ndarray
    probabilities: np.ndarray | None
    rates: set[float]


def look(
    sources: Sequence[Source],
    net: Features,
    cache: Cache,
    what: str,
    prepare: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Seen:
    """Compute features of clips, each after ``prepare``, which ``net.preprocessing`` must describe.

    Raises:
        InputError: a clip cannot be read or is too short.
    """
    features, probabilities, rates = [], [], set()
    for source in tqdm(sources, what, unit="clip", disable=None):
        loaded = Loaded(source)

        def compute(loaded: Loaded = loaded) -> dict[str, Any]:
            frames = loaded.clip.frames
            seen, classes = net(prepare(frames) if prepare else frames, loaded.source.name)
            listed = None if classes is None else classes.tolist()
            return {"features": seen.tolist(), "probabilities": listed, "fps": float(loaded.clip.fps)}

        found = cache.get({"clip": loaded.sha256, "net": net.about}, compute)
        features.append(found["features"])
        probabilities.append(found["probabilities"])
        rates.add(found["fps"])
    return Seen(np.array(features), None if None in probabilities else np.array(probabilities), rates)


def frechet(ours: Seen, real: Seen, net: Features) -> Value:
    """The Frechet distance of two sets. That of a recogniser's features never bears the name FVD."""
    width, least = ours.features.shape[1], min(len(ours.features), len(real.features))
    doubts = []
    if least <= width:
        doubts.append(
            f"{least} clips for {width} features: the covariance is not of full rank, the distance far too "
            "large; compare it only with distances of exactly as many clips"
        )
    if ours.rates != real.rates:
        rates = " and ".join(", ".join(f"{rate:g}" for rate in sorted(seen.rates)) for seen in (ours, real))
        doubts.append(f"frame rates differ: {rates}; the same number of frames lasts differently long")
    low, high = bootstrap.interval(frechet_distance, ours.features, real.features, resamples=50)
    title = "Frechet distance of recogniser features (not FVD) -"
    if net.kind != RECOGNISER:
        title = f"Frechet video distance, {net.kind} {net.name} -"
    about = {
        "metric": "frechet_distance",
        "clips": len(ours.features),
        "real_clips": len(real.features),
        "dimensions": width,
        "features": net.about,
    }
    value = frechet_distance(ours.features, real.features)
    return Value(title, value, low, high, len(ours.features), about, doubts)


def frechet_ratio(ours: Seen, true: Seen, net: Features) -> Value:
    """The Frechet distance of clips from the true clips of other prompts, over that of their own true clips.

    Half of the prompts, drawn at random, give the clips, the other half the true clips that both are compared
    with. So all distances are of equally many clips, which makes them too large alike, and clips that are
    indistinguishable from true ones reach 1. It is the mean over draws; for the interval, clips are resampled
    within each half, too.

    Args:
        ours, true: of at least 4 clips, in the same order.
    """
    rng = np.random.default_rng(0)
    half = len(ours.features) // 2

    def ratio(resample: bool) -> float:
        halves = rng.permutation(len(ours.features))[: 2 * half].reshape(2, half)
        if resample:
            halves = np.stack([rng.choice(each, half) for each in halves])
        here, there = halves
        away = true.features[there]
        usual = frechet_distance(true.features[here], away)
        return frechet_distance(ours.features[here], away) / max(usual, 1e-9)

    value = float(np.mean([ratio(False) for _ in range(_HALVINGS)]))
    spread = bootstrap.Z * float(np.std([ratio(True) for _ in range(_HALVINGS)], ddof=1))
    title = "Frechet distance over that of the true clips -"
    about = {"metric": "frechet_ratio", "clips": half, "draws": _HALVINGS, "features": net.about}
    doubts = []
    if half <= (width := ours.features.shape[1]):
        doubts.append(f"{half} clips a half for {width} features: clips that vary less than true ones gain")
    return Value(title, value, max(0.0, value - spread), value + spread, 2 * half, about, doubts)


def inception(ours: Seen, net: Features, splits: int = 1) -> Value | None:
    """The inception score by the net's classes; None if it has none."""
    if ours.probabilities is None:
        return None
    classes = ours.probabilities.shape[1]
    score, deviation = inception_score(ours.probabilities, splits)
    low, high = bootstrap.interval(lambda drawn: inception_score(drawn, splits)[0], ours.probabilities)
    doubts = []
    if len(ours.probabilities) < 10 * classes:
        doubts.append(f"{len(ours.probabilities)} clips for {classes} classes: the score is far too small")
    title = "inception score by the recogniser's classes (not IS) +"
    if net.kind != RECOGNISER:
        title = f"inception score, {net.kind} {net.name} +"
    about: Mapping[str, Any] = {
        "metric": "inception_score",
        "splits": splits,
        "deviation": deviation,
        "classes": classes,
        "features": net.about,
    }
    return Value(title, score, low, high, len(ours.probabilities), dict(about), doubts)


def table(values: Sequence[Value]) -> str:
    """The values as text; warnings follow below, after an exclamation mark."""
    width = max(len(value.title) for value in values)
    lines = [f"{'':<{width}}  {'value':>10}  {'95 % interval':>22}  {'clips':>6}"]
    for value in values:
        interval = "" if value.low is None else f"[{value.low:.4g}, {value.high:.4g}]"
        lines.append(f"{value.title:<{width}}  {value.value:>10.4g}  {interval:>22}  {value.clips:>6}")
        lines += [f"  ! {doubt}" for doubt in value.warnings]
    return "\n".join(lines)
