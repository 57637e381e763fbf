"""What the failure of another process of a run means."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from bindtune.errors import BindtuneError


@contextmanager
def peers_told(way_on: str) -> Iterator[None]:
    """Say it in one line where another process of the run has ended.

    Args:
        way_on: the command, or the option, that goes on.

    Raises:
        BindtuneError: one has.
    """
    try:
        yield
    except RuntimeError as error:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1 and is_about_peers(error):
            raise BindtuneError(
                f"lost contact with another process of this run, which has ended: see its messages; go on with {way_on}"
            ) from error
        raise


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
