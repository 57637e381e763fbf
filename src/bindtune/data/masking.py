"""Which tokens a masked language model is asked for: rates, exact counts, positions, replacements.

Pure functions on arrays. Every random number is a function of a record's key and a counter, so that a mask depends on
(seed, epoch, record) and on nothing else: not on the batch, the worker, the rank or what was drawn before.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bindtune.data.keyed_random import Keys, fractions, uniform, words_at
from bindtune.errors import ConfigError

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

Masking = Literal["adaptive", "uniform", "peak-only"]

FLANK, PEAK = 1, 2  # where a maskable token stands; 0 is what can never be masked


@dataclass(frozen=True, kw_only=True)
class MaskingRates:
    """How much is masked, and where.

    Args:
        target: share of a sequence's maskable tokens that is selected.
        peak_range: lowest and highest rate inside peaks; each sequence draws its own.
        floor: lowest rate in the flanks.
        adaptive: False selects uniformly at `target` and leaves `peak_range` and `floor` unused.
        peak_only: take each sequence's total from its peaks; where they hold fewer tokens, all of these are selected
            and the flanks give the rest. `adaptive`, `peak_range` and `floor` are unused.

    Raises:
        ConfigError: the rates cannot hold together.
    """

    target: float
    peak_range: tuple[float, float]
    floor: float
    adaptive: bool = True
    peak_only: bool = False

    @property
    def by_region(self) -> bool:
        """Whether peaks and flanks are pools of their own."""
        return self.adaptive or self.peak_only

    def __post_init__(self) -> None:
        lo, hi = self.peak_range
        for name, rate in {"target": self.target, "peak low": lo, "peak high": hi, "flank floor": self.floor}.items():
            if not 0.0 <= rate <= 1.0:
                raise ConfigError(f"masking rate '{name}' must lie in [0, 1], found {rate}")
        if lo > hi:
            raise ConfigError(f"the peak masking rates must not fall, found low {lo} and high {hi}")
        if self.adaptive and not self.peak_only and self.floor > self.target:
            raise ConfigError(f"the flank floor {self.floor} is greater than the target rate {self.target}")


@dataclass(frozen=True, kw_only=True)
class Replacement:
    """What selected tokens become; the rest of the share is kept as it is.

    Args:
        mask: probability of the mask token.
        random: probability of a random token that is not special.

    Raises:
        ConfigError: a probability lies outside [0, 1], or they add up to more than 1.
    """

    mask: float
    random: float

    def __post_init__(self) -> None:
        if not (0.0 <= self.mask <= 1.0 and 0.0 <= self.random <= 1.0 and self.mask + self.random <= 1.0 + 1e-9):
            raise ConfigError(
                "the shares replaced by [MASK] and by a random token must lie in [0, 1] and add up to at most 1, "
                f"found {self.mask} and {self.random}"
            )


class Counts(NamedTuple):
    """How many tokens are selected, for each of B sequences.

    `relaxed` tells where the peak range (or, in very short sequences, the floor) had to give way to the total; with
    `peak_only`, where the peaks hold fewer tokens than the total.
    """

    peak: Ints
    flank: Ints
    relaxed: Bools


def total_counts(maskable: Ints, target: float) -> Ints:
    """Whole number nearest to target * N; ties go to the even number, so 3 tokens or fewer at 0.15 select none."""
    nearest: Ints = np.rint(target * maskable).astype(np.int64)
    return nearest


def draw_counts(peak: Ints, flank: Ints, rates: MaskingRates, keys: Keys) -> Counts:
    """Solve the rates of each sequence and turn them into whole numbers with an exact total.

    Args:
        peak: (B,) maskable tokens in peaks, N_e.
        flank: (B,) maskable tokens outside, N_f.
        rates: the rates to aim at.
        keys: (B,) random keys.

    The peak count is p_e * N_e rounded up or down at random, so that this is its mean; the flanks take the rest of the
    total. p_e is drawn from the peak range, then solved again where the flanks would fall below the floor. With
    `peak_only` nothing is drawn: peaks give as much of the total as they hold.
    """
    whole = peak + flank
    total = total_counts(whole, rates.target)
    if rates.peak_only:
        return Counts(np.minimum(peak, total), np.maximum(total - peak, 0), peak < total)
    mixed = (peak > 0) & (flank > 0) if rates.adaptive else np.zeros(len(whole), bool)
    draws = uniform(keys, 0, 2)
    lo, hi = rates.peak_range
    wanted = (lo + (hi - lo) * draws[:, 0]) * peak
    wanted = np.minimum(wanted, rates.target * whole - rates.floor * flank)  # the floor binds
    most = np.minimum(peak, total)
    possible = np.where(wanted > most, total - rates.floor * flank, wanted)  # the total first, then the floor
    mean = np.clip(possible, np.maximum(total - flank, 0), most)
    in_peaks = np.floor(mean).astype(np.int64)
    in_peaks += draws[:, 1] < mean - in_peaks
    slack = 1e-9 * whole
    relaxed = mixed & ((wanted < lo * peak - slack) | (np.abs(mean - wanted) > slack))
    # Without both kinds there is one pool; all of it stands in `flank` or in `peak`, whichever exists.
    in_peaks = np.where(mixed, in_peaks, np.where(flank == 0, total, 0))
    return Counts(in_peaks, total - in_peaks, relaxed)


def choose_masked(in_peak: Bools, maskable: Bools, *, rates: MaskingRates, keys: Keys) -> tuple[Bools, Bools]:
    """Select tokens to be predicted.

    Args:
        in_peak: (B, T) tokens that belong to a peak.
        maskable: (B, T) tokens that may be selected.
        rates: the rates to aim at.
        keys: (B,) random keys.

    Returns:
        selected (B, T), and which sequences (B,) were relaxed.
    """
    pool = np.where(in_peak & maskable, 0, 1) if rates.by_region else np.ones(maskable.shape, np.int64)
    pool[~maskable] = 2
    sizes = [(pool == kind).sum(axis=1) for kind in (0, 1)]
    counts = draw_counts(sizes[0], sizes[1], rates, keys)
    # Sorted by pool and then at random: the first tokens of each pool are a draw without replacement.
    words = words_at(np.asarray(keys, np.uint64)[:, None], 1, np.arange(maskable.shape[1]))
    order = np.argsort((pool.astype(np.uint64) << np.uint64(62)) | (words >> np.uint64(2)), axis=1)
    rank = np.arange(maskable.shape[1])
    first, size = counts.peak[:, None], sizes[0][:, None]
    chosen = (rank < first) | ((rank >= size) & (rank < size + counts.flank[:, None]))
    selected = np.zeros(maskable.shape, bool)
    selected[np.arange(len(order))[:, None], order] = chosen
    return selected, counts.relaxed


def replace_selected(
    ids: Ints, selected: Bools, *, mask_id: int, ordinary: Ints, replacement: Replacement, keys: Keys
) -> Ints:
    """Token ids (B, T) with the selected ones masked, exchanged or kept.

    Args:
        ids: (B, T) token ids; left unchanged.
        selected: (B, T).
        mask_id: the mask token.
        ordinary: (V',) ids that a random token is drawn from.
        replacement: how often which.
        keys: (B,) random keys.
    """
    rows, columns = np.nonzero(selected)
    keys = np.asarray(keys, np.uint64)[rows]
    action = fractions(words_at(keys, 2, columns))
    drawn = ordinary[(fractions(words_at(keys, 3, columns)) * len(ordinary)).astype(np.int64)]
    true = ids[rows, columns]
    replaced = ids.copy()
    replaced[rows, columns] = np.where(
        action < replacement.mask, mask_id, np.where(action < replacement.mask + replacement.random, drawn, true)
    )
    return replaced
