from __future__ import annotations

import json
import shutil
import subprocess

import pytest
import torch
from safetensors.torch import load_file, save_file

from lumiere.errors import InputError
from lumiere.io import bundle
from lumiere.pipelines.text_to_video import LumierePipeline

UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def copy(tiny_bundle, tmp_path):
    """A bundle to spoil."""
    return shutil.copytree(tiny_bundle, tmp_path / "copy")


def refused(folder, match):
    with pytest.raises(InputError, match=match) as caught:
        LumierePipeline.from_pretrained(folder)
    assert "\n" not in str(caught.value)


def public(config):
    return {key: value for key, value in config.items() if not key.startswith("_")}


def resigned(folder):
    bundle.write_manifest(folder)
    return folder


def test_what_is_saved_is_loaded(pipe, tiny_bundle):
    loaded = LumierePipeline.from_pretrained(tiny_bundle)
    for name in ("unet", "codec", "text_encoder"):
        theirs, ours = getattr(pipe, name).state_dict(), getattr(loaded, name).state_dict()
        assert theirs.keys() == ours.keys()
        assert all(torch.equal(theirs[key], ours[key]) for key in theirs)
    assert public(loaded.scheduler.config) == public(pipe.scheduler.config)
    assert loaded.config["size"] == 32 and loaded.config["steps"] == 3
    assert loaded.model_name == "tiny"


def test_manifest_is_what_sha256sum_reads(tiny_bundle):
    subprocess.run(["sha256sum", "--check", "--strict", bundle.MANIFEST], cwd=tiny_bundle, check=True)
    listed = {line.split("  ")[1] for line in (tiny_bundle / bundle.MANIFEST).read_text().splitlines()}
    found = {path.relative_to(tiny_bundle).as_posix() for path in tiny_bundle.rglob("*") if path.is_file()}
    assert listed == found - {bundle.MANIFEST}


def test_no_path_of_this_machine_is_saved(pipe, tiny_bundle, tmp_path):
    unet = type(pipe.unet).from_pretrained(tiny_bundle / "unet")
    LumierePipeline.from_pretrained(tiny_bundle, unet=unet).save_pretrained(tmp_path / "again")
    for path in (tmp_path / "again").rglob("*.json"):
        assert str(tiny_bundle) not in path.read_text()


def test_half_precision_shards_load_as_float32(pipe, tmp_path, monkeypatch):
    monkeypatch.setattr("lumiere.pipelines.base.SHARD_SIZE", "200KB")
    pipe.save_pretrained(tmp_path / "half", dtype=torch.float16)
    shards = sorted((tmp_path / "half" / "unet").glob("*.safetensors"))
    assert len(shards) > 1
    assert {weight.dtype for shard in shards for weight in load_file(shard).values()} == {torch.float16}

    loaded = LumierePipeline.from_pretrained(tmp_path / "half")
    assert pipe.unet.dtype == torch.float32  # saving has not changed what was saved
    for name, weight in loaded.unet.state_dict().items():
        assert weight.dtype == torch.float32
        torch.testing.assert_close(weight, pipe.unet.state_dict()[name], atol=1e-3, rtol=1e-3)


def test_saving_replaces_a_bundle_and_keeps_its_card(make_pipe, copy):
    (copy / "README.md").write_text("the card")
    make_pipe(steps=9).save_pretrained(copy)
    assert LumierePipeline.from_pretrained(copy).config["steps"] == 9
    assert (copy / "README.md").read_text() == "the card"
    assert [path.name for path in copy.parent.iterdir()] == ["copy"]


def test_saving_touches_no_other_folder(pipe, tmp_path):
    (tmp_path / "thesis.txt").write_text("years")
    with pytest.raises(InputError, match="holds something else"):
        pipe.save_pretrained(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_interrupted_save_leaves_nothing(make_pipe, tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "write_manifest", lambda folder: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        make_pipe().save_pretrained(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_a_shipped_name_is_found_before_a_folder(tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "SHIPPED", [tiny_bundle.parent])
    assert list(bundle.shipped()) == ["tiny"]
    assert bundle.resolve("tiny") == tiny_bundle
    assert bundle.resolve(tiny_bundle) == tiny_bundle
    with pytest.raises(InputError, match=r"no model at nowhere; .* shipped model \(tiny\)"):
        bundle.resolve("nowhere")


def test_truncated(copy):
    weights = copy / UNET
    weights.write_bytes(weights.read_bytes()[:-100])
    refused(copy, "is truncated or altered")


def test_truncated_even_if_the_hash_was_renewed(copy):
    weights = copy / UNET
    weights.write_bytes(weights.read_bytes()[:-100])
    refused(resigned(copy), "not a whole safetensors file")


def test_one_flipped_bit(copy):
    content = bytearray((copy / UNET).read_bytes())
    content[-5] ^= 1
    (copy / UNET).write_bytes(content)
    refused(copy, r"unet/diffusion_pytorch_model.safetensors is truncated or altered")


@pytest.mark.parametrize("name", [UNET, "codec/config.json", "scheduler/scheduler_config.json"])
def test_missing_file(copy, name):
    (copy / name).unlink()
    refused(copy, f"{name} is missing")


def test_missing_weights_even_if_the_manifest_was_renewed(copy):
    (copy / UNET).unlink()
    refused(resigned(copy), "is missing; download the model again")


def test_missing_manifest(copy):
    (copy / bundle.MANIFEST).unlink()
    refused(copy, "SHA256SUMS is missing")


def test_unlisted_weights(copy):
    shutil.copy(copy / UNET, copy / "unet" / "more.safetensors")
    refused(copy, "more.safetensors is not listed")


@pytest.mark.parametrize("name", ["unet/diffusion_pytorch_model.bin", "weights.pt", "last.ckpt"])
def test_pickles(copy, name):
    (copy / name).write_bytes(b"\x80\x04.")
    refused(copy, "is a pickle, which is never loaded")
    refused(copy / name, "is a pickle, which is never loaded")


def test_weights_of_another_configuration(copy):
    config = json.loads((copy / "unet" / "config.json").read_text())
    config["spatial_config"]["cross_attention_dim"] = 24
    (copy / "unet" / "config.json").write_text(json.dumps(config))
    refused(resigned(copy), r"unet is of another configuration: .* is \(.*\), not \(.*\)")


@pytest.mark.parametrize("kind", [torch.int8, torch.bool, torch.int64])
def test_weights_that_are_whole_numbers(copy, kind):
    """No layer computes with them, however well their shapes fit."""
    state = load_file(copy / UNET)
    name = min(state)
    save_file(state | {name: state[name].to(kind)}, copy / UNET)
    said = str(kind).removeprefix("torch.")
    refused(resigned(copy), f"unet is of another configuration: {name} is {said}, not float32")


@pytest.mark.parametrize(
    ("extra", "match"), [(None, "it lacks 1 weights"), ("odd", "it has in excess 1 weights")]
)
def test_weights_too_few_or_too_many(copy, extra, match):
    state = load_file(copy / UNET)
    if extra:
        state[extra] = torch.zeros(3)
    else:
        state.pop("spatial.conv_in.bias")
    save_file(state, copy / UNET)
    refused(resigned(copy), match)


def test_configuration_that_makes_no_net(copy):
    config = json.loads((copy / "unet" / "config.json").read_text())
    del config["spatial_config"]
    (copy / "unet" / "config.json").write_text(json.dumps(config))
    refused(resigned(copy), "does not make a STUNet")


def test_another_pipelines_bundle(copy):
    index = json.loads((copy / bundle.INDEX).read_text())
    (copy / bundle.INDEX).write_text(json.dumps(index | {"_class_name": "StableDiffusionPipeline"}))
    refused(resigned(copy), "is a StableDiffusionPipeline's; give a bundle of a LumierePipeline")


@pytest.mark.parametrize("entry", [["os", "system"], ["lumiere.models.stunet", "Nothing"], "STUNet"])
def test_an_index_cannot_choose_code(copy, entry):
    index = json.loads((copy / bundle.INDEX).read_text())
    (copy / bundle.INDEX).write_text(json.dumps(index | {"unet": entry}))
    refused(resigned(copy), "which is not a model here|names no unet|is a STUNet's, not a")


def test_an_index_that_is_no_json(copy):
    (copy / bundle.INDEX).write_text("{")
    refused(resigned(copy), "cannot be read as JSON")


def test_a_scheduler_that_is_not_there(copy):
    index = json.loads((copy / bundle.INDEX).read_text())
    (copy / bundle.INDEX).write_text(json.dumps(index | {"scheduler": ["diffusers", "NoScheduler"]}))
    refused(resigned(copy), "diffusers.NoScheduler, which is not a model here")
