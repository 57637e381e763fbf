"""Groups of windows that stay together, and the folds that they are placed in.

Folds are made before negatives are chosen, so that each negative comes from the fold of its positive. If the two were
in different folds, a model would learn from one and be wrong about the other. A useless model would then get an AUROC
below one half.
"""

import logging
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bindtune.data.dna.negatives import Sites
from bindtune.data.dna.splits import neighbourhoods
from bindtune.data.dna.window_positions import Regions
from bindtune.errors import ConfigError

Ints = NDArray[np.int64]
Split = Literal["auto", "chromosome", "neighbourhood"]
log = logging.getLogger(__name__)
_GROUPS_A_FOLD = 2
"""Neighbourhoods are made smaller until each fold has this many."""


@dataclass(frozen=True)
class Territories:
    """Parts of chromosomes, each around a group of positives; windows of two parts are apart.

    Args:
        kind: "chromosome" or "neighbourhood".
        chrom: (G,) chromosome of each group, ascending.
        low: (G,) first nucleotide of its positives, ascending on a chromosome.
        high: (G,) one past their last.
        distance: nucleotides that lie between windows of two neighbourhoods.
    """

    kind: str
    chrom: Ints
    low: Ints
    high: Ints
    distance: int

    def group_of(self, sites: Sites) -> Ints:
        """(N,) the group whose part holds a window, -1 for those near a border or on a chromosome without positives."""
        if not len(self.chrom):
            return np.full(len(sites), -1, np.int64)
        if self.kind == "chromosome":
            at = np.minimum(np.searchsorted(self.chrom, sites.chrom), len(self.chrom) - 1)
            return np.where(self.chrom[at] == sites.chrom, at, -1)
        room = int(max(self.high.max(), sites.end.max(initial=0))) + 1
        left = np.searchsorted(self.chrom * room + self.low, sites.chrom * room + sites.start, side="right") - 1
        right = left + 1
        has_left = (left >= 0) & (self.chrom[np.maximum(left, 0)] == sites.chrom)
        has_right = (right < len(self.chrom)) & (self.chrom[np.minimum(right, len(self.chrom) - 1)] == sites.chrom)
        border = (self.high[np.maximum(left, 0)] + self.low[np.minimum(right, len(self.chrom) - 1)]) // 2
        between = has_left & has_right
        half = -(-self.distance // 2)
        is_left = has_left & (~has_right | (sites.end <= border - half))
        is_right = has_right & (~has_left | (sites.start >= border + half))
        inside = between & (sites.end <= self.high[np.maximum(left, 0)])
        return np.where(is_left | inside, left, np.where(is_right, right, -1))


def make_territories(sites: Sites, *, split: Split, folds: int, distance: int) -> Territories:
    """Divide chromosomes by the positives of all data sets.

    Args:
        sites: N positives.
        split: auto takes chromosomes where there are at least as many as folds.
        folds: how many folds there will be.
        distance: positives with fewer nucleotides between them are neighbours. If there are too few groups, or if one
            has most of the positives, the distance is halved, with a warning. Windows that overlap are never separated.
    """
    if split == "chromosome" or (split == "auto" and len(np.unique(sites.chrom)) >= folds):
        chrom = np.unique(sites.chrom)
        return Territories("chromosome", chrom, np.zeros(len(chrom), np.int64), np.zeros(len(chrom), np.int64), 0)
    regions = Regions([], sites.chrom.astype(np.int32), sites.start, sites.end, sites.strand.astype(np.int8))
    nearest = distance
    while True:
        number = neighbourhoods(regions, distance=nearest)
        sizes = np.bincount(number)
        if not nearest or (len(sizes) >= _GROUPS_A_FOLD * folds and sizes.max() <= len(number) / folds):
            break
        nearest //= 2
    if nearest < distance:
        log.warning(
            "peaks lie too close together for neighbourhoods %d nucleotides apart: folds lie %d apart",
            distance,
            nearest,
        )
    order = np.lexsort((sites.start, number))
    first = np.flatnonzero(np.append(True, np.diff(number[order]) > 0))
    high = np.maximum.reduceat(sites.end[order], first)
    return Territories("neighbourhood", sites.chrom[order][first], sites.start[order][first], high, nearest)


def place_groups(groups: Ints, classes: Ints, *, folds: int, key: int) -> Ints:
    """(G,) fold of each group, from 0: large groups first, each where there is least of what it holds.

    Args:
        groups: (N,) group of each window; all numbers from 0 are used.
        classes: (N,) classes to spread evenly over the folds: data sets, or labels.
        folds: number of folds.
        key: decides the order of groups of one size.

    Raises:
        ConfigError: there are fewer groups than folds.
    """
    count, kinds = int(groups.max(initial=-1)) + 1, int(classes.max(initial=0)) + 1
    if count < folds:
        raise ConfigError(
            f"the windows make up {count} groups, too few for {folds} folds: give fewer --folds, or "
            "--split neighbourhood with a smaller --split-distance"
        )
    sizes = np.bincount(groups * kinds + classes, minlength=count * kinds).reshape(count, kinds).astype(np.float64)
    sizes /= np.maximum(sizes.sum(axis=0), 1)
    order = np.lexsort((np.random.default_rng(key).random(count), -sizes.sum(axis=1)))
    fold, loads = np.zeros(count, np.int64), np.zeros((folds, kinds))
    for group in order.tolist():
        # What the sum of the squared loads grows by; then the emptiest.
        cost = (sizes[group] * (2 * loads + sizes[group])).sum(axis=1)
        fold[group] = np.lexsort((loads.sum(axis=1), cost))[0]
        loads[fold[group]] += sizes[group]
    return fold
