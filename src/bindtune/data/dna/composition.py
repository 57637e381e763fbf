"""Count letters, pairs of letters and longer words of many DNA sequences at once."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LETTERS = "ACGT"
_CODE = np.full(256, 4, np.int8)
for _number, _letter in enumerate(LETTERS):
    _CODE[ord(_letter)] = _CODE[ord(_letter.lower())] = _number
_BLOCK = 4096
"""Sequences whose words are counted at once."""


def letter_codes(sequence: str | bytes) -> NDArray[np.int8]:
    """(L,) 0 to 3 for A, C, G and T, 4 for every other letter.

    Example:
        >>> letter_codes("ACGTN").tolist()
        [0, 1, 2, 3, 4]
    """
    letters = sequence.encode("ascii", "replace") if isinstance(sequence, str) else sequence
    return _CODE[np.frombuffer(letters, np.uint8)]


def word_counts(sequences: Sequence[str], size: int) -> NDArray[np.int32]:
    """(N, 4**size) how often each word of A, C, G and T occurs, in alphabetical order; words with other letters do not.

    Args:
        sequences: N.
        size: letters of a word.

    Example:
        >>> word_counts(["AACN"], 2)[0, :3].tolist()
        [1, 1, 0]
    """
    counts = np.zeros((len(sequences), 4**size), np.int32)
    for first in range(0, len(sequences), _BLOCK):
        block = sequences[first : first + _BLOCK]
        owner, word = _words(block, size)
        flat = np.bincount(owner * 4**size + word, minlength=len(block) * 4**size)
        counts[first : first + len(block)] = flat.reshape(len(block), -1)
    return counts


def frequencies(counts: NDArray[np.int32]) -> Floats:
    """(N, W) shares of counts (N, W); a row without counts stays 0."""
    return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), np.float64)


def composition(sequences: Sequence[str]) -> Floats:
    """(N, 20) frequencies of the 4 letters and of the 16 pairs of neighbouring letters.

    Args:
        sequences: N.
    """
    return np.hstack([frequencies(word_counts(sequences, size)) for size in (1, 2)])


def gc_of(values: Floats) -> Floats:
    """(N,) share of G and C among A, C, G and T, from `composition`."""
    return np.asarray(values[:, 1] + values[:, 2])


def odd_share(sequence: str) -> float:
    """Share of the letters that are not A, C, G or T."""
    return float((letter_codes(sequence) == 4).mean()) if sequence else 1.0


def _words(sequences: Sequence[str], size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(W,) sequence of each word and (W,) number of the word, whole words alone."""
    lengths = np.array([len(sequence) for sequence in sequences], np.int64)
    codes = letter_codes("".join(sequences)).astype(np.int64)
    owner = np.repeat(np.arange(len(sequences)), lengths)
    count = max(len(codes) - size + 1, 0)
    word, whole = np.zeros(count, np.int64), owner[size - 1 :] == owner[:count]
    for offset in range(size):
        letters = codes[offset : offset + count]
        word, whole = word * 4 + letters, whole & (letters < 4)
    return owner[:count][whole], word[whole]
