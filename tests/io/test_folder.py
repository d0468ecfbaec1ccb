from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from lumiere.errors import InputError
from lumiere.pipelines.inflation import read_image_model

UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def copy(family_folder, tmp_path):
    """A folder of Stable Diffusion to spoil."""
    return shutil.copytree(family_folder("sd1"), tmp_path / "copy")


def refused(folder, match):
    with pytest.raises(InputError, match=match) as caught:
        read_image_model(folder)
    assert "\n" not in str(caught.value)


def set_index(folder, **entries):
    path = folder / "model_index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def test_another_class_is_refused_and_those_that_can_be_are_named(copy):
    set_index(
        copy, _class_name="FluxPipeline", unet=[None, None], transformer=["diffusers", "FluxTransformer2D"]
    )
    refused(
        copy,
        "is a FluxPipeline whose unet is nothing, .* StableDiffusionPipeline, StableDiffusionXLPipeline, "
        "IFPipeline",
    )


def test_an_unknown_pipeline_of_known_parts_is_read(copy):
    set_index(copy, _class_name="OursPipeline")
    assert read_image_model(copy).guidance == 7.5


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "tokenizer"])
def test_a_part_that_is_missing_is_named(copy, part):
    shutil.rmtree(copy / part)
    refused(copy, f"{part} is missing")


def test_a_missing_scheduler_is_named(copy):
    (copy / "scheduler" / "scheduler_config.json").unlink()
    refused(copy, "scheduler_config.json cannot be read")


def test_a_unet_alone_is_not_enough(copy):
    refused(copy / "unet", "holds a UNet2DConditionModel alone; give the folder of the whole model")


def test_an_empty_folder_and_none(tmp_path):
    refused(tmp_path, "has no model_index.json; give a folder that diffusers saved")
    refused(tmp_path / "none", "no checkpoint at")


def test_pickles_are_refused_with_how_to_convert(copy):
    (copy / UNET).rename((copy / UNET).with_suffix(".bin"))
    refused(
        copy,
        r"model.bin is a pickle, which is never loaded; .* lumiere convert \S+\.bin \S+\.safetensors",
    )


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda state: state.pop("conv_in.bias"), "conv_in.bias"),
        (lambda state: state.update(odd=torch.zeros(3)), "it has in excess 1 weights, such as odd"),
        (lambda state: state.update({"conv_in.bias": torch.zeros(3)}), "conv_in.bias"),
    ],
)
def test_weights_that_do_not_fit_are_named(copy, change, match):
    state = load_file(copy / UNET)
    change(state)
    save_file(state, copy / UNET)
    refused(copy, match)


def test_a_truncated_file_is_refused(copy):
    (copy / UNET).write_bytes((copy / UNET).read_bytes()[:-100])
    refused(copy, "is not a whole safetensors file|cannot be loaded")


def test_another_vae_is_refused(copy):
    set_index(copy, vae=["diffusers", "AutoencoderTiny"])
    refused(copy, "vae is a AutoencoderTiny; an AutoencoderKL can be used")


def test_another_text_encoder_is_refused(copy):
    set_index(copy, text_encoder=["transformers", "LlamaModel"])
    refused(copy, "has LlamaModel; a CLIPTextModel")


def test_a_half_precision_variant_is_found_and_its_type_kept(copy):
    for path in (copy / UNET, copy / "vae" / "diffusion_pytorch_model.safetensors"):
        save_file({name: weight.half() for name, weight in load_file(path).items()}, path)
        path.rename(path.with_name(path.name.replace("model.", "model.fp16.")))
    model = read_image_model(copy)
    assert model.unet.dtype == model.codec.dtype == torch.float16
    assert model.text_encoder.dtype == torch.float32


def test_a_folder_says_itself_what_its_net_predicts(copy):
    with pytest.raises(InputError, match="has a scheduler that says it"):
        read_image_model(copy, prediction_type="epsilon")


def test_a_sentencepiece_tokenizer_is_read(family_folder, tmp_path):
    """DeepFloyd-IF was published with one, and no tokenizer.json."""
    import sentencepiece
    from transformers import AutoTokenizer

    folder = shutil.copytree(family_folder("if-1"), tmp_path / "if")
    tokenizer = folder / "tokenizer"
    config = json.loads((tokenizer / "tokenizer_config.json").read_text())
    shutil.rmtree(tokenizer)
    tokenizer.mkdir()
    (tmp_path / "said.txt").write_text("a red cat moving left\na dog moving right\n" * 20)
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "said.txt"),
        model_prefix=str(tokenizer / "spiece"),
        vocab_size=40,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    (tokenizer / "spiece.vocab").unlink()
    kept = {key: config[key] for key in ("tokenizer_class", "eos_token", "pad_token", "unk_token")}
    (tokenizer / "tokenizer_config.json").write_text(json.dumps(kept | {"extra_ids": 0}))
    ids = read_image_model(folder).text_encoder.tokens(["a cat moving left"], 40, 0).ids[0]
    expected = AutoTokenizer.from_pretrained(tokenizer)("a cat moving left").input_ids
    assert ids[: len(expected)].tolist() == expected and len(expected) > 4
