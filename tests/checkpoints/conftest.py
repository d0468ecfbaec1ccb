from __future__ import annotations

import pytest

from families import save_family


@pytest.fixture(scope="session")
def family_folder(tmp_path_factory):
    """The folder of a family as diffusers saves it, made once: tests must not change it."""
    made = {}

    def folder(family):
        if family not in made:
            made[family] = save_family(family, tmp_path_factory.mktemp("families") / family)
        return made[family]

    return folder


@pytest.fixture(scope="session")
def inflated(family_folder, tmp_path_factory):
    """A family inflated, and the folder that it was saved in, made once: tests must not change them."""
    import torch

    from lumiere.checkpoints.inflation import inflate, read_image_model

    made = {}

    def pipeline(family):
        if family not in made:
            torch.manual_seed(0)
            pipe = inflate(read_image_model(family_folder(family)), frames=6)
            pipe.set_progress_bar_config(disable=True)
            folder = tmp_path_factory.mktemp("inflated") / family
            pipe.save_pretrained(folder)
            made[family] = pipe, folder
        return made[family]

    return pipeline
