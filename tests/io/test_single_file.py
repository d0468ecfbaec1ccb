from __future__ import annotations

import pytest
import torch
from diffusers import StableDiffusionXLPipeline, UNet2DConditionModel
from safetensors.torch import save_file

from families import TEXT_WIDTHS, make_pipeline, tiny_configuration
from lumiere.errors import InputError
from lumiere.io.checkpoints import single_file
from lumiere.pipelines.inflation import inflate, read_image_model
from single_files import published_layout

FAMILIES = ["sd1", "sd2", "sdxl"]


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """The published configurations, narrow; and words are spelt."""
    monkeypatch.setattr(single_file, "published_configuration", tiny_configuration)
    monkeypatch.setattr(single_file, "FAMILIES", {sum(TEXT_WIDTHS[name]): name for name in FAMILIES})
    monkeypatch.setattr(
        single_file, "clip_tokenizer", lambda: single_file.clip_tokenizer_of([]).backend_tokenizer
    )


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A family's single file, made once, and the pipeline that is in it."""
    made = {}

    def of(family):
        if family not in made:
            pipe = make_pipeline(family)
            path = tmp_path_factory.mktemp("files") / f"{family}.safetensors"
            save_file(published_layout(pipe, family), path)
            made[family] = path, pipe
        return made[family]

    return of


@pytest.mark.parametrize("family", FAMILIES)
def test_a_single_file_is_the_model_that_was_written_to_it(family, saved):
    path, pipe = saved(family)
    model = read_image_model(path)
    for ours, theirs in ((model.unet, pipe.unet), (model.codec.vae, pipe.vae)):
        expected = theirs.state_dict()
        assert all(torch.equal(value, expected[name]) for name, value in ours.state_dict().items())
        assert ours.state_dict().keys() == expected.keys()
    with torch.no_grad():
        context = model.text_encoder(["A red cat"])
        if isinstance(pipe, StableDiffusionXLPipeline):
            states, _, pooled, _ = pipe.encode_prompt("A red cat", device="cpu")
            torch.testing.assert_close(context[:, :-1], states)
            torch.testing.assert_close(context[:, -1, : pooled.shape[1]], pooled)
        else:
            torch.testing.assert_close(context, pipe.encode_prompt("A red cat", "cpu", 1, False)[0])
    config = model.scheduler.config
    assert config.prediction_type == ("v_prediction" if family == "sd2" else "epsilon")
    assert (config.beta_schedule, config.beta_end) == ("scaled_linear", 0.012)


def test_what_a_file_does_not_say_can_be_said(saved):
    model = read_image_model(saved("sd2")[0], prediction_type="epsilon")
    assert model.scheduler.config.prediction_type == "epsilon"


def test_the_published_configurations_make_models():
    for family, millions in {"sd1": 859.5, "sd2": 865.9, "sdxl": 2567.5}.items():
        with torch.device("meta"):
            unet = UNet2DConditionModel(**_published(family)["unet"])
        assert round(sum(p.numel() for p in unet.parameters()) / 1e6, 1) == millions


_published = single_file.published_configuration
_clip_tokenizer = single_file.clip_tokenizer


def test_the_words_have_clips_numbers():
    tokenizer = _clip_tokenizer()
    assert tokenizer.get_vocab_size() == 49408
    assert tokenizer.encode("a photo of a Cat ").ids == [49406, 320, 1125, 539, 320, 2368, 49407]


@pytest.mark.parametrize("name", ["model.ckpt", "model.pt", "model.bin"])
def test_pickles_are_refused_with_how_to_convert(tmp_path, name):
    (tmp_path / name).write_bytes(b"PK\x03\x04")
    with pytest.raises(
        InputError, match=r"is a pickle, .* lumiere convert .* \S*model.safetensors"
    ) as caught:
        read_image_model(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_pickle_by_another_name_is_no_safetensors_file(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(InputError, match="is not a whole safetensors file"):
        read_image_model(tmp_path / "model.safetensors")


def altered(saved, tmp_path, change):
    _, pipe = saved("sd1")
    state = published_layout(pipe, "sd1")
    change(state)
    save_file(state, tmp_path / "altered.safetensors")
    return tmp_path / "altered.safetensors"


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (
            lambda state: state.pop("first_stage_model.decoder.conv_out.bias"),
            r"altered.safetensors \(VAE\) is of another .*: it lacks 1 weights, such as decoder.conv_out",
        ),
        (
            lambda state: state.pop("model.diffusion_model.out.2.weight"),
            "lacks the weight 'out.2.weight'|it lacks 1 weights, such as conv_out.weight",
        ),
        (
            lambda state: state.update(
                {"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(8, 9, 3, 3)}
            ),
            r"\(UNet\) is of another configuration: conv_in.weight is \(8, 9, 3, 3\), not \(8, 4, 3, 3\)",
        ),
        (
            lambda state: [state.pop(name) for name in list(state) if name.startswith("cond_stage_model")],
            r"\(text encoder\) is of another configuration: it lacks 3\d weights",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(change, match, saved, tmp_path):
    with pytest.raises(InputError, match=match):
        read_image_model(altered(saved, tmp_path, change))


@pytest.mark.parametrize(
    ("state", "match"),
    [
        (
            {"double_blocks.0.img_attn.qkv.weight": torch.zeros(2)},
            "is no Stable Diffusion .* such as double_blocks",
        ),
        ({"down_blocks.0.resnets.0.conv1.weight": torch.zeros(2)}, "holds a UNet alone"),
        (
            {"model.diffusion_model.input_blocks.4.1.attn2.to_k.weight": torch.zeros(2, 1280)},
            "Stable Diffusion XL's refiner",
        ),
        ({}, "is no Stable Diffusion 1.x, 2.x or XL checkpoint$"),
    ],
)
def test_another_models_file_is_refused(state, match, tmp_path):
    save_file(state, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match=match):
        read_image_model(tmp_path / "other.safetensors")


@pytest.mark.parametrize(
    ("tensors", "metadata", "prediction", "zero_snr"),
    [
        ({"v_pred"}, {}, "v_prediction", False),
        ({"v_pred", "ztsnr"}, {}, "v_prediction", True),
        (set(), {"modelspec.prediction_type": "v"}, "v_prediction", False),
        (set(), {"modelspec.prediction_type": "epsilon"}, "epsilon", False),
        (set(), {"modelspec.prediction_type": "v", "ss_zero_terminal_snr": "True"}, "v_prediction", True),
    ],
)
@pytest.mark.parametrize("family", ["sd2", "sdxl"])
def test_what_a_file_says_of_its_parametrisation_holds(
    saved, tmp_path, family, tensors, metadata, prediction, zero_snr
):
    state = published_layout(saved(family)[1], family) | {name: torch.zeros(0) for name in tensors}
    save_file(state, tmp_path / "model.safetensors", metadata)
    pipe = inflate(read_image_model(tmp_path / "model.safetensors"))
    assert pipe.scheduler.config.prediction_type == prediction
    assert (float(pipe.scheduler.alphas_cumprod[-1]) < 1e-6) == zero_snr
    assert pipe.scheduler.config.timestep_spacing == ("trailing" if zero_snr else "leading")
    assert pipe.config["guidance_rescale"] == (0.7 if zero_snr else 0)
    overruled = read_image_model(tmp_path / "model.safetensors", prediction_type="sample")
    assert overruled.scheduler.config.prediction_type == "sample"


@pytest.mark.parametrize(
    ("tensors", "metadata", "match"),
    [
        ({"edm_mean"}, {}, "holds edm_mean: models of EDM cannot be used"),
        ({"edm_vpred.sigma_max"}, {}, "holds edm_vpred.sigma_max: models of EDM cannot be used"),
        (set(), {"modelspec.prediction_type": "flow"}, "modelspec.prediction_type is 'flow'"),
    ],
)
def test_other_parametrisations_are_refused_by_name(saved, tmp_path, tensors, metadata, match):
    state = published_layout(saved("sd1")[1], "sd1") | {name: torch.zeros(1) for name in tensors}
    save_file(state, tmp_path / "model.safetensors", metadata)
    with pytest.raises(InputError, match=match):
        read_image_model(tmp_path / "model.safetensors")


def test_zero_terminal_snr_can_be_said_of_a_net_that_predicts_v(saved):
    model = read_image_model(saved("sdxl")[0], prediction_type="v_prediction")
    assert float(inflate(model, zero_terminal_snr=True).scheduler.alphas_cumprod[-1]) < 1e-6
    with pytest.raises(InputError, match="has zero terminal SNR and predicts the noise"):
        inflate(read_image_model(saved("sdxl")[0]), zero_terminal_snr=True)
