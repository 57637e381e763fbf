"""Choose the masked tokens of a masked language model: rates, exact counts, positions, replacements.

Pure functions on arrays. Every random number is a function of a record's key and a counter, so that a mask depends on
(seed, epoch, record) and on nothing else: not on the batch, the worker, the rank or what was drawn before.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bindtune.data.keyed_random import Keys, fractions, uniform, words_at
from bindtune.data.masking_strategies import STRATEGIES, Counts, MaskingRates, Pools
from bindtune.errors import ConfigError

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

FLANK, PEAK = 1, 2  # where a maskable token stands; 0 is what can never be masked


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


def total_counts(maskable: Ints, target: float) -> Ints:
    """Whole number nearest to target * N; ties go to the even number, so 3 tokens or fewer at 0.15 select none."""
    nearest: Ints = np.rint(target * maskable).astype(np.int64)
    return nearest


def draw_counts(peak: Ints, flank: Ints, rates: MaskingRates, keys: Keys) -> Counts:
    """Divide the exact total of each sequence between peaks and flanks.

    Args:
        peak: (B,) maskable tokens in peaks, N_e; 0 where the strategy does not use peaks.
        flank: (B,) the other maskable tokens, N_f.
        rates: the rates to aim at, and the strategy.
        keys: (B,) random keys.
    """
    pools = Pools(peak, flank, total_counts(peak + flank, rates.target), uniform(keys, 0, 2))
    return STRATEGIES[rates.strategy].count(pools, rates)


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
    pool = np.where(in_peak & maskable, 0, 1) if rates.uses_peaks else np.ones(maskable.shape, np.int64)
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
