"""Find windows that two splits share, by hashes and merged stretches, without keeping sequences in memory."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bindtune.data.dna.splits import SPLITS
from bindtune.regions import begin_anew

Ints = NDArray[np.int64]
Keys = NDArray[np.uint64]
_READ_FORWARD, _READ_BACKWARD = 1, 2


class HeldOutKeys:
    """The sequences of one held-out split, and which of them were met elsewhere; 9 bytes a sequence.

    Args:
        keys: hashes as `data.windows` makes them: all bits but the last stand for a sequence and its reverse complement
            together, the last says which of the two it is.
    """

    def __init__(self, keys: Keys) -> None:
        self._known = np.unique(keys >> np.uint64(1))
        self._met = np.zeros(len(self._known), np.uint8)

    def meet(self, keys: Keys) -> None:
        """Note sequences of another split."""
        row, is_known = self._find(keys)
        direction = np.where(keys & np.uint64(1), _READ_BACKWARD, _READ_FORWARD).astype(np.uint8)
        np.bitwise_or.at(self._met, row[is_known], direction[is_known])

    def identical(self, keys: Keys) -> NDArray[np.bool_]:
        """Which of these held-out sequences another split has as they are."""
        return self._flag(keys, same=True)

    def complementary(self, keys: Keys) -> NDArray[np.bool_]:
        """Which of these held-out sequences another split has as their reverse complement."""
        return self._flag(keys, same=False)

    def _find(self, keys: Keys) -> tuple[Ints, NDArray[np.bool_]]:
        sequence_keys = keys >> np.uint64(1)
        if not len(self._known):
            return np.zeros(len(keys), np.int64), np.zeros(len(keys), bool)
        row = np.minimum(np.searchsorted(self._known, sequence_keys), len(self._known) - 1)
        return row, self._known[row] == sequence_keys

    def _flag(self, keys: Keys, *, same: bool) -> NDArray[np.bool_]:
        row, is_known = self._find(keys)
        backward = (keys & np.uint64(1)).astype(bool)
        direction = np.where(backward == same, _READ_BACKWARD, _READ_FORWARD)
        met = np.zeros(len(keys), bool)
        met[is_known] = (self._met[row[is_known]] & direction[is_known]) > 0
        return met


@dataclass(frozen=True)
class Leaks:
    """What an audit found between every two splits.

    Args:
        shared_coordinates: stretches of a held-out split that overlap another split or lie too near to it.
        identical_sequences: held-out windows whose sequence another split has.
        reverse_complements: held-out windows whose reverse complement another split has.
    """

    shared_coordinates: int
    identical_sequences: int
    reverse_complements: int

    @property
    def total(self) -> int:
        """All findings together."""
        return self.shared_coordinates + self.identical_sequences + self.reverse_complements


class LeakAudit:
    """Watches what is written, whatever decided it, and counts what leaks between splits.

    Args:
        distance: nucleotides that must lie between windows of different splits; 0 asks that they share none.
    """

    def __init__(self, distance: int) -> None:
        self._distance = distance
        self._stretches: dict[int, list[tuple[Ints, Ints, Ints]]] = defaultdict(list)
        self._identical = self._complementary = 0

    def add_places(self, split: int, *, chrom: NDArray[np.int32], start: Ints, end: Ints) -> None:
        """Note where windows were written, on their chromosomes."""
        if len(chrom):
            self._stretches[split].append(_joined([chrom.astype(np.int64), start, end]))

    def add_sequences(self, keys: Keys, *, held_out: HeldOutKeys) -> None:
        """Note the sequences of held-out windows that were written."""
        self._identical += int(held_out.identical(keys).sum())
        self._complementary += int(held_out.complementary(keys).sum())

    def findings(self) -> Leaks:
        """Everything found."""
        splits = [number for number in range(len(SPLITS)) if self._stretches[number]]
        merged = {
            split: _joined([np.concatenate(parts) for parts in zip(*self._stretches[split], strict=True)])
            for split in splits
        }
        shared = sum(
            _count_near(merged[earlier], merged[split], distance=self._distance)
            for earlier in splits
            for split in splits
            if earlier < split
        )
        return Leaks(shared, self._identical, self._complementary)


def _joined(columns: list[Ints]) -> tuple[Ints, Ints, Ints]:
    """Stretches as (chromosome, start, end), sorted, those that touch made one."""
    order = np.lexsort((columns[1], columns[0]))
    chrom, start, end = (column[order] for column in columns)
    first = np.flatnonzero(begin_anew(chrom, starts=start, ends=end, gap=0))
    return chrom[first], start[first], np.maximum.reduceat(end, first)


def _count_near(others: tuple[Ints, Ints, Ints], held: tuple[Ints, Ints, Ints], *, distance: int) -> int:
    """How many of the held-out stretches overlap one of the others or have fewer than `distance` letters to it."""
    chrom, start, end = others
    room = max(int(end.max()), int(held[2].max())) + distance + 1
    # Joined stretches ascend in start and in end alike, so the two searches bracket those in reach.
    first = np.searchsorted(chrom * room + end, held[0] * room + np.maximum(held[1] - distance, 0), side="right")
    last = np.searchsorted(chrom * room + start, held[0] * room + held[2] + distance, side="left")
    return int((last > first).sum())
