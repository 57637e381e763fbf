"""Find the positions of residues with coordinates in the sequence of their chain, if the file does not number them."""

import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bindtune.io.entries import Ints, Text

_NUMBER = re.compile(r"(-?[0-9]+)(.?)")
_MATCH, _MISMATCH, _IN_PLACE, _JUMP, _NO_JUMP, _STRAY = 4, -6, 3, 2, 1, 8
_MOST_CELLS = 100_000_000
"""Most cells of the table that places residues in a sequence; a cell has four bytes."""


def place_residues(sequence: Sequence[str], codes: Sequence[str], numbers: Sequence[str]) -> Ints:
    """Find the positions of residues with coordinates in the whole sequence, by order, component and number.

    A gap in the numbers means missing residues. If numbers and components contradict each other, components win. A
    residue without a position, such as an amino acid bound as a ligand, gets -1.

    Args:
        sequence: L components, from SEQRES.
        codes: N components with coordinates, in order.
        numbers: N residue numbers of the author, such as 27 or 27A.

    Returns:
        (N,) 0-based positions.

    Raises:
        ValueError: chain and sequence are too long to be compared.

    Examples:
        >>> place_residues(["GLY", "ALA", "GLY", "SER"], ["GLY", "SER"], ["3", "4"])
        array([2, 3])
    """
    shown = np.array([int(match[1]) if (match := _NUMBER.fullmatch(text)) else 0 for text in numbers], np.int64)
    inserted = np.array([bool((match := _NUMBER.fullmatch(text)) and match[2]) for text in numbers], bool)
    listed, own = np.array(sequence, dtype=np.str_), np.array(codes, dtype=np.str_)
    if not len(own):
        return np.empty(0, np.int64)
    if not np.isin(own, listed).any():
        return np.full(len(own), -1, np.int64)
    offset = _offset(listed, own, shown)
    simple = shown - offset
    fits = (simple >= 0) & (simple < len(listed)) & (np.diff(simple, prepend=-1) > 0)
    if fits.all() and (listed[simple] == own).all():
        return simple
    return _aligned(listed, own, shown, inserted, offset)


def _offset(listed: Text, own: Text, shown: Ints) -> int:
    """The residue number of position 0 for which most residues fit the sequence."""
    votes: dict[int, int] = defaultdict(int)
    positions: dict[str, Ints] = {code: np.flatnonzero(listed == code) for code in np.unique(own).tolist()}
    for code, number in zip(own.tolist(), shown.tolist(), strict=True):
        for position in positions[code].tolist():
            votes[number - position] += 1
    return max(votes, key=lambda each: (votes[each], -abs(each))) if votes else 0


def _aligned(listed: Text, own: Text, shown: Ints, inserted: NDArray[np.bool_], offset: int) -> Ints:
    """Find positions by dynamic programming: gaps are free where numbers jump, stray residues cost."""
    length, count = len(listed), len(own)
    if length * count > _MOST_CELLS:
        raise ValueError(f"{count} residues cannot be placed in a sequence of {length}: too many")
    low = -(1 << 28)
    before = np.zeros(length + 1, np.int32)  # best score with the last residue before position j
    came = np.empty((count, length), np.int32)  # position of the residue before, -1 for none, -2 for a stray
    for row in range(count):
        score = np.where(listed == own[row], _MATCH, _MISMATCH).astype(np.int32)
        expected = shown[row] - offset
        if 0 <= expected < length and not inserted[row]:
            score[expected] += _IN_PLACE
        follows = row > 0 and (shown[row] - shown[row - 1] <= 1)
        # before[j] is the best end at position j - 1. A jump comes from an earlier position; it costs if numbers go on.
        best = np.maximum.accumulate(before)[:-2]
        origin = np.maximum.accumulate(np.where(before[:-2] == best, np.arange(length - 1), 0))
        jump = np.append(low, best - (_JUMP if follows else 0))
        direct = before[:-1] - (0 if follows or not row else _NO_JUMP)
        came[row] = np.where(direct >= jump, np.arange(length), np.append(0, origin))
        placed = np.maximum(direct, jump) + score
        stray = before - _STRAY
        after = np.concatenate([[np.int32(low)], placed]).astype(np.int32)
        came[row] = np.where(after[1:] >= stray[1:], came[row], -2)
        after[1:] = np.maximum(after[1:], stray[1:])
        after[0] = before[0] - _STRAY
        before = after
    positions = np.full(count, -1, np.int64)
    end = int(np.argmax(before))
    for row in range(count - 1, -1, -1):
        if end == 0:
            break
        origin_position = int(came[row, end - 1])
        if origin_position == -2:
            continue
        positions[row] = end - 1
        end = origin_position
    wrong = np.array(
        [position >= 0 and listed[position] != code for position, code in zip(positions, own, strict=True)]
    )
    positions[wrong & (np.array([positions[i] != shown[i] - offset for i in range(count)]))] = -1
    return positions
