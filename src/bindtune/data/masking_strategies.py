"""Masking strategies: how the masked tokens of a sequence are divided between peaks and flanks.

A strategy is one function and one record in `STRATEGIES`. Settings, collators, reports and model cards read that table.
numpy is imported inside the functions, because `--help` reads the table too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from bindtune.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class MaskingRates:
    """How much is masked, and where.

    Args:
        target: share of a sequence's maskable tokens that is selected.
        peak_range: lowest and highest rate inside peaks; each sequence draws its own.
        floor: lowest rate in the flanks.
        strategy: name in `STRATEGIES`; some strategies use neither `peak_range` nor `floor`.

    Raises:
        ConfigError: there is no such strategy, or the rates contradict each other.
    """

    target: float
    peak_range: tuple[float, float]
    floor: float
    strategy: str = "adaptive"

    @property
    def uses_peaks(self) -> bool:
        """Whether the strategy must know which tokens are in peaks."""
        return STRATEGIES[self.strategy].uses_peaks

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise ConfigError(f"there is no masking strategy {self.strategy!r}, expected {' or '.join(STRATEGIES)}")
        lo, hi = self.peak_range
        for name, rate in {"target": self.target, "peak low": lo, "peak high": hi, "flank floor": self.floor}.items():
            if not 0.0 <= rate <= 1.0:
                raise ConfigError(f"masking rate '{name}' must lie in [0, 1], found {rate}")
        if lo > hi:
            raise ConfigError(f"the peak masking rates must not fall, found low {lo} and high {hi}")
        if STRATEGIES[self.strategy].uses_rates and self.floor > self.target:
            raise ConfigError(f"the flank floor {self.floor} is greater than the target rate {self.target}")


class Pools(NamedTuple):
    """The tokens of B sequences that a strategy selects from.

    Args:
        peak: (B,) maskable tokens in peaks, N_e; 0 for a strategy that does not use peaks.
        flank: (B,) the other maskable tokens, N_f.
        total: (B,) tokens to select.
        draws: (B, 2) random numbers in [0, 1).
    """

    peak: Ints
    flank: Ints
    total: Ints
    draws: Floats


class Counts(NamedTuple):
    """How many tokens are selected, for each of B sequences.

    Args:
        peak: (B,) tokens in peaks.
        flank: (B,) tokens in flanks; both add up to the total.
        relaxed: (B,) whether a rule of the strategy gave way to the total.
    """

    peak: Ints
    flank: Ints
    relaxed: Bools


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """One way to divide the total between peaks and flanks.

    Reports fill in the fields {target}, {peak_range}, {floor} and {comparison} ("more often than") of the texts.

    Args:
        count: divides the total of each sequence.
        help: what the strategy does, for the help of the setting: a clause.
        sentence: how the run masked, for reports and model cards: the beginning of a sentence.
        goals: what is wanted in peaks and in flanks, for the table of a report.
        uses_peaks: whether peaks and flanks are separate pools.
        uses_rates: whether the peak range and the floor take effect.
    """

    count: Callable[[Pools, MaskingRates], Counts]
    help: str
    sentence: str
    goals: tuple[str, str]
    uses_peaks: bool
    uses_rates: bool


def _adaptive(pools: Pools, rates: MaskingRates) -> Counts:
    """Draw a peak rate p_e from its range, and lower it where the flanks would fall below the floor.

    The peak count is p_e * N_e, rounded up or down at random so that this is its mean. The flanks take the rest.
    """
    import numpy as np

    peak, flank, total, draws = pools
    whole, (lo, hi) = peak + flank, rates.peak_range
    aim = (lo + (hi - lo) * draws[:, 0]) * peak
    aim = np.minimum(aim, rates.target * whole - rates.floor * flank)  # the floor binds
    most = np.minimum(peak, total)
    possible = np.where(aim > most, total - rates.floor * flank, aim)  # the total first, then the floor
    mean = np.clip(possible, np.maximum(total - flank, 0), most)
    in_peaks = np.floor(mean).astype(np.int64)
    in_peaks += draws[:, 1] < mean - in_peaks
    slack = 1e-9 * whole
    mixed = (peak > 0) & (flank > 0)
    relaxed = mixed & ((aim < lo * peak - slack) | (np.abs(mean - aim) > slack))
    # Without both kinds there is one pool; all of it stands in `flank` or in `peak`, whichever exists.
    in_peaks = np.where(mixed, in_peaks, np.where(flank == 0, total, 0))
    return Counts(in_peaks, total - in_peaks, relaxed)


def _uniform(pools: Pools, rates: MaskingRates) -> Counts:
    """Take all tokens from the one pool."""
    import numpy as np

    none = np.zeros_like(pools.total)
    return Counts(none, pools.total, none.astype(bool))


def _peak_only(pools: Pools, rates: MaskingRates) -> Counts:
    """Take the total from the peaks, and from the flanks where the peaks hold fewer tokens."""
    import numpy as np

    in_peaks = np.minimum(pools.peak, pools.total)
    return Counts(in_peaks, pools.total - in_peaks, pools.peak < pools.total)


STRATEGIES: Mapping[str, Strategy] = {
    "adaptive": Strategy(
        count=_adaptive,
        help="peaks at a rate of their own, flanks at what is left",
        sentence="Tokens in binding regions were masked at {peak_range}, {comparison} those in the flanks",
        goals=("{peak_range}", "what is left, at least {floor}"),
        uses_peaks=True,
        uses_rates=True,
    ),
    "uniform": Strategy(
        count=_uniform,
        help="peaks and flanks alike",
        sentence="Tokens in binding regions and flanks were masked alike",
        goals=("{target}", "{target}"),
        uses_peaks=False,
        uses_rates=False,
    ),
    "peak-only": Strategy(
        count=_peak_only,
        help="peaks alone, and flanks where the peaks are too short",
        sentence="Tokens in binding regions were masked, and flanks only where the regions were too short",
        goals=("the whole total, if they hold it", "what peaks are too short for"),
        uses_peaks=True,
        uses_rates=False,
    ),
}
"""Every strategy by the name that users type."""

if TYPE_CHECKING:
    StrategyName = str
else:
    StrategyName = Literal[tuple(STRATEGIES)]


def strategy_name(masking: str | None, *, adaptive: bool) -> str:
    """The strategy that is asked for by name, or else by the switch between adaptive and uniform."""
    return masking or ("adaptive" if adaptive else "uniform")
