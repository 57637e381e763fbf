"""Folders that E1 is loaded from: complete ones give the very same numbers, others are refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import tiny_e1
from bindtune import E1BatchPreparer, E1Config, E1ForMaskedLM, E1Model
from bindtune.errors import CheckpointError

TEXT = ["MFCATEEKL,MCCASDF,MFCC?SEF", "ACDEFGHIKL"]


@pytest.fixture
def config() -> E1Config:
    return tiny_e1.config(
        hidden_size=32,
        intermediate_size=48,
        num_attention_heads=4,
        clip_qkv=8,
        max_num_sequences=8,
        dtype="bfloat16",  # as the released files say; it must decide nothing
    )


@pytest.fixture
def model(config: E1Config) -> E1ForMaskedLM:
    torch.manual_seed(0)
    return E1ForMaskedLM(config).eval()


@pytest.fixture
def hub(model: E1ForMaskedLM, tmp_path: Path) -> Path:
    """A folder as the hub has it: config.json with keys of other programs, and weights."""
    folder = tmp_path / "hub"
    folder.mkdir()
    content = json.loads(model.config.to_json_string())
    content |= {
        "auto_map": {"AutoModelForMaskedLM": "modeling.E1ForMaskedLM"},
        "attn_backend": "flex",
        "dtype": "bfloat16",
    }
    (folder / "config.json").write_text(json.dumps(content))
    save_file(model.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def outputs(model: Any) -> tuple[Tensor, ...]:
    with torch.no_grad():
        output = model(**E1BatchPreparer().get_batch_kwargs(TEXT), output_hidden_states=True)
    return (output.logits, *output.hidden_states)


def test_in_memory_hub_layout_and_saved_folder_are_bit_equal(model: E1ForMaskedLM, hub: Path, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "saved")
    for folder in (hub, tmp_path / "saved"):
        loaded = E1ForMaskedLM.from_pretrained(folder)
        assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
        assert not loaded.training
        assert all(torch.equal(one, two) for one, two in zip(outputs(loaded), outputs(model), strict=True))
    saved = json.loads((tmp_path / "saved/config.json").read_text())
    assert saved["model_type"] == "E1"
    assert load_file(tmp_path / "saved/model.safetensors").keys() == model.state_dict().keys()


def test_a_loaded_and_saved_hub_folder_needs_no_code_of_others(hub: Path, tmp_path: Path) -> None:
    E1ForMaskedLM.from_pretrained(hub).save_pretrained(tmp_path / "again")
    assert not json.loads((tmp_path / "again/config.json").read_text()).keys() & {"auto_map", "attn_backend"}


def test_bf16_only_where_stated(model: E1ForMaskedLM, hub: Path) -> None:
    for stated in (torch.bfloat16, "bfloat16"):
        loaded = E1ForMaskedLM.from_pretrained(hub, dtype=stated)
        assert {parameter.dtype for parameter in loaded.parameters()} == {torch.bfloat16}
    expected = outputs(model.to(torch.bfloat16))
    assert all(torch.equal(one, two) for one, two in zip(outputs(loaded), expected, strict=True))
    assert E1ForMaskedLM.from_pretrained(hub, torch_dtype=torch.bfloat16).dtype == torch.bfloat16
    with pytest.raises(ValueError, match="state a dtype"):
        E1ForMaskedLM.from_pretrained(hub, dtype=None)
    # What transformers' pipelines say unless they are told otherwise.
    config = json.loads((hub / "config.json").read_text())
    for dtype in (torch.bfloat16, torch.float32):
        (hub / "config.json").write_text(json.dumps({**config, "dtype": str(dtype).removeprefix("torch.")}))
        assert E1ForMaskedLM.from_pretrained(hub, dtype="auto").dtype == dtype


def test_bf16_files_load_in_fp32(model: E1ForMaskedLM, hub: Path) -> None:
    halves = {key: value.bfloat16() for key, value in model.state_dict().items()}
    save_file(halves, hub / "model.safetensors", metadata={"format": "pt"})
    loaded = E1ForMaskedLM.from_pretrained(hub)
    assert all(torch.equal(value, halves[key].float()) for key, value in loaded.state_dict().items())


def test_torch_files_load_too(model: E1ForMaskedLM, hub: Path) -> None:
    (hub / "model.safetensors").unlink()
    torch.save(model.state_dict(), hub / "pytorch_model.bin")
    loaded = E1ForMaskedLM.from_pretrained(hub)
    assert all(torch.equal(one, two) for one, two in zip(outputs(loaded), outputs(model), strict=True))


def test_the_encoder_leaves_only_the_head_behind(model: E1ForMaskedLM, hub: Path, tmp_path: Path) -> None:
    encoder = E1Model.from_pretrained(hub)
    with torch.no_grad():
        batch = E1BatchPreparer().get_batch_kwargs(TEXT)
        inputs = [batch[key] for key in ("input_ids", "within_seq_position_ids", "global_position_ids", "sequence_ids")]
        assert torch.equal(encoder(*inputs).last_hidden_state, model(*inputs).embeddings)
    encoder.save_pretrained(tmp_path / "encoder")
    again = E1Model.from_pretrained(tmp_path / "encoder")
    assert all(torch.equal(one, two) for one, two in zip(again.parameters(), encoder.parameters(), strict=True))
    with pytest.raises(CheckpointError, match=r"mlm_head\.0\.weight"):
        E1ForMaskedLM.from_pretrained(tmp_path / "encoder")


def rewritten(hub: Path, change: Any) -> None:
    weights = load_file(hub / "model.safetensors")
    change(weights)
    save_file(weights, hub / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda w: [w.pop(key) for key in list(w) if key.startswith("mlm_head")], "mlm_head"),
        (lambda w: w.pop("model.layers.1.ffn.mlp.w3.weight"), r"layers\.1\.ffn\.mlp\.w3\.weight"),
        (lambda w: w.update(extra=torch.zeros(1)), "extra"),
        (lambda w: w.update({"model.layers.3.ffn.mlp.w1.weight": torch.zeros(48, 32)}), r"layers\.3"),
        (lambda w: w.update({"model.norm.weight": torch.zeros(31)}), "shape"),
    ],
    ids=["no head", "one missing", "one more", "a layer more", "another shape"],
)
def test_weights_that_do_not_fit_are_refused(hub: Path, change: Any, problem: str) -> None:
    rewritten(hub, change)
    with pytest.raises(CheckpointError, match=problem):
        E1ForMaskedLM.from_pretrained(hub)


def test_folders_that_are_no_checkpoint_are_refused(hub: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nowhere"):
        E1ForMaskedLM.from_pretrained(tmp_path / "nowhere")
    damaged = shutil.copytree(hub, tmp_path / "damaged")
    (damaged / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(CheckpointError, match="damaged"):
        E1ForMaskedLM.from_pretrained(damaged)
    for key, value in (("model_type", "bert"), ("clip_qkv", -1)):
        content = json.loads((hub / "config.json").read_text())
        (hub / "config.json").write_text(json.dumps({**content, key: value}))
        with pytest.raises(CheckpointError, match=rf"hub.*{value}"):
            E1ForMaskedLM.from_pretrained(hub)
        (hub / "config.json").write_text(json.dumps(content))
