"""Small clips, a study's server as a process, and a rater who speaks HTTP."""

from __future__ import annotations

import http.client
import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from lumiere.io.video import Clip
from lumiere.research.study.plan import Study, load

PROMPTS = ("a red fox", "a blue owl", "a green crab")


def make_clips(
    folder: Path,
    shade: int,
    prompts: tuple[str, ...] = PROMPTS,
    frames: int = 6,
    size: tuple[int, int] = (32, 32),
    fps: int = 12,
) -> Path:
    """Clips in which a bar goes over a plain ground of that shade."""
    for number, prompt in enumerate(prompts):
        pixels = np.full((frames, *size, 3), shade, np.uint8)
        for index in range(frames):
            pixels[index, :, 4 * index : 4 * index + 4] = 255 - 20 * number
        path = folder / f"{number:03d}-{prompt.replace(' ', '-')}.mp4"
        Clip(pixels, fps, {"prompt": prompt, "model": "secret-model"}).save(path)
    return folder


class Server:
    """``lumiere study serve`` as a process of its own."""

    def __init__(self, study: Path, port: int = 0) -> None:
        self.study = study
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lumiere", "study", "serve", str(study), "--port", str(port)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], 60)[0], "the server says nothing"
        self.url = self.process.stdout.readline().split()[0]
        self.port = urlsplit(self.url).port

    def kill(self) -> None:
        """As ``kill -9`` does: nothing is written any more."""
        self.process.kill()
        self.process.wait()


def request(
    port: int | None, method: str, path: str, body: bytes | None = None, timeout: float = 30
) -> tuple[int, bytes]:
    """The path goes out as it is: no client tidies its dots."""
    assert port is not None
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


class Rater:
    """Joins a study, and prefers what ``prefers`` says of the names of two methods."""

    def __init__(self, study: Path, port: int | None, seed: int = 0) -> None:
        self.study = load(study)
        self.port = port
        self.random = np.random.default_rng(seed)
        self.token = self.call("POST", "/api/raters")["rater"]

    def call(self, method: str, path: str, fields: Any = None) -> Any:
        body = None if fields is None else json.dumps(fields).encode()
        status, answer = request(self.port, method, path, body)
        assert status in (200, 201), (status, answer)
        return json.loads(answer)

    def session(self) -> dict[str, Any]:
        return dict(self.call("GET", f"/api/raters/{self.token}"))

    def open_questions(self) -> list[tuple[dict[str, Any], int]]:
        session = self.session()
        return [
            (trial, number)
            for trial in session["trials"]
            for number, _ in enumerate(session["questions"], 1)
            if str(number) not in trial["answers"]
        ]

    def choice(self, trial: dict[str, Any]) -> str:
        """What an attentive rater with no taste chooses."""
        check = next((check for check in self.study.checks if check.id == trial["pair"]), None)
        return check.clip if check else str(self.random.choice(trial["clips"]))

    def say(self, trial: dict[str, Any], question: int, chosen: str, revision: int = 0) -> dict[str, Any]:
        path = f"/api/raters/{self.token}/answers/{trial['pair']}/{question}"
        fields = {"chosen": chosen, "seconds": 1.5, "revision": revision}
        return dict(self.call("PUT", path, fields))


def method_of(study: Study, clip: str) -> str:
    """Which method made a clip; a check's broken one is nobody's."""
    for pair in study.pairs:
        if clip in (pair.clip, pair.rival_clip):
            return study.method if clip == pair.clip else str(pair.rival)
    return "check" if any(clip == check.clip for check in study.checks) else "broken"
