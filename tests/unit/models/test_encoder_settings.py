"""Equal weights are another model where config.json or the tokenizer makes them compute something else."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest

from bindtune.demo.tiny_e1 import make_tiny_e1
from bindtune.errors import CheckpointError
from bindtune.models.base_files import base_files
from bindtune.models.encoder_settings import encoder_settings
from bindtune.models.run_encoder import find_encoder, same_encoder, weight_digest
from bindtune.runs.provenance import provenance

E1_CHANGES: dict[str, Any] = {
    "rope_theta_within_seq": 5000.0, "rope_theta_global": 2e5, "rms_norm_eps": 1e-3, "clip_qkv": 0.5,
    "global_attention_every_n_layers": 1, "num_attention_heads": 2, "hidden_act": "gelu",
}  # fmt: skip
ESM_CHANGES: dict[str, Any] = {"layer_norm_eps": 1e-2, "num_attention_heads": 1, "token_dropout": False}


def changed(source: Path, target: Path, **values: Any) -> Path:
    """A copy with other values in config.json."""
    shutil.copytree(source, target)
    content = json.loads((source / "config.json").read_text())
    assert all(content.get(name) != value for name, value in values.items())
    (target / "config.json").write_text(json.dumps({**content, **values}))
    return target


def write_run(folder: Path, encoder: Path, *, old: bool = False) -> Path:
    origin = provenance(base_files(str(encoder)), ())
    origin["encoder_weights"] = weight_digest(str(encoder))
    if not old:
        origin["encoder_settings"] = encoder_settings(str(encoder))
    folder.mkdir()
    (folder / "provenance.json").write_text(json.dumps(origin))
    return folder


@pytest.fixture
def e1(tmp_path: Path) -> Path:
    return make_tiny_e1(tmp_path / "e1", seed=0)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("name", E1_CHANGES)
def test_another_setting_of_e1_is_refused(e1: Path, tmp_path: Path, name: str, old: bool) -> None:
    run = write_run(tmp_path / "run", e1, old=old)
    extra = {"num_key_value_heads": 2} if name == "num_attention_heads" else {}
    other = changed(e1, tmp_path / "other", **{name: E1_CHANGES[name]}, **extra)
    with pytest.raises(CheckpointError, match=f"but other settings: .*{name} "):
        find_encoder(run, str(e1), base_model=str(other))
    assert not same_encoder(str(e1), str(other))


@pytest.mark.parametrize("name", ESM_CHANGES)
def test_another_setting_of_esm2_is_refused(esm_folder: Path, tmp_path: Path, name: str) -> None:
    run = write_run(tmp_path / "run", esm_folder)
    other = changed(esm_folder, tmp_path / "other", **{name: ESM_CHANGES[name]})
    with pytest.raises(CheckpointError, match=f"but other settings: {name} "):
        find_encoder(run, str(esm_folder), base_model=str(other))


def test_another_vocabulary_is_refused(esm_folder: Path, tmp_path: Path) -> None:
    run, other = write_run(tmp_path / "run", esm_folder), tmp_path / "other"
    shutil.copytree(esm_folder, other)
    (other / "tokenizer.json").unlink(missing_ok=True)
    vocabulary = (other / "vocab.txt").read_text()
    (other / "vocab.txt").write_text(vocabulary.replace("\nA\n", "\n-1\n").replace("\nC\n", "\nA\n").replace("-1", "C"))
    with pytest.raises(CheckpointError, match="but other settings: token_ids;"):
        find_encoder(run, str(esm_folder), base_model=str(other))


def test_a_copy_that_means_the_same_is_taken(e1: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = write_run(tmp_path / "run", e1)
    copy = changed(e1, tmp_path / "copy", transformers_version="9.9", use_cache=False, initializer_range=0.5)
    content = json.loads((copy / "config.json").read_text())
    content.pop("rms_norm_eps")  # its default
    (copy / "config.json").write_text(json.dumps(content))
    with caplog.at_level(logging.WARNING):
        assert find_encoder(run, str(e1), base_model=str(copy)) == str(copy)
    assert not caplog.messages
    assert same_encoder(str(e1), str(copy))


def test_a_run_that_noted_no_settings_says_so(e1: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = write_run(tmp_path / "run", e1, old=True)
    other = changed(e1, tmp_path / "other", rms_norm_eps=1e-3)
    shutil.rmtree(e1)
    assert find_encoder(run, str(e1), base_model=str(other)) == str(other)
    assert "its config.json is not the one that" in caplog.text
