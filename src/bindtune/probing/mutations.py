"""Every single substitution of a sequence, and its change of the binding logit."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from bindtune.data.dna.composition import LETTERS, letter_codes
from bindtune.probing.binding_model import BindingModel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_LETTERS_AT_ONCE = 1 << 21
"""Most letters of the variants that are in memory at the same time."""


def logit_changes(model: BindingModel, sequences: Sequence[str], folds: Ints) -> tuple[Floats, list[Floats]]:
    """Change of the binding logit by every single substitution.

    Args:
        model: of a probe.
        sequences: N, of letters A, C, G, T and others.
        folds: (N,) fold of each sequence, as `BindingModel.logits` takes it; its variants get the same.

    Returns:
        (N,) logits, and for each sequence (L, 4) logit of the variant less that of the sequence, by A, C, G and T; 0
        for the letter of the sequence, nan in rows of letters other than A, C, G and T.
    """
    logits = model.logits(sequences, folds)
    changes = [np.full((len(sequence), len(LETTERS)), np.nan) for sequence in sequences]
    for own in changes_at_once([len(sequence) for sequence in sequences]):
        variants, rows, places, letters = _variants(sequences, own)
        if variants:
            values = model.logits(variants, folds[rows])
            for row, position, letter, value in zip(rows, places, letters, values.tolist(), strict=True):
                changes[row][position, letter] = value - logits[row]
    for sequence, own_changes in zip(sequences, changes, strict=True):
        codes = letter_codes(sequence)
        readable = np.flatnonzero(codes < len(LETTERS))
        own_changes[readable, codes[readable]] = 0
    return logits, changes


def changes_at_once(lengths: Sequence[int]) -> Iterator[list[tuple[int, int, int]]]:
    """Lists of (row, start, end): the positions that are substituted in one batch."""
    own: list[tuple[int, int, int]] = []
    letters = 0
    for row, length in enumerate(lengths):
        step = max(1, _LETTERS_AT_ONCE // max(1, 3 * length))
        for start in range(0, length, step):
            end = min(start + step, length)
            if own and letters + 3 * length * (end - start) > _LETTERS_AT_ONCE:
                yield own
                own, letters = [], 0
            own.append((row, start, end))
            letters += 3 * length * (end - start)
    if own:
        yield own


def _variants(
    sequences: Sequence[str], places: Sequence[tuple[int, int, int]]
) -> tuple[list[str], list[int], list[int], list[int]]:
    """Variants, and the row, the position and the new letter of each."""
    variants, rows, positions, letters = list[str](), list[int](), list[int](), list[int]()
    for row, start, end in places:
        sequence = sequences[row]
        for position in range(start, end):
            if sequence[position] not in LETTERS:
                continue
            for number, letter in enumerate(LETTERS):
                if letter != sequence[position]:
                    variants.append(sequence[:position] + letter + sequence[position + 1 :])
                    rows.append(row)
                    positions.append(position)
                    letters.append(number)
    return variants, rows, positions, letters


def importance(changes: Floats) -> Floats:
    """(L,) how much a letter supports binding: the mean fall of the logit when it is substituted.

    Args:
        changes: (L, 4) from `logit_changes`.

    Example:
        >>> importance(np.array([[0.0, -1, -2, -3], [0, 0, 0, 3], [np.nan] * 4])).tolist()
        [2.0, -1.0, nan]
    """
    return np.asarray(-np.sum(changes, axis=1) / (len(LETTERS) - 1) + 0.0)
