"""A folder of videos as users have them, and tiny settings."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from lumiere.data.videos.buckets import Size
from lumiere.data.videos.clips import Settings, Video, prepare
from movies import smooth_frames, write_movie

WIDE, HIGH = Size(48, 32), Size(32, 48)


@pytest.fixture(scope="session")
def settings() -> Settings:
    return Settings(Fraction(16), (HIGH, WIDE), 8, 16, scenes=True, caption=None)


@pytest.fixture(scope="session")
def movie(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A second of drifting colours, 48x32."""
    return write_movie(tmp_path_factory.mktemp("movie") / "drift.mp4", smooth_frames(25)).read_bytes()


@pytest.fixture
def outcome(settings: Settings):
    """What becomes of a file, by its path."""

    def of(path: Path, caption: str | None = "waves", settings: Settings = settings):
        return prepare(Video(path.name, path, caption, "1"), settings)

    return of
