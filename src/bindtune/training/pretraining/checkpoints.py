"""Checkpoints of a pretraining run: which are complete, which to resume from, which to keep."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

from bindtune.errors import CheckpointError
from bindtune.runs.names import DELETED, SAVING, TRAINER_STATE, checkpoint_folders, checkpoint_step
from bindtune.runs.writing import sweep


def read_state(checkpoint: Path) -> dict[str, Any] | None:
    """The trainer's state in a checkpoint, which is written last; None where the checkpoint is not complete."""
    if not any(checkpoint.glob("*.safetensors")):
        return None
    try:
        state = json.loads((checkpoint / TRAINER_STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return state if isinstance(state, dict) and "global_step" in state else None


def to_resume(run: Path, source: str | None) -> Path | None:
    """The checkpoint that a run goes on from.

    Args:
        run: the run folder.
        source: a checkpoint folder; "auto" for the newest complete one, which may not exist; None for a fresh start.

    Raises:
        CheckpointError: the named checkpoint does not exist or is not complete.
    """
    if source is None:
        return None
    if source != "auto":
        if read_state(Path(source)) is None:
            raise CheckpointError(f"{source}: not a complete checkpoint: no weights, or no readable {TRAINER_STATE}")
        return Path(source)
    return next((path for path in reversed(checkpoint_folders(run)) if read_state(path) is not None), None)


def remove_incomplete(run: Path) -> list[Path]:
    """Delete incomplete files and checkpoints of a killed process, and return the checkpoints."""
    for stray in [*run.glob(f"{SAVING}*"), *run.glob(f"{DELETED}*")]:
        shutil.rmtree(stray, ignore_errors=True)
    sweep(run)
    broken = [path for path in checkpoint_folders(run) if read_state(path) is None]
    for path in broken:
        _delete(path)
    return broken


def losses(history: list[dict[str, Any]]) -> dict[int, float]:
    """eval_loss by step, in order, from the trainer's log history.

    The first evaluation of a step counts. A loss that is not a number counts as infinite.
    """
    by_step: dict[int, float] = {}
    for entry in history:
        if "eval_loss" in entry:
            loss = float(entry["eval_loss"])
            by_step.setdefault(int(entry["step"]), math.inf if math.isnan(loss) else loss)
    return by_step


def stale_evaluations(history: list[dict[str, Any]]) -> int:
    """Evaluations since the one with the lowest eval_loss."""
    values = list(losses(history).values())
    return len(values) - 1 - values.index(min(values)) if values else 0


def best(run: Path, history: list[dict[str, Any]]) -> Path | None:
    """The complete checkpoint with the lowest eval_loss, the earlier one in a tie; None without any evaluated."""
    by_step = losses(history)
    ranked = [
        (by_step[checkpoint_step(path)], checkpoint_step(path), path)
        for path in checkpoint_folders(run)
        if checkpoint_step(path) in by_step
    ]
    return next((path for *_, path in sorted(ranked) if read_state(path) is not None), None)


def rotate(run: Path, history: list[dict[str, Any]], *, limit: int) -> None:
    """Delete all checkpoints but the newest and the `limit` with the lowest eval_loss.

    Without evaluations the newest `limit` stay.
    """
    folders = checkpoint_folders(run)
    by_step = losses(history)
    ranked = sorted(
        folders, key=lambda path: (by_step.get(checkpoint_step(path), float("inf")), -checkpoint_step(path))
    )
    for path in set(folders) - {*ranked[:limit], *folders[-1:]}:
        _delete(path)


def _delete(checkpoint: Path) -> None:
    # Rename the folder first: a kill in the middle leaves no folder that looks like a checkpoint.
    renamed = checkpoint.with_name(f"{DELETED}{checkpoint.name}")
    shutil.rmtree(renamed, ignore_errors=True)
    checkpoint.rename(renamed)
    shutil.rmtree(renamed)
