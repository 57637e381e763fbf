"""Intervals of an AUPRC: influences are derivatives, and the interval covers where percentiles of draws do not."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bindtune.evaluation.auprc_interval import auprc_ends, auprc_influence
from bindtune.evaluation.bootstrap import _weighted, drawn_areas, interval, paired_interval
from bindtune.evaluation.ranking import average_precision, sort

MANY = 100_000


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 8), st.integers(0, 3)), min_size=3, max_size=40),
)
def test_influence_is_the_derivative_by_a_proteins_weight(rows: list[tuple[int, int, int]]) -> None:
    labels, scores, codes = (np.array(column) for column in zip(*rows, strict=True))
    influence = auprc_influence(sort(labels, scores), codes, 4)
    weighted = _weighted("auprc", labels, scores, codes=codes, count=4, threshold=None)
    if math.isnan(influence.value):
        assert not 0 < labels.sum() < len(labels)
        return
    assert influence.value == pytest.approx(average_precision(sort(labels, scores).ranking()), abs=1e-12)
    whole = np.full(4, MANY)
    steps = np.array([whole + (np.arange(4) == protein) * sign for protein in range(4) for sign in (1, -1)])
    up, down = weighted(steps).reshape(4, 2).T
    # The error of a difference quotient is of the order of 1 / MANY squared, and rounding adds 1e-16 * MANY.
    assert influence.by_protein == pytest.approx((up - down) * MANY / 2, abs=1e-8)
    assert influence.by_protein.sum() == pytest.approx(0, abs=1e-12)
    assert influence.degrees == len(np.unique(codes[labels == 1])) - 1


def protein_set(seed: int, *, proteins: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Proteins of 60 residues that differ in how often and how clearly they bind."""
    generator = np.random.default_rng(seed)
    rates = 0.03 * generator.lognormal(-0.3, 0.8, (proteins, 1))
    labels = generator.random((proteins, 60)) < np.minimum(rates, 0.5)
    scores = generator.normal(size=labels.shape) + labels * (2.0 + generator.normal(0, 1.0, (proteins, 1)))
    return labels.ravel(), scores.ravel(), np.repeat(np.arange(proteins), 60)


def test_the_interval_covers_more_often_than_percentiles() -> None:
    labels, scores, _ = protein_set(1, proteins=20_000)
    truth = average_precision(sort(labels, scores).ranking())
    ours, percentiles = [], []
    for seed in range(2, 302):
        labels, scores, codes = protein_set(seed, proteins=12)
        estimate = interval("auprc", labels, scores, codes, draws=1, seed=0)
        ours.append(estimate.low <= truth <= estimate.high)
        if seed < 152:
            weighted = _weighted("auprc", labels, scores, codes=codes, count=12, threshold=None)
            weights = np.random.default_rng(seed).multinomial(12, np.full(12, 1 / 12), size=200)
            low, high = np.nanquantile(weighted(weights), [0.025, 0.975])
            percentiles.append(low <= truth <= high)
    # 300 sets: the standard error of a coverage of 0.95 is 0.013.
    assert 0.92 <= np.mean(ours) <= 0.985
    assert np.mean(percentiles) < np.mean(ours) - 0.02


def test_the_interval_of_a_difference_is_narrower_than_that_of_unpaired_scores() -> None:
    labels, scores, codes = protein_set(3, proteins=60)
    worse = scores + 0.3 * np.random.default_rng(5).normal(size=len(scores))
    estimate = paired_interval("auprc", labels, scores, worse, codes, draws=1, seed=0)
    assert estimate.difference.value == pytest.approx(estimate.first.value - estimate.second.value)
    assert estimate.difference.high - estimate.difference.low < 0.8 * (estimate.first.high - estimate.first.low)


def test_ends_stay_between_0_and_1_and_need_two_proteins_with_sites() -> None:
    labels, scores, codes = protein_set(4, proteins=5)
    influence = auprc_influence(sort(labels, scores), codes, 5)
    low, high = auprc_ends(influence, 0.99)
    assert 0 < low < influence.value < high < 1
    assert all(math.isnan(end) for end in auprc_ends(influence._replace(degrees=0), 0.95))
    perfect = interval("auprc", [1, 0, 1, 0], [0.9, 0.1, 0.8, 0.2], [0, 0, 1, 1], draws=1, seed=0)
    assert perfect == (1.0, 1.0, 1.0, 0)


def test_draws_are_for_other_areas() -> None:
    labels, scores, codes = protein_set(6, proteins=8)
    value, drawn = drawn_areas("auroc", labels, scores, codes, draws=10, seed=1)
    assert len(drawn) == 10
    assert drawn.min() <= value <= drawn.max()
