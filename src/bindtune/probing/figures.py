"""Figures of scores: areas with intervals by group, paired differences, the gain, and conclusions in words."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bindtune.evaluation.bootstrap import Interval, drawn_areas, interval, paired_interval
from bindtune.evaluation.cross_validated import studentised, widened
from bindtune.probing.gain import gain_over

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
AREAS = ("auroc", "auprc")
GAIN = "gain_over_composition"
DIFFERENCE = "_difference"
OVER_SEEDS = "_over_seeds"
FEWEST_SEEDS = 3
"""Fewer give no interval over seeds."""


class Labelled(NamedTuple):
    """The windows of one data set and arm.

    Args:
        labels: (N,) 1 bound, 0 not.
        folds: (N,) fold of each.
        groups: (N,) group of each; intervals draw groups.
    """

    labels: NDArray[np.int8]
    folds: Ints
    groups: Ints


class Figure(NamedTuple):
    """One row of metrics.csv, but for data set and arm.

    Args:
        model: whose figure.
        figure: its name.
        value: nan where it is not defined.
        low: lower end of the 95 % interval; nan where there is none.
        high: upper end.
        against: the model that a difference is from; empty otherwise.
    """

    model: str
    figure: str
    value: float
    low: float
    high: float
    against: str = ""


def compare_scores(
    windows: Labelled,
    scores: Mapping[str, Floats],
    *,
    composition: str,
    pairs: Sequence[tuple[str, str]],
    draws: int,
    key: int,
) -> list[Figure]:
    """All figures of the models of one data set and arm; every model sees the same draws of groups.

    Args:
        windows: labels, folds and groups.
        scores: (N,) out-of-fold log odds by model.
        composition: name of the composition baseline, for the gain.
        pairs: models to compare; the second is subtracted from the first.
        draws: of the bootstrap.
        key: seed of the draws.
    """
    labels, groups = windows.labels, windows.groups
    seed, folds = key % 2**32, len(np.unique(windows.folds))
    ends = partial(studentised, groups=len(np.unique(groups)), folds=folds)
    drawn = {
        model: drawn_areas("auroc", labels, values, groups, draws=draws, seed=seed) for model, values in scores.items()
    }
    figures: list[Figure] = []
    for model, values in scores.items():
        figures.append(_figure(model, "auroc", ends(*drawn[model], area=True)))
        auprc = interval("auprc", labels, values, groups, draws=draws, seed=seed)
        figures.append(_figure(model, "auprc", widened(auprc, folds=folds, area=True)))
        if model != composition:
            gain = gain_over(scores[composition], values, labels, windows.folds, key=key)
            (both, boths), (alone, alones) = (
                drawn_areas("auroc", labels, each, groups, draws=draws, seed=seed) for each in (gain.both, gain.alone)
            )
            gained = ends(both - alone - gain.useless, boths - alones - gain.useless, area=False)
            figures.append(_figure(model, GAIN, gained))
    for model, against in pairs:
        (first, firsts), (second, seconds) = drawn[model], drawn[against]
        paired = paired_interval("auprc", labels, scores[model], scores[against], groups, draws=draws, seed=seed)
        differences = {
            "auroc": ends(first - second, firsts - seconds, area=False),
            "auprc": widened(paired.difference, folds=folds, area=False),
        }
        figures += [_figure(model, area + DIFFERENCE, differences[area], against=against) for area in AREAS]
    return figures


def _figure(model: str, name: str, estimate: Interval, *, against: str = "") -> Figure:
    return Figure(model, name, estimate.value, estimate.low, estimate.high, against)


def over_seeds(model: str, area: str, values: Sequence[float]) -> Figure:
    """The mean over seeds, with the 95 % interval of Student's t where there are three or more.

    Args:
        model: whose.
        area: auroc or auprc.
        values: one for each seed.

    Example:
        >>> over_seeds("cnn", "auroc", [0.7, 0.8]).low
        nan
    """
    mean, count = float(np.mean(values)), len(values)
    half = math.nan
    if count >= FEWEST_SEEDS:
        half = float(stats.t.ppf(0.975, count - 1) * np.std(values, ddof=1) / math.sqrt(count))
    return Figure(model, area + OVER_SEEDS, mean, mean - half, mean + half)


def conclusion(difference: Figure, *, name: str = "AUROC") -> str:
    """The conclusion that a difference and its interval support, as a sentence.

    Args:
        difference: of two models.
        name: of the figure.

    Example:
        >>> conclusion(Figure("adapted", "auroc_difference", 0.03, 0.01, 0.05, "base"))
        'adapted is ahead of base by 0.030 AUROC (95 % interval 0.010 to 0.050).'
        >>> conclusion(Figure("adapted", "auroc_difference", 0.03, -0.01, 0.07, "base"))
        'No difference between adapted and base could be shown: +0.030 AUROC (95 % interval -0.010 to +0.070).'
    """
    model, _, value, low, high, against = difference
    if math.isnan(low) or math.isnan(high):
        return f"Nothing can be said of {model} and {against}: there is no interval for the difference in {name}."
    if low > 0:
        return f"{model} is ahead of {against} by {value:.3f} {name} (95 % interval {low:.3f} to {high:.3f})."
    if high < 0:
        return f"{model} is behind {against} by {-value:.3f} {name} (95 % interval {-high:.3f} to {-low:.3f})."
    with_interval = f"{value:+.3f} {name} (95 % interval {low:+.3f} to {high:+.3f})"
    return f"No difference between {model} and {against} could be shown: {with_interval}."
