"""Nets from local paths: what they are shown, what is refused, and that no pickle is read."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from lumiere.errors import InputError
from lumiere.metrics.features import load_classifier, load_features, probabilities_of
from lumiere.metrics.text_alignment import load_text_model

CLIP = np.random.default_rng(0).integers(0, 255, (20, 24, 32, 3)).astype(np.uint8)


class I3DLike(torch.nn.Module):
    """Takes what the I3D of StyleGAN-V takes; its features are the mean colours."""

    def forward(self, x: torch.Tensor, rescale: bool, resize: bool, return_features: bool) -> torch.Tensor:
        if rescale:
            x = x / 127.5 - 1
        means = x.mean([2, 3, 4])
        return means if return_features else means.softmax(1)


class Plain(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([x.amax([1, 2, 3, 4]), x.sum([1, 2, 3, 4]) * 0 + x.size(3) + x.size(4)], 1)


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nets")
    torch.jit.script(I3DLike()).save(folder / "i3d.pt")
    torch.jit.script(Plain()).save(folder / "plain.pt")
    return folder


def test_an_i3d_gets_raw_pixels_and_gives_features_and_classes(nets: Path) -> None:
    net = load_features(nets / "i3d.pt", frames=16, stride=1)
    features, classes = net(CLIP, "clip")
    means = CLIP[:16].reshape(-1, 3).mean(0) / 127.5 - 1
    assert features == pytest.approx(means, abs=1e-4)
    assert classes == pytest.approx(np.exp(means) / np.exp(means).sum(), abs=1e-4)
    assert net.about["frames"] == 16 and len(net.sha256) == 64
    even, _ = load_features(nets / "i3d.pt", frames=2)(CLIP, "clip")
    assert even == pytest.approx(CLIP[[0, 19]].reshape(-1, 3).mean(0) / 127.5 - 1, abs=1e-4)


def test_another_net_gets_the_middle_square_from_minus_1_to_1(nets: Path) -> None:
    white = np.zeros_like(CLIP)
    white[:, :, :4] = 255  # outside the middle square
    features, classes = load_features(nets / "plain.pt")(white, "clip")
    assert features.tolist() == [-1, 448] and classes is None
    output, classes = load_classifier(nets / "plain.pt", 16, 1)(white, "clip")
    assert classes == pytest.approx(probabilities_of(output))


def test_probabilities_are_kept_and_logits_are_not() -> None:
    assert probabilities_of(np.array([0.25, 0.75])).tolist() == [0.25, 0.75]
    assert probabilities_of(np.array([1000.0, 1000.0])).tolist() == [0.5, 0.5]


def test_a_short_clip_is_refused_by_name(nets: Path) -> None:
    with pytest.raises(InputError, match=r"dog.mp4 has 15 frames; 16 are needed"):
        load_features(nets / "i3d.pt")(CLIP[:15], "dog.mp4")
    with pytest.raises(InputError, match="31 are needed"):
        load_features(nets / "i3d.pt", stride=2)(CLIP, "dog.mp4")


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was loaded",))


def test_pickles_are_never_loaded(nets: Path, tmp_path: Path) -> None:
    (tmp_path / "i3d.pt").write_bytes(pickle.dumps(Bomb()))
    torch.save(Bomb(), tmp_path / "state.pt")
    for name in ("i3d.pt", "state.pt"):
        with pytest.raises(InputError, match="no TorchScript archive"):
            load_features(tmp_path / name)
    with pytest.raises(InputError, match="no features at"):
        load_features(tmp_path / "missing.pt")
    cut = tmp_path / "cut.pt"
    cut.write_bytes((nets / "i3d.pt").read_bytes()[:-500])
    with pytest.raises(InputError, match="TorchScript archive"):
        load_features(cut)
    folder = tmp_path / "videomae"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "videomae"}')
    torch.save(Bomb(), folder / "pytorch_model.bin")
    with pytest.raises(InputError, match="holds no safetensors"):
        load_features(folder)
    (folder / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(InputError, match="holds a bert"):
        load_features(folder)


SCALING = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}


def test_videomae_from_a_folder(tmp_path: Path) -> None:
    from transformers import VideoMAEConfig, VideoMAEForVideoClassification

    config = VideoMAEConfig(
        image_size=16,
        patch_size=8,
        num_frames=4,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=5,
    )
    VideoMAEForVideoClassification(config).save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(SCALING))
    net = load_features(tmp_path, frames=4)
    features, classes = net(CLIP, "clip")
    assert features.shape == (16,)
    assert classes is not None and classes.shape == (5,) and classes.sum() == pytest.approx(1, abs=1e-5)
    other, _ = net(CLIP[::-1], "clip")
    assert not np.allclose(features, other, atol=1e-4), "frames in another order"
    with pytest.raises(InputError, match="takes 4 frames"):
        load_features(tmp_path, frames=16)
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(InputError, match="preprocessor_config"):
        load_features(tmp_path, frames=4)


def tiny_text_model(folder: Path, kind: str) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        CLIPConfig,
        CLIPModel,
        PreTrainedTokenizerFast,
        XCLIPConfig,
        XCLIPModel,
    )

    words = {word: place for place, word in enumerate(["<pad>", "<unk>", "<eos>", "a", "crab", "owl"])}
    tokenizer = Tokenizer(models.WordLevel(words, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>", eos_token="<eos>"
    )
    fast.save_pretrained(folder)
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**small, "vocab_size": 6, "max_position_embeddings": 8, "eos_token_id": 2}
    vision = {**small, "image_size": 16, "patch_size": 8}
    torch.manual_seed(0)
    if kind == "clip":
        model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8))
    else:
        vision |= {
            "num_frames": 4,
            "mit_hidden_size": 16,
            "mit_intermediate_size": 16,
            "mit_num_hidden_layers": 1,
        }
        vision |= {"mit_num_attention_heads": 2}
        model = XCLIPModel(
            XCLIPConfig(
                text_config=text, vision_config=vision, projection_dim=16, prompt_num_attention_heads=2
            )
        )
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(SCALING))


@pytest.mark.parametrize("kind", ["clip", "xclip"])
def test_text_models_from_a_folder_give_cosines(tmp_path: Path, kind: str) -> None:
    tiny_text_model(tmp_path, kind)
    align = load_text_model(tmp_path)
    crab, owl = align(CLIP, "a crab", "clip"), align(CLIP, "owl", "clip")
    assert -1 <= crab <= 1 and -1 <= owl <= 1
    assert crab != owl
    assert align(CLIP, "a crab", "clip") == crab
    with pytest.raises(InputError, match="give clip or xclip"):
        (tmp_path / "config.json").write_text('{"model_type": "vit"}')
        load_text_model(tmp_path)
