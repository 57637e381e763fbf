"""What a process does when another process of its run has failed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from bindtune.errors import BindtuneError


@contextmanager
def naming_lost_processes(resume_command: str) -> Iterator[None]:
    """Raise an error of one line where another process of the run has ended.

    Args:
        resume_command: the command or the option that resumes the run.

    Raises:
        BindtuneError: another process has ended.
    """
    try:
        yield
    except RuntimeError as error:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1 and is_about_peers(error):
            raise BindtuneError(
                "lost contact with another process of this run, which has ended: see its messages; go on with "
                f"{resume_command}"
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
