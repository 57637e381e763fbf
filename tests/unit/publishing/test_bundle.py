"""Which files of a run are published, by kind of run and encoder."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bindtune.errors import CheckpointError, ConfigError
from bindtune.evaluation.model_card import NOTICE, README
from bindtune.publishing.bundle import collect


def test_a_run_that_trained_the_encoder_itself(make_binding_run: Callable[..., Path], tmp_path: Path) -> None:
    run = make_binding_run(tmp_path / "home" / "run", lora=False)
    bundle = collect(run)
    encoder = {
        f"fold_{k}/best_e1_binding_model/{name}" for k in (1, 2, 3) for name in ("config.json", "model.safetensors")
    }
    assert encoder | {NOTICE, README} < bundle.files.keys()
    assert (
        bundle.files["fold_1/best_e1_binding_model/model.safetensors"]
        == run / "fold_1/best_e1_binding_model/model.safetensors"
    )
    assert "oof.parquet" in bundle.left


def test_another_encoder_has_no_notice_of_e1(make_binding_run: Callable[..., Path], tmp_path: Path) -> None:
    run = make_binding_run(tmp_path / "home" / "run")
    (run / NOTICE).write_text("of every run")
    assert NOTICE in collect(run).files
    for path in run.glob("fold_*/best_e1_binding_model_lora/adapter_config.json"):
        content = json.loads(path.read_text())
        content["auto_mapping"]["base_model_class"] = "Esm2ForMaskedLM"
        path.write_text(json.dumps(content))
    bundle = collect(run)
    assert NOTICE not in bundle.files
    assert NOTICE in bundle.left


def test_more_folds_than_the_run_has_stay(make_binding_run: Callable[..., Path], tmp_path: Path) -> None:
    run = make_binding_run(tmp_path / "home" / "run")
    (run / "fold_3").rename(run / "fold_9")
    with pytest.raises(ConfigError, match="2 of 3 folds"):
        collect(run)
    (run / "config.yaml").write_text((run / "config.yaml").read_text().replace("num_folds: 3", "num_folds: 2"))
    assert not any(name.startswith("fold_9") for name in collect(run).files)


def test_damaged_heads(make_binding_run: Callable[..., Path], tmp_path: Path) -> None:
    run = make_binding_run(tmp_path / "home" / "run")
    (run / "fold_2" / "best_e1_binding_model_heads.pt").write_bytes(b"no")
    with pytest.raises(CheckpointError, match="fold_2"):
        collect(run)


def test_a_file_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(ConfigError, match="is not a folder"):
        collect(tmp_path / "run")
