"""Folders of small clips, a study of them, and its server."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from raters import Server, make_clips

from lumiere.research.study.build import build


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Of one method and two rivals: the method's clips are bright, the first rival's dark."""
    root = tmp_path_factory.mktemp("clips")
    shades = {"ours": 200, "pika": 60, "zeroscope": 120}
    return {method: make_clips(root / method, shade) for method, shade in shades.items()}


@pytest.fixture(scope="session")
def built(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of 6 pairs, of which a rater sees 3, and 1 check; shared, and not to be changed."""
    folder = tmp_path_factory.mktemp("studies") / "study"
    build(folders, folder, checks=1, pairs_per_rater=3)
    return folder


@pytest.fixture
def study(built: Path, tmp_path: Path) -> Path:
    """A copy of it, to be answered."""
    return Path(shutil.copytree(built, tmp_path / "study"))


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Starts servers, and ends those that still run."""
    servers: list[Server] = []

    def start(study: Path, port: int = 0) -> Server:
        servers.append(Server(study, port))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


@pytest.fixture(scope="module")
def shared(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for tests that leave no answers, or only their own rater's."""
    server = Server(Path(shutil.copytree(built, tmp_path_factory.mktemp("shared") / "study")))
    yield server
    server.kill()
