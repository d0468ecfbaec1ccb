"""``lumiere words``."""

import json

import pytest

from lumiere.cli import main
from lumiere.io import bundle


def test_all_objects_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["words", "--json"])
    known = json.loads(capsys.readouterr().out)
    assert caught.value.code == 0
    assert set(known["objects"]) == set(bundle.objects(bundle.resolve("emoji")).values())
    assert "bouncing" in known["motions"] and "white" in known["colours"]


def test_a_model_that_lists_nothing_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["words", "--model", "emoji-upscaler"])
    assert caught.value.code == 2 and "objects.json" in capsys.readouterr().err
