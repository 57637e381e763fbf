"""Weights that are not numbers are refused, with their file and their name."""

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForMaskedLM

import tiny_dnabert2
from bindtune import E1ForMaskedLM
from bindtune.demo.tiny_e1 import make_tiny_e1
from bindtune.errors import CheckpointError
from bindtune.models.backbones import load_encoder
from bindtune.models.finite import check_finite, check_finite_model, is_finite
from bindtune.models.loading import load_masked_lm

NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize("odd", [NAN, INFINITE, -INFINITE])
def test_tensors(odd: float) -> None:
    check_finite("w.pt", [("a", torch.ones(3)), ("counts", torch.tensor([1])), ("none", torch.empty(0))])
    with pytest.raises(CheckpointError, match=re.escape("w.pt: b is not finite: nan or infinity in 2 of 6 places")):
        check_finite("w.pt", [("a", torch.ones(3)), ("b", torch.tensor([[0, odd, 1], [2, odd, 3.0]]))])
    assert is_finite(torch.full((2,), 65504.0, dtype=torch.float16))
    assert not is_finite(torch.tensor([1, odd], dtype=torch.bfloat16))


def test_an_encoder_in_several_files(tmp_path: Path) -> None:
    model = E1ForMaskedLM.from_pretrained(make_tiny_e1(tmp_path / "e1", seed=0))
    model.save_pretrained(tmp_path / "parts", max_shard_size="20KB")
    load_encoder(str(tmp_path / "parts"))
    part = sorted((tmp_path / "parts").glob("model-*.safetensors"))[1]
    weights = load_file(part)
    name = next(iter(weights))
    weights[name].view(-1)[-1] = NAN
    save_file(weights, part, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=re.escape(f"{part}: {name} is not finite")):
        load_encoder(str(tmp_path / "parts"))
    load_encoder(str(tmp_path / "parts"), finite=False)


def test_models_of_dna(tmp_path: Path) -> None:
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    for model in (tiny_dnabert2.build(vocab_size=27, **shape), BertForMaskedLM(BertConfig(**shape))):
        folder = tmp_path / type(model).__name__
        model.save_pretrained(folder)
        load_masked_lm(str(folder))
        weights = load_file(folder / "model.safetensors")
        name = sorted(weights)[0]
        weights[name].view(-1)[0] = INFINITE
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(CheckpointError, match=re.escape(f"{folder / 'model.safetensors'}: {name} is not finite")):
            load_masked_lm(str(folder))


def test_weights_too_large_for_their_type(tmp_path: Path) -> None:
    folder = make_tiny_e1(tmp_path / "e1", seed=0)
    weights = load_file(folder / "model.safetensors")
    weights["mlm_head.0.bias"][0] = 1e6
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    load_encoder(str(folder))
    model = E1ForMaskedLM.from_pretrained(folder, dtype=torch.float16)
    with pytest.raises(CheckpointError, match=re.escape(f"{folder}: mlm_head.0.bias is not finite")):
        check_finite_model(model, str(folder))


def test_pickled_weights(tmp_path: Path) -> None:
    folder = make_tiny_e1(tmp_path / "e1", seed=0)
    weights = load_file(folder / "model.safetensors")
    weights["mlm_head.0.bias"][0] = NAN
    torch.save(weights, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=re.escape(f"{folder / 'pytorch_model.bin'}: mlm_head.0.bias")):
        load_encoder(str(folder))
