"""Processes and devices of a run: start them, stop them together, and give advice if memory or steps do not fit."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs, broadcast_object_list

from bindtune.config import BindingConfig
from bindtune.errors import BindtuneError, ConfigError
from bindtune.training.accelerate_state import forget_earlier_runs
from bindtune.training.sharding import check_gpus, check_launcher, shard_on_cpu
from bindtune.training.stop_signals import noting_stop_signals

T = TypeVar("T")

_PATIENCE = 7200.0
"""Seconds that processes wait for each other, for example while the main process reads alignments.

TORCH_DIST_TIMEOUT sets another time."""


def make_accelerator(conf: BindingConfig, device: torch.device | str | None = None) -> Accelerator:
    """Set up processes, device and precision from the launcher's environment and the settings.

    Raises:
        ConfigError: the environment asks for something that is not supported.
    """
    on_cpu = torch.device(device).type == "cpu" if device is not None else not torch.cuda.is_available()
    precision = "no" if on_cpu else conf.training.precision
    handlers = [
        DistributedDataParallelKwargs(find_unused_parameters=False),
        InitProcessGroupKwargs(timeout=_patience()),
    ]
    check_launcher(precision=conf.training.precision)
    if not on_cpu:
        check_gpus()
    forget_earlier_runs()
    accelerator = Accelerator(cpu=on_cpu, mixed_precision=precision, kwargs_handlers=list(handlers))
    shard_on_cpu(accelerator)
    return accelerator


def _patience() -> timedelta:
    text = os.environ.get("TORCH_DIST_TIMEOUT", "")
    try:
        seconds = float(text or _PATIENCE)
        if seconds > 0:
            return timedelta(seconds=seconds)
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"TORCH_DIST_TIMEOUT is {text!r}, expected seconds") from error
    raise ConfigError(f"TORCH_DIST_TIMEOUT is {text!r}, expected seconds above 0")


def main_process_first(accelerator: Accelerator, work: Callable[[], T]) -> T | None:
    """Call a function in the main process while the other processes wait; they get None.

    If it fails, the other processes exit without a message, because the main process reports the failure.
    """
    result, failure, has_failed = None, None, [False]
    if accelerator.is_main_process:
        try:
            result = work()
        except (BindtuneError, OSError) as error:
            failure, has_failed = error, [True]
    broadcast_object_list(has_failed)
    if failure is not None:
        raise failure
    if has_failed[0]:
        sys.exit(2)
    return result


class StopSignal:
    """Note SIGTERM and SIGHUP, so that all processes stop after the same step.

    Args:
        accelerator: joins the processes that stop together.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self.number: int | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Note the signals while the block runs."""
        with noting_stop_signals(self._note):
            yield

    def _note(self, number: int) -> None:
        self.number = number

    def asked(self) -> bool:
        """Whether any process got a signal; all processes must call this at the same time."""
        if self.number is not None:
            self._accelerator.set_trigger()
        return bool(self._accelerator.check_trigger())


def less_memory(conf: BindingConfig) -> str:
    """Settings to change if memory runs out."""
    training = conf.training
    tokens, validated = training.msa_sampling.max_token_length, training.validation_context.max_token_length
    return (
        f"lower training.batch_size (now {training.batch_size}), raising training.accum_steps (now "
        f"{training.accum_steps}) to keep the step's size, lower training.msa_sampling.max_token_length (now {tokens}; "
        f"{validated} in validation), or set training.gradient_checkpointing (now {training.gradient_checkpointing})"
        + (f", or training.num_workers=0 (now {training.num_workers})" if training.num_workers else "")
    )


def other_steps(conf: BindingConfig, before: int, *, processes: int) -> str:
    """The message for a resumed run whose steps have another number of proteins."""
    batch, summed = conf.training.batch_size, conf.training.accum_steps
    return (
        f"the run learns from {before} proteins a step; training.batch_size {batch} x training.accum_steps {summed} x "
        f"{processes} processes are {batch * summed * processes}: change the two to keep the product"
    )
