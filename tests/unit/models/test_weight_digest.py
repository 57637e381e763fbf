"""The hash of weights is that of the weights, and not of their files; runs compare encoders by it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import EsmConfig

from bindtune import E1ForMaskedLM
from bindtune.demo.tiny_e1 import make_tiny_e1
from bindtune.errors import CheckpointError
from bindtune.models.base_files import base_files
from bindtune.models.esm2 import Esm2ForMaskedLM
from bindtune.models.run_encoder import find_encoder, weight_digest
from bindtune.runs.provenance import provenance

FORMS = ("one file", "parts", "torch")


def copy_as(form: str, source: Path, target: Path) -> Path:
    """The same model in files of another form; torch's file holds tied weights twice."""
    kind = E1ForMaskedLM if json.loads((source / "config.json").read_text())["model_type"] == "E1" else Esm2ForMaskedLM
    model: Any = kind.from_pretrained(source)
    model.save_pretrained(target, max_shard_size="20KB" if form == "parts" else "1GB")
    if form == "torch":
        (target / "model.safetensors").unlink()
        torch.save(model.state_dict(), target / "pytorch_model.bin")
    assert (target / "model.safetensors.index.json").is_file() == (form == "parts")
    return target


@pytest.fixture(params=["E1", "ESM-2"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "E1":
        return make_tiny_e1(tmp_path / "model", seed=0)
    config = EsmConfig(
        vocab_size=33, pad_token_id=1, mask_token_id=32, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, position_embedding_type="rotary",
    )  # fmt: skip
    Esm2ForMaskedLM(config).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_every_form_has_one_hash(model: Path, tmp_path: Path) -> None:
    digests = {form: weight_digest(str(copy_as(form, model, tmp_path / form))) for form in FORMS}
    assert set(digests.values()) == {weight_digest(str(model))}


@pytest.mark.parametrize("change", ["value", "name", "type"])
def test_another_value_name_or_type_has_another_hash(model: Path, change: str) -> None:
    before, path = weight_digest(str(model)), model / "model.safetensors"
    weights = load_file(path)
    shape = next(tensor.shape for name, tensor in weights.items() if "layer" in name and tensor.ndim == 2)
    first, second = [name for name, tensor in weights.items() if "layer" in name and tensor.shape == shape][:2]
    if change == "value":
        weights[first].view(-1)[-1] += 1e-3
    elif change == "name":
        weights[first], weights[second] = weights[second], weights[first]
    else:
        weights[first] = weights[first].to(torch.bfloat16)
    save_file(weights, path, metadata={"format": "pt"})
    assert weight_digest(str(model)) != before


def a_run(folder: Path, encoder: Path, *, old: bool) -> Path:
    origin = provenance(base_files(str(encoder)), ())
    origin |= {} if old else {"encoder_weights": weight_digest(str(encoder))}
    folder.mkdir()
    (folder / "provenance.json").write_text(json.dumps(origin))
    return folder


@pytest.mark.parametrize("noted", FORMS)
@pytest.mark.parametrize("form", FORMS)
def test_another_encoder_is_refused_in_every_form(tmp_path: Path, noted: str, form: str) -> None:
    encoder = copy_as(noted, make_tiny_e1(tmp_path / "made", seed=0), tmp_path / "encoder")
    run = a_run(tmp_path / "run", encoder, old=False)
    same = copy_as(form, encoder, tmp_path / "same")
    assert find_encoder(run, str(encoder), base_model=str(same)) == str(same)
    other = copy_as(form, make_tiny_e1(tmp_path / "drawn", seed=1), tmp_path / "other")
    with pytest.raises(CheckpointError, match=r"other: not the base model of .*run: the hash of "):
        find_encoder(run, str(encoder), base_model=str(other))
    # Where it is looked for, too.
    shutil.rmtree(encoder)
    shutil.move(other, encoder)
    with pytest.raises(CheckpointError, match="not the encoder that"):
        find_encoder(run, str(encoder))


def test_a_file_of_another_form_does_not_hide_what_is_read(tmp_path: Path) -> None:
    encoder = copy_as("torch", make_tiny_e1(tmp_path / "made", seed=0), tmp_path / "encoder")
    run = a_run(tmp_path / "run", encoder, old=False)
    shutil.copy(make_tiny_e1(tmp_path / "drawn", seed=1) / "model.safetensors", encoder)
    with pytest.raises(CheckpointError, match=r"the hash of model\.safetensors is not the one"):
        find_encoder(run, str(encoder), base_model=str(encoder))


def test_an_older_run_says_what_it_cannot_compare(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    encoder = make_tiny_e1(tmp_path / "encoder", seed=0)
    run = a_run(tmp_path / "run", encoder, old=True)
    assert find_encoder(run, str(encoder), base_model=str(encoder)) == str(encoder)
    assert "not compared" not in caplog.text
    parts = copy_as("parts", encoder, tmp_path / "parts")
    assert find_encoder(run, str(encoder), base_model=str(parts)) == str(parts)
    assert "its weights are not compared: the run noted the hash of model.safetensors alone" in caplog.text
    other = make_tiny_e1(tmp_path / "other", seed=1)
    with pytest.raises(CheckpointError, match=r"the hash of model\.safetensors"):
        find_encoder(run, str(encoder), base_model=str(other))
