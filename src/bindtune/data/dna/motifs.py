"""Motifs in the stretches of sequences that have the highest values.

Stretches are chosen by a sum that shuffled values rarely reach. A motif begins at the word that carries the most value,
and is then aligned anew until its members stay. Each stretch has one occurrence of the motif or none, as in the model
ZOOPS of MEME (Bailey and Elkan 1995), but only the most probable one counts.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bindtune.data.dna.composition import LETTERS, letter_codes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_WORD = 5
_ROUNDS = 20
_PSEUDO = 0.5
_FEWEST = 5
"""Places of a motif at least."""
_CHANCE = 0.05
"""Share of sequences whose highest stretch would be as high if their values were shuffled."""


class Site(NamedTuple):
    """An occurrence of a motif.

    Args:
        row: the sequence.
        start: first letter, from 0.
        value: sum of the letters' values.
    """

    row: int
    start: int
    value: float


@dataclass(frozen=True)
class Motif:
    """A motif of W letters.

    Args:
        counts: (W, 4) number of each letter at each position, by A, C, G and T.
        sites: its occurrences.
    """

    counts: Ints
    sites: tuple[Site, ...]

    @property
    def probabilities(self) -> Floats:
        """(W, 4) shares of the letters."""
        return np.asarray(self.counts / np.maximum(self.counts.sum(axis=1, keepdims=True), 1))

    @property
    def bits(self) -> Floats:
        """(W,) information of each position: 2 bits for one letter, 0 for equal shares."""
        shares = self.probabilities
        return np.asarray(2 + np.sum(shares * np.log2(np.maximum(shares, 1e-12)), axis=1))

    @property
    def consensus(self) -> str:
        """The letter of more than half of the sites at each position, or N."""
        best = zip(self.probabilities.argmax(axis=1).tolist(), self.probabilities.max(axis=1).tolist(), strict=True)
        return "".join(LETTERS[letter] if share > 0.5 else "N" for letter, share in best)

    @property
    def value(self) -> float:
        """Sum of the values of its sites."""
        return sum(site.value for site in self.sites)


def highest_stretches(values: Sequence[Floats], *, length: int, seed: int) -> list[Site]:
    """Stretches that do not overlap and whose sums are higher than shuffled values explain.

    Args:
        values: (L,) of each sequence, along it; nan counts as 0.
        length: letters of a stretch.
        seed: of the shuffles.

    Example:
        >>> value = np.zeros(30); value[10:14] = 1
        >>> [(site.row, site.start) for site in highest_stretches([value] * 20, length=4, seed=1)][:2]
        [(0, 10), (1, 10)]
    """
    generator = np.random.default_rng(seed)
    clean = [np.nan_to_num(own) for own in values]
    long = [own for own in clean if len(own) >= length]
    highest = [float(_sums(generator.permutation(own), length).max()) for own in long]
    if not highest:
        return []
    cutoff = max(float(np.quantile(highest, 1 - _CHANCE)), 1e-12)
    sites = []
    for row, own in enumerate(clean):
        sums = _sums(own, length)
        while len(sums) and sums.max() > cutoff:
            start = int(sums.argmax())
            sites.append(Site(row, start, float(sums[start])))
            sums[max(0, start - length + 1) : start + length] = -np.inf
    return sites


def _sums(values: Floats, length: int) -> Floats:
    """(L - length + 1,) sums of neighbours; empty for shorter sequences."""
    if len(values) < length:
        return np.empty(0)
    total = np.concatenate([[0.0], np.cumsum(values)])
    return np.asarray(total[length:] - total[:-length])


def find_motifs(
    sequences: Sequence[str], values: Sequence[Floats], *, count: int, length: int, seed: int
) -> list[Motif]:
    """The motifs that carry the most value, highest first.

    Args:
        sequences: N.
        values: (L,) value of each letter of each sequence.
        count: motifs to look for at most.
        length: W, letters of a motif.
        seed: of the shuffles that say which stretches are high.

    Example:
        >>> flanks = ["".join(row) for row in np.random.default_rng(0).choice(list("ACGT"), (40, 20))]
        >>> sequences = [flank[:at] + "TGTAAATA" + flank[at:] for at, flank in enumerate(flanks[:20])]
        >>> values = [np.isin(np.arange(28), np.arange(at, at + 8)).astype(float) for at in range(20)]
        >>> [motif.consensus for motif in find_motifs(sequences, values, count=2, length=8, seed=1)]
        ['TGTAAATA']
    """
    codes = [letter_codes(sequence).astype(np.int64) for sequence in sequences]
    clean = [np.nan_to_num(own) for own in values]
    shares = background(codes)
    ranges = _neighbourhoods(highest_stretches(clean, length=length, seed=seed), codes, length)
    motifs = []
    for _ in range(count):
        members = _refined(_seeded(ranges, codes, clean, length), ranges, codes, shares, length)
        if len(members) < _FEWEST:
            break
        motifs.append(_motif(members, codes, clean, length))
        taken = {span for span, _ in members}
        ranges = [span for span in ranges if span not in taken]
    return sorted(motifs, key=lambda motif: -motif.value)


class _Range(NamedTuple):
    """The starts that a motif may have in a sequence: [first, last]."""

    row: int
    first: int
    last: int


_Members = list[tuple[_Range, int]]
"""Ranges, and the start of the motif in each."""


def background(codes: Sequence[NDArray[np.integer]]) -> Floats:
    """(4,) frequencies of A, C, G and T; each counts once more than it occurs.

    Args:
        codes: (L,) letters of each sequence.
    """
    counts = np.bincount(np.concatenate([*codes, np.arange(4)]), minlength=5)[:4]
    return np.asarray(counts / counts.sum())


def _neighbourhoods(stretches: Sequence[Site], codes: Sequence[Ints], length: int) -> list[_Range]:
    """A motif may lie half its length beside the highest stretch."""
    half = length // 2
    return [
        _Range(site.row, max(0, site.start - half), min(len(codes[site.row]) - length, site.start + half))
        for site in stretches
    ]


def _seeded(ranges: Sequence[_Range], codes: Sequence[Ints], values: Sequence[Floats], length: int) -> _Members:
    """Ranges that hold the word with the most value; the word is the middle of the motif."""
    word = min(_WORD, length)
    before = (length - word) // 2
    totals: defaultdict[bytes, float] = defaultdict(float)
    best: list[dict[bytes, tuple[float, int]]] = []
    for span in ranges:
        own: dict[bytes, tuple[float, int]] = {}
        for start in range(span.first, span.last + 1):
            letters, value = codes[span.row][start + before :][:word], values[span.row][start + before :][:word].sum()
            key = letters.astype(np.int8).tobytes()
            if letters.max() < 4 and value > own.get(key, (0.0, 0))[0]:
                own[key] = float(value), start
        best.append(own)
        for key, (value, _) in own.items():
            totals[key] += value
    if not totals:
        return []
    key = max(totals, key=lambda each: (totals[each], each))
    return [(span, own[key][1]) for span, own in zip(ranges, best, strict=True) if key in own]


def _refined(
    members: _Members, ranges: Sequence[_Range], codes: Sequence[Ints], shares: Floats, length: int
) -> _Members:
    """Align until the members stay."""
    for _ in range(_ROUNDS):
        if len(members) < _FEWEST:
            break
        members = _centred(members, codes, length)
        weights = _log_odds(members, codes, shares, length)
        aligned = [(span, *_best(weights, codes[span.row], span)) for span in ranges]
        # The motif is more probable than none where its odds outweigh the number of starts that were tried.
        new = [(span, start) for span, start, score in aligned if score > np.log(max(span.last - span.first + 1, 1))]
        if new == members:
            break
        members = new
    return members


def _letters_at(members: _Members, codes: Sequence[Ints], length: int, shift: int = 0) -> NDArray[np.int64]:
    """(M, W) letters of the members, 4 beyond an end."""
    rows = []
    for span, start in members:
        own, first = codes[span.row], start + shift
        padded = np.full(length, 4, np.int64)
        low, high = max(first, 0), min(first + length, len(own))
        if high > low:
            padded[low - first : high - first] = own[low:high]
        rows.append(padded)
    return np.array(rows, np.int64).reshape(-1, length)


def _counts(letters: NDArray[np.int64]) -> Ints:
    """(W, 4) counts of letters (M, W)."""
    return np.stack([(letters == letter).sum(axis=0) for letter in range(4)], axis=1)


def _log_odds(members: _Members, codes: Sequence[Ints], shares: Floats, length: int) -> Floats:
    """(W, 5) log odds of each letter; other letters say nothing."""
    counts = _counts(_letters_at(members, codes, length)) + _PSEUDO * 4 * shares
    odds = np.log(counts / counts.sum(axis=1, keepdims=True) / shares)
    return np.hstack([odds, np.zeros((length, 1))])


def _best(weights: Floats, codes: Ints, span: _Range) -> tuple[int, float]:
    """Where the motif fits best, and its log odds there."""
    length = len(weights)
    windows = np.lib.stride_tricks.sliding_window_view(codes[span.first : span.last + length], length)
    scores = weights[np.arange(length), windows].sum(axis=1)
    return span.first + int(scores.argmax()), float(scores.max())


def _centred(members: _Members, codes: Sequence[Ints], length: int) -> _Members:
    """Shift the motif to where its letters say the most."""
    half = length // 2
    wide = Motif(_counts(_letters_at(members, codes, length + 2 * half, shift=-half)), ())
    shift = int(_sums(wide.bits, length).argmax()) - half
    moved = [(span, min(max(start + shift, 0), len(codes[span.row]) - length)) for span, start in members]
    return moved if shift else members


def _motif(members: _Members, codes: Sequence[Ints], values: Sequence[Floats], length: int) -> Motif:
    sites = tuple(
        Site(span.row, start, float(values[span.row][start : start + length].sum())) for span, start in members
    )
    return Motif(_counts(_letters_at(members, codes, length)), sites)
