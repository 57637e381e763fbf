"""Arrays that a probe keeps on disk."""

import tokenize
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindtune.errors import InputError, library_text

_ADVICE = "delete it, and run the same command"


def read_array(path: Path, *, shape: tuple[int | None, ...]) -> NDArray[np.floating[Any]]:
    """Map a file of floating-point numbers into memory; nothing is read before it is used.

    Args:
        path: of a .npy file.
        shape: what it must have; None for an axis of any length.

    Raises:
        InputError: the file is damaged.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # a damaged header looks like one of Python 2
            values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError, SyntaxError, OverflowError, TypeError, tokenize.TokenError) as error:
        raise InputError(path, None, f"is no array of numbers ({library_text(error)}): {_ADVICE}") from error
    fits = isinstance(values, np.ndarray) and len(values.shape) == len(shape)
    fits = fits and all(length in (None, count) for length, count in zip(shape, values.shape, strict=True))
    if not fits or not np.issubdtype(values.dtype, np.floating):
        expected = " x ".join("any" if length is None else str(length) for length in shape)
        raise InputError(path, None, f"does not hold {expected} floating-point numbers: {_ADVICE}")
    array: NDArray[np.floating[Any]] = values
    return array
