"""Train, validation and test sets of windows that share no chromosome or no neighbourhood."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bindtune.data.layout import Placed, Regions
from bindtune.errors import ConfigError
from bindtune.regions import begin_anew

Ints = NDArray[np.int64]
KeptOf = Callable[[Ints], Iterator[Placed]]
TRAIN, VALIDATION, TEST = 0, 1, 2
SPLITS = ("train", "validation", "test")
# Codes beside the three: a region whose windows are told apart one by one, and a window too near to a border.
_CUT, _BORDER = 3, -1
_SHUFFLES = 64
_PLACES = 32


@dataclass(frozen=True)
class Cut:
    """A stretch of a chromosome whose windows form a split of their own."""

    chrom: int
    start: int
    end: int
    split: int


@dataclass
class SplitPlan:
    """Which split every window belongs to.

    Args:
        regions: all regions.
        region_split: (R,) split of each region, or that its windows are told apart by the cuts.
        distance: nucleotides that must lie between windows of different splits.
        cuts: where regions had to be divided.
    """

    regions: Regions
    region_split: NDArray[np.int8]
    distance: int
    cuts: list[Cut] = field(default_factory=list)

    def regions_of(self, split: int) -> Ints:
        """Indices of the regions that have windows of a split."""
        return np.flatnonzero((self.region_split == split) | (self.region_split == _CUT))

    def split_of(self, placed: Placed) -> NDArray[np.int8]:
        """(N,) split of each window, -1 for windows that lie too near to a border between two."""
        split = self.region_split[placed.region]
        divided = np.flatnonzero(split == _CUT)
        if not len(divided):
            return split
        region = placed.region[divided]
        start = self.regions.start[region] + placed.start[divided]
        end = self.regions.start[region] + placed.end[divided]
        code = np.full(len(divided), TRAIN, np.int8)
        for cut in self.cuts:
            here = self.regions.chrom[region] == cut.chrom
            near = here & (start < cut.end + self.distance) & (end > cut.start - self.distance)
            code[near] = _BORDER
            code[here & (start >= cut.start) & (end <= cut.end)] = cut.split
        split = split.copy()
        split[divided] = code
        return split


def plan_splits(
    regions: Regions,
    *,
    weights: Ints,
    kept_of: KeptOf,
    chromosomes: Mapping[int, set[int]],
    fractions: Mapping[int, float],
    whole_chromosomes: bool,
    distance: int,
    seed: int,
) -> SplitPlan:
    """Hold out regions.

    Regions within `distance` of one another stay together, or all regions of a chromosome. Such groups are drawn until
    their windows make up the fraction. Where no choice of whole neighbourhoods comes near it (one long region, say), a
    stretch of the largest neighbourhood is cut out, at the price of the windows across its borders.

    Args:
        regions: all regions.
        weights: (R,) windows that each region will bring.
        kept_of: gives the places of these windows for some regions, a few thousand at a time.
        chromosomes: split -> numbers of the chromosomes that form it.
        fractions: split -> share of the windows, for the splits that no chromosomes are named for.
        whole_chromosomes: draw chromosomes instead of neighbourhoods.
        distance: nucleotides that must lie between windows of different splits.
        seed: decides what is drawn.

    Raises:
        ConfigError: no choice of whole chromosomes comes near the fraction.
    """
    plan = SplitPlan(regions, np.full(len(regions), TRAIN, np.int8), distance)
    for split, numbers in chromosomes.items():
        plan.region_split[np.isin(regions.chrom, sorted(numbers))] = split
    group = regions.chrom.astype(np.int64) if whole_chromosomes else neighbourhoods(regions, distance=distance)
    generator = np.random.default_rng(seed)
    for split, fraction in fractions.items():
        target = max(1, round(fraction * int(weights.sum())))
        # Whole groups only: one that another split already has a part of is out of the question.
        sizes = np.bincount(group, weights=weights).astype(np.int64)
        sizes[group[plan.region_split != TRAIN]] = 0
        # At least one window stays for training.
        chosen = _fill(sizes, target=min(target, int(sizes.sum()) - 1), generator=generator)
        found = int(sizes[chosen].sum())
        near = abs(found - target) <= target / 2
        if whole_chromosomes and not near:
            _refuse_chromosomes(found, target=target, total=int(weights.sum()), split=split)
        elif not near:
            cut = _place_cut(
                plan, weights=weights, kept_of=kept_of, group=group, target=target, split=split, generator=generator
            )
            chosen = _more_or_cut(plan, sizes=sizes, chosen=chosen, target=target, cut=cut, group=group)
        plan.region_split[np.isin(group, chosen)] = split
    return plan


def neighbourhoods(regions: Regions, *, distance: int) -> Ints:
    """(R,) number of the group of regions that overlap or have fewer than `distance` nucleotides between them."""
    order = np.lexsort((regions.end, regions.start, regions.chrom))
    new = begin_anew(regions.chrom[order], starts=regions.start[order], ends=regions.end[order], gap=distance - 1)
    group = np.empty(len(regions), np.int64)
    group[order] = np.cumsum(new) - 1
    return group


def _fill(sizes: Ints, *, target: int, generator: np.random.Generator) -> Ints:
    """Groups that together reach the target as nearly as some shuffled orders show, without passing it."""
    groups = np.flatnonzero((sizes > 0) & (sizes <= target))
    best, best_left = np.empty(0, np.int64), target
    for _ in range(_SHUFFLES if len(groups) else 0):
        order, left, chosen = generator.permutation(groups), target, []
        for group, size in zip(order.tolist(), sizes[order].tolist(), strict=True):
            if size <= left:
                chosen.append(group)
                left -= size
        if left < best_left:
            best, best_left = np.array(chosen, np.int64), left
        if best_left <= target // 100:
            break
    return best


def _refuse_chromosomes(found: int, *, target: int, total: int, split: int) -> None:
    raise ConfigError(
        f"whole chromosomes cannot make up {target} of {total} windows for {SPLITS[split]} (nearest below: {found}): "
        f"use --split neighbourhood, or name chromosomes with --{SPLITS[split]}-chromosomes"
    )


def _place_cut(
    plan: SplitPlan,
    *,
    weights: Ints,
    kept_of: KeptOf,
    group: Ints,
    target: int,
    split: int,
    generator: np.random.Generator,
) -> tuple[Cut, int] | None:
    """Where to cut the largest neighbourhood to have the target's windows in the cut, and how many that costs."""
    open_regions = (plan.region_split == TRAIN) | (plan.region_split == _CUT)
    sizes = np.bincount(group, weights=weights * open_regions).astype(np.int64)
    if not sizes.any():
        return None
    members = np.flatnonzero(group == sizes.argmax())
    chrom = int(plan.regions.chrom[members[0]])
    starts, ends = _on_chromosome(plan.regions, kept_of(members))
    taken = np.zeros(len(starts), bool)  # by the cuts that are there already, and their borders
    for cut in plan.cuts:
        if cut.chrom == chrom:
            taken |= (starts < cut.end + plan.distance) & (ends > cut.start - plan.distance)
    best: tuple[Cut, int] | None = None
    for first in generator.integers(0, max(len(starts) - target, 0) + 1, size=_PLACES).tolist():
        later = ends[first:]
        if len(later) < target:
            break
        low, high = int(starts[first]), int(np.partition(later, target - 1)[target - 1])
        near = (starts < high + plan.distance) & (ends > low - plan.distance)
        inside = (starts >= low) & (ends <= high)
        lost = int(near.sum() - inside.sum())
        crowded = any(
            cut.chrom == chrom and low - plan.distance < cut.end and high + plan.distance > cut.start
            for cut in plan.cuts
        )
        fits = not crowded and near.sum() <= len(starts) / 2 and not (near | taken).all()
        if fits and (best is None or lost < best[1]):
            best = (Cut(chrom, low, high, split), lost)
    return best


def _on_chromosome(regions: Regions, windows: Iterator[Placed]) -> tuple[Ints, Ints]:
    """(starts, ends) of windows on their chromosome, sorted by start."""
    starts, ends = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for placed in windows:
        starts.append(regions.start[placed.region] + placed.start)
        ends.append(regions.start[placed.region] + placed.end)
    start, end = np.concatenate(starts), np.concatenate(ends)
    order = np.argsort(start, kind="stable")
    return start[order], end[order]


def _more_or_cut(
    plan: SplitPlan, *, sizes: Ints, chosen: Ints, target: int, cut: tuple[Cut, int] | None, group: Ints
) -> Ints:
    """Too few windows, too many, or a cut and the windows it costs: whichever misses the target by least."""
    found = int(sizes[chosen].sum())
    costs = {"less": float(target - found) if found else np.inf}
    others = np.setdiff1d(np.flatnonzero(sizes), chosen)
    least = others[sizes[others].argmin()] if len(others) else -1
    if least >= 0 and found + sizes[least] <= sizes.sum() / 2:
        costs["more"] = float(found + sizes[least] - target)
    if cut is not None:
        costs["cut"] = float(cut[1])
    choice = min(costs, key=lambda name: costs[name])
    if choice == "cut" and cut is not None:
        divided = group == _group_at(plan.regions, group=group, cut=cut[0])
        plan.cuts.append(cut[0])
        plan.region_split[divided] = _CUT
        return np.empty(0, np.int64)
    return np.append(chosen, least) if choice == "more" else chosen


def _group_at(regions: Regions, *, group: Ints, cut: Cut) -> int:
    inside = (regions.chrom == cut.chrom) & (regions.start < cut.end) & (regions.end > cut.start)
    return int(group[inside.argmax()])
