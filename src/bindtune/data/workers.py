"""How processes that read for a training process begin, and what they do with signals."""

import multiprocessing
import signal
from typing import Any

_MODULES = ("batching", "collate", "residue_rows", "residue_collate")
"""Of this package: what workers read with."""


def reading(workers: int) -> dict[str, Any]:
    """Arguments of a `DataLoader` that reads in so many processes.

    They outlive a signal to all processes of a job. Python 3.14 does not fork them from the process that trains: a
    server starts them, and imports once what each of them needs.
    """
    if workers:
        multiprocessing.set_forkserver_preload(["__main__", *(f"bindtune.data.{name}" for name in _MODULES)])
    return {"num_workers": workers, "worker_init_fn": leave_signals}


def leave_signals(worker: int) -> None:
    """Let those that train answer a signal to all processes of a job; at their end they signal their workers again."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: signal.signal(number, signal.SIG_DFL))
