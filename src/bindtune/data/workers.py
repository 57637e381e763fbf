"""Start and end processes that prepare batches for a training process, handle signals, and send their batches."""

import atexit
import multiprocessing
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import get_worker_info

from bindtune.errors import ConfigError

PRELOADED = ("dna.row_order", "dna.collate", "dna.window_tokens", "protein.protein_rows", "protein.collate")
"""Modules of `bindtune.data` that workers read with."""
SHARED_MEMORY = "/dev/shm"  # noqa: S108 (the system's own)
_SEMAPHORES = 4
"""Of each process, at most; the system keeps them in /dev/shm."""
_SECONDS_BETWEEN_LOOKS = 2
"""A worker looks this often whether the process that started it still runs."""


def reading(workers: int, collate: Callable[[Sequence[Any]], Any], *, setting: str) -> dict[str, Any]:
    """Arguments of a `DataLoader` that reads in so many processes.

    They outlive a signal to all processes of a job. Python 3.14 does not fork them from the process that trains: a
    server starts them, and imports once what each of them needs.

    Args:
        workers: how many.
        collate: makes a batch of rows.
        setting: by which the user says how many, with its value for none.

    Raises:
        ConfigError: the system cannot start them.
    """
    if not workers:
        return {"num_workers": 0, "collate_fn": collate}
    check_semaphores(workers, setting=setting)
    # The user chose their number, and `doctor` says how many cores there are.
    warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)
    multiprocessing.set_forkserver_preload(["__main__", *(f"bindtune.data.{name}" for name in PRELOADED)])
    return {"num_workers": workers, "collate_fn": PackingCollator(collate), "worker_init_fn": begin_worker}


def check_semaphores(processes: int, *, setting: str) -> None:
    """Refuse further processes where the system has no room for their semaphores.

    Args:
        processes: how many are about to begin.
        setting: with its value for none.

    Raises:
        ConfigError: there is no room.
    """
    try:
        _ = [multiprocessing.Lock() for _ in range(_SEMAPHORES * (processes + 1))]
    except OSError as error:
        raise ConfigError(
            f"{SHARED_MEMORY}: {error.strerror}; processes that read need shared memory: set {setting}, or give the "
            "container more (docker run --shm-size=1g)"
        ) from error


class PackingCollator:
    """Makes a batch in a worker, and packs it there for the way to the process that trains.

    torch sends tensors as files in /dev/shm, in a thread whose errors reach nobody: where that disk is full, or too
    many files are open, a batch is lost and the run waits for it without end. Arrays go through a pipe.

    Args:
        collate: makes a batch of rows: tensors and other values by name.
    """

    def __init__(self, collate: Callable[[Sequence[Any]], Any]) -> None:
        self.collate = collate

    def __call__(self, rows: Sequence[Any]) -> Any:
        """The batch, or in a worker what becomes the batch where it arrives."""
        batch = self.collate(rows)
        return batch if get_worker_info() is None else _PackedBatch(batch)


class _PackedBatch:
    """A batch with arrays in place of tensors, which is a batch again where it arrives."""

    def __init__(self, batch: dict[str, Any]) -> None:
        self.arrays = {name: each.numpy() if isinstance(each, torch.Tensor) else each for name, each in batch.items()}

    def __reduce__(self) -> tuple[Callable[[dict[str, Any]], dict[str, Any]], tuple[dict[str, Any]]]:
        return _unpacked, (self.arrays,)


def _unpacked(arrays: dict[str, Any]) -> dict[str, Any]:
    return {name: torch.from_numpy(each) if isinstance(each, np.ndarray) else each for name, each in arrays.items()}


def begin_worker(worker: int) -> None:
    """Let those that train answer a signal to all processes of a job; at their end they signal their workers again.

    A killed process signals nobody. Its workers end with it: torch looks for this only between batches, and a worker
    that waits for its turn to send a batch would wait without end.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: signal.signal(number, signal.SIG_DFL))


def _end_with_parent() -> None:
    # A worker that begins after its parent's end has another parent from the first look on. The pipe that `is_alive`
    # looks at tells it so, but workers that were forked later keep this pipe open.
    parent, first = multiprocessing.parent_process(), os.getppid()
    while os.getppid() == first and (parent is None or parent.is_alive()):
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    os.kill(os.getpid(), signal.SIGKILL)


@atexit.register
def _end_workers() -> None:
    """End the workers that are left: Python would send them one SIGTERM, which they ignore, and wait for them."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch would raise an error about each of them
    for process in multiprocessing.active_children():
        if process.daemon:
            process.kill()
