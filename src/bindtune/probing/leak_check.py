"""Look for sequences, reverse complements, coordinates and words of 32 letters that different folds share."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bindtune.data.dna.negatives import Sites
from bindtune.data.dna.peaks import PeakIndex, Peaks
from bindtune.data.dna.shared_words import LONGEST_WORD, join, shared_across
from bindtune.io.genome import reverse_complement

Ints = NDArray[np.int64]
_EXAMPLES = 5


@dataclass(frozen=True)
class Leaks:
    """The result of a check.

    Args:
        counts: windows that share something with a window of another fold, by kind.
        word: letters of the words that were compared.
        examples: some pairs of windows, by kind.
        involved: (N,) windows that share something with another fold.
        surplus: (N,) windows to leave out, so that no fold shares anything.
    """

    counts: dict[str, int]
    word: int
    examples: dict[str, list[tuple[str, str]]]
    involved: NDArray[np.bool_]
    surplus: NDArray[np.bool_]

    @property
    def total(self) -> int:
        """All findings together."""
        return sum(self.counts.values())


def check_leaks(names: Sequence[str], sequences: Sequence[str], folds: Ints, *, sites: Sites | None) -> Leaks:
    """Look for sequences, words and positions that folds share.

    Args:
        names: N windows, for examples.
        sequences: N.
        folds: (N,) fold of each.
        sites: (N,) places; those without one have chromosome -1. None where there are no places.

    Example:
        >>> check_leaks(["a", "b"], ["ACGTA", "TACGT"], np.array([0, 1]), sites=None).counts["reverse_complements"]
        2
    """
    word = min([LONGEST_WORD, *map(len, sequences)])
    links = {
        "equal_sequences": _equal(sequences, folds),
        "reverse_complements": _turned(sequences, folds),
        "overlapping_coordinates": _overlaps(sites, folds),
        "shared_32mers": shared_pairs(sequences, folds, size=word),
    }
    counts, examples, edges = {}, {}, [np.empty((2, 0), np.int64)]
    for kind, (first, second) in links.items():
        counts[kind] = len(np.unique(np.concatenate([first, second])))
        across = np.flatnonzero(folds[first] != folds[second])[:_EXAMPLES]
        examples[kind] = [(names[first[at]], names[second[at]]) for at in across.tolist()]
        edges.append(np.stack([first, second]))
    chained = np.concatenate(edges, axis=1)
    involved = np.zeros(len(names), bool)
    involved[chained.reshape(-1)] = True
    return Leaks(counts, word, examples, involved, _surplus(join(len(names), chained[0], chained[1]), folds))


def _equal(sequences: Sequence[str], folds: Ints) -> tuple[Ints, Ints]:
    """Each window whose sequence another fold has, with the first such window."""
    numbers = {sequence: number for number, sequence in enumerate(dict.fromkeys(sequences))}
    number = np.array([numbers[sequence] for sequence in sequences], np.int64)
    order = np.argsort(number, kind="stable")
    first = np.flatnonzero(np.append(True, np.diff(number[order]) > 0))
    mixed = np.minimum.reduceat(folds[order], first) != np.maximum.reduceat(folds[order], first)
    chosen = order[np.repeat(mixed, np.diff(np.append(first, len(order))))]
    leader = order[first][number]
    return leader[chosen], chosen


def _turned(sequences: Sequence[str], folds: Ints) -> tuple[Ints, Ints]:
    """Windows whose reverse complement is in another fold, each with one such window."""
    rows: dict[str, dict[int, int]] = {}
    for number, (sequence, fold) in enumerate(zip(sequences, folds.tolist(), strict=True)):
        rows.setdefault(sequence, {}).setdefault(fold, number)
    first, second = [], []
    for number, (sequence, fold) in enumerate(zip(sequences, folds.tolist(), strict=True)):
        partners = rows.get(reverse_complement(sequence.encode("ascii")).decode("ascii"), {})
        partner = next((row for held, row in partners.items() if held != fold), None)
        if partner is not None:
            first.append(number)
            second.append(partner)
    return np.array(first, np.int64), np.array(second, np.int64)


def _overlaps(sites: Sites | None, folds: Ints) -> tuple[Ints, Ints]:
    """Pairs of windows of different folds that share a nucleotide, on either strand."""
    none = np.empty(0, np.int64)
    if sites is None:
        return none, none
    placed = np.flatnonzero(sites.chrom >= 0)
    first, second = [none], [none]
    for fold in np.unique(folds[placed]).tolist():
        own, others = placed[folds[placed] == fold], placed[folds[placed] > fold]
        if not len(others):
            continue
        some = sites.take(own)
        index = PeakIndex(Peaks(some.chrom.astype(np.int32), some.start, some.end, some.strand.astype(np.int8)))
        rest = sites.take(others)
        window, peak = index.overlapping(rest.chrom, starts=rest.start, ends=rest.end)
        first.append(own[peak])
        second.append(others[window])
    return np.concatenate(first), np.concatenate(second)


def shared_pairs(sequences: Sequence[str], folds: Ints, *, size: int) -> tuple[Ints, Ints]:
    """Windows that share a word with another fold, each with the first window that has the word."""
    if size < 1:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    owner, word = shared_across(sequences, folds, size=size)
    leader = np.zeros(int(word.max(initial=-1)) + 1, np.int64)
    leader[word[::-1]] = owner[::-1]
    # A window may have many such words: one link for each pair of windows is enough.
    pairs = np.unique(np.stack([leader[word], owner]), axis=1) if len(owner) else np.empty((2, 0), np.int64)
    return pairs[0], pairs[1]


def _surplus(chain: Ints, folds: Ints) -> NDArray[np.bool_]:
    """The windows of each chain of sharing windows, except those of the fold that has most of the chain."""
    chains = int(chain.max(initial=-1)) + 1
    width = int(folds.max(initial=0)) + 1
    counts = np.bincount(chain * width + folds, minlength=chains * width).reshape(chains, width)
    home: Ints = counts.argmax(axis=1)
    return np.asarray(folds != home[chain], bool)
