"""A style changes the image model's weights while it is applied, as much as asked, and nothing else."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file, save_file

from families import latent_pipeline
from lumiere import Style
from lumiere.emoji.data.scenes import COLOURS, STYLE_BACKGROUNDS
from lumiere.errors import InputError
from lumiere.style import applied_style, blend, fingerprint
from lumiere.train.style import fit
from movies import smooth_frames
from single_files import published_unet_name


@pytest.fixture(scope="module")
def pictures():
    return list(smooth_frames(2, 40, 32))


@pytest.fixture(scope="module")
def style(make_pipe, pictures):
    return fit(make_pipe(), pictures, ["a cat", "a dog"], steps=3, rank=2)


def state(net):
    return {name: value.clone() for name, value in net.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def numbers(seed):
    return torch.randn(3, 4, generator=torch.Generator().manual_seed(seed))


@given(alpha=st.floats(0, 2), seed=st.integers(0, 9))
def test_a_blend_is_linear_and_exact_at_both_ends(alpha, seed):
    original = {"a": numbers(seed), "b": numbers(seed + 1)}
    style = {"a": numbers(seed + 2)}
    blended = blend(original, style, alpha)
    assert blended.keys() == {"a"}
    torch.testing.assert_close(blended["a"], alpha * style["a"] + (1 - alpha) * original["a"])
    assert blend(original, style, 0)["a"] is original["a"]
    assert blend(original, style, 1)["a"] is style["a"]


@pytest.mark.parametrize("alpha", [-0.1, float("nan"), float("inf")])
def test_a_blend_refuses_an_alpha_that_is_none(alpha):
    with pytest.raises(InputError, match="alpha is"):
        blend({"a": numbers(0)}, {"a": numbers(1)}, alpha)


@pytest.mark.parametrize("other", [{"b": numbers(0)}, {"a": torch.zeros(2)}])
def test_a_blend_refuses_weights_that_do_not_fit(other):
    with pytest.raises(InputError, match=r"the style"):
        blend({"a": numbers(0)}, other, 0.5)


def test_fitting_leaves_the_model_as_it_was_and_a_seed_gives_the_same_style(make_pipe, pictures, style):
    pipe = make_pipe()
    before, modules = state(pipe.unet), [type(module) for module in pipe.unet.modules()]
    again = fit(pipe, pictures, ["a cat", "a dog"], steps=3, rank=2)
    assert same(before, state(pipe.unet))
    assert modules == [type(module) for module in pipe.unet.modules()]
    assert same(dict(style.lora), dict(again.lora))
    assert style.about["steps"] == 3 and style.about["captions"] == ["a cat", "a dog"]


def noised(pipe, picture, timestep):
    """A view of a picture as a sample, and it under noise that is always the same."""
    view = torch.from_numpy(picture[4:36]).movedim(-1, 0).div(127.5).sub(1)
    clean = pipe.codec.encode(view[None, :, None])[:, :, 0]
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    power = pipe.scheduler.alphas_cumprod[timestep]
    return clean, power.sqrt() * clean + (1 - power).sqrt() * noise


def predicted(pipe, x, timestep, style=None):
    with applied_style(pipe.unet.spatial, style), torch.no_grad():
        return pipe.unet.spatial(x, timestep, pipe.text_encoder(["a cat"]), return_dict=False)[0]


def test_fitting_teaches_to_end_in_what_it_was_fitted_to(make_pipe, pictures):
    """Measured where chance has no part: one view, one timestep, one noise."""
    pipe = make_pipe()
    clean, x = noised(pipe, pictures[0], 500)
    power = pipe.scheduler.alphas_cumprod[500]

    def error(style):
        reached = power.sqrt() * x - (1 - power).sqrt() * predicted(pipe, x, 500, style)
        return (reached - clean).square().mean().item()

    assert error(fit(pipe, pictures[:1], ["a cat"], steps=40, rank=4)) < 0.95 * error(None)


@pytest.mark.slow
def test_where_it_is_decided_what_is_seen_a_fit_keeps_what_the_model_said(make_pipe, pictures, monkeypatch):
    from lumiere.train import style as module

    pipe = make_pipe()
    _, x = noised(pipe, pictures[1], 950)

    def change(style):
        return (predicted(pipe, x, 950, style) - predicted(pipe, x, 950)).square().mean().item()

    kept = change(fit(pipe, pictures[:1], ["a cat"], steps=40, rank=4))
    monkeypatch.setattr(module, "_prior_loss", lambda *_: 0.0)
    assert kept < 0.5 * change(fit(pipe, pictures[:1], ["a cat"], steps=40, rank=4))


def test_only_the_image_model_wears_a_style_and_only_for_a_while(make_pipe, style):
    pipe = make_pipe()
    before = state(pipe.unet)
    with applied_style(pipe.unet.spatial, style):
        during = state(pipe.unet)
    changed = {name for name in before if not torch.equal(before[name], during[name])}
    assert changed and all(name.startswith("spatial.") for name in changed)
    assert same(before, state(pipe.unet))
    with pytest.raises(ZeroDivisionError), applied_style(pipe.unet.spatial, style):
        1 / 0  # noqa: B018
    assert same(before, state(pipe.unet))


def test_a_clip_without_any_of_a_style_is_the_models_own(make_pipe, style):
    pipe = make_pipe()
    plain = pipe("a cat", num_frames=4, seed=1).frames
    clips = [pipe("a cat", num_frames=4, seed=1, style=style, alpha=alpha) for alpha in (0.0, 0.5, 1.0)]
    np.testing.assert_array_equal(clips[0].frames, plain)
    changes = [np.abs(clip.frames.astype(int) - plain).mean() for clip in clips]
    assert all(less < more for less, more in pairwise(changes))
    assert clips[1].metadata["alpha"] == 0.5 and clips[1].metadata["style"] == "style"
    np.testing.assert_array_equal(pipe("a cat", num_frames=4, seed=1).frames, plain)


def test_a_model_in_half_precision_wears_the_same_style(make_pipe, style):
    """Fitted in float32: neither is it refused, nor does it change what the model computes in."""
    pipe = make_pipe()
    pipe.unet.to(torch.bfloat16)
    with applied_style(pipe.unet.spatial, style):
        assert {parameter.dtype for parameter in pipe.unet.parameters()} == {torch.bfloat16}
    pipe("a cat", num_frames=2, seed=1, style=style, alpha=0.5)


def test_a_style_is_fitted_to_a_model_in_half_precision(make_pipe, pictures):
    pipe = make_pipe()
    pipe.unet.to(torch.bfloat16)
    fitted = fit(pipe, pictures, ["a cat", "a dog"], steps=3, rank=2)
    assert all(weight.isfinite().all() for weight in fitted.lora.values())
    assert any(weight.abs().max() > 0 for name, weight in fitted.lora.items() if "lora_B" in name)
    for parameter in pipe.unet.spatial.parameters():
        parameter.data.fill_(float("nan"))
    with pytest.raises(InputError, match="the sample is not finite after step 1"):
        fit(pipe, pictures, ["a cat", "a dog"], steps=3, rank=2)


def test_what_could_be_trained_before_a_style_can_be_trained_after_it(make_pipe, style):
    unet = make_pipe().unet.spatial
    unet.conv_in.requires_grad_(True)
    style.weights(unet)
    assert {name for name, p in unet.named_parameters() if p.requires_grad} == {
        "conv_in.weight",
        "conv_in.bias",
    }


def test_adapters_of_the_users_own_are_not_lost(make_pipe, style):
    from peft import LoraConfig

    unet = make_pipe().unet.spatial
    unet.add_adapter(LoraConfig(r=1, target_modules=["conv_in"]), adapter_name="mine")
    with pytest.raises(InputError, match=r"has adapters \(mine\)"):
        style.weights(unet)
    assert "mine" in unet.peft_config


def test_an_interrupted_fit_is_no_style_unless_it_is_asked_for(make_pipe, pictures, monkeypatch):
    from lumiere.train import style as module

    def interrupted(loss=module._redrawing_loss):
        calls = iter(range(9))

        def once_more(*arguments):
            if next(calls) == 2:
                raise KeyboardInterrupt
            return loss(*arguments)

        return once_more

    pipe = make_pipe()
    for keep in (False, True):
        monkeypatch.setattr(module, "_redrawing_loss", interrupted())
        if keep:
            partial = fit(pipe, pictures, ["a cat", "a dog"], steps=5, rank=1, keep_partial=True)
            assert partial.about["steps"] == 2
        else:
            with pytest.raises(KeyboardInterrupt):
                fit(pipe, pictures, ["a cat", "a dog"], steps=5, rank=1)
        monkeypatch.undo()


def test_an_alpha_without_a_style_is_refused(make_pipe):
    with pytest.raises(InputError, match="there is no style"):
        make_pipe()("a cat", num_frames=2, alpha=0.5)


def test_a_style_comes_back_and_diffusers_can_load_it(make_pipe, style, tmp_path):
    folder = style.save_pretrained(tmp_path / "line-art")
    again = Style.from_pretrained(folder)
    assert again.name == "line-art" and dict(again.about) == dict(style.about)
    assert [picture.shape for picture in again.thumbnails] == [picture.shape for picture in style.thumbnails]
    unet = make_pipe().unet.spatial
    ours = again.weights(unet)
    for name, weight in style.weights(unet).items():
        torch.testing.assert_close(ours[name], weight, atol=2e-3, rtol=0)
    unet.load_lora_adapter(folder, prefix="unet", use_safetensors=True)
    unet.fuse_lora()
    fused = {name.replace(".base_layer", ""): weight for name, weight in unet.named_parameters()}
    for name, weight in ours.items():
        torch.testing.assert_close(fused[name], weight)


def test_a_style_is_written_over_a_style_alone(style, tmp_path):
    style.save_pretrained(tmp_path / "mine")
    with pytest.raises(InputError, match="--overwrite"):
        style.save_pretrained(tmp_path / "mine")
    style.save_pretrained(tmp_path / "mine", overwrite=True)
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "letter.txt").write_text("Dear")
    with pytest.raises(InputError, match="something else than a style"):
        style.save_pretrained(tmp_path / "else", overwrite=True)
    assert (tmp_path / "else" / "letter.txt").read_text() == "Dear"
    with pytest.raises(InputError, match="cannot write"):
        style.save_pretrained(tmp_path / "else" / "letter.txt" / "mine")
    with pytest.raises(InputError, match="another program's"):
        Style(style.lora, name="theirs").save_pretrained(tmp_path / "copy")


@pytest.mark.parametrize("kind", ["diffusers", "prefixless", "peft", "kohya"])
def test_other_programs_loras_are_read_with_their_scale(make_pipe, tmp_path, kind):
    """Rank 2 and a scale of alpha / rank = 1/2, in the ways there are to write it."""
    from peft import LoraConfig, get_peft_model, get_peft_model_state_dict

    torch.manual_seed(0)
    unet, layer = make_pipe().unet.spatial, "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
    original = unet.get_submodule(layer).weight.detach().clone()
    config = LoraConfig(r=2, lora_alpha=1, target_modules=[layer], init_lora_weights=False)
    if kind == "peft":
        model = get_peft_model(make_pipe().unet.spatial, config)
        model.save_pretrained(tmp_path / "lora")
        state = get_peft_model_state_dict(model)
        down, up = (state[f"base_model.model.{layer}.lora_{part}.weight"] for part in "AB")
        path = tmp_path / "lora"
    else:
        down, up = torch.randn(2, original.shape[1]), torch.randn(original.shape[0], 2)
        path = tmp_path / "lora.safetensors"
        if kind == "kohya":
            flat = "lora_unet_" + layer.replace(".", "_")
            tensors = {"lora_down.weight": down, "lora_up.weight": up, "alpha": torch.tensor(1.0)}
            save_file({f"{flat}.{name}": value for name, value in tensors.items()}, path)
        else:
            prefix = "unet." if kind == "diffusers" else ""
            scaled = {"lora_A": down, "lora_B": up / 2}
            save_file({f"{prefix}{layer}.{name}.weight": value for name, value in scaled.items()}, path)
    weights = Style.from_pretrained(path).weights(unet)
    assert list(weights) == [f"{layer}.weight"]
    torch.testing.assert_close(weights[f"{layer}.weight"], original + up @ down / 2)
    assert torch.equal(unet.get_submodule(layer).weight, original)


def test_another_models_style_is_refused_by_name_and_hash(make_pipe, style):
    other = make_pipe().unet.spatial
    with torch.no_grad():
        other.conv_in.weight.add_(1)
    with pytest.raises(InputError, match=rf"model None.*{fingerprint(other)[:12]}"):
        style.weights(other)


@pytest.mark.parametrize("name", ["down_blocks.7.resnets.0.conv1", "conv_in"])
def test_a_lora_of_another_architecture_is_refused(make_pipe, tmp_path, name, capfd):
    weights = {
        f"unet.{name}.lora_A.weight": torch.zeros(2, 5),
        f"unet.{name}.lora_B.weight": torch.zeros(5, 2),
    }
    save_file(weights, tmp_path / "lora.safetensors")
    unet = make_pipe().unet.spatial
    before = state(unet)
    with pytest.raises(InputError, match="made for another model"):
        Style.from_pretrained(tmp_path / "lora.safetensors").weights(unet)
    assert same(before, state(unet))
    assert capfd.readouterr().err == "", "the error is all that is said"


def test_what_is_no_style_is_refused(style, tmp_path):
    def refused(path, what):
        with pytest.raises(InputError, match=what):
            Style.from_pretrained(path)

    refused(tmp_path / "none", "no style at")
    (tmp_path / "style.bin").write_bytes(b"pickle")
    refused(tmp_path / "style.bin", "pickle")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "0 files of weights")
    (tmp_path / "cut.safetensors").write_bytes(b"short")
    refused(tmp_path / "cut.safetensors", "no LoRA")
    save_file({"weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    refused(tmp_path / "other.safetensors", "no low-rank weights")
    for odd in ("lora_unet_conv_in.dora_scale", "unet.conv_in.lora_magnitude_vector", "conv_in.lora_B.bias"):
        save_file({odd: torch.zeros(1)}, tmp_path / f"{odd}.safetensors")
        refused(tmp_path / f"{odd}.safetensors", "no plain LoRA")
    (tmp_path / "peft").mkdir()
    layer = "base_model.model.conv_in.lora_"
    weights = {f"{layer}A.weight": torch.zeros(1, 3), f"{layer}B.weight": torch.zeros(3, 1)}
    save_file(weights, tmp_path / "peft" / "adapter_model.safetensors")
    for config, what in {
        "{": "cannot be read as JSON",
        "[]": "holds a list",
        '{"bias": "all"}': "its bias is all",
    }.items():
        (tmp_path / "peft" / "adapter_config.json").write_text(config)
        refused(tmp_path / "peft", what)
    folder = style.save_pretrained(tmp_path / "newer")
    note = json.loads((folder / "style.json").read_text())
    (folder / "style.json").write_text(json.dumps(note | {"format": "lumiere-style/9"}))
    refused(folder, "no style that this version knows")


def test_weights_on_disk_are_half_floats(style, tmp_path):
    weights = load_file(style.save_pretrained(tmp_path / "mine") / "pytorch_lora_weights.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.float16}
    assert all(".temporal" not in name for name in weights)


@pytest.mark.parametrize(
    ("count", "captions", "options", "what"),
    [
        (0, [], {}, "no reference"),
        (2, ["a cat"], {}, "1 captions for 2"),
        (1, ["a cat"], {"steps": 0}, "steps is 0"),
        (1, ["a cat"], {"rank": 0}, "rank is 0"),
    ],
)
def test_a_fit_refuses_what_it_cannot_use(pipe, pictures, count, captions, options, what):
    with pytest.raises(InputError, match=what):
        fit(pipe, pictures[:count], captions, **options)


def test_a_picture_that_is_cut_out_is_seen_on_named_backgrounds(make_pipe, pictures, monkeypatch):
    from lumiere.train import style as module

    seen = {}

    def views(*arguments):
        seen["views"], seen["said"] = original(*arguments)
        return seen["views"], seen["said"]

    original = module._views
    monkeypatch.setattr(module, "_views", views)
    alpha = np.zeros((40, 32, 1), np.uint8)
    alpha[10:30, 8:24] = 255
    cutout = [np.concatenate([pictures[0], alpha], -1)]
    fit(make_pipe(), cutout, ["a cat"], steps=1, rank=1)
    assert set(seen["said"]) == {"a cat"}
    fit(make_pipe(), cutout, ["a cat"], steps=1, rank=1, backgrounds=STYLE_BACKGROUNDS)
    assert {view.shape for view in seen["views"]} == {(32, 32, 3)}
    assert "a cat on a red background" in seen["said"] and "a cat on a white background" in seen["said"]
    red = seen["views"][seen["said"].index("a cat on a red background")]
    assert np.abs(red[0, 0].astype(int) - (208, 40, 44)).max() <= 2


@pytest.mark.parametrize(
    ("colour", "missing"),
    [((0, 0, 0), {"black"}), ((250, 250, 250), {"white"}), ((90, 200, 200), set())],
)
def test_a_cutout_is_not_shown_where_it_cannot_be_seen(colour, missing):
    from lumiere.train.style import _views

    drawing = np.zeros((40, 32, 4), np.uint8)
    drawing[10:30, 8:24] = (*colour, 255)
    _, said = _views([drawing], ["a cat"], 32, np.random.default_rng(0), STYLE_BACKGROUNDS)
    assert {f"a cat on a {name} background" for name in COLOURS.keys() - missing} == set(said)


def test_a_cutout_is_read_from_a_file(tmp_path):
    from lumiere.io.pictures import read_cutout

    pixels = np.full((8, 6, 4), 255, np.uint8)
    Image.fromarray(pixels).save(tmp_path / "opaque.png")
    assert read_cutout(tmp_path / "opaque.png").shape == (8, 6, 3)
    pixels[0, 0, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "cut.png")
    np.testing.assert_array_equal(read_cutout(tmp_path / "cut.png"), pixels)
    Image.fromarray(pixels).quantize(4).save(tmp_path / "palette.gif", transparency=0)
    assert read_cutout(tmp_path / "palette.gif").shape == (8, 6, 4)


def test_a_lora_of_sdxl_under_kohyas_names_is_what_diffusers_loads(tmp_path):
    pipe = latent_pipeline("sdxl")
    unet, tensors, number = pipe.unet, {}, torch.Generator().manual_seed(0)
    for name, module in unet.named_modules():
        if isinstance(module, torch.nn.Linear) and ".attentions." in name:
            flat = "lora_unet_" + published_unet_name(f"{name}.weight", {0, 1})[:-7].replace(".", "_")
            down = torch.randn(2, module.in_features, generator=number)
            up = torch.randn(module.out_features, 2, generator=number)
            parts = {"lora_down.weight": down, "lora_up.weight": up, "alpha": torch.tensor(1.0)}
            tensors |= {f"{flat}.{part}": value for part, value in parts.items()}
    assert any("input_blocks_4_1" in name for name in tensors)
    save_file(tensors, tmp_path / "lora.safetensors")
    ours = Style.from_pretrained(tmp_path / "lora.safetensors").weights(unet)
    assert 3 * len(ours) == len(tensors)
    pipe.load_lora_weights(tmp_path, weight_name="lora.safetensors")
    unet.fuse_lora()
    fused = {name.replace(".base_layer", ""): weight for name, weight in unet.named_parameters()}
    for name, weight in ours.items():
        torch.testing.assert_close(fused[name], weight)


LAYER = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"


@pytest.mark.parametrize(
    ("down", "up", "metadata", "what"),
    [
        ((16,), (16,), None, r"lora_A.weight is \(16,\); a LoRA's tensors have two dimensions"),
        ((2, 16), (16,), None, r"lora_B.weight is \(16,\); a LoRA's tensors have two dimensions"),
        ((2, 0), (16, 2), None, r"lora_A.weight is \(2, 0\)"),
        ((2, 16), (16, 3), None, r"\(2, 16\) and .* \(16, 3\); they are of different ranks"),
        ((2, 16), None, None, r"has .*lora_A.weight and no .*lora_B.weight"),
        ((9999, 1), (1, 9999), None, r"lora_A.weight is \(9999, 1\); a rank is up to 4096"),
        ((2, 16), (16, 2), {"unet.r": 99_999_999}, "its r is 99999999; give a number from 1 to 4096"),
        ((2, 16), (16, 2), {"unet.r": "two"}, "its r is 'two'; give a number"),
        ((2, 16), (16, 2), {"unet.r": 2, "unet.lora_alpha": []}, r"its lora_alpha is \[\]"),
        ((2, 16), (16, 2), {"unet.r": 2, "unet.rank_pattern": {"(.*)*x": 2}}, "which is no layer's name"),
        ((2, 16), (16, 2), {"unet.r": 2, "unet.rank_pattern": [2]}, r"its rank_pattern is \[2\]"),
        ((2, 16), (16, 2), "{", "is no LoRA that can be read"),
        ((2, 16), (16, 2), "[1]", "is no LoRA that can be read"),
    ],
)
def test_a_malformed_lora_is_refused_by_name_and_shape(tmp_path, down, up, metadata, what):
    shapes = {f"{LAYER}.lora_A.weight": down, f"{LAYER}.lora_B.weight": up}
    tensors = {name: torch.zeros(shape) for name, shape in shapes.items() if shape}
    said = metadata if isinstance(metadata, str) else json.dumps(metadata)
    path = tmp_path / "lora.safetensors"
    save_file(tensors, path, {"lora_adapter_metadata": said} if metadata else None)
    with pytest.raises(InputError, match=what) as caught:
        Style.from_pretrained(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_what_diffusers_says_of_a_lora_is_kept(make_pipe, tmp_path):
    metadata = {"unet.r": 2, "unet.lora_alpha": 1, "unet.target_modules": [LAYER.removeprefix("unet.")]}
    down, up = torch.ones(2, 16), torch.ones(16, 2)
    tensors = {f"{LAYER}.lora_A.weight": down, f"{LAYER}.lora_B.weight": up}
    save_file(tensors, tmp_path / "a.safetensors", {"lora_adapter_metadata": json.dumps(metadata)})
    unet = make_pipe().unet.spatial
    original = unet.get_submodule(LAYER.removeprefix("unet.")).weight.detach().clone()
    (weight,) = Style.from_pretrained(tmp_path / "a.safetensors").weights(unet).values()
    torch.testing.assert_close(weight, original + up @ down / 2)


@pytest.mark.parametrize("note", [{"image_model": 5}, {"captions": "a cat"}, {"steps": "many"}])
def test_a_note_of_wrong_types_is_refused(style, tmp_path, note):
    folder = style.save_pretrained(tmp_path / "mine")
    path = folder / "style.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | note))
    with pytest.raises(InputError, match=f"{path}: {next(iter(note))} is .*; fit the style again"):
        Style.from_pretrained(folder)


def test_references_too_small_to_show_a_style_are_refused(pipe):
    sliver = np.zeros((1, 400, 3), np.uint8)
    with pytest.raises(InputError, match="reference 2 is 400x1 pixels; give at least 16x16"):
        fit(pipe, [np.zeros((16, 16, 3), np.uint8), sliver], ["a cat", "a dog"])
