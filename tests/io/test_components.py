"""A folder never chooses what code runs, and every field of it is checked by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import diffusers
import pytest

from lumiere.errors import InputError
from lumiere.io import bundle
from lumiere.io.checkpoints.folder import _OWN_GUIDANCE, read_folder
from lumiere.io.components import SCHEDULERS
from lumiere.pipelines.text_to_video import LumierePipeline

EVIL = "import pathlib\npathlib.Path(__file__).with_name('ran').touch()\nclass Evil: pass\n"


@pytest.fixture
def copy(tiny_bundle, tmp_path):
    return shutil.copytree(tiny_bundle, tmp_path / "copy")


def changed(path: Path, **fields) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def refused(load, folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        load(folder)
    assert "\n" not in str(caught.value) and not list(folder.rglob("ran"))
    return str(caught.value)


@pytest.mark.parametrize("part", ["scheduler", "codec", "text_encoder", "unet", "warp_net", "safety"])
@pytest.mark.parametrize("library", ["evil", "diffusers", "os"])
def test_a_bundle_imports_no_code(copy, part, library):
    (copy / part).mkdir(exist_ok=True)
    for name in ("evil", "diffusers", "os"):
        (copy / part / f"{name}.py").write_text(EVIL)
    changed(copy / bundle.INDEX, **{part: [library, "Evil"]})
    bundle.write_manifest(copy)
    said = refused(LumierePipeline.from_pretrained, copy)
    assert f"{library}.Evil, which is not a model here" in said or "names the part safety" in said


def test_code_beside_a_class_of_the_list_is_not_imported(copy):
    for part in ("scheduler", "codec", "unet"):
        for name in ("diffusers", "lumiere.models.codec", "pipeline"):
            (copy / part / f"{name}.py").write_text(EVIL)
    LumierePipeline.from_pretrained(copy)
    assert not list(copy.rglob("ran"))


@pytest.mark.parametrize("part", ["scheduler", "vae", "unet", "tokenizer"])
def test_an_image_model_imports_no_code(family_folder, tmp_path, part):
    folder = shutil.copytree(family_folder("sd1"), tmp_path / "copy")
    (folder / part / "evil.py").write_text(EVIL)
    if part == "tokenizer":
        config = folder / part / "tokenizer_config.json"
        changed(config, auto_map={"AutoTokenizer": ["evil.Evil", None]}, tokenizer_class="Evil")
    else:
        changed(folder / bundle.INDEX, **{part: ["evil", "Evil"]})
    assert "vil" in refused(read_folder, folder)


def test_guidance_scales_of_the_list_are_those_of_diffusers():
    import inspect

    for name, scale in {**_OWN_GUIDANCE, "StableDiffusionPipeline": 7.5}.items():
        parameters = inspect.signature(getattr(diffusers, name).__call__).parameters
        assert parameters["guidance_scale"].default == scale


@pytest.mark.parametrize(
    "name",
    ["FlowMatchEulerDiscreteScheduler", "EDMEulerScheduler", "ScoreSdeVeScheduler", "NoScheduler"],
)
def test_schedulers_of_other_families_are_refused_by_name(copy, name):
    changed(copy / bundle.INDEX, scheduler=["diffusers", name])
    bundle.write_manifest(copy)
    assert name in refused(LumierePipeline.from_pretrained, copy)
    assert name not in SCHEDULERS


BROKEN = [
    (bundle.INDEX, "steps", 0),
    (bundle.INDEX, "fps", "fast"),
    (bundle.INDEX, "size", -8),
    (bundle.INDEX, "frames", 1.5),
    (bundle.INDEX, "guidance_interval", [0.5]),
    (bundle.INDEX, "guidance_interval", 3),
    (bundle.INDEX, "shared_noise", float("nan")),
    (bundle.INDEX, "prompt_parser", ["a"]),
    (bundle.INDEX, "surprise", 1),
    (bundle.INDEX, "unet", None),
    (bundle.INDEX, "codec", ["lumiere.models.codec"]),
    ("scheduler/scheduler_config.json", "num_train_timesteps", 10_000_000),
    ("scheduler/scheduler_config.json", "num_train_timesteps", 0),
    ("scheduler/scheduler_config.json", "num_train_timesteps", "many"),
    ("scheduler/scheduler_config.json", "prediction_type", "flow_prediction"),
    ("scheduler/scheduler_config.json", "prediction_type", ["epsilon"]),
    ("scheduler/scheduler_config.json", "use_flow_sigmas", True),
    ("scheduler/scheduler_config.json", "beta_schedule", "sideways"),
    ("scheduler/scheduler_config.json", "trained_betas", [1, 2, float("inf")]),
    ("scheduler/scheduler_config.json", "solver_order", "two"),
    ("codec/config.json", "patch_size", 0),
    ("codec/config.json", "patch_size", -2),
    ("codec/config.json", "patch_size", [2]),
    ("codec/config.json", "patch_size", 2**40),
    ("codec/config.json", "patches", 4),
    ("text_encoder/config.json", "dim", 0),
    ("text_encoder/config.json", "length", "long"),
    ("unet/config.json", "spatial_config", 3),
    ("unet/config.json", "attention_blocks", 100_000),
    ("unet/config.json", "condition_channels", -1),
    ("unet/config.json", "temporal_resample", 5),
]
SPATIAL = [
    ("layers_per_block", 100_000),
    ("layers_per_block", 0),
    ("norm_num_groups", 0),
    ("norm_num_groups", 7),
    ("block_out_channels", []),
    ("block_out_channels", [0, 0]),
    ("down_block_types", ["Sideways", "DownBlock2D"]),
    ("act_fn", 3),
    ("attention_head_dim", 0),
    ("in_channels", 10**12),
    ("addition_embed_type", "nothing"),
]


@pytest.mark.parametrize(("file", "key", "value"), BROKEN, ids=lambda each: str(each)[:24])
def test_a_field_that_cannot_be_is_refused_by_name(copy, file, key, value):
    changed(copy / file, **{key: value})
    bundle.write_manifest(copy)
    said = refused(LumierePipeline.from_pretrained, copy)
    assert file in said or key in said


@pytest.mark.parametrize(("key", "value"), SPATIAL, ids=lambda each: str(each)[:24])
def test_a_field_of_the_image_model_that_cannot_be_is_refused(copy, key, value):
    path = copy / "unet" / "config.json"
    changed(path, spatial_config=json.loads(path.read_text())["spatial_config"] | {key: value})
    bundle.write_manifest(copy)
    assert "unet" in refused(LumierePipeline.from_pretrained, copy)


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/passwd", "sub/weights.safetensors", 3, ""])
def test_an_index_of_shards_names_files_beside_it_alone(copy, name):
    index = copy / "unet" / f"{bundle.WEIGHTS}.index.json"
    index.write_text(json.dumps({"weight_map": {"spatial.conv_in.bias": name}}))
    bundle.write_manifest(copy)
    assert "names the shard" in refused(LumierePipeline.from_pretrained, copy)


@pytest.mark.parametrize("text", ["[]", "{}", '{"weight_map": []}', "[" * 100_000, '{"weight_map": 3}'])
def test_an_index_of_shards_that_is_none(copy, text):
    (copy / "unet" / f"{bundle.WEIGHTS}.index.json").write_text(text)
    bundle.write_manifest(copy)
    assert "index.json" in refused(LumierePipeline.from_pretrained, copy)


@pytest.mark.parametrize("line", [b"zz  unet/config.json", b"\xff\xfe", b"0" * 64 + b"  ../../etc/passwd"])
def test_a_manifest_that_is_none(copy, line):
    (copy / bundle.MANIFEST).write_bytes(line + b"\n")
    assert "SHA256SUMS" in refused(LumierePipeline.from_pretrained, copy)
