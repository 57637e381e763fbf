"""Callbacks between the steps of transformers' Trainer: epochs, early stopping, stop signals, log lines."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from bindtune.training.pretraining import checkpoints
from bindtune.training.stop_signals import noting_stop_signals


class FollowEpoch(TrainerCallback):
    """Set the epoch that the order of the windows follows.

    accelerate does not set it where several processes skip batches after a resume.

    Args:
        choose: called with the epoch.
    """

    def __init__(self, choose: Callable[[int], None]) -> None:
        self._choose = choose

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Set the epoch; the state's epoch has a fraction."""
        self._choose(int(state.epoch or 0))


class KeepLowest(TrainerCallback):
    """Delete checkpoints that are neither new nor have a low eval_loss.

    Args:
        accelerator: of the processes that save together.
        limit: number of checkpoints to keep for their low eval_loss.
    """

    def __init__(self, accelerator: Accelerator, limit: int) -> None:
        self._accelerator = accelerator
        self._limit = limit

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Wait until the new checkpoint is complete, then delete others."""
        self._accelerator.wait_for_everyone()
        if args.should_save:
            checkpoints.rotate(Path(str(args.output_dir)), state.log_history, limit=self._limit)


class LogAsAsked(TrainerCallback):
    """Take the steps between log lines from the settings. In a resume transformers takes them from the checkpoint."""

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Set the steps of the settings."""
        state.logging_steps = int(args.logging_steps)


class StopWhenStale(TrainerCallback):
    """Stop when eval_loss has not fallen for `patience` evaluations. They are counted in the log of the checkpoint."""

    def __init__(self, patience: int) -> None:
        self.patience = patience

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Count the evaluations since the lowest eval_loss."""
        if 0 < self.patience <= checkpoints.stale_evaluations(state.log_history):
            control.should_training_stop = True


class SaveOnSignal(TrainerCallback):
    """Save and stop at the end of the step in which a process gets a stop signal, which SLURM sends before a kill."""

    def __init__(self) -> None:
        self.asked: int | None = None
        self.stopped = False
        self.trainer: Trainer | None = None

    def on_epoch_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Do not evaluate in the middle of an epoch: an uninterrupted run does not."""
        if self.stopped and state.epoch is not None and not float(state.epoch).is_integer():
            control.should_evaluate = control.should_save = False

    @contextmanager
    def listening(self, trainer: Trainer) -> Iterator[None]:
        """Note the signals while the block runs."""
        self.trainer = trainer
        with noting_stop_signals(self._note):
            yield

    def _note(self, number: int) -> None:
        self.asked = number

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Exchange the signal between processes, so that all stop at the same step."""
        if self.trainer is None:
            return
        if self.asked:
            self.trainer.accelerator.set_trigger()
        if self.trainer.accelerator.check_trigger():
            self.stopped = control.should_save = control.should_training_stop = True
