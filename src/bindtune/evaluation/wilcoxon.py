"""Wilcoxon's signed-rank test of two scores, protein by protein or window by window."""

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from bindtune.evaluation.bootstrap import protein_codes
from bindtune.evaluation.ranking import AREAS, checked, sort


class Wilcoxon(NamedTuple):
    """Wilcoxon's signed-rank test of two scores, protein by protein or window by window.

    Args:
        p_value: two-sided; 1 where no protein differs, nan without proteins.
        proteins: those compared, or windows: the figure is defined for both scores.
        higher: proteins where the first score's figure is higher.
        lower: proteins where the second's is.
        median_difference: first less second; nan without proteins.
    """

    p_value: float
    proteins: int
    higher: int
    lower: int
    median_difference: float


def wilcoxon_by_protein(
    statistic: Literal["auprc", "auroc", "hra", "hra_raw"],
    labels: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    proteins: ArrayLike,
) -> Wilcoxon:
    """Test whether one score does better than the other in most proteins; only those with both classes count.

    Args:
        statistic: the figure computed in each protein.
        labels: (R,), 1 binds, 0 does not.
        first: (R,), scores.
        second: (R,), scores of the same residues.
        proteins: (R,), as in `interval`.
    """
    positive, ones = checked(labels, first)
    _, others = checked(labels, second)
    codes, _ = protein_codes(proteins)
    order = np.argsort(codes, kind="stable")
    figure = AREAS[statistic]
    differences = []
    for rows in np.split(order, np.flatnonzero(np.diff(codes[order])) + 1):
        if positive[rows].any() and not positive[rows].all():
            first_figure, second_figure = (
                figure(sort(positive[rows], scores[rows]).ranking()) for scores in (ones, others)
            )
            differences.append(first_figure - second_figure)
    return signed_rank(differences)


def signed_rank(differences: ArrayLike) -> Wilcoxon:
    """Wilcoxon's signed-rank test of differences (P,), one a protein or window."""
    gaps = np.asarray(differences, np.float64)
    if not len(gaps):
        return Wilcoxon(math.nan, 0, 0, 0, math.nan)
    from scipy import stats  # here: it takes a second to import, and intervals do without it

    p_value = float(stats.wilcoxon(gaps).pvalue) if gaps.any() else 1.0
    return Wilcoxon(p_value, len(gaps), int((gaps > 0).sum()), int((gaps < 0).sum()), float(np.median(gaps)))
