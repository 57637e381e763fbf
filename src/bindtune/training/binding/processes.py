"""Processes and devices of a run: how they start, how they stop together, what their failures mean."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs

from bindtune.config import BindingConfig
from bindtune.errors import BindtuneError


def make_accelerator(conf: BindingConfig, device: torch.device | str | None = None) -> Accelerator:
    """Processes, device and precision, from the launcher's environment and the settings."""
    on_cpu = torch.device(device).type == "cpu" if device is not None else not torch.cuda.is_available()
    precision = "bf16" if conf.training.use_bf16 and not on_cpu else "no"
    handlers = [DistributedDataParallelKwargs(find_unused_parameters=False)]
    return Accelerator(cpu=on_cpu, mixed_precision=precision, kwargs_handlers=list(handlers))


class StopSignal:
    """Notes SIGTERM while it listens, so that all processes can stop after the same step.

    Args:
        accelerator: of the processes that stop together.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self._came = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Note the signal while the block runs."""

        def note(number: int, frame: FrameType | None) -> None:
            self._came = True

        before = signal.signal(signal.SIGTERM, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def asked(self) -> bool:
        """Whether any process got the signal; all must ask at the same time."""
        if self._came:
            self._accelerator.set_trigger()
        return bool(self._accelerator.check_trigger())


@contextmanager
def memory_told(conf: BindingConfig) -> Iterator[None]:
    """Say what to change where the device is full.

    Raises:
        BindtuneError: memory ran out while the block ran.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise BindtuneError(out_of_memory(conf)) from error


def out_of_memory(conf: BindingConfig) -> str:
    """What to change when the device is full."""
    training = conf.training
    return (
        f"out of memory; lower training.batch_size (now {training.batch_size}), raising training.accum_steps (now "
        f"{training.accum_steps}) to keep the step's size, lower training.msa_sampling.max_token_length (now "
        f"{training.msa_sampling.max_token_length}), or set training.gradient_checkpointing (now "
        f"{training.gradient_checkpointing})"
    )


def is_about_peers(error: RuntimeError) -> bool:
    """Whether another process of the run is what failed."""
    text = str(error).lower()
    lost = (
        "connection closed",
        "connection reset",
        "connection refused",
        "broken pipe",
        "socket",
        "peer",
        "nccl",
        "timed out",
    )
    return isinstance(error, torch.distributed.DistBackendError) or any(word in text for word in lost)
