"""Motifs in the stretches of sequences that have the highest values.

Stretches are chosen by a sum that shuffled values rarely reach. A motif begins at the word that carries the most value,
and is then aligned anew until its members stay. Each stretch has one place of the motif or none, as in the model ZOOPS
of MEME (Bailey and Elkan 1995), but the most probable place alone counts.
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
    """A place of a motif.

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
        counts: (W, 4) how often each letter stands at each place, by A, C, G and T.
        sites: where.
    """

    counts: Ints
    sites: tuple[Site, ...]

    @property
    def probabilities(self) -> Floats:
        """(W, 4) shares of the letters."""
        return np.asarray(self.counts / np.maximum(self.counts.sum(axis=1, keepdims=True), 1))

    @property
    def bits(self) -> Floats:
        """(W,) information of each place: 2 bits for one letter, 0 for all alike."""
        shares = self.probabilities
        return np.asarray(2 + np.sum(shares * np.log2(np.maximum(shares, 1e-12)), axis=1))

    @property
    def consensus(self) -> str:
        """The letter that stands at each place in more than half of the sites; N where there is none."""
        best = zip(self.probabilities.argmax(axis=1).tolist(), self.probabilities.max(axis=1).tolist(), strict=True)
        return "".join(LETTERS[letter] if share > 0.5 else "N" for letter, share in best)

    @property
    def value(self) -> float:
        """Sum of the values of its places."""
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
    found = []
    for row, own in enumerate(clean):
        sums = _sums(own, length)
        while len(sums) and sums.max() > cutoff:
            start = int(sums.argmax())
            found.append(Site(row, start, float(sums[start])))
            sums[max(0, start - length + 1) : start + length] = -np.inf
    return found


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
    places = _neighbourhoods(highest_stretches(clean, length=length, seed=seed), codes, length)
    motifs = []
    for _ in range(count):
        members = _refined(_seeded(places, codes, clean, length), places, codes, shares, length)
        if len(members) < _FEWEST:
            break
        motifs.append(_motif(members, codes, clean, length))
        taken = {place for place, _ in members}
        places = [place for place in places if place not in taken]
    return sorted(motifs, key=lambda motif: -motif.value)


class _Place(NamedTuple):
    """Where a motif may begin: [first, last] in a sequence."""

    row: int
    first: int
    last: int


_Members = list[tuple[_Place, int]]
"""Places and where the motif begins there."""


def background(codes: Sequence[NDArray[np.integer]]) -> Floats:
    """(4,) frequencies of A, C, G and T; each counts once more than it occurs.

    Args:
        codes: (L,) letters of each sequence.
    """
    counts = np.bincount(np.concatenate([*codes, np.arange(4)]), minlength=5)[:4]
    return np.asarray(counts / counts.sum())


def _neighbourhoods(stretches: Sequence[Site], codes: Sequence[Ints], length: int) -> list[_Place]:
    """A motif may lie half its length beside the highest stretch."""
    half = length // 2
    return [
        _Place(site.row, max(0, site.start - half), min(len(codes[site.row]) - length, site.start + half))
        for site in stretches
    ]


def _seeded(places: Sequence[_Place], codes: Sequence[Ints], values: Sequence[Floats], length: int) -> _Members:
    """Places that hold the word with the most value; the word stands in the middle of the motif."""
    word = min(_WORD, length)
    before = (length - word) // 2
    totals: defaultdict[bytes, float] = defaultdict(float)
    best: list[dict[bytes, tuple[float, int]]] = []
    for place in places:
        own: dict[bytes, tuple[float, int]] = {}
        for start in range(place.first, place.last + 1):
            letters, value = codes[place.row][start + before :][:word], values[place.row][start + before :][:word].sum()
            key = letters.astype(np.int8).tobytes()
            if letters.max() < 4 and value > own.get(key, (0.0, 0))[0]:
                own[key] = float(value), start
        best.append(own)
        for key, (value, _) in own.items():
            totals[key] += value
    if not totals:
        return []
    key = max(totals, key=lambda each: (totals[each], each))
    return [(place, own[key][1]) for place, own in zip(places, best, strict=True) if key in own]


def _refined(
    members: _Members, places: Sequence[_Place], codes: Sequence[Ints], shares: Floats, length: int
) -> _Members:
    """Align until the members stay."""
    for _ in range(_ROUNDS):
        if len(members) < _FEWEST:
            break
        members = _centred(members, codes, length)
        weights = _log_odds(members, codes, shares, length)
        aligned = [(place, *_best(weights, codes[place.row], place)) for place in places]
        # The motif is more probable than none where its odds outweigh the number of places that were tried.
        new = [
            (place, start) for place, start, score in aligned if score > np.log(max(place.last - place.first + 1, 1))
        ]
        if new == members:
            break
        members = new
    return members


def _letters_at(members: _Members, codes: Sequence[Ints], length: int, shift: int = 0) -> NDArray[np.int64]:
    """(M, W) letters of the members, 4 beyond an end."""
    rows = []
    for place, start in members:
        own, first = codes[place.row], start + shift
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


def _best(weights: Floats, codes: Ints, place: _Place) -> tuple[int, float]:
    """Where the motif fits best, and its log odds there."""
    length = len(weights)
    windows = np.lib.stride_tricks.sliding_window_view(codes[place.first : place.last + length], length)
    scores = weights[np.arange(length), windows].sum(axis=1)
    return place.first + int(scores.argmax()), float(scores.max())


def _centred(members: _Members, codes: Sequence[Ints], length: int) -> _Members:
    """Shift the motif to where its letters say the most."""
    half = length // 2
    wide = Motif(_counts(_letters_at(members, codes, length + 2 * half, shift=-half)), ())
    shift = int(_sums(wide.bits, length).argmax()) - half
    moved = [(place, min(max(start + shift, 0), len(codes[place.row]) - length)) for place, start in members]
    return moved if shift else members


def _motif(members: _Members, codes: Sequence[Ints], values: Sequence[Floats], length: int) -> Motif:
    sites = tuple(
        Site(place.row, start, float(values[place.row][start : start + length].sum())) for place, start in members
    )
    return Motif(_counts(_letters_at(members, codes, length)), sites)
