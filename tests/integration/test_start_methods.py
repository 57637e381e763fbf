"""Processes that are started and not forked, as Python 3.14 does it: all that they are given has to be pickled."""

from pathlib import Path

import datasets
import pytest
import torch
from safetensors.torch import load_file

from bindtune.config import PretrainConfig, build
from bindtune.data.dna.tokens import load_tokenizer
from bindtune.data.dna.window_tokens import tokenise_file
from bindtune.training.pretraining.run import pretrain

pytestmark = pytest.mark.usefixtures("not_forked")


def test_pretraining_with_workers(generated: tuple[Path, Path, Path], tmp_path: Path) -> None:
    train, validation, model = generated
    weights = []
    for workers in (1, 0):
        run = tmp_path / str(workers)
        settings = {
            "model_name_or_path": str(model), "train_file": str(train), "validation_file": str(validation),
            "output_dir": str(run), "max_steps": 2, "eval_steps": 2, "save_steps": 2, "max_eval_samples": 20,
            "preprocessing_num_workers": 1, "dataloader_num_workers": workers, "report_to": "none",
        }  # fmt: skip
        losses = pretrain(build(PretrainConfig, settings))
        weights.append({**load_file(run / "model.safetensors"), "loss": torch.tensor(losses["eval_loss"])})
    assert all(torch.equal(weights[1][name], tensor) for name, tensor in weights[0].items())


def test_tokenising_in_processes(
    generated: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = load_tokenizer(str(generated[2]))
    results = []
    for processes in (2, 1):
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / str(processes))
        rows, report = tokenise_file(generated[1], tokenizer, max_length=64, overlap="any", processes=processes)
        results.append((rows.to_dict(), report))
    assert results[0] == results[1]
