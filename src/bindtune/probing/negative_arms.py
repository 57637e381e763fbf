"""The kinds of negatives of a data set (arms): one record for each, with its name, its text and its function."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bindtune.config import ProbeConfig
from bindtune.data.dna.composition import composition, gc_of, odd_share
from bindtune.data.dna.negatives import (
    Sites,
    apart,
    draw_sites,
    joined_sites,
    match_nearest,
    match_vectors,
    near_peaks,
)
from bindtune.data.dna.region_kinds import Segments
from bindtune.data.dna.shuffling import shuffle_pairs
from bindtune.data.keyed_random import digest
from bindtune.probing.positives import Positives
from bindtune.probing.sources import Letters, readable

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_FEWEST_CANDIDATES = 1000
_MOST_CANDIDATES = 1_000_000
"""Of one kind of region. Composition takes 160 bytes a candidate."""


@dataclass(frozen=True)
class Pool:
    """C windows to choose negatives from.

    Args:
        sites: C windows that lie near no peak and do not overlap.
        kind: (C,) kind of region of each.
        fold: (C,) fold of each.
        composition: (C, 20) of each.
    """

    sites: Sites
    kind: Ints
    fold: Ints
    composition: Floats


@dataclass(frozen=True)
class Choice:
    """The negatives of an arm, each with its positive.

    Args:
        positive: (A,) index of the positive.
        sequences: A sequences.
        sites: A positions in the genome; None for sequences without one.
        kind: (A,) kind of region, -1 where it is unknown.
        dropped: positives without a negative, by reason.
        candidates: number of windows from which negatives were chosen; None for arms without a choice.
    """

    positive: Ints
    sequences: list[str]
    sites: Sites | None
    kind: Ints
    dropped: Counter[str]
    candidates: int | None = None


@dataclass(frozen=True)
class Surroundings:
    """The windows and settings from which arms choose.

    Args:
        name: the data set.
        config: the settings.
        letters: where sequences are read; None for FASTA input.
        segments: kinds of regions on each strand that positives have.
        positives: the bound windows.
        kind: (P,) kind of region of each of them.
        fold: (P,) fold of each of them.
        fold_of: the fold of any windows (N,), -1 for those of none.
        rivals: bound windows of the other data sets.
    """

    name: str
    config: ProbeConfig
    letters: Letters
    segments: Mapping[int, Segments]
    positives: Positives
    kind: Ints
    fold: Ints
    fold_of: Callable[[Sites], Ints]
    rivals: Mapping[str, Positives]

    @cached_property
    def pool(self) -> Pool:
        """Windows to choose negatives from, drawn when they are first needed."""
        return draw_pool(self)

    def key(self, *parts: object) -> int:
        """The key of a draw."""
        return digest(self.config.seed, self.name, *parts)


def kinds_of(sites: Sites, segments: Mapping[int, Segments]) -> Ints:
    """(N,) kind of region in which the middle of each window lies."""
    kind = np.full(len(sites), -1, np.int64)
    middle = sites.start + (sites.end - sites.start) // 2
    for strand, own in segments.items():
        rows = np.flatnonzero(sites.strand == strand)
        kind[rows] = own.kind_at(sites.chrom[rows], middle[rows])
    return kind


def draw_pool(around: Surroundings) -> Pool:
    """Draw windows of the kinds of regions and on the strands that the positives have."""
    config = around.config
    parts: list[Sites] = []
    for strand, segments in around.segments.items():
        rows = around.positives.sites.strand == strand
        for kind, count in enumerate(np.bincount(around.kind[rows & (around.kind >= 0)]).tolist()):
            if count:
                candidates = min(max(config.candidates * count, _FEWEST_CANDIDATES), _MOST_CANDIDATES)
                key = around.key("candidates", strand, kind)
                parts.append(
                    draw_sites(segments, kind=kind, strand=strand, count=candidates, width=config.width, key=key)
                )
    sites = joined_sites(parts)
    sites = sites.take(~near_peaks(sites, around.positives.peaks, distance=config.distance))
    sites = sites.take(around.fold_of(sites) >= 0)
    sites = sites.take(apart(sites))
    keep, sequences = readable(
        sites, around.letters, max_odd=config.max_n_fraction, odd_share=odd_share, dropped=Counter()
    )
    sites = sites.take(keep)
    return Pool(sites, kinds_of(sites, around.segments), around.fold_of(sites), composition(sequences))


def gc_region(around: Surroundings) -> Choice:
    """Windows of the same fold, the same kind of region and the same GC."""
    pool = around.pool
    own_gc, pool_gc = gc_of(composition(around.positives.sequences)), gc_of(pool.composition)
    candidate_of = np.full(len(own_gc), -1, np.int64)
    for fold, kind in sorted(set(zip(around.fold.tolist(), around.kind.tolist(), strict=True))):
        rows = np.flatnonzero((around.fold == fold) & (around.kind == kind))
        members = np.flatnonzero((pool.fold == fold) & (pool.kind == kind))
        key = around.key("gc-region", fold, kind)
        matched = match_nearest(own_gc[rows], pool_gc[members], tolerance=around.config.gc_tolerance, key=key)
        candidate_of[rows[matched >= 0]] = members[matched[matched >= 0]]
    return _from_pool(around, candidate_of, reason="no_window_of_same_region_and_gc")


def dinucleotide(around: Surroundings) -> Choice:
    """Windows of the same fold with the most similar frequencies of neighbouring letters."""
    pool, own = around.pool, composition(around.positives.sequences)[:, 4:]
    candidate_of = np.full(len(own), -1, np.int64)
    for fold in np.unique(around.fold).tolist():
        rows, members = np.flatnonzero(around.fold == fold), np.flatnonzero(pool.fold == fold)
        matched = match_vectors(own[rows], pool.composition[members, 4:])
        candidate_of[rows[matched >= 0]] = members[matched[matched >= 0]]
    return _from_pool(around, candidate_of, reason="no_window_left")


def other_sites(around: Surroundings) -> Choice:
    """Windows of the same fold around peaks of the other data sets, far from every peak of this one."""
    sites = joined_sites([rival.sites for rival in around.rivals.values()])
    sequences = [sequence for rival in around.rivals.values() for sequence in rival.sequences]
    free = np.flatnonzero(~near_peaks(sites, around.positives.peaks, distance=around.config.distance))
    free = free[apart(sites.take(free))]
    fold = around.fold_of(sites.take(free))
    generator = np.random.default_rng(around.key("other-sites"))
    rows, chosen = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for number in np.unique(around.fold).tolist():
        own, rivals = (
            generator.permutation(part) for part in (np.flatnonzero(around.fold == number), free[fold == number])
        )
        count = min(len(own), len(rivals))
        rows.append(own[:count])
        chosen.append(rivals[:count])
    positive, negative = np.concatenate(rows), np.concatenate(chosen)
    order = np.argsort(positive)
    positive, negative = positive[order], negative[order]
    dropped = Counter({"no_site_of_another_protein": len(around.fold) - len(positive)})
    kind = kinds_of(sites.take(negative), around.segments)
    return Choice(positive, [sequences[index] for index in negative.tolist()], sites.take(negative), kind, dropped)


def shuffled(around: Surroundings) -> Choice:
    """The positives, shuffled so that pairs of neighbouring letters stay as frequent."""
    return shuffle_all(around.positives.sequences, key=around.key("shuffled"))


def shuffle_all(sequences: list[str], *, key: int) -> Choice:
    """Shuffle P sequences, each by a key of its own."""
    made = [shuffle_pairs(sequence, digest(key, index)) for index, sequence in enumerate(sequences)]
    rows = np.array([index for index, sequence in enumerate(made) if sequence is not None], np.int64)
    dropped = Counter({"has_no_other_order": len(made) - len(rows)})
    texts = [sequence for sequence in made if sequence is not None]
    return Choice(rows, texts, None, np.full(len(rows), -1, np.int64), dropped)


def _from_pool(around: Surroundings, candidate_of: Ints, *, reason: str) -> Choice:
    pool, rows = around.pool, np.flatnonzero(candidate_of >= 0)
    sites = pool.sites.take(candidate_of[rows])
    sequences = around.letters.read(sites, around.letters.locate(sites))
    dropped = Counter({reason: len(candidate_of) - len(rows)})
    return Choice(rows, sequences, sites, pool.kind[candidate_of[rows]], dropped, len(pool.sites))


@dataclass(frozen=True)
class Arm:
    """One kind of negatives.

    Args:
        choose: finds them.
        about: what they are, in a sentence.
        easy: models that look at the order of letters beat it easily.
    """

    choose: Callable[[Surroundings], Choice]
    about: str
    easy: bool = False


ARMS = {
    "gc-region": Arm(gc_region, "Real windows of the same kind of region and the same GC."),
    "dinucleotide": Arm(dinucleotide, "Real windows with the most similar dinucleotide composition."),
    "other-sites": Arm(other_sites, "Sites of the other proteins, far from every site of this one."),
    "shuffled": Arm(shuffled, "The positives with their dinucleotides shuffled. This arm is easy to beat.", easy=True),
}
"""All kinds of negatives that the probe makes, in the order in which they are shown."""
GIVEN = "given"
"""The arm of negatives that the user gives."""
