"""Optimiser, schedule, loss scale and random numbers in a pretraining checkpoint.

transformers writes and reads the counters, `trainer_state.json`. This module writes and restores everything else with
public attributes and callbacks of its Trainer.
"""

import logging
import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from bindtune.models.foreign_files import read_archive
from bindtune.models.hub_names import SAFETENSORS
from bindtune.models.load_errors import loading
from bindtune.runs.names import LOSS_SCALE, OPTIMIZER, SCHEDULE, TRAINER_STATE, random_state_file
from bindtune.training import sharding

log = logging.getLogger(__name__)


def save_progress(trainer: Trainer, folder: Path) -> None:
    """Write the files that `RestoreProgress` reads; all processes call it."""
    optimizer = sharding.whole_state(trainer.optimizer)
    if trainer.args.should_save:
        schedule: Any = trainer.lr_scheduler
        torch.save(optimizer, folder / OPTIMIZER)
        torch.save(schedule.state_dict(), folder / SCHEDULE)
        if trainer.accelerator.scaler is not None:
            torch.save(trainer.accelerator.scaler.state_dict(), folder / LOSS_SCALE)
    trainer.accelerator.wait_for_everyone()  # the first process makes the folder
    torch.save(_random_state(), folder / _random_file(trainer.args))


@contextmanager
def counters_alone(checkpoint: Path) -> Iterator[Path]:
    """A folder with only a checkpoint's counters, for transformers to read; its file of weights is empty.

    transformers would load weights not strictly, and the optimiser as one process has it.
    """
    with tempfile.TemporaryDirectory(prefix="bindtune-resume-") as name:
        folder = Path(name)
        shutil.copyfile(checkpoint / TRAINER_STATE, folder / TRAINER_STATE)
        save_file({}, folder / SAFETENSORS)  # a checkpoint without a file of weights is refused
        yield folder


class RestoreProgress(TrainerCallback):
    """Restore the files of `save_progress` after the optimiser is made and before the first step.

    Args:
        trainer: that resumes.
        checkpoint: the folder to resume from.
    """

    def __init__(self, trainer: Trainer, checkpoint: Path) -> None:
        self._trainer = trainer
        self._checkpoint = checkpoint
        self._is_random_restored = False

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Restore the optimiser, the schedule and the loss scale."""
        schedule: Any = self._trainer.lr_scheduler
        sharding.restore_state(self._trainer.optimizer, self._read(OPTIMIZER))
        schedule.load_state_dict(self._read(SCHEDULE))
        scaler = self._trainer.accelerator.scaler
        if scaler is not None and (self._checkpoint / LOSS_SCALE).is_file():
            scaler.load_state_dict(self._read(LOSS_SCALE))

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Restore random numbers of a checkpoint between epochs, before the order is drawn."""
        if float(state.epoch or 0).is_integer():
            self._restore_random(args)

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Restore random numbers of a checkpoint within an epoch, after its order was drawn."""
        self._restore_random(args)

    def _restore_random(self, args: TrainingArguments) -> None:
        if self._is_random_restored:
            return
        self._is_random_restored = True
        name = _random_file(args)
        if (self._checkpoint / name).is_file():
            _set_random_state(self._read(name))
        else:
            log.warning("%s has no %s: dropout draws other numbers than without the stop", self._checkpoint, name)

    def _read(self, name: str) -> Any:
        path = self._checkpoint / name
        with loading(path, "no progress of a run"):
            return read_archive(path)


def _random_file(args: TrainingArguments) -> str:
    return random_state_file(args.process_index, processes=args.world_size)


def _random_state() -> dict[str, Any]:
    """States of all random number generators, as tensors and plain values."""
    kind, keys, *rest = np.random.get_state()
    state: dict[str, Any] = {"python": random.getstate()}
    state["numpy"] = (kind, torch.from_numpy(np.asarray(keys, np.int64)), *rest)
    state["cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def _set_random_state(state: dict[str, Any]) -> None:
    kind, keys, *rest = state["numpy"]
    random.setstate(state["python"])
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["cpu"])
    if torch.cuda.is_available() and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"])
