"""A studio with a tiny model."""

from __future__ import annotations

import pytest
from served_studio import Studio


@pytest.fixture(scope="session")
def conditioned_bundle(make_pipe, tmp_path_factory):
    """The folder of a tiny model that takes conditions."""
    folder = tmp_path_factory.mktemp("models") / "conditioned"
    make_pipe(conditioned=True, steps=2, frames=4).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def studio(conditioned_bundle, tiny_upscaler, tmp_path_factory):
    """A studio that tests share, each as a client of its own."""
    pytest.importorskip("starlette")
    pytest.importorskip("uvicorn")
    made = Studio(tmp_path_factory.mktemp("studio"), [conditioned_bundle], upscaler=tiny_upscaler)
    yield made
    made.close()


@pytest.fixture
def client(studio):
    return studio.client()
