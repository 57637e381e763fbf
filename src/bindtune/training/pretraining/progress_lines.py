"""Messages of a pretraining run while it trains: one line for each log step, and a bar on a terminal."""

import logging
import sys
import time
from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from bindtune.progress import duration

log = logging.getLogger(__name__)


def training_line(step: int, steps: int, figures: dict[str, float], *, rate: float, left: float) -> str:
    """The line of a log step.

    Args:
        step: optimiser steps done.
        steps: of the whole run.
        figures: with `loss`; `peak_loss` and `flank_loss` where such tokens were masked.
        rate: windows a second.
        left: seconds that the rest of the run takes.

    Example:
        >>> training_line(50, 20000, {"loss": 7.25, "peak_loss": 6.75}, rate=37.8, left=11400)
        'step 50/20000  loss 7.250 (peaks 6.750)  37.8 windows/s  3 h 10 left'
    """
    return f"step {step}/{steps}  {_losses(figures, '')}  {rate:.3g} windows/s  {duration(left)} left"


def evaluation_line(step: int, figures: dict[str, float], *, lowest: bool) -> str:
    """The line of an evaluation.

    Example:
        >>> evaluation_line(50, {"eval_loss": 7.1, "eval_accuracy": 0.041}, lowest=True)
        'step 50  validation: loss 7.100  accuracy 0.041  the lowest loss so far'
    """
    parts = [f"step {step}  validation: {_losses(figures, 'eval_')}"]
    if "eval_accuracy" in figures:
        parts.append(f"accuracy {figures['eval_accuracy']:.3f}")
    return "  ".join([*parts, *(["the lowest loss so far"] if lowest else [])])


def _losses(figures: dict[str, float], prefix: str) -> str:
    regions = {"peaks": f"{prefix}peak_loss", "flanks": f"{prefix}flank_loss"}
    parts = [f"{name} {figures[key]:.3f}" for name, key in regions.items() if key in figures]
    by_region = f" ({', '.join(parts)})" if parts else ""
    return f"loss {figures[f'{prefix}loss']:.3f}{by_region}"


class ProgressLines(TrainerCallback):
    """Log a line for each log step and evaluation of the first process, and show a bar on a terminal."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None
        self._begin, self._first_step = 0.0, 0
        self._last, self._last_step = 0.0, 0
        self._evaluating = 0.0
        self._lowest = float("inf")

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Start the clock at the step that the run goes on from."""
        self._begin = self._last = time.monotonic()
        self._first_step = self._last_step = state.global_step
        losses = [entry["eval_loss"] for entry in state.log_history if "eval_loss" in entry]
        self._lowest = min(losses, default=float("inf"))
        if state.is_world_process_zero and sys.stderr.isatty():
            self._bar = tqdm(total=state.max_steps, initial=state.global_step, desc="training", leave=False)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(state.global_step - self._bar.n)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Write the line of a log step or of an evaluation."""
        if not state.is_world_process_zero or logs is None:
            return
        if "eval_loss" in logs:
            self._evaluating += logs.get("eval_runtime", 0.0)
            lowest = logs["eval_loss"] < self._lowest
            self._lowest = min(self._lowest, logs["eval_loss"])
            self._write(evaluation_line(state.global_step, logs, lowest=lowest))
        elif "loss" in logs and state.global_step > self._first_step:
            self._write(self._training_line(args, state, logs))

    def _training_line(self, args: TrainingArguments, state: TrainerState, logs: dict[str, float]) -> str:
        now, step = time.monotonic(), state.global_step
        windows = args.train_batch_size * args.world_size * args.gradient_accumulation_steps
        trained = max(now - self._last - self._evaluating, 1e-9)
        rate = (step - self._last_step) * windows / trained
        left = (now - self._begin) / (step - self._first_step) * (state.max_steps - step)
        self._last, self._last_step, self._evaluating = now, step, 0.0
        return training_line(step, state.max_steps, logs, rate=rate, left=left)

    def _write(self, line: str) -> None:
        if self._bar is None:
            log.info("%s", line)
        else:
            self._bar.write(line, file=sys.stderr)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
