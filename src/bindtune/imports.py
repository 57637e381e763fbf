"""Importing the large libraries faster, and only where they have room."""

import gc
import resource
from collections.abc import Iterator
from contextlib import contextmanager

from bindtune.host_limits import size
from bindtune.memory_errors import OutOfMemoryError

ADDRESS_SPACE = 5 << 28
"""Bytes of address space that a command needs at least: `predict` with a tiny model took 1.28 GiB (torch 2.13, CPU)."""


@contextmanager
def large_imports() -> Iterator[None]:
    """Import without garbage collections, and leave what was imported out of later ones.

    torch, transformers and PEFT make a million objects that stay. Looking through them takes an eighth of the time of
    their import, and half a second at the end of each fold.

    A `ulimit -v` below `ADDRESS_SPACE` is refused before the first import. Without room, code in C and C++ ends the
    process or waits for ever while it is imported, and nobody can turn that into a line.

    Raises:
        OutOfMemoryError: the limit is too low.

    >>> with large_imports():
    ...     import colorsys
    >>> gc.isenabled()
    True
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < ADDRESS_SPACE:
        raise OutOfMemoryError(
            f"out of memory: this process may use {size(limit)} of address space, and torch with a small model needs "
            f"{size(ADDRESS_SPACE)}; raise the limit (ulimit -v)"
        )
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
