"""Which files of a run are published, by kind of run and encoder."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bindtune.errors import CheckpointError, ConfigError
from bindtune.publishing.bundle import collect
from bindtune.runs.names import NOTICE, README


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


@pytest.mark.parametrize(
    "name",
    [
        "summary.yaml",
        "config.yaml",
        "provenance.json",
        "fold_2",
        "fold_2/best_e1_binding_model_heads.pt",
        "fold_2/best_e1_binding_model_lora/adapter_config.json",
    ],
)
def test_links_to_files_elsewhere_are_refused(make_binding_run: Callable[..., Path], tmp_path: Path, name: str) -> None:
    run = make_binding_run(tmp_path / "home" / "run")
    for each in ("summary.yaml", "provenance.json"):
        (run / each).write_text("{}")
    (run / name).rename(tmp_path / "elsewhere")
    (run / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match=r"is a symbolic link to .*elsewhere"):
        collect(run)


def test_links_inside_a_run_and_to_it_are_followed(make_binding_run: Callable[..., Path], tmp_path: Path) -> None:
    run = make_binding_run(tmp_path / "home" / "run")
    (run / "fold_2").rename(run / "moved")
    (run / "fold_2").symlink_to("moved")
    (tmp_path / "link").symlink_to(run)
    assert collect(tmp_path / "link").files.keys() == collect(run).files.keys()
    (run / "log").symlink_to("/etc/hostname")  # is not published
    assert "log" not in collect(run).files


def test_a_user_without_a_home(
    make_binding_run: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(_: int) -> None:
        raise KeyError("uid not found")

    run = make_binding_run(tmp_path / "home" / "run")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", unknown)
    with pytest.raises(RuntimeError):
        Path.home()
    assert README in collect(run).files
    (run / "summary.yaml").write_text(f"path: {run.parent}")
    with pytest.raises(ConfigError, match="would be published with the path"):
        collect(run)
