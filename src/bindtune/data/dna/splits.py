"""Divide windows into training, validation and test sets that share no chromosome or no neighbourhood."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bindtune.data.dna.window_positions import Placed, Regions
from bindtune.errors import ConfigError
from bindtune.regions import begin_anew

Ints = NDArray[np.int64]
WindowsOf = Callable[[Ints], Iterator[tuple[Placed, NDArray[np.bool_]]]]
"""Indices of regions -> their windows, and a mask of the windows with a peak."""
TRAIN, VALIDATION, TEST = 0, 1, 2
SPLITS = ("train", "validation", "test")
# Further codes: a region whose windows belong to several splits, and a window too near to a border.
_CUT, _BORDER = 3, -1
FEWEST_WITH_PEAKS = 30
"""Fewer held-out windows with a peak give a warning; in 30 windows, about 75 tokens in peaks are masked."""
_SHUFFLES = 64
_PLACES = 32


class Amount(NamedTuple):
    """A number of windows, and how many of them have a peak."""

    windows: int
    with_peaks: int


def few_peaks(held_out: Amount) -> str | None:
    """A warning if too few held-out windows have a peak, otherwise None.

    Example:
        >>> few_peaks(Amount(windows=33, with_peaks=2))
        '2 of 33 windows have a peak, fewer than 30: the loss in peaks rests on few tokens'
    """
    if held_out.with_peaks >= FEWEST_WITH_PEAKS:
        return None
    verb = "has" if held_out.with_peaks == 1 else "have"
    share = f"{held_out.with_peaks} of {held_out.windows:,} windows {verb} a peak"
    return f"{share}, fewer than {FEWEST_WITH_PEAKS}: the loss in peaks rests on few tokens"


@dataclass(frozen=True)
class Amounts:
    """The numbers of windows of N regions or groups.

    Args:
        windows: (N,) all windows.
        with_peaks: (N,) windows with a peak.
    """

    windows: Ints
    with_peaks: Ints

    def by_group(self, group: Ints) -> "Amounts":
        """Sums over groups; `group` (N,) is the group number of each region."""
        windows, with_peaks = (np.bincount(group, weights=part) for part in (self.windows, self.with_peaks))
        return Amounts(windows.astype(np.int64), with_peaks.astype(np.int64))

    def where(self, mask: NDArray[np.bool_]) -> "Amounts":
        """The same numbers, but 0 outside the mask (N,)."""
        return Amounts(self.windows * mask, self.with_peaks * mask)

    def total(self, chosen: Ints | None = None) -> Amount:
        """The sum over all, or over chosen regions or groups."""
        some = slice(None) if chosen is None else chosen
        return Amount(int(self.windows[some].sum()), int(self.with_peaks[some].sum()))


@dataclass(frozen=True)
class Cut:
    """A stretch of a chromosome whose windows belong to one split."""

    chrom: int
    start: int
    end: int
    split: int


class _PlacedCut(NamedTuple):
    """A cut, and the distance of its held-out windows from the target."""

    cut: Cut
    miss: tuple[bool, bool, float]


@dataclass
class SplitPlan:
    """The split of every window.

    Args:
        regions: all regions.
        region_split: (R,) split of each region, or the code that the cuts divide its windows.
        distance: nucleotides that must lie between windows of different splits.
        cuts: the cuts that divide regions.
    """

    regions: Regions
    region_split: NDArray[np.int8]
    distance: int
    cuts: list[Cut] = field(default_factory=list)

    def regions_of(self, split: int) -> Ints:
        """Indices of the regions that have windows of a split."""
        return np.flatnonzero((self.region_split == split) | (self.region_split == _CUT))

    def split_of(self, placed: Placed) -> NDArray[np.int8]:
        """(N,) split of each window, -1 for windows too near to a border between two splits."""
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
    amounts: Amounts,
    windows_of: WindowsOf,
    chromosomes: Mapping[int, set[int]],
    fractions: Mapping[int, float],
    whole_chromosomes: bool,
    distance: int,
    seed: int,
) -> SplitPlan:
    """Hold out regions.

    A group is all regions of a chromosome, or the regions within `distance` of one another (a neighbourhood). Groups
    are drawn until they hold the fraction of the windows, and of the windows with peaks. If no choice of whole
    neighbourhoods comes near the two fractions (for example with one long region), a stretch of a large neighbourhood
    is cut out. The windows across its borders are lost.

    Args:
        regions: all regions.
        amounts: (R,) numbers of windows of each region.
        windows_of: gives the windows of some regions, a few thousand at a time.
        chromosomes: split -> numbers of its chromosomes.
        fractions: split -> share of the windows, for splits without named chromosomes.
        whole_chromosomes: draw chromosomes instead of neighbourhoods.
        distance: nucleotides that must lie between windows of different splits.
        seed: seed of the draws.

    Raises:
        ConfigError: no choice of whole chromosomes comes near the fraction of the windows.
    """
    plan = SplitPlan(regions, np.full(len(regions), TRAIN, np.int8), distance)
    for split, numbers in chromosomes.items():
        plan.region_split[np.isin(regions.chrom, sorted(numbers))] = split
    group = regions.chrom.astype(np.int64) if whole_chromosomes else neighbourhoods(regions, distance=distance)
    generator = np.random.default_rng(seed)
    for split, fraction in fractions.items():
        # Groups that belong to another split, even in part, cannot be chosen.
        taken = np.isin(np.arange(group.max(initial=-1) + 1), group[plan.region_split != TRAIN])
        sizes = amounts.by_group(group).where(~taken)
        target = _target(fraction, whole=amounts.total())
        chosen = _fill(sizes, target=target, generator=generator)
        held_out = sizes.total(chosen)
        near = abs(held_out.windows - target.windows) <= target.windows / 2
        if whole_chromosomes and not near:
            _refuse_chromosomes(held_out.windows, target=target.windows, total=amounts.total().windows, split=split)
        elif not whole_chromosomes and not (near and held_out.with_peaks >= target.with_peaks / 2):
            cut = _place_cut(
                plan,
                amounts=amounts,
                windows_of=windows_of,
                group=group,
                target=target,
                split=split,
                generator=generator,
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


def _target(fraction: float, *, whole: Amount) -> Amount:
    """The amount to hold out: at least one window, and one with peaks unless only one has peaks."""
    windows, with_peaks = (max(1, round(fraction * amount)) for amount in whole)
    return Amount(windows, min(with_peaks, max(0, whole.with_peaks - 1)))


def _fill(sizes: Amounts, *, target: Amount, generator: np.random.Generator) -> Ints:
    """The groups that come nearest to the target in some shuffled orders, without exceeding its windows."""
    # Training keeps at least one window, and one window with peaks.
    target = Amount(*(min(part, max(0, amount - 1)) for part, amount in zip(target, sizes.total(), strict=True)))
    groups = np.flatnonzero((sizes.windows > 0) & (sizes.windows <= target.windows))
    peaks = sizes.with_peaks[groups]
    least = int(peaks[peaks > 0].min(initial=np.iinfo(np.int64).max))
    if target.with_peaks and least <= sizes.total().with_peaks / 2:  # rather some peaks too many than none
        target = target._replace(with_peaks=max(target.with_peaks, least))
    best, best_miss = np.empty(0, np.int64), _miss(Amount(0, 0), target)
    for _ in range(_SHUFFLES if len(groups) else 0):
        chosen = _fill_in_order(generator.permutation(groups), sizes=sizes, target=target)
        amount = sizes.total(chosen)
        miss = _miss(amount, target)
        if miss < best_miss:
            best, best_miss = chosen, miss
        if all(abs(part - whole) <= whole // 100 for part, whole in zip(amount, target, strict=True)):
            break
    return best


def _fill_in_order(order: Ints, *, sizes: Amounts, target: Amount) -> Ints:
    """Groups with peaks up to their share, then groups without peaks, then any groups if windows are still missing."""
    with_peaks = sizes.with_peaks[order] > 0
    chosen = _take(order[with_peaks], sizes=sizes, room=target)
    for others in (order[~with_peaks], order[with_peaks & ~np.isin(order, chosen)]):
        left = target.windows - sizes.total(chosen).windows
        chosen = np.concatenate([chosen, _take(others, sizes=sizes, room=Amount(left, left))])
    return chosen


def _take(order: Ints, *, sizes: Amounts, room: Amount) -> Ints:
    """The groups that fit into the room, in the given order."""
    chosen = []
    windows_left, peaks_left = room
    windows, with_peaks = sizes.windows[order].tolist(), sizes.with_peaks[order].tolist()
    for group, size, peaks in zip(order.tolist(), windows, with_peaks, strict=True):
        if size <= windows_left and peaks <= peaks_left:
            chosen.append(group)
            windows_left -= size
            peaks_left -= peaks
    return np.array(chosen, np.int64)


def _miss(amount: Amount, target: Amount, *, lost: int = 0) -> tuple[bool, bool, float]:
    """Distance of an amount from the target: windows missing, peaks missing, then the factors; less is better."""
    factors = [abs(np.log(part / whole)) for part, whole in zip(amount, target, strict=True) if part and whole]
    lacking = [bool(whole) and not part for part, whole in zip(amount, target, strict=True)]
    return lacking[0], lacking[1], float(sum(factors)) + lost / max(1, target.windows)


def _refuse_chromosomes(nearest: int, *, target: int, total: int, split: int) -> None:
    raise ConfigError(
        f"whole chromosomes cannot make up {target} of {total} windows for {SPLITS[split]} (nearest below: {nearest}): "
        f"use --split neighbourhood, or name chromosomes with --{SPLITS[split]}-chromosomes"
    )


def _place_cut(
    plan: SplitPlan,
    *,
    amounts: Amounts,
    windows_of: WindowsOf,
    group: Ints,
    target: Amount,
    split: int,
    generator: np.random.Generator,
) -> _PlacedCut | None:
    """A cut of a large neighbourhood that holds the target's windows."""
    open_regions = (plan.region_split == TRAIN) | (plan.region_split == _CUT)
    sizes = amounts.where(open_regions).by_group(group)
    if not sizes.windows.any():
        return None
    # Of the groups that are large enough the one with most peaks; if none is large enough, the largest group.
    large = sizes.windows >= min(2 * target.windows, int(sizes.windows.max()))
    members = np.flatnonzero(group == np.lexsort((sizes.windows, sizes.with_peaks * large, large))[-1])
    chrom = int(plan.regions.chrom[members[0]])
    starts, ends, peaked = _on_chromosome(plan.regions, windows_of(members))
    taken = np.zeros(len(starts), bool)  # windows in or near earlier cuts
    for cut in plan.cuts:
        if cut.chrom == chrom:
            taken |= (starts < cut.end + plan.distance) & (ends > cut.start - plan.distance)
    best: _PlacedCut | None = None
    for first in _cut_begins(peaked, target=target, generator=generator):
        later = ends[first:]
        if len(later) < target.windows:
            continue
        low, high = int(starts[first]), int(np.partition(later, target.windows - 1)[target.windows - 1])
        near = (starts < high + plan.distance) & (ends > low - plan.distance)
        inside = (starts >= low) & (ends <= high)
        amount = Amount(int(inside.sum()), int((inside & peaked).sum()))
        crowded = any(
            cut.chrom == chrom and low - plan.distance < cut.end and high + plan.distance > cut.start
            for cut in plan.cuts
        )
        fits = not crowded and near.sum() <= len(starts) / 2 and not (near | taken).all()
        miss = _miss(amount, target, lost=int(near.sum()) - amount.windows)
        if fits and (best is None or miss < best.miss):
            best = _PlacedCut(Cut(chrom, low, high, split), miss)
    return best


def _cut_begins(peaked: NDArray[np.bool_], *, target: Amount, generator: np.random.Generator) -> list[int]:
    """First windows of cuts: random windows and, if the target has peaks, windows shortly before one with a peak."""
    last = max(len(peaked) - target.windows, 0)
    begins = generator.integers(0, last + 1, size=_PLACES)
    with_peaks = np.flatnonzero(peaked)
    if target.with_peaks and len(with_peaks):
        before = generator.choice(with_peaks, size=_PLACES) - generator.integers(0, target.windows, size=_PLACES)
        begins = np.concatenate([begins, np.clip(before, 0, last)])
    return list(begins.tolist())


def _on_chromosome(
    regions: Regions, windows: Iterator[tuple[Placed, NDArray[np.bool_]]]
) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    """(starts, ends, mask of peaks) of windows on their chromosome, sorted by start."""
    starts, ends, peaked = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0, bool)]
    for placed, with_peaks in windows:
        starts.append(regions.start[placed.region] + placed.start)
        ends.append(regions.start[placed.region] + placed.end)
        peaked.append(with_peaks)
    start = np.concatenate(starts)
    order = np.argsort(start, kind="stable")
    return start[order], np.concatenate(ends)[order], np.concatenate(peaked)[order]


def _more_or_cut(
    plan: SplitPlan, *, sizes: Amounts, chosen: Ints, target: Amount, cut: _PlacedCut | None, group: Ints
) -> Ints:
    """The best of three choices: the chosen groups, these with another small group, or a cut."""
    choices = [chosen]
    for new in _small_groups(sizes, target=target, chosen=chosen):
        choices += [
            choice
            for choice in (np.append(chosen, new), np.array([new], np.int64))
            if all(part <= whole / 2 for part, whole in zip(sizes.total(choice), sizes.total(), strict=True) if whole)
        ]
    misses = [_miss(sizes.total(choice), target) for choice in choices]
    best = min(range(len(choices)), key=misses.__getitem__)
    if cut is None or misses[best] <= cut.miss:
        return choices[best]
    plan.cuts.append(cut.cut)
    plan.region_split[group == _group_at(plan.regions, group=group, cut=cut.cut)] = _CUT
    return np.empty(0, np.int64)


def _small_groups(sizes: Amounts, *, target: Amount, chosen: Ints) -> list[int]:
    """The smallest group that is not chosen, and the smallest group with peaks if it is not much too large."""
    others = np.setdiff1d(np.flatnonzero(sizes.windows), chosen)
    if not len(others):
        return []
    least = others[sizes.windows[others].argmin()]
    with_peaks = others[sizes.with_peaks[others] > 0]
    with_peaks = with_peaks[sizes.windows[with_peaks] <= max(1.5 * target.windows, sizes.windows[least])]
    return [int(least), *(with_peaks[[sizes.windows[with_peaks].argmin()]].tolist() if len(with_peaks) else [])]


def _group_at(regions: Regions, *, group: Ints, cut: Cut) -> int:
    inside = (regions.chrom == cut.chrom) & (regions.start < cut.end) & (regions.end > cut.start)
    return int(group[inside.argmax()])
