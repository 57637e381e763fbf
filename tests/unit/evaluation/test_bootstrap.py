"""Draws of proteins against writing the drawn residues out, and what the intervals and tests say."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sklearn_metrics

from bindtune.evaluation.bootstrap import _weighted, interval, paired_interval, paired_mean_interval, protein_codes
from bindtune.evaluation.metrics import residue_metrics

STATISTICS = ("auprc", "auroc", "hra", "hra_raw", "f1", "mcc", "precision", "recall")
rows = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 10), st.integers(0, 4)), min_size=1, max_size=50)


def noisy(proteins: int, length: int, *, seed: int, signal: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores and protein numbers; positives score `signal` standard deviations higher."""
    generator = np.random.default_rng(seed)
    labels = (generator.random(proteins * length) < 0.1).astype(np.int8)
    return labels, generator.normal(size=len(labels)) + signal * labels, np.repeat(np.arange(proteins), length)


@settings(deadline=None)
@given(rows=rows, statistic=st.sampled_from(STATISTICS), weights=st.lists(st.integers(0, 3), min_size=5, max_size=5))
def test_weights_are_repeated_residues(rows: list[tuple[int, int, int]], statistic: str, weights: list[int]) -> None:
    labels, tenths, codes = (np.array(column) for column in zip(*rows, strict=True))
    scores = tenths / 10
    threshold = None if statistic in STATISTICS[:4] else 0.45
    weighted = _weighted(statistic, labels, scores, codes=codes, count=5, threshold=threshold)
    repeated = np.repeat(np.arange(len(codes)), np.array(weights)[codes])
    expected = getattr(residue_metrics(labels[repeated], scores[repeated], threshold=0.45), statistic)
    assert weighted(np.array([weights, weights])).tolist() == pytest.approx([expected] * 2, abs=1e-12, nan_ok=True)


def test_weights_agree_with_scikit_learn() -> None:
    labels, scores, proteins = noisy(20, 30, seed=1, signal=1.0)
    weights = np.random.default_rng(2).integers(0, 4, size=20)
    values = _weighted("auprc", labels, scores, codes=proteins, count=20, threshold=None)(weights[None])
    expected = sklearn_metrics.average_precision_score(labels, scores, sample_weight=weights[proteins])
    assert values.tolist() == [pytest.approx(expected)]


def test_interval_is_the_quantiles_of_the_drawn_figures() -> None:
    labels, scores, proteins = noisy(8, 25, seed=3, signal=1.0)
    estimate = interval("auroc", labels, scores, proteins, draws=40, seed=5, level=0.8)
    generator = np.random.default_rng(5)
    drawn = []
    for _ in range(40):
        rows = np.concatenate([np.flatnonzero(proteins == one) for one in generator.integers(8, size=8)])
        drawn.append(sklearn_metrics.roc_auc_score(labels[rows], scores[rows]))
    assert (estimate.low, estimate.high) == pytest.approx(tuple(np.quantile(drawn, [0.1, 0.9])))
    assert estimate.value == pytest.approx(sklearn_metrics.roc_auc_score(labels, scores))
    assert estimate.draws == 40


def test_rows_may_come_in_any_order_and_proteins_have_names() -> None:
    labels, scores, proteins = noisy(8, 25, seed=3, signal=1.0)
    shuffled = np.random.default_rng(0).permutation(len(labels))
    names = np.array([f"protein_{number}" for number in proteins])
    first = interval("auprc", labels, scores, proteins, draws=20, seed=5)
    second = interval("auprc", labels[shuffled], scores[shuffled], names[shuffled], draws=20, seed=5)
    assert second == pytest.approx(first)


def test_proteins_are_drawn_whole() -> None:
    # Copies of one protein never differ from one another, whatever is drawn.
    labels, scores, _ = noisy(10, 100, seed=4, signal=1.0)
    few = interval("auprc", labels, scores, np.repeat(np.arange(10), 100), draws=200, seed=1)
    many = interval("auprc", labels, scores, np.arange(1000), draws=200, seed=1)
    same = interval("auprc", np.tile(labels[:100], 10), np.tile(scores[:100], 10), np.repeat(range(10), 100),
                    draws=20, seed=1)  # fmt: skip
    assert few.low < few.value < few.high
    assert many.low < many.value < many.high
    assert (same.low, same.high) == pytest.approx((same.value, same.value))


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    # AUROC of two normal distributions one standard deviation apart.
    truth = stats.norm.cdf(1 / math.sqrt(2))
    covered = 0
    for seed in range(100):
        labels, scores, proteins = noisy(60, 20, seed=seed, signal=1.0)
        estimate = interval("auroc", labels, scores, proteins, draws=100, seed=seed, level=0.9)
        covered += estimate.low <= truth <= estimate.high
    assert 80 <= covered <= 97


def test_draws_without_positives_are_left_out_and_counted() -> None:
    labels, scores = np.array([1, 0, 0, 0]), np.array([0.9, 0.1, 0.8, 0.2])
    estimate = interval("auroc", labels, scores, np.array(["a", "a", "b", "b"]), draws=200, seed=0)
    # One draw in four is b twice.
    assert 120 <= estimate.draws <= 180
    assert (estimate.value, estimate.high) == (1.0, 1.0)


@pytest.mark.parametrize(("labels", "proteins"), [([0, 0, 0], ["a", "b", "c"]), ([1, 0, 0], ["a", "a", "a"]), ([], [])])
def test_what_cannot_be_drawn_has_no_interval(labels: list[int], proteins: list[str]) -> None:
    estimate = interval("auprc", labels, [0.9, 0.5, 0.1][: len(labels)], proteins, draws=10, seed=0)
    assert math.isnan(estimate.low)
    assert math.isnan(estimate.high)
    assert estimate.draws == 0


def test_paired_differences_are_narrower_than_each_score_alone() -> None:
    labels, scores, proteins = noisy(60, 30, seed=6, signal=1.5)
    worse = scores + np.random.default_rng(7).normal(size=len(scores))
    estimate = paired_interval("auprc", labels, scores, worse, proteins, draws=200, seed=1)
    alone = interval("auprc", labels, scores, proteins, draws=200, seed=1)
    other = interval("auprc", labels, worse, proteins, draws=200, seed=1)
    assert (estimate.first, estimate.second) == (alone, other)
    difference = estimate.difference
    assert difference.value == pytest.approx(alone.value - other.value)
    assert 0 < difference.low < difference.value < difference.high
    assert difference.high - difference.low < (alone.high - alone.low) + (other.high - other.low)


def test_a_score_does_not_differ_from_itself() -> None:
    labels, scores, proteins = noisy(10, 30, seed=6, signal=1.5)
    estimate = paired_interval("mcc", labels, scores, scores * 2, proteins, draws=20, seed=1, thresholds=(1.0, 2.0))
    assert estimate.difference == (0.0, 0.0, 0.0, 20)
    assert estimate.first.low > 0


def test_codes_go_by_name() -> None:
    codes, count = protein_codes(["b", "b", "a", "b", "c"])
    assert (codes.tolist(), count) == ([1, 1, 0, 1, 2], 3)


@pytest.mark.parametrize(
    ("statistic", "changed", "problem"),
    [
        ("auprc", {"threshold": 0.5}, "takes no threshold"),
        ("f1", {}, "needs a threshold"),
        ("f1", {"threshold": math.nan}, "needs a threshold"),
        ("accuracy", {}, "statistic must be one of"),
        ("auprc", {"level": 1.0}, "level must lie"),
        ("auprc", {"draws": 0}, "draws must be at least 1"),
    ],
)
def test_settings_that_make_no_sense(statistic: str, changed: dict[str, float], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        interval(statistic, [1, 0], [0.9, 0.1], ["a", "b"], **{"draws": 5, "seed": 0, **changed})


def test_a_protein_for_each_residue() -> None:
    with pytest.raises(ValueError, match="2 residues"):
        interval("auprc", [1, 0], [0.9, 0.1], ["a"], draws=5, seed=0)


@settings(deadline=None)
@given(
    table=st.lists(st.tuples(st.integers(0, 6), st.floats(-5, 5), st.floats(-5, 5)), min_size=2, max_size=12),
    seed=st.integers(0, 99),
)
def test_paired_means_are_those_of_the_drawn_records(table: list[tuple[int, float, float]], seed: int) -> None:
    counts, first, second = (np.array(column, float) for column in zip(*table, strict=True))
    estimate = paired_mean_interval(first * counts, second * counts, counts, draws=15, seed=seed)
    if not counts.sum():
        assert math.isnan(estimate.difference.value)
        return
    generator, drawn = np.random.default_rng(seed), []
    for _ in range(15):
        rows = generator.integers(len(counts), size=len(counts))
        if counts[rows].sum():
            drawn.append(((first - second) * counts)[rows].sum() / counts[rows].sum())
    assert estimate.first.value - estimate.second.value == pytest.approx(estimate.difference.value)
    assert estimate.difference.value == pytest.approx(((first - second) * counts).sum() / counts.sum())
    assert estimate.difference.draws == len(drawn)
    ends = (estimate.difference.low, estimate.difference.high)
    assert ends == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=1e-9)


@pytest.mark.parametrize("proteins", [[3, 1, 1, 3, 7], [-2, 5, 5, -2, 9], [10**9, 2, 2, 10**9, 10**12]])
def test_numbers_of_proteins_are_numbered_in_order(proteins: list[int]) -> None:
    codes, count = protein_codes(np.array(proteins))
    assert (codes.tolist(), count) == (np.unique(proteins, return_inverse=True)[1].tolist(), 3)
