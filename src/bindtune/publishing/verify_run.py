"""Check a run of `bindtune train`: every fold loads on its encoder, its adapters have an effect, and it predicts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bindtune.checks import Check
from bindtune.inference.checkpoints import load_ensemble_models
from bindtune.models.adapter_check import adapter_effect
from bindtune.models.adapters import has_adapters
from bindtune.models.e1_tokens import IDS
from bindtune.publishing.subject import ProteinModel
from bindtune.runs.kinds import is_binding, run_config
from bindtune.runs.names import CONFIG, HEADS, in_folds


def is_run(folder: Path) -> bool:
    """Whether a folder holds a run of `bindtune train`, or trained folds of one."""
    there = (folder / CONFIG).is_file() and is_binding(run_config(folder))
    return there or bool(in_folds(folder, HEADS))


def check_run(run: Path, *, base_model: str | None = None) -> Iterator[Check]:
    """Check each fold of a run.

    Args:
        run: the run folder.
        base_model: hub name or folder of the encoder; what the run names by default.

    Raises:
        CheckpointError: a fold or its encoder cannot be loaded, or the encoder is not the one of the run.
    """
    ensemble = load_ensemble_models(run, base_model=base_model)
    batch = ensemble.preparer().get_batch_kwargs(ProteinModel.sequences)
    inputs = {name: batch[name] for name in IDS}
    for number, model in enumerate(ensemble, start=1):
        yield _check_fold(f"fold {number}", model, inputs)


@torch.no_grad()
def _check_fold(name: str, model: Any, inputs: dict[str, Tensor]) -> Check:
    logits = model(**inputs).logits[inputs["sequence_ids"] >= 0]
    passed = bool(torch.isfinite(logits).all())
    detail = f"{logits.shape[-1]} ions, {len(logits)} tokens, all finite" if passed else "logits are not finite"
    encoder = model._original_model
    if has_adapters(encoder):
        change = adapter_effect(encoder, inputs)
        passed = passed and change > 0
        detail += f"; adapters change hidden states by up to {change:.3g}"
    return Check(name, passed, detail)
