"""Encoders by folder: the right class, fp32, and one line about what cannot be loaded."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import PreTrainedConfig

import rounding
from bindtune import E1BatchPreparer, E1ForMaskedLM, E1Model
from bindtune.errors import CheckpointError
from bindtune.models.backbones import (
    BACKBONES,
    E1,
    ESM2,
    Backbone,
    Licence,
    backbone_of,
    find_backbone,
    load_backbone,
    load_encoder,
    preparer_for,
)
from bindtune.models.residue import E1ForResidueClassification
from bindtune.reports.card_binding import encoder_of, fold_card
from bindtune.reports.model_card import licence_of

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


def test_each_encoder_is_recognised_by_its_files(tiny_e1: Make, esm_folder: Path, tmp_path: Path) -> None:
    _saved(tiny_e1(), tmp_path / "e1")
    assert find_backbone(str(tmp_path / "e1")) is E1
    assert find_backbone(str(esm_folder)) is ESM2
    content = json.loads((tmp_path / "e1/config.json").read_text())
    del content["model_type"]  # as in the hub's older files
    (tmp_path / "e1/config.json").write_text(json.dumps(content))
    assert find_backbone(str(tmp_path / "e1")) is E1
    assert backbone_of(load_encoder(str(tmp_path / "e1"))) is E1


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"model_type": "bert"}, "the checkpoint is a 'bert' model"),
        ({}, "the configuration names no model type"),
    ],
)
def test_a_model_of_another_kind_is_refused(tmp_path: Path, content: dict[str, str], problem: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError) as caught:
        find_backbone(str(tmp_path))
    assert str(caught.value) == f"{tmp_path}: no model: {problem}, expected {' or '.join(map(repr, BACKBONES))}"


class ThirdConfig(PreTrainedConfig):
    model_type = "third"


class ThirdForMaskedLM(nn.Module):
    """An encoder that is no E1 and no ESM-2."""

    @classmethod
    def from_pretrained(cls, name: str) -> "ThirdForMaskedLM":
        model = cls()
        model.config = ThirdConfig(name_or_path=name)
        return model


def test_a_third_encoder_needs_its_record_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    third = Backbone(
        config=ThirdConfig,
        describes=lambda content: content.get("model_type") == "third",
        model=ThirdForMaskedLM,
        prepare=lambda config, name: (config.model_type, name),
        reads_homologs=False,
        has_tokenizer=True,
        public_class=ThirdForMaskedLM,
        tags=("third",),
        licence=Licence(header={"license": "bsd-3-clause"}, text="BSD.", hub_names="somebody/third-*"),
    )
    monkeypatch.setitem(BACKBONES, "third", third)  # type: ignore[arg-type]
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "third"}))
    model, preparer = load_backbone(str(tmp_path))
    assert isinstance(model, ThirdForMaskedLM)
    assert preparer == ("third", str(tmp_path))
    config = {"model": {"checkpoint": "somebody/third-1b"}, "lora": {"r": 4}, "training": {"ions": ["ZN"]}}
    card = fold_card({}, fold=1, epoch=1, config=config, encoder="third", rows=[])
    assert 'ThirdForMaskedLM.from_pretrained("somebody/third-1b")' in card
    assert "license: bsd-3-clause" in card
    assert "- third\n" in card
    assert "Esm" not in card
    assert "Profluent" not in card
    assert licence_of("third", "elsewhere/third-1b").header == {}
    adapters = tmp_path / "fold_1/best_e1_binding_model_lora"
    adapters.mkdir(parents=True)
    for name, expected in (("ThirdForMaskedLM", third), ("EsmForMaskedLM", ESM2), ("FourthForMaskedLM", E1)):
        mapping = {"auto_mapping": {"base_model_class": name}}
        (adapters / "adapter_config.json").write_text(json.dumps(mapping))
        assert encoder_of(tmp_path) is expected
