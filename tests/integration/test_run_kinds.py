"""A run folder of the other job, and a folder that is no run, are named as such by every command that takes one."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bindtune import load_ensemble_models
from bindtune.config import BindingConfig, PretrainConfig, build, dump
from bindtune.errors import ConfigError

Run = Callable[..., int]
_BINDING = {"data": {"fasta_path": "unused_{ION}.fa"}, "training": {"ions": ["ZN"]}}


@pytest.fixture
def pretraining(tmp_path: Path) -> Path:
    folder = tmp_path / "pretraining"
    folder.mkdir()
    (folder / "config.yaml").write_text(dump(build(PretrainConfig, {"train_file": "w.jsonl"})))
    return folder


@pytest.fixture
def binding(tmp_path: Path) -> Path:
    folder = tmp_path / "binding"
    (folder / "fold_1").mkdir(parents=True)
    (folder / "fold_1/state.pt").touch()
    (folder / "config.yaml").write_text(dump(build(BindingConfig, _BINDING)))
    return folder


def _settings(folder: Path) -> bytes:
    return (folder / "config.yaml").read_bytes()


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("predict", ["--fasta", "p.fa", "--out", "out", "--run"]),
        ("evaluate", ["--fasta", "p_{ION}.fa", "--out", "out", "--run"]),
        ("merge", []),
        ("train --resume", []),
    ],
)
def test_a_pretraining_run(
    run: Run, pretraining: Path, capsys: pytest.CaptureFixture[str], command: str, arguments: list[str]
) -> None:
    assert run(*command.split(), *arguments, pretraining) == 2
    expected = f"bindtune: {pretraining} is a pretraining run; {command} needs a binding run\n"
    assert capsys.readouterr().err == expected
    empty = pretraining.parent / "empty"
    empty.mkdir()
    assert run(*command.split(), *arguments, empty) == 2
    expected = f"bindtune: {empty}: holds no config.yaml, so it is not the folder of a run\n"
    assert capsys.readouterr().err == expected


def test_from_python(pretraining: Path) -> None:
    with pytest.raises(ConfigError, match="is a pretraining run; load_ensemble_models needs a binding run"):
        load_ensemble_models(pretraining)


@pytest.mark.parametrize("resume", [[], ["--resume_from_checkpoint", "auto"]])
def test_pretraining_does_not_write_into_a_binding_run(
    run: Run, binding: Path, capsys: pytest.CaptureFixture[str], resume: list[str]
) -> None:
    before = _settings(binding)
    assert run("pretrain", "--train_file", "w.jsonl", "--output_dir", binding, *resume) == 2
    assert capsys.readouterr().err == f"bindtune: {binding} is a binding run; pretrain needs a pretraining run\n"
    assert _settings(binding) == before


@pytest.mark.parametrize("resume", [[], ["--resume", "auto"]])
def test_training_does_not_write_into_a_pretraining_run(
    run: Run, pretraining: Path, capsys: pytest.CaptureFixture[str], resume: list[str]
) -> None:
    before = _settings(pretraining)
    settings = ["data.fasta_path=p_{ION}.fa", "training.ions=[ZN]", f"training.output_dir={pretraining}"]
    assert run("train", *resume, *settings) == 2
    assert capsys.readouterr().err == f"bindtune: {pretraining} is a pretraining run; train needs a binding run\n"
    assert _settings(pretraining) == before


def test_no_fold_of_a_binding_run_is_trained(run: Run, binding: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("export", binding, "--out", "out") == 2
    assert capsys.readouterr().err == (
        f"bindtune: {binding} is a binding run: name one of its folds, such as {binding / 'fold_1'}\n"
    )
    assert run("verify", binding) == 2
    assert capsys.readouterr().err.endswith("best_e1_binding_model_heads.pt: no such file: the fold is not trained\n")
