"""Thresholds with a guarantee: recall or precision reaches a target with a stated confidence, by protein.

Pooled recall and precision are ratios over residues, so they are no means of proteins. Each is at least the target r
if the mean of hits - r * (positives, or calls) over proteins is at least 0. This mean is tested at each threshold
with a betting martingale (Waudby-Smith and Ramdas, doi 10.1093/jrsssb/qkad009), which holds for any number of proteins
and needs no normal distribution. Thresholds are tested in a fixed order (Learn then Test, Angelopoulos et al., arXiv
2110.01052): recall from the lowest threshold up, precision from five starts down, each with a fifth of the error.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from bindtune.evaluation.bootstrap import protein_codes
from bindtune.evaluation.ranking import checked
from bindtune.evaluation.thresholds import defined

Floats = NDArray[np.float64]
Figure = Literal["recall", "precision"]

# The order of tests must not depend on the labels: thresholds are the same for all data.
_LOGITS = np.arange(-120, 121) / 10
THRESHOLDS: Floats = np.concatenate([[0.0], expit(_LOGITS)]).astype(np.float32).astype(np.float64)
_STARTS = tuple(int(np.searchsorted(_LOGITS, logit)) + 1 for logit in (4.0, 2.0, 0.0, -2.0, -4.0))
_LARGEST_BET = 0.9
_STEPS = 100  # of the search for the highest target that can be reached
_SEED = 1


class Target(NamedTuple):
    """The target of calls.

    Args:
        figure: recall or precision, of the residues of all proteins together.
        value: the least value, between 0 and 1.
        confidence: how often thresholds that are chosen in this way keep it.
    """

    figure: Figure
    value: float
    confidence: float

    def __str__(self) -> str:
        return f"{self.figure} of at least {self.value:g} with {100 * self.confidence:g} % confidence"


class Guarantee(NamedTuple):
    """The threshold for a target.

    Args:
        target: what was asked for.
        threshold: a residue is called where its probability is at least this; nan where no threshold keeps the target.
        recall: of the same proteins at the threshold; nan without a threshold.
        precision: as `recall`.
        best: without a threshold, the highest target of 0.01, 0.02, ... that some threshold keeps with the same
            confidence, or 0 for none; nan with a threshold.
        proteins: number of proteins in the test: proteins with positives for recall, all for precision.
        positives: residues that bind.
    """

    target: Target
    threshold: float
    recall: float
    precision: float
    best: float
    proteins: int
    positives: int

    @property
    def is_reached(self) -> bool:
        """Whether there is such a threshold."""
        return not math.isnan(self.threshold)

    def as_text(self) -> str:
        """The threshold in words, or the highest target that can be kept."""
        figure, confidence = self.target.figure, f"{100 * self.target.confidence:g} % confidence"
        rest = f"out of fold, {self.positives:,} binding residues of {self.proteins:,} proteins"
        if self.is_reached:
            figures = f"recall {self.recall:.3f}, precision {self.precision:.3f}"
            return f"{self.target}: threshold {self.threshold:.3g} ({figures} {rest})"
        best = f"the highest {figure} with {confidence} is {self.best:g}" if self.best else "nor for any other value"
        return f"no threshold for {self.target}; {best} ({rest})"

    def as_dict(self) -> dict[str, Any]:
        """The record for YAML and JSON; None for what is not defined."""
        return {
            **self.target._asdict(),
            "threshold": defined(self.threshold),
            "recall_out_of_fold": defined(self.recall),
            "precision_out_of_fold": defined(self.precision),
            "best": defined(self.best),
            "proteins": self.proteins,
            "positives": self.positives,
        }


class _Counts(NamedTuple):
    """Counts at the thresholds T of P proteins: hits and calls (P, T), positives (P, 1)."""

    hits: Floats
    calls: Floats
    positives: Floats

    def with_positives(self) -> "_Counts":
        """Those of the proteins that have positives."""
        chosen = self.positives[:, 0] > 0
        return _Counts(self.hits[chosen], self.calls[chosen], self.positives[chosen])


def read_target(text: str, confidence: float) -> Target:
    """A target as users write it.

    Raises:
        ValueError: it is not recall=NUMBER or precision=NUMBER, with a number between 0 and 1.

    Example:
        >>> print(read_target("recall=0.9", 0.95))
        recall of at least 0.9 with 95 % confidence
    """
    figure, _, number = text.partition("=")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if figure not in ("recall", "precision") or not 0 < value < 1:
        raise ValueError(f"expected recall=NUMBER or precision=NUMBER, with a number between 0 and 1, found {text!r}")
    return Target(figure, value, confidence)  # type: ignore[arg-type]


def guaranteed_threshold(labels: ArrayLike, probabilities: ArrayLike, proteins: ArrayLike, target: Target) -> Guarantee:
    """Choose the threshold that keeps a target on proteins like these, with the target's confidence.

    For recall it is the highest such threshold, which calls the fewest residues, and for precision the lowest.

    Args:
        labels: (R,), 1 binds, 0 does not.
        probabilities: (R,), out of fold.
        proteins: (R,), name or number of each residue's protein. Proteins are taken as independent of each other.
        target: what is to be kept.

    Raises:
        ValueError: lengths differ, or a probability is not a number.

    Example:
        >>> labels = np.tile([1, 0, 0, 0], 60)
        >>> guarantee = guaranteed_threshold(labels, 0.2 + 0.6 * labels, np.repeat(np.arange(60), 4),
        ...                                  Target("recall", 0.9, 0.9))
        >>> round(guarantee.threshold, 2), guarantee.recall
        (0.79, 1.0)
    """
    return guaranteed_thresholds(labels, probabilities, proteins, [target])[0]


def guaranteed_thresholds(
    labels: ArrayLike, probabilities: ArrayLike, proteins: ArrayLike, targets: Sequence[Target]
) -> list[Guarantee]:
    """Choose a threshold for each of several targets, as `guaranteed_threshold` does; residues are counted once."""
    all_counts = _counts(labels, probabilities, proteins)
    return [_guarantee(all_counts, target) for target in targets]


def _guarantee(all_counts: _Counts, target: Target) -> Guarantee:
    counts = all_counts.with_positives() if target.figure == "recall" else all_counts
    step = _threshold_step(counts, target)
    threshold, recall, precision, best = math.nan, math.nan, math.nan, math.nan
    if step is None:
        best = _best(counts, target)
    else:
        hits = float(counts.hits[:, step].sum())
        # Calls of proteins without positives count for precision, whatever the target is.
        calls = float(all_counts.calls[:, step].sum())
        positives = float(counts.positives.sum())
        threshold = float(THRESHOLDS[step])
        recall = hits / positives if positives else math.nan
        precision = hits / calls if calls else math.nan
    return Guarantee(target, threshold, recall, precision, best, len(counts.positives), int(counts.positives.sum()))


def _counts(labels: ArrayLike, probabilities: ArrayLike, proteins: ArrayLike) -> _Counts:
    positive, scores = checked(labels, probabilities)
    codes, count = protein_codes(proteins)
    if len(codes) != len(scores):
        raise ValueError(f"a protein must be given for each of {len(scores)} residues, not {len(codes)}")
    width = len(THRESHOLDS)
    # A residue is called at each threshold up to its own step.
    step = np.searchsorted(THRESHOLDS, scores, side="right") - 1
    if (step < 0).any():
        raise ValueError("probabilities must be at least 0")

    def called(rows: NDArray[np.bool_] | slice) -> Floats:
        cells = np.bincount(codes[rows] * width + step[rows], minlength=count * width).reshape(count, width)
        return np.cumsum(cells[:, ::-1], axis=1)[:, ::-1].astype(np.float64)

    hits, calls = called(positive), called(slice(None))
    positives = hits[:, :1]
    # The order is that of the bets, which must not depend on the labels.
    order = np.random.default_rng(_SEED).permutation(count)
    return _Counts(hits[order], calls[order], positives[order])


def _threshold_step(counts: _Counts, target: Target) -> int | None:
    """The index of the threshold; None where none keeps the target."""
    if not counts.positives.sum():
        return None
    error = 1 - target.confidence
    if target.figure == "recall":
        passed = _rejected(counts.hits - target.value * counts.positives, target.value * counts.positives, error)
        failed = np.flatnonzero(~passed)
        last = int(failed[0]) if len(failed) else len(passed)
        return last - 1 if last else None
    passed = _rejected(counts.hits - target.value * counts.calls, target.value * counts.calls, error / len(_STARTS))
    lowest = None
    for start in _STARTS:
        step = start
        while step >= 0 and passed[step]:
            lowest = step if lowest is None else min(lowest, step)
            step -= 1
    return lowest


def _rejected(excess: Floats, most_lost: Floats, error: float) -> NDArray[np.bool_]:
    """Whether a mean (P, T) of at most 0 is refused at each threshold, by a betting martingale.

    A bettor who stakes a share on each protein gains nothing on average if the mean is 0 or less. So the capital
    grows to 1 / error with a probability of at most `error` (Ville).

    Args:
        excess: (P, T) what each protein adds to the mean.
        most_lost: (P, T) or (P, 1) what a protein can take from it; its largest value bounds the bets.
        error: how often a mean of 0 or less may be refused.
    """
    count = len(excess)
    bound = np.broadcast_to(most_lost, excess.shape).max(axis=0, initial=0.0)
    bound = np.where(bound > 0, bound, 1.0)
    scaled = excess / bound
    # Mean and variance of the proteins before each one; the first has a variance of one quarter.
    before = np.arange(1, count + 1)[:, None]
    mean = np.cumsum(scaled, axis=0) / (before + 1)
    squares = (0.25 + np.cumsum((scaled - mean) ** 2, axis=0)) / (before + 1)
    variance = np.concatenate([np.full((1, scaled.shape[1]), 0.25), squares[:-1]])
    bets = np.minimum(np.sqrt(2 * math.log(1 / error) / (count * variance)), _LARGEST_BET)
    capital = np.cumsum(np.log1p(bets * scaled), axis=0)
    rejected: NDArray[np.bool_] = capital.max(axis=0, initial=-math.inf) >= math.log(1 / error)
    return rejected


def _best(counts: _Counts, target: Target) -> float:
    """The highest target that can be kept; found by halving, because a lower target is easier to keep."""
    low, high = 0, _STEPS
    while high - low > 1:
        middle = (low + high) // 2
        if _threshold_step(counts, target._replace(value=middle / _STEPS)) is None:
            high = middle
        else:
            low = middle
    return low / _STEPS
