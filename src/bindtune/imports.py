"""Importing the large libraries faster."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def large_imports() -> Iterator[None]:
    """Import without garbage collections, and leave what was imported out of later ones.

    torch, transformers and PEFT make a million objects that stay. Looking through them takes an eighth of the time of
    their import, and half a second at the end of each fold.

    >>> with large_imports():
    ...     import colorsys
    >>> gc.isenabled()
    True
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
