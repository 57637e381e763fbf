"""Importing the large libraries: faster, only where they have room, with fast arithmetic and without their bars."""

import gc
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bindtune.host_limits import size
from bindtune.memory_errors import OutOfMemoryError

ADDRESS_SPACE = 5 << 28
"""Bytes of address space that a command needs at least: `predict` with a tiny model took 1.28 GiB (torch 2.13, CPU)."""


@contextmanager
def large_imports() -> Iterator[None]:
    """Import without garbage collections, leave what was imported out of later ones, and hide bars of transformers.

    torch, transformers and PEFT make a million objects that stay. Looking through them takes an eighth of the time of
    their import, and half a second at the end of each fold.

    Where torch was imported, numbers below 1e-38 then count as zero (`torch.set_flush_denormal`): processors compute
    with them many times slower. The weights of far tokens under ALiBi are such numbers.

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
    if torch := sys.modules.get("torch"):
        torch.set_flush_denormal(True)  # before threads start, which take it over
    if "transformers" in sys.modules:
        _hide_bars_of_transformers()


def _hide_bars_of_transformers() -> None:
    """Show no bar for each file of weights that is read or written; downloads keep theirs."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, enable_progress_bars
    from transformers.utils.logging import disable_progress_bar

    downloads_are_shown = not are_progress_bars_disabled()
    disable_progress_bar()  # type: ignore[no-untyped-call]
    if downloads_are_shown:
        enable_progress_bars()
