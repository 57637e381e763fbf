"""Any masked language model loads by its folder, DNABERT-2 by the native code."""

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig,
    BertForMaskedLM,
    EsmConfig,
    EsmForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    ModernBertConfig,
    ModernBertForMaskedLM,
    PreTrainedModel,
)

import tiny_dnabert2
from bindtune.data.dna.tokens import load_tokenizer
from bindtune.errors import CheckpointError
from bindtune.models import base_files
from bindtune.models.backbones import load_backbone
from bindtune.models.dnabert2 import DNABert2ForMaskedLM
from bindtune.models.dnabert2_export import write_hub_layout
from bindtune.models.loading import load_masked_lm

SIZES = {
    "vocab_size": 30,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 20,
    "pad_token_id": 1,
}
IDS = torch.tensor([[2, 7, 8, 9, 3]])


def bert() -> PreTrainedModel:
    return BertForMaskedLM(BertConfig(**SIZES))


def modernbert() -> PreTrainedModel:
    return ModernBertForMaskedLM(
        ModernBertConfig(**SIZES, bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3)
    )


def esm() -> PreTrainedModel:
    return EsmForMaskedLM(EsmConfig(**SIZES, mask_token_id=4, position_embedding_type="rotary"))


def dnabert2() -> DNABert2ForMaskedLM:
    return tiny_dnabert2.build(**{**SIZES, "pad_token_id": 3}, alibi_starting_size=16)


@pytest.mark.parametrize("make", [bert, modernbert, esm, dnabert2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_kind_loads_in_fp32(tmp_path: Path, make: Callable[[], PreTrainedModel], dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = make().eval().to(dtype)
    model.save_pretrained(tmp_path)
    loaded = load_masked_lm(str(tmp_path)).eval()
    assert type(loaded) is type(model)
    assert loaded.dtype == torch.float32
    torch.testing.assert_close(loaded(IDS).logits, model.float()(IDS).logits, atol=1e-6, rtol=0)


def test_a_hub_folder_names_no_model_type_and_is_still_dnabert2(tmp_path: Path) -> None:
    model = dnabert2().eval()
    write_hub_layout(model, tmp_path)
    assert "model_type" not in json.loads((tmp_path / "config.json").read_text())
    loaded = load_masked_lm(str(tmp_path))
    assert isinstance(loaded, DNABert2ForMaskedLM)
    assert torch.equal(loaded(IDS).logits, model(IDS).logits)


def test_golden_folder(shared: Path) -> None:
    assert isinstance(load_masked_lm(str(shared / "golden" / "dnabert2")), DNABert2ForMaskedLM)


def test_missing_weights_are_refused(tmp_path: Path) -> None:
    bert().save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    name = "bert.encoder.layer.1.output.dense.bias"
    save_file({key: t for key, t in weights.items() if key != name}, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=name):
        load_masked_lm(str(tmp_path))


@pytest.mark.parametrize("make", [bert, dnabert2])
def test_a_truncated_file_is_refused(tmp_path: Path, make: Callable[[], PreTrainedModel]) -> None:
    make().save_pretrained(tmp_path)
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match=str(tmp_path)):
        load_masked_lm(str(tmp_path))


def test_a_model_without_a_masked_head_is_refused(tmp_path: Path) -> None:
    GPT2LMHeadModel(GPT2Config(vocab_size=30, n_embd=16, n_layer=1, n_head=2)).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="no masked language model"):
        load_masked_lm(str(tmp_path))


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    for name in (str(tmp_path / "nowhere"), str(tmp_path), "somebody/not-in-the-cache"):
        with pytest.raises(CheckpointError, match=name) as caught:
            load_masked_lm(name)
        assert "\n" not in str(caught.value)


def test_a_hub_model_that_is_not_here_is_refused_at_once_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def no_network(host: str, port: None) -> None:
        asked.append(host)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(base_files, "getproxies", dict)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    for load in (load_masked_lm, load_tokenizer, load_backbone):
        with pytest.raises(
            CheckpointError, match=r"^nobody/nothing: .*no network to download it: huggingface\.co: Name"
        ):
            load("nobody/nothing")
    assert asked == ["huggingface.co"] * 3
    bert().save_pretrained(tmp_path)
    load_masked_lm(str(tmp_path))
    monkeypatch.setattr(base_files, "getproxies", lambda: {"https": "http://127.0.0.1:9"})
    base_files.check_reachable("nobody/nothing")
    assert len(asked) == 3
