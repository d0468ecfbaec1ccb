from __future__ import annotations

import pytest

from lumiere.batch.calls import make_call
from lumiere.cli.batch import PROGRAM, VERBS
from lumiere.errors import InputError


def digest(path):
    return f"<{path}>"


def test_a_call_is_what_the_command_line_would_say():
    call = make_call(
        PROGRAM, "generate", {"prompt": "-a 'cat'", "frames": 4, "guidance": 2.5, "negative": "-dog"}
    )
    assert str(call) == "lumiere generate --frames=4 --guidance=2.5 --negative=-dog -- '-a '\"'\"'cat'\"'\"''"
    params = call.parsed("--out=x.mp4").params
    assert (params["prompt"], params["frames"], params["negative"]) == ("-a 'cat'", 4, "-dog")
    assert params["guidance"] == 2.5 and str(params["out"]) == "x.mp4" and params["seed"] is None


def test_flags_lists_and_names_of_two_words():
    call = make_call(
        PROGRAM,
        "inpaint",
        {"video": "a.mp4", "box": "0,0,8,8", "padding-mask-crop": 8, "no_composite": "true"},
    )
    params = call.parsed().params
    assert params["padding_mask_crop"] == 8 and params["no_composite"] is True
    assert call.arguments == ("a.mp4", "")
    assert (
        "--no-composite" not in make_call(PROGRAM, "animate", {"image": "a.png", "no-composite": False}).words
    )
    call = make_call(
        PROGRAM, "stylize", {"prompt": "a cat", "reference": ["a.png", "b.png"], "caption": "a fox"}
    )
    assert call.words == ("--reference=a.png", "--reference=b.png", "--caption=a fox")


def test_settings_tell_contents_and_not_names():
    options = {
        "image": "cat.png",
        "prompt": "a cat",
        "style": "line-art",
        "alpha": 0.5,
        "seed": 3,
        "device": None,
    }
    settings = make_call(PROGRAM, "animate", options).settings(digest)
    assert settings["image"] == "<cat.png>" and settings["style"] == "<line-art>"
    assert settings["model"].endswith("weights/emoji>") and "frames" not in settings
    assert settings["verb"] == "animate" and settings["seed"] == 3 and "negative" not in settings


@pytest.mark.parametrize(
    ("verb", "options", "said"),
    [
        ("genrate", {"prompt": "a"}, "no verb 'genrate' makes clips; there are generate, loop"),
        ("generate", {"promt": "a"}, "generate has no option 'promt'; there are prompt, style, lora"),
        ("generate", {"prompt": "a", "out": "b.mp4"}, "generate has no option 'out'"),
        ("generate", {"frames": 4}, "generate needs 'prompt'"),
        ("transition", {"first": "a.png", "prompt": "a"}, "transition needs"),
        ("generate", {"prompt": "a", "frames": 0}, "Invalid value for '--frames': 0 is not in the range"),
        ("generate", {"prompt": "a", "frames": 4.5}, "'4.5' is not a valid integer"),
        ("generate", {"prompt": "a", "frames": True}, "'frames' is true; give text or a number"),
        ("generate", {"prompt": ["a"]}, "'prompt' is [\"a\"]; give text or a number"),
        ("generate", {"prompt": "a", "extrapolate": 1}, "'extrapolate' is 1; give true or false"),
        ("generate", {"prompt": "a", "extrapolate": "x"}, "'extrapolate' is \"x\"; give true or false"),
        ("generate", {"prompt": "a", "scheduler": "heun"}, "'heun' is not one of 'ddim'"),
        ("inpaint", {"video": "a.mp4", "box": [0, 0, 8, 8]}, "'box' is [0, 0, 8, 8]; give text"),
    ],
)
def test_bad_options_are_reported_in_the_command_lines_words(verb, options, said):
    with pytest.raises(InputError) as caught:
        make_call(PROGRAM, verb, options)
    assert said in str(caught.value)


def test_a_missing_model_is_reported():
    with pytest.raises(InputError, match="no model at nowhere"):
        make_call(PROGRAM, "generate", {"prompt": "a", "model": "nowhere"}).settings(digest)


def test_every_verb_that_makes_clips_can_be_called():
    from lumiere.cli import VERBS as ALL
    from lumiere.cli.conditioned import ConditionedOptions

    assert set(VERBS) < set(ALL)
    assert {"prompt", "frames", "seed", "style", "alpha"} <= set(PROGRAM.options("generate"))
    assert {"image", "prompt", "size", "no_composite"} <= set(PROGRAM.options("animate"))
    assert ConditionedOptions.__dataclass_fields__.keys() - set(PROGRAM.options("animate")) == {
        "out",
        "device",
        "overwrite",
    }
