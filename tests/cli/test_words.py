"""``lumiere words``."""

import json

import pytest

from lumiere.cli import main
from lumiere.errors import InputError
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


@pytest.mark.parametrize("name", ["hpu", "privateuseone", "no such", "meta"])
def test_a_device_that_cannot_be_used_is_refused_in_a_line(name):
    from lumiere.cli.options import pick_device

    with pytest.raises(InputError, match=f"device '{name}' cannot be used: .*; use cpu") as caught:
        pick_device(name)
    assert "\n" not in str(caught.value)
