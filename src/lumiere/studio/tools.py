"""What a browser may ask of each verb: which options, and which of them are files of its session."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lumiere.errors import InputError
from lumiere.studio import limits, media
from lumiere.studio.store import DONE, File, Store

_PICTURE, _VIDEO = ("picture",), ("video", "clip")
_SAMPLING = frozenset(
    {
        "prompt", "size", "fps", "steps", "guidance", "negative", "seed", "model", "no_rewrite", "style",
        "alpha",
    }
)  # fmt: skip
_FROM_TEXT = _SAMPLING | {"frames", "first_frame_prompt", "regions", "scheduler", "guidance_interval"}
_CONDITIONED = _SAMPLING | {"no_composite"}
_REGION = frozenset({"masks", "box", "polygon", "feather"})


class FieldError(InputError):
    """An option of a job cannot be used; ``field`` is its name, at which the page shows the message."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class Tool:
    """A verb on the page.

    Attributes:
        options: that the browser may set.
        files: those that are files, by the kinds that they take.
        conditioned: whether the model has to take conditions.
    """

    options: frozenset[str]
    files: Mapping[str, tuple[str, ...]]
    conditioned: bool = True


TOOLS = {
    "generate": Tool(_FROM_TEXT, {}, conditioned=False),
    "loop": Tool(_FROM_TEXT, {}, conditioned=False),
    "animate": Tool(_CONDITIONED | {"frames"}, {"image": _PICTURE}),
    "cinemagraph": Tool(_CONDITIONED | _REGION | {"frames"}, {"image": _PICTURE}),
    "inpaint": Tool(_CONDITIONED | _REGION | {"padding_mask_crop"}, {"video": _VIDEO}),
    "outpaint": Tool(_CONDITIONED | {"canvas", "at"}, {"video": _VIDEO}),
    "transition": Tool(_CONDITIONED | {"frames"}, {"first": _PICTURE, "last": _PICTURE}),
    "extend": Tool(_CONDITIONED | {"frames", "given"}, {"video": _VIDEO}),
    "edit": Tool(_CONDITIONED | _REGION | {"strength"}, {"video": _VIDEO}, conditioned=False),
    "stylize": Tool(
        _FROM_TEXT - {"style"} | {"caption", "fit_steps"}, {"reference": _PICTURE}, conditioned=False
    ),
    "upscale": Tool(frozenset({"size", "steps", "seed", "noise_level"}), {"file": _VIDEO}, conditioned=False),
}
#: options of one file whose sound goes along with the clip
_SOUNDING = {"inpaint": "video", "outpaint": "video", "edit": "video", "upscale": "file"}
_LARGE = 512


def tool_of(verb: Any) -> Tool:
    """Raises :class:`InputError` if the page has no such verb."""
    if not isinstance(verb, str) or verb not in TOOLS:
        raise InputError(f"no job {limits.shown(verb)}; there are {', '.join(TOOLS)}")
    return TOOLS[verb]


def check(verb: str, options: Mapping[str, Any], models: Mapping[str, Any]) -> None:
    """Raise :class:`InputError`, in words for the page, for what a browser must not ask for.

    Args:
        models: by their names.
    """
    tool = tool_of(verb)
    for name, value in options.items():
        if name not in tool.options and name not in tool.files:
            known = ", ".join(sorted([*tool.options, *tool.files]))
            raise InputError(f"{verb} has no option {limits.shown(name)}; there are {known}")
        if isinstance(value, dict) != (name == "masks") or (isinstance(value, list) and name != "reference"):
            raise FieldError(f"{name} is {limits.shown(value)}; give text, a number, true or false", name)
        with at(name):
            limits.check_text(name, value)
            limits.check_number(name, value)
    model = options.get("model")
    if model is not None and model not in models:
        raise InputError(f"no model {limits.shown(model)} is served; there are {', '.join(models)}")
    for name in ("size", "canvas"):
        sides = re.findall(r"\d+", str(options.get(name, "")))
        if any(len(side) > 6 or int(side) > limits.MOST_SIDE for side in sides):
            raise FieldError(
                f"the {name} is {'x'.join(sides)} pixels; give up to {limits.MOST_SIDE} a side", name
            )


@contextmanager
def at(field: str) -> Iterator[None]:
    """Name the field of an :class:`InputError` that is raised within."""
    try:
        yield
    except FieldError:
        raise
    except InputError as error:
        raise FieldError(str(error), field) from None


@dataclass(frozen=True)
class Paths:
    """The files of a job.

    Attributes:
        options: of the verb, with paths for files.
        names: what the user calls each path.
        sound: a video whose sound goes along with the clip.
        large: whether the clip's frames are too large for a folder of PNGs.
    """

    options: dict[str, Any]
    names: dict[Path, str]
    sound: Path | None
    large: bool


def resolve(
    store: Store,
    session: str,
    verb: str,
    options: Mapping[str, Any],
    models: Mapping[str, Path],
    upscaler: Path,
    work: Path | None,
) -> Paths:
    """The options of a job as the verb takes them.

    Args:
        models: the folders of the served models; the first is the default.
        upscaler: the folder of the super-resolution model.
        work: folder for a mask that moves; None to check only.

    Raises:
        InputError: a file is missing, not the session's own, or of the wrong kind.
    """
    tool, names = tool_of(verb), {}
    given = {name: value for name, value in options.items() if value not in (None, "") or name == "regions"}

    def path_of(name: str, id_: Any, kinds: tuple[str, ...]) -> Path:
        file = _own(store, session, id_)
        if file is None:
            raise FieldError(f"the {name} is not there any more; choose it again", name)
        if file.kind not in kinds:
            raise FieldError(f"the {name} is a {file.kind}, {file.name}; give a {kinds[0]}", name)
        path = media.source_of(store.folder(session, file.id))
        names[path] = file.name
        return path

    paths: dict[str, Path] = {}
    for name, kinds in tool.files.items():
        if name not in given:
            raise FieldError(f"{verb} needs a {kinds[0]}; choose one", name)
        several = given[name] if isinstance(given[name], list) else [given[name]]
        if not 1 <= len(several) <= limits.MOST_REFERENCES:
            raise FieldError(f"{len(several)} pictures are given; give 1 to {limits.MOST_REFERENCES}", name)
        found = [path_of(name, each, kinds) for each in several]
        paths[name] = found[0]
        given[name] = [str(path) for path in found] if name == "reference" else str(found[0])
    if masks := given.pop("masks", None):
        with at("masks"):
            painted = {
                _frame(number): path_of("masks", id_, ("mask", "picture")) for number, id_ in masks.items()
            }
        if len(painted) == 1:
            given["mask"] = str(next(iter(painted.values())))
        elif work is not None:
            given["mask"] = str(media.masks_over_time(painted, paths["video"], work / "mask"))
    if (
        "masks" in tool.options
        and verb != "edit"
        and not ({"mask", "box", "polygon"} & given.keys() or masks)
    ):
        raise FieldError("nothing is marked; paint or draw a box over what is to be generated", "masks")
    if verb == "stylize" and "caption" not in given:
        given["caption"] = [re.sub(r"[-_]", " ", Path(names[Path(each)]).stem) for each in given["reference"]]
    if "style" in given:
        given["style"] = str(_style(store, session, given["style"]))
    if verb == "upscale":
        given["model"] = str(upscaler)
    else:
        given["model"] = str(models[given.get("model") or next(iter(models))])
    sides = [
        int(side) for side in re.findall(r"\d+", str(given.get("size", "1024" if verb == "upscale" else "")))
    ]
    if given.get("size", "source" if verb == "edit" else None) == "source" and paths:
        about = store_about(store, session, options[next(iter(tool.files))])
        sides = [about["width"], about["height"]]
        if max(sides) > limits.MOST_SIDE:
            raise FieldError(
                f"the source is {sides[0]}x{sides[1]}; choose a size of up to {limits.MOST_SIDE} a side",
                "size",
            )
    sound = paths[_SOUNDING[verb]] if verb in _SOUNDING and "fps" not in given else None
    return Paths(
        given, names, sound if sound is None or sound.is_file() else None, max(sides, default=0) > _LARGE
    )


def store_about(store: Store, session: str, id_: Any) -> dict[str, Any]:
    file = _own(store, session, id_)
    return file.about if file else {}


def _own(store: Store, session: str, id_: Any) -> File | None:
    return store.file(session, id_) if isinstance(id_, str) else None


def _frame(number: str) -> int:
    if not re.fullmatch(r"\d{1,6}", number):
        raise InputError(f"a mask is of frame {limits.shown(number)}; give a whole number")
    return int(number)


def _style(store: Store, session: str, id_: Any) -> Path:
    """The style that a job fitted."""
    job = store.job(session, id_) if isinstance(id_, str) else None
    folder = store.folder(session, id_) / "style" if job is not None and job.state == DONE else None
    if folder is None or not folder.is_dir():
        raise FieldError("the style is not there any more; choose another", "style")
    return next(folder.iterdir())
