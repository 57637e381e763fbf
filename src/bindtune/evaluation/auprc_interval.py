"""Studentised intervals of an AUPRC, from the influence of each protein, without draws.

Percentiles of bootstrap draws cover an AUPRC too seldom when few proteins have sites, and so does BCa
(`benchmarks/interval_coverage.py` states all three). Here the standard error comes from the influence of each protein,
which is the infinitesimal jackknife (Efron, doi 10.1111/j.2517-6161.1992.tb01866.x). The interval is Student's t
on the logit of the AUPRC, so that its ends stay between 0 and 1.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, stdtrit

from bindtune.evaluation.ranking import Sorted

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Influence(NamedTuple):
    """An AUPRC and what each protein does to it.

    Args:
        value: the AUPRC; nan unless both classes are there.
        by_protein: (P,) derivative of the AUPRC by the weight of each protein; they add up to 0.
        degrees: of freedom: proteins with sites, less one.
    """

    value: float
    by_protein: Floats
    degrees: int


def auprc_influence(ordered: Sorted, codes: Ints, count: int) -> Influence:
    """Derivative of average precision by the weight of each protein, from cumulative sums over sorted residues.

    With hits h and calls n at a step of the curve, and g sites gained there, average precision is sum(g h / n) / sites.
    A site adds its own precision, raises h at each step below it, and raises `sites`. Any residue raises n at each step
    below it.

    Args:
        ordered: R residues by falling score.
        codes: (R,) number of each residue's protein, in the residues' own order.
        count: P, proteins.
    """
    last = ordered.steps()
    hits = np.cumsum(ordered.positive)[last] if len(last) else np.empty(0, np.int64)
    sites = int(hits[-1]) if len(hits) else 0
    residues = len(ordered.positive)
    own = codes[ordered.order]
    with_sites = int(np.count_nonzero(np.bincount(own[ordered.positive], minlength=1)))
    if not sites or sites == residues:
        return Influence(math.nan, np.zeros(count), with_sites - 1)
    called = last + 1.0
    gained = np.diff(hits, prepend=0)
    precision = hits / called
    value = float((gained * precision).sum() / sites)
    below_hits, below_calls = (np.cumsum(part[::-1])[::-1] for part in (gained / called, gained * precision / called))
    # Each residue counts in the steps from its own one on. Those behind the last step count in none.
    width = np.diff(last, prepend=-1)
    losses = np.zeros(residues)
    losses[: last[-1] + 1] = np.repeat(below_calls, width)
    step = np.searchsorted(last, np.flatnonzero(ordered.positive))
    gains = precision[step] + below_hits[step] - value
    by_protein = np.bincount(own[ordered.positive], weights=gains, minlength=count)
    by_protein -= np.bincount(own, weights=losses, minlength=count)
    return Influence(value, by_protein / sites, with_sites - 1)


def auprc_ends(influence: Influence, level: float) -> tuple[float, float]:
    """Lower and upper end of an AUPRC's interval; nan where fewer than two proteins have sites.

    Args:
        influence: of `auprc_influence`.
        level: how often the interval is to hold the AUPRC of all proteins like these, such as 0.95.
    """
    value, error = influence.value, standard_error(influence.by_protein)
    if math.isnan(value) or influence.degrees < 1:
        return math.nan, math.nan
    if not error:  # no protein changes it, as where all sites stand before all other residues
        return value, value
    half = _quantile(influence.degrees, level) * error / (value * (1 - value))
    return float(expit(logit(value) - half)), float(expit(logit(value) + half))


def auprc_difference_ends(first: Influence, second: Influence, level: float) -> tuple[float, float]:
    """Ends of the interval of the first AUPRC less the second, of two scores of the same residues.

    Args:
        first: of the first score.
        second: of the second score.
        level: as in `auprc_ends`.
    """
    difference = first.value - second.value
    if math.isnan(difference) or first.degrees < 1:
        return math.nan, math.nan
    half = _quantile(first.degrees, level) * standard_error(first.by_protein - second.by_protein)
    return max(-1.0, difference - half), min(1.0, difference + half)


def standard_error(by_protein: Floats) -> float:
    """Standard error of a figure, from the influence of each of P independent proteins (P,).

    Example:
        >>> values = np.array([1.0, 2.0, 4.0, 5.0])  # the influences on a mean give its usual standard error
        >>> round(standard_error((values - values.mean()) / 4), 6), round(float(values.std(ddof=1)) / 2, 6)
        (0.912871, 0.912871)
    """
    count = len(by_protein)
    if count < 2:
        return math.nan
    # Rounding leaves traces in influences that are 0.
    total = float((np.where(np.abs(by_protein) < 1e-14, 0, by_protein) ** 2).sum())
    return math.sqrt(total * count / (count - 1))


def _quantile(degrees: int, level: float) -> float:
    """How many standard errors an end is away, by Student's t."""
    return float(stdtrit(degrees, (1 + level) / 2))
