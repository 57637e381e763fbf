"""The composition baseline: it predicts binding from the letter of a residue alone. A model must be better."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.int8]
_LETTERS = 128


def fit(sequences: Sequence[str], labels: Sequence[Labels], *, pseudocount: float = 1.0) -> Floats:
    """Log odds of binding of each letter, for each ion.

    Args:
        sequences: N sequences of ASCII letters.
        labels: N of (L, K): 1 binds, 0 does not, anything below is not known and not counted.
        pseudocount: additional residues of each letter, which bind as often as all residues; a letter without residues
            gets the odds of all residues.

    Returns:
        (128, K), by the number of the letter in ASCII.

    Raises:
        ValueError: no sequences, or labels do not fit their sequences.
    """
    return _log_odds(_counts(sequences, labels), pseudocount)


def score(log_odds: Floats, sequence: str) -> Floats:
    """Log odds of every residue: (L, K).

    Args:
        log_odds: (128, K), from `fit`.
        sequence: L ASCII letters.
    """
    return log_odds[_ascii(sequence)]


def out_of_fold_baseline(
    sequences: Sequence[str], labels: Sequence[Labels], folds: ArrayLike, *, pseudocount: float = 1.0
) -> list[Floats]:
    """Score every protein with letters' odds that were fitted on the proteins of the other folds.

    Args:
        sequences: N sequences of ASCII letters.
        labels: N of (L, K), as in `fit`.
        folds: (N,), the fold of each protein; with one fold only nothing is fitted and every residue scores 0.
        pseudocount: as in `fit`.

    Returns:
        N of (L, K), in the order of the sequences.
    """
    numbers = np.asarray(folds)
    if numbers.shape != (len(sequences),):
        raise ValueError(f"a fold must be given for each of {len(sequences)} proteins, not {numbers.shape}")
    members = {fold: np.flatnonzero(numbers == fold).tolist() for fold in np.unique(numbers).tolist()}
    counted = {
        fold: _counts([sequences[index] for index in inside], [labels[index] for index in inside])
        for fold, inside in members.items()
    }
    total = np.sum(list(counted.values()), axis=0)
    tables = {fold: _log_odds(total - counts, pseudocount) for fold, counts in counted.items()}
    return [score(tables[fold], sequence) for fold, sequence in zip(numbers.tolist(), sequences, strict=True)]


def out_of_fold_residues(letters: ArrayLike, labels: ArrayLike, folds: ArrayLike) -> Floats:
    """Score residues of one ion (R,) as `out_of_fold_baseline` does; they may come in any order.

    Args:
        letters: (R,) one-letter codes.
        labels: (R,), as in `fit`.
        folds: (R,), the fold of each residue.
    """
    codes = np.ascontiguousarray(letters, dtype="S1").view(np.uint8)
    truth, numbers = np.asarray(labels), np.asarray(folds)
    scores = np.zeros(len(numbers))
    folds_there = np.unique(numbers)
    counted = [_count_letters(codes[part], truth[part, None]) for part in (numbers == fold for fold in folds_there)]
    total = np.sum(counted, axis=0)
    for fold, counts in zip(folds_there, counted, strict=True):
        held_out = numbers == fold
        scores[held_out] = _log_odds(total - counts, pseudocount=1.0)[codes[held_out], 0]
    return scores


def _counts(sequences: Sequence[str], labels: Sequence[Labels]) -> NDArray[np.int64]:
    """Residues (2, 128, K) that do not bind and that do, by letter."""
    if not sequences or len(sequences) != len(labels):
        raise ValueError(f"each sequence needs labels: {len(sequences)} sequences, labels of {len(labels)}")
    for sequence, truth in zip(sequences, labels, strict=True):
        if truth.ndim != 2 or len(truth) != len(sequence):
            raise ValueError(f"labels of {len(sequence)} residues must be ({len(sequence)}, K), not {truth.shape}")
    return _count_letters(_ascii("".join(sequences)), np.concatenate(labels))


def _count_letters(letters: NDArray[np.uint8], truth: NDArray[np.integer]) -> NDArray[np.int64]:
    """As `_counts`, from the letters (R,) and labels (R, K) of all residues."""
    return np.stack(
        [
            np.stack([np.bincount(letters[column == bound], minlength=_LETTERS) for column in truth.T], axis=-1)
            for bound in (0, 1)
        ]
    )


def _log_odds(counts: NDArray[np.int64], pseudocount: float) -> Floats:
    negative, positive = counts
    # One residue of each class beforehand: an ion without sites has small odds, not none.
    rate = (positive.sum(axis=0) + 1) / (counts.sum(axis=(0, 1)) + 2)
    return np.asarray(np.log(positive + pseudocount * rate) - np.log(negative + pseudocount * (1 - rate)))


def _ascii(sequence: str) -> NDArray[np.uint8]:
    return np.frombuffer(sequence.encode("ascii"), np.uint8)
