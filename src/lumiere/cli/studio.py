"""``lumiere studio``: generate and edit clips in the browser."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lumiere.cli.options import device_option, dtype_option, path_type, pick_device
from lumiere.errors import InputError

if TYPE_CHECKING:
    from lumiere.studio.models import Model

PORT = 7860


@click.command()
@click.option(
    "--model",
    "names",
    multiple=True,
    default=("emoji",),
    show_default=True,
    help="Shipped model, or a model's folder; repeatable, the first is the page's default.",
)
@click.option(
    "--upscaler",
    default="emoji-upscaler",
    show_default=True,
    help="Super-resolution model of the Upscale tab.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=True,
    help="Port; 0 for any free one.",
)
@click.option(
    "--listen",
    "host",
    default="127.0.0.1",
    show_default=True,
    help="Address to bind; 0.0.0.0 for all, which requires a password.",
)
@click.option(
    "--password",
    envvar="LUMIERE_STUDIO_PASSWORD",
    help="Password of the page, for any user name.  [default: LUMIERE_STUDIO_PASSWORD, or none]",
)
@click.option(
    "--allow-host",
    "allowed",
    multiple=True,
    help="Host name that the page is opened by, such as a proxy's; repeatable.",
)
@click.option(
    "--out",
    type=path_type,
    default=Path("lumiere-studio"),
    show_default=True,
    help="Folder for uploads, clips and the queue; run again with the same folder to resume.",
)
@device_option
@dtype_option
def command(
    names: tuple[str, ...],
    upscaler: str,
    port: int,
    host: str,
    password: str | None,
    allowed: tuple[str, ...],
    out: Path,
    device: str | None,
    dtype: str,
) -> None:
    """Serve a page that generates and edits clips, until Ctrl-C.

    Jobs run one at a time. The page has a tab for each verb that makes clips, paints masks, and saves clips
    as MP4, WebM, GIF, WebP, APNG and PNG frames. Requires `pip install 'lumiere-video[studio]'`.

    \b
    lumiere studio
    lumiere studio --model emoji --model my-model --port 8080
    lumiere studio --listen 0.0.0.0 --password "correct horse battery"
    """
    from lumiere.io.serving import listen, run

    with listen(host, port) as listening:
        _check_installed()
        from lumiere.studio.security import Guard, check_password
        from lumiere.studio.server import application
        from lumiere.studio.store import Store
        from lumiere.studio.worker import Worker

        check_password(host, password)
        from lumiere.cli.batch import PROGRAM
        from lumiere.io import bundle

        models = dict(served(name) for name in names)
        if len(models) < len(names):
            raise InputError(f"two models are named alike among {', '.join(names)}; rename a folder")
        enlarging = bundle.resolve(upscaler)
        bundle.verify(enlarging)
        bundle.check_index(enlarging, "UpscalePipeline")
        place = pick_device(device)
        options = [f"--device={place}", f"--dtype={dtype}"]
        store = Store(out)
        folders = {name: model.folder for name, model in models.items()}
        worker = Worker(store, PROGRAM, folders, enlarging, options)
        bound, port = listening.getsockname()[:2]
        app = Guard(application(store, worker, models), port, password, frozenset(map(str.lower, allowed)))
        click.echo(f"http://{f'[{bound}]' if ':' in bound else bound}:{port}/  (Ctrl-C ends it)")
        run(app, listening)


def _check_installed() -> None:
    from importlib.util import find_spec

    if find_spec("starlette") is None or find_spec("uvicorn") is None:
        raise InputError("this needs Starlette and uvicorn: pip install 'lumiere-video[studio]'")


def served(name: str) -> tuple[str, Model]:
    """A model's name on the page, and the model.

    Raises:
        InputError: there is none, or it is damaged.
    """
    from lumiere.cli.words import known_words
    from lumiere.io import bundle
    from lumiere.studio.models import Model

    folder = bundle.resolve(name)
    bundle.verify(folder)
    bundle.check_index(folder, "LumierePipeline")
    index = bundle.index(folder)
    about = {key: index.get(key) for key in ("size", "frames", "fps", "steps", "guidance")}
    about["conditioned"] = bool(bundle.read_json(folder / "unet" / "config.json").get("condition_channels"))
    about["words"] = known_words(folder)
    return folder.resolve().name, Model(folder, about, prompt_reader(folder))


def prompt_reader(folder: Path) -> Callable[[str, bool], tuple[str, list[str]]] | None:
    """A function that says what the model gets of a prompt, as the verbs do; None without ``words.json``."""
    if not (folder / "words.json").is_file():
        return None
    lock = threading.Lock()
    made: list[Any] = []

    def read(prompt: str, source: bool) -> tuple[str, list[str]]:
        from lumiere.emoji.prompt_rewriter import PromptRewriter

        with lock:
            if not made:
                made.append(PromptRewriter.from_bundle(folder))
            try:
                rewritten = made[0](prompt, default_background=not source)
            except InputError as error:
                if not source:
                    raise
                return prompt, [str(error)]
        return rewritten.prompt, list(rewritten.notes)

    return read
