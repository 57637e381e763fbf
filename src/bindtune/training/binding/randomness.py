"""Randomness of dropout and initial weights that is a function of where it is used, so that a resume needs no state."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from bindtune.data.keyed_random import digest


@contextmanager
def seeded(*parts: object) -> Iterator[None]:
    """Let torch draw from a seed made of the parts while the block runs; its own state is put back afterwards."""
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(digest(*parts) >> 1)  # 63 bits
        yield
