from __future__ import annotations

from pathlib import Path

import pytest

from lumiere.errors import InputError
from lumiere.train.config import CodecConfig, ImageConfig, defaults, dump, flat, load

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("**/*.toml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_configurations_that_ship_load_and_survive_being_written(path, tmp_path):
    config = load(path)
    (tmp_path / "again.toml").write_text(dump(config))
    assert load(tmp_path / "again.toml") == config


def test_there_is_one_configuration_for_each_stage():
    assert {load(path).stage for path in CONFIGS} == {
        "codec",
        "image",
        "image-synonyms",
        "temporal",
        "conditioned",
        "warp",
        "superres",
    }


def write(tmp_path: Path, text: str, stage: str = "codec") -> Path:
    path = tmp_path / "c.toml"
    path.write_text(f'name = "x"\nstage = "{stage}"\n{text}\n[run]\nmax_steps = 1\n')
    return path


def test_values_reach_their_place_and_defaults_fill_the_rest(tmp_path):
    config = load(
        write(tmp_path, "[optim]\nlr = 1\nbetas = [0.8, 0.9]"), ["data.size=[64, 96]", "name=other"]
    )
    assert isinstance(config, CodecConfig)
    assert config.optim.lr == 1.0 and isinstance(config.optim.lr, float)
    assert config.optim.betas == (0.8, 0.9)
    assert config.data.size == (64, 96) and config.name == "other"
    assert flat(config)["data.size"] == [64, 96]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[optim]\nlrate = 1e-3", 'unknown key "optim.lrate"; did you mean "optim.lr"?'),
        ("[optimizer]\nlr = 1e-3", 'unknown key "optimizer"; did you mean "optim"?'),
        ("[optim]\nlr = true", '"optim.lr" is True; it must be of type float'),
        ("[optim]\nlr = 0", '"optim.lr" is 0.0; it must be above 0'),
        ("[optim]\nbetas = [0.9]", '"optim.betas" is [0.9]; it must be a list of 2 of float'),
        ("[optim]\nschedule = 'linear'", "it must be one of 'cosine', 'constant'"),
        ("[data]\nclip_share = 1.5", '"data.clip_share" is 1.5; it must be from 0.0 to 1.0'),
        ("[model]\ndecoder_widths = [96]", "give two widths, or none"),
        ("[model]\ndecoder_blocks = -1", "0 blocks or more"),
        ("[model]\ndecoder_widths = [96, 0]", "it must be above 0"),
        ('init = "a"\nencoder = "b"', 'both "init" and "encoder" name a codec'),
        ("[loss]\ncrop = 20", '"loss.crop" is 20; it must be a multiple of 8 within "data.size"'),
        ("data = 3", '"data" is 3; it must be a section [data]'),
    ],
)
def test_mistakes_are_refused_by_name(tmp_path, text, message):
    with pytest.raises(InputError) as error:
        load(write(tmp_path, text))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_levels_must_agree(tmp_path):
    text = 'codec = "c"\n[model]\nblock_out_channels = [8, 16]'
    with pytest.raises(InputError, match=r'"model.down_block_types" has 3 entries'):
        load(write(tmp_path, text, "image"))


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(InputError, match='"codec" is missing'):
        load(write(tmp_path, "", "image"))
    with pytest.raises(InputError, match="one of codec, image, image-synonyms, temporal"):
        load(write(tmp_path, "", "video"))
    with pytest.raises(InputError, match=r"max_steps.*max_minutes"):
        load(write(tmp_path, ""), ["run.max_steps=0"])
    with pytest.raises(InputError, match="cannot read the configuration"):
        load(tmp_path / "nowhere.toml")
    (tmp_path / "bad.toml").write_text("a = ")
    with pytest.raises(InputError, match="is not TOML"):
        load(tmp_path / "bad.toml")
    with pytest.raises(InputError, match="not key=value"):
        load(write(tmp_path, ""), ["optim.lr"])


def test_strings_given_on_the_command_line_need_no_quotes(tmp_path):
    config = load(write(tmp_path, 'codec = "c"', "image"), ["codec=a folder/codec", "run.device=cpu"])
    assert isinstance(config, ImageConfig)
    assert (config.codec, config.run.device) == ("a folder/codec", "cpu")


def test_what_a_configuration_does_not_name_has_a_default():
    for path in CONFIGS:
        config, known = load(path), defaults(load(path))
        assert known.keys() == flat(config).keys()
        assert known["optim.betas"] == [0.9, 0.99] and known["data.batch_size"] == 32


def test_crops_must_fit_patches_and_factors(tmp_path):
    for text in ("[degrade]\ncrop = 96\nfactors = [2, 5]", "[model]\npatch = 7", "[degrade]\ncrop = 256"):
        with pytest.raises(InputError, match=r'"degrade.crop" is \d+; it must be within "data.size"'):
            load(write(tmp_path, text, "superres"))
    with pytest.raises(InputError, match=r'"degrade.factors" is \[\]; give at least one'):
        load(write(tmp_path, "[degrade]\nfactors = []", "superres"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optim.lr=nan", '"optim.lr" is nan; it must be a finite number'),
        ("optim.lr=inf", '"optim.lr" is inf; it must be a finite number'),
        ("optim.betas=[1.0, 1.0]", r'"optim.betas" is \[1.0, 1.0\]; each must be from 0 to below 1'),
        ("optim.betas=[-0.5, 0.9]", r'"optim.betas" is \[-0.5, 0.9\]; it must be from 0.0 to 1.0'),
        ("run.threads=-1", '"run.threads" is -1; it must be from 0 to 4096'),
        ("data.frames=100000", '"data.frames" is 100000; it must be from 1 to 10000'),
        ("run.max_steps=99999999999999999999", "it must be from"),
    ],
)
def test_numbers_that_no_run_can_have_are_refused(override, message):
    path = next(path for path in CONFIGS if load(path).stage == "temporal")
    with pytest.raises(InputError, match=message):
        load(path, [override])
