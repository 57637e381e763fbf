"""Encoders by folder: the right class, fp32, and one line about what cannot be loaded."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import rounding
from bindtune import E1BatchPreparer, E1ForMaskedLM, E1Model
from bindtune.errors import CheckpointError
from bindtune.models.backbones import load_backbone, preparer_for
from bindtune.models.residue import E1ForResidueClassification

Make = Callable[..., E1ForMaskedLM]
IDS = ("input_ids", "within_seq_position_ids", "global_position_ids", "sequence_ids")


def test_e1_loads_in_fp32_with_its_limits(tmp_path: Path, tiny_e1: Make) -> None:
    tiny_e1(max_num_sequences=5).bfloat16().save_pretrained(tmp_path)
    encoder, preparer = load_backbone(str(tmp_path))
    assert isinstance(encoder, E1ForMaskedLM)
    assert {tensor.dtype for tensor in encoder.parameters()} == {torch.float32}
    assert isinstance(preparer, E1BatchPreparer)
    assert (preparer.max_num_sequences, preparer.frame, preparer.reads_homologs) == (5, 4, True)
    ids = preparer.get_batch_kwargs(["ACDEFGHIKLMNPQRSTVWY"])["input_ids"]
    assert np.array_equal(ids[0, 2:-2], preparer.amino_acids)


def test_the_heads_read_the_golden_hidden_states(shared: Path) -> None:
    folder = shared / "golden/e1"
    encoder, preparer = load_backbone(str(folder))
    model = E1ForResidueClassification(encoder, ["ZN", "CA"]).eval()
    expected = load_file(folder / "outputs.safetensors")
    cases = {case["name"]: case for case in json.loads((folder / "inputs.json").read_text())["cases"]}
    for name in ("single", "batch_padded", "multi_batch_padded", "keep_x"):
        batch = preparer.get_batch_kwargs(cases[name]["sequences"])
        residues = preparer.residue_mask(batch["input_ids"], batch["sequence_ids"])
        golden = expected[f"case/{name}/embeddings"]
        with torch.no_grad():
            output = model(*(batch[key] for key in IDS))
            scores = model.classifier_heads["CA"](golden)
        close = rounding.of(model._original_model, golden)
        torch.testing.assert_close(output.last_hidden_state[residues], golden[residues], **close)
        torch.testing.assert_close(output.logits[..., 1][residues], scores[residues], **close)


@pytest.mark.parametrize("kind", ["none", "empty", "config", "other", "headless", "truncated"])
def test_what_cannot_be_loaded_is_told_in_a_line(tmp_path: Path, tiny_e1: Make, kind: str) -> None:
    folder = tmp_path / "model"
    if kind != "none":
        folder.mkdir()
    if kind == "config":
        (folder / "config.json").write_text("{ not json")
    elif kind == "other":
        (folder / "config.json").write_text(json.dumps({"model_type": "bert", "hidden_size": 16}))
    elif kind == "headless":
        E1Model.from_pretrained(_saved(tiny_e1(), tmp_path / "whole")).save_pretrained(folder)
    elif kind == "truncated":
        weights = _saved(tiny_e1(), folder) / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(CheckpointError) as caught:
        load_backbone(str(folder))
    assert "\n" not in str(caught.value)


def _saved(model: E1ForMaskedLM, folder: Path) -> Path:
    model.save_pretrained(folder)
    return folder


def test_the_preparer_belongs_to_the_model(tiny_e1: Make, esm_folder: Path) -> None:
    assert isinstance(preparer_for(tiny_e1(), "anything"), E1BatchPreparer)
    encoder, preparer = load_backbone(str(esm_folder))
    assert type(preparer_for(encoder, str(esm_folder))) is type(preparer)
    with pytest.raises(CheckpointError, match="no tokenizer"):
        preparer_for(encoder, str(esm_folder / "nothing"))
