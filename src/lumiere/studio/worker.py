"""The queue's worker: one job at a time, in order, on one device, with models that are loaded once."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from lumiere.batch.calls import Program, make_call
from lumiere.errors import InputError
from lumiere.io.files import replacing, slug
from lumiere.studio import media, tools
from lumiere.studio.progress import Cancelled, Watcher
from lumiere.studio.store import CANCELLED, DONE, FAILED, INTERRUPTED, Job, Store

#: where :func:`lumiere.cli.loading.load` finds what is to follow the pipelines
WATCH = "watch"
#: how click refuses the value of an option
_OF_OPTION = re.compile(r"Invalid value for '--([a-z-]+)': (.*)")
#: how a missing argument is refused
_MISSING = re.compile(r"\w+ needs '(\w+)'")
#: beginnings of the lines of a verb that are for the user
_NOTES = ("note:", "prompt:")


class Worker(threading.Thread):
    """Makes the waiting jobs of a store.

    Args:
        program: the verbs.
        models: folders of the served models by their names, the default first.
        upscaler: folder of the super-resolution model.
        options: of the command line, for every call: the device and the precision.
    """

    def __init__(
        self,
        store: Store,
        program: Program,
        models: Mapping[str, Path],
        upscaler: Path,
        options: Sequence[str],
    ) -> None:
        super().__init__(name="studio-worker", daemon=True)
        self.store, self.program, self.models, self.upscaler = store, program, models, upscaler
        self.options = list(options)
        self.ready = threading.Event()
        self._context = click.Context(click.Command("studio"))
        self._wake = threading.Condition()
        self._stopping = False
        self._running: tuple[str, Watcher] | None = None

    def watcher(self, job: Job) -> Watcher | None:
        """What follows a job, if it is running."""
        running = self._running
        return running[1] if running is not None and running[0] == job.id else None

    def check(self, verb: str, resolved: tools.Paths) -> None:
        """Raise :class:`InputError`, before a job waits, for an option that the verb would refuse."""
        try:
            make_call(self.program, verb, resolved.options)
        except InputError as error:
            text = self._clean(str(error), resolved.names)
            if said := _OF_OPTION.fullmatch(text):
                raise tools.FieldError(said[2], said[1].replace("-", "_")) from None
            if said := _MISSING.fullmatch(text):
                raise tools.FieldError(text, said[1]) from None
            raise InputError(text) from None

    def wake(self) -> None:
        """Look for waiting jobs."""
        with self._wake:
            self._wake.notify()

    def stop(self) -> None:
        """End after the running job's current step, which is then interrupted."""
        with self._wake:
            self._stopping = True
            if self._running is not None:
                self._running[1].cancel()
            self._wake.notify()

    def run(self) -> None:
        self._warm_up()
        self.ready.set()
        while not self._stopping:
            waiting = self.store.waiting()
            if not waiting:
                with self._wake:
                    if not self._stopping:
                        self._wake.wait(timeout=1.0)
                continue
            watcher = Watcher()
            self._running = waiting[0].id, watcher
            if self.store.start(waiting[0]):
                self._make(waiting[0], watcher)
            self._running = None

    def _warm_up(self) -> None:
        """Load the first model by making a short clip, so that the first job does not wait for it."""
        with tempfile.TemporaryDirectory() as folder:
            words = {"prompt": "a clip", "frames": 2, "steps": 1, "no_rewrite": True, "seed": 0}
            try:
                call = make_call(
                    self.program, "generate", words | {"model": str(next(iter(self.models.values())))}
                )
                call.make(f"--out={folder}/clip", *self.options, settings={}, parent=self._context)
            except Exception as error:  # a job will say it again
                print(f"warm-up: {error}", file=sys.stderr)

    def _make(self, job: Job, watcher: Watcher) -> None:
        said: list[str] = []
        names: dict[Path, str] = {}
        try:
            self._make_clip(job, watcher, said, names)
            self.store.end(job, DONE, notes=said)
        except Cancelled:
            self.store.end(job, INTERRUPTED if self._stopping else CANCELLED)
        except click.ClickException as error:
            self.store.end(job, FAILED, self._clean(error.format_message(), names))
        except InputError as error:
            self.store.end(job, FAILED, self._clean(str(error), names))
        except OSError as error:
            self.store.end(job, FAILED, self._clean(f"{error.strerror or error}", names))
        except Exception as error:  # the queue goes on, whatever befalls one job
            traceback.print_exc()
            self.store.end(job, FAILED, self._clean(f"{type(error).__name__}: {error}", names))

    def _make_clip(self, job: Job, watcher: Watcher, said: list[str], names: dict[Path, str]) -> None:
        folder = self.store.folder(job.session, job.id)
        with replacing(folder) as made:
            made.mkdir()
            resolved = tools.resolve(
                self.store, job.session, job.verb, job.options, self.models, self.upscaler, made
            )
            names |= resolved.names
            call = make_call(self.program, job.verb, resolved.options)
            clip = made / ("clip.mp4" if resolved.large else "clip")
            more = [f"--out={clip}", *self.options]
            if job.verb == "stylize":
                more.append(f"--keep={made / 'style' / slug(names[Path(resolved.options['reference'][0])])}")
            self._context.meta[WATCH] = watcher.attach
            try:
                printed = call.make(*more, settings=_note(job), parent=self._context)
            finally:
                self._context.meta.pop(WATCH, None)
            watcher.begin("saving", 0)
            said += [self._clean(line, names) for line in printed.splitlines() if line.startswith(_NOTES)]
            about = media.about_video(clip)
            media.write_view(clip, made)
            if resolved.sound is not None:
                about["sound"] = _relative(resolved.sound, self.store.root)
            shutil.rmtree(made / "mask", ignore_errors=True)
            settings = about["settings"]
            name = f"{slug(str(settings.get('prompt') or job.verb))}-{settings.get('seed', 0)}"
        self.store.add_file(job.session, name, "clip", about, job.id)

    def _clean(self, text: str, names: Mapping[Path, str]) -> str:
        """One line without the paths of the machine, which are the user's names for these files."""
        for path, name in sorted(names.items(), key=lambda pair: -len(str(pair[0]))):
            text = text.replace(str(path), name)
        for name, folder in [*self.models.items(), ("the upscaler", self.upscaler)]:
            text = text.replace(str(folder), name)
        text = re.sub(re.escape(str(self.store.root)) + r"[^\s:;,)'\"]*", "the studio's folder", text)
        return " ".join(text.split())


def _note(job: Job) -> dict[str, Any]:
    """What the clip says of its call: all but its files, which are the session's."""
    plain = {
        name: value for name, value in job.options.items() if isinstance(value, str | int | float | bool)
    }
    files = tools.TOOLS[job.verb].files
    return {"verb": job.verb} | {
        name: value for name, value in plain.items() if name not in files and name != "style" and value != ""
    }


def _relative(path: Path, root: Path) -> str:
    return str(path.relative_to(root))
