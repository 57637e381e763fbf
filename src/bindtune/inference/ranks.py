"""The processes of a command: one process, or the processes of torchrun, which share the work."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import distributed

from bindtune.errors import BindtuneError, ConfigError, library_text

# One process may work much longer than another. A closed connection shows that a process has ended.
_PATIENCE = timedelta(days=30)


@dataclass(frozen=True)
class Processes:
    """The number of this process, and the number of all processes."""

    rank: int
    count: int

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files that are written once."""
        return self.rank == 0

    def wait(self) -> None:
        """Wait until all processes have come here.

        Raises:
            BindtuneError: another process has ended.
        """
        if self.count > 1:
            group: Any = distributed
            try:
                group.barrier()
            except RuntimeError as error:
                raise BindtuneError("another process of this command has ended: see its messages") from error


@dataclass(frozen=True)
class Share:
    """The share of the work of a command: `number` from 0 to count - 1."""

    number: int
    count: int

    @classmethod
    def of_text(cls, text: str) -> "Share":
        """The share that `predict --shard` names, such as 3/16."""
        number, count = map(int, text.split("/"))
        return cls(number - 1, count)

    def has(self, part: int, processes: Processes) -> bool:
        """Whether a part of the work belongs to this process of the command."""
        return part % (self.count * processes.count) == self.number * processes.count + processes.rank


ALL = Share(0, 1)


@contextmanager
def launched() -> Iterator[Processes]:
    """The processes that the launcher's environment names, connected while the block runs."""
    count, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    if count == 1 or distributed.is_initialized():
        yield Processes(rank, count)
        return
    distributed.init_process_group("gloo", timeout=_PATIENCE)
    try:
        yield Processes(rank, count)
    finally:
        distributed.destroy_process_group()


def choose_device(name: str) -> torch.device:
    """The device of this process: `auto` and `cuda` are its own GPU.

    Raises:
        ConfigError: there is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device: no '{name}' here: {library_text(error)}") from error
    return device
