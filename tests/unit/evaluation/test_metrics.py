"""Figures against values by hand, scikit-learn and a slow reading of the definition."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from bindtune.evaluation.metrics import call_figures, hra_raw, residue_metrics

# Few distinct values, so that ties are common.
residues = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 12)), min_size=2, max_size=60).filter(
    lambda rows: {label for label, _ in rows} == {0, 1}
)


def columns(rows: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    labels, sixteenths = zip(*rows, strict=True)
    return np.array(labels, np.int8), np.array(sixteenths, np.float32) / 16


def slow_hra_raw(labels: np.ndarray, scores: np.ndarray) -> float:
    """The curve point by point, and the area as a fine sum over recall."""
    points = []
    for score in sorted(set(scores.tolist()), reverse=True):
        called = scores >= score
        points.append((labels[called].sum() / labels.sum(), labels[called].mean()))
    points.insert(0, (0.0, points[0][1] if points[0][0] > 0.7 else 0.0))
    area = 0.0
    for (left, high), (right, low) in itertools.pairwise(points):
        if right > max(left, 0.7):
            start = max(left, 0.7)
            at_start = high + (low - high) * (start - left) / (right - left)
            area += (right - start) * (at_start + low) / 2
    return area


@settings(deadline=None)
@given(residues)
def test_areas_and_figures_agree_with_scikit_learn(rows: list[tuple[int, int]]) -> None:
    labels, scores = columns(rows)
    figures = residue_metrics(labels, scores, threshold=0.25)
    calls = scores >= 0.25
    assert figures.auroc == pytest.approx(sklearn_metrics.roc_auc_score(labels, scores))
    assert figures.auprc == pytest.approx(sklearn_metrics.average_precision_score(labels, scores))
    assert figures.base_rate == pytest.approx(labels.mean())
    assert figures.mcc == pytest.approx(sklearn_metrics.matthews_corrcoef(labels, calls), abs=1e-12)
    assert figures.f1 == pytest.approx(sklearn_metrics.f1_score(labels, calls))
    assert figures.recall == pytest.approx(sklearn_metrics.recall_score(labels, calls))
    if calls.any():
        assert figures.precision == pytest.approx(sklearn_metrics.precision_score(labels, calls))
    else:
        assert math.isnan(figures.precision)
    table = [figures.true_negatives, figures.false_positives, figures.false_negatives, figures.true_positives]
    assert table == sklearn_metrics.confusion_matrix(labels, calls).ravel().tolist()


@given(residues)
def test_high_recall_area_is_the_area_of_its_definition(rows: list[tuple[int, int]]) -> None:
    labels, scores = columns(rows)
    assert hra_raw(labels, scores) == pytest.approx(slow_hra_raw(labels, scores), abs=1e-12)


@given(st.integers(1, 400), st.integers(1, 40))
def test_a_perfect_ranking_is_exactly_one(positives: int, negatives: int) -> None:
    labels = np.array([1] * positives + [0] * negatives)
    scores = np.linspace(1, 0, positives + negatives)
    figures = residue_metrics(labels, scores, threshold=0.5)
    assert (figures.hra, figures.hra_raw, figures.auprc, figures.auroc) == (1.0, 0.3, 1.0, 1.0)


def test_high_recall_area_by_hand() -> None:
    # Recall and precision: 1/2 1, 1/2 1/2, 1 2/3. At recall 0.7 the line from (1/2, 1/2) to (1, 2/3) is at 17/30.
    labels, scores = [1, 0, 1], [0.9, 0.8, 0.7]
    area = 0.3 * (17 / 30 + 2 / 3) / 2
    assert hra_raw(labels, scores) == pytest.approx(area, abs=1e-15)
    assert residue_metrics(labels, scores, threshold=0.5).hra == pytest.approx(area / 0.3)


def test_a_point_at_recall_seven_tenths_starts_the_area() -> None:
    # Ten positives; one negative between the seventh and the eighth: precision 7/8 from recall 0.7 on.
    labels = [1] * 7 + [0] + [1] * 3
    heights = [7 / 8, 8 / 9, 9 / 10, 10 / 11]
    area = sum(0.1 * (left + right) / 2 for left, right in itertools.pairwise(heights))
    assert hra_raw(labels, np.linspace(1, 0, 11)) == pytest.approx(area)


def test_a_constant_score_earns_the_base_rate() -> None:
    figures = residue_metrics([1, 0, 0, 0], [0.4] * 4, threshold=0.5)
    assert (figures.hra, figures.auprc, figures.auroc) == pytest.approx((0.25, 0.25, 0.5))


def test_nothing_called_is_zero_and_its_precision_not_defined() -> None:
    figures = residue_metrics([1, 0, 0], [0.3, 0.2, 0.1], threshold=0.5)
    assert (figures.recall, figures.f1, figures.mcc) == (0.0, 0.0, 0.0)
    assert math.isnan(figures.precision)
    assert (figures.false_negatives, figures.true_negatives) == (1, 2)


def test_the_threshold_itself_is_called() -> None:
    assert residue_metrics([1, 0], [0.5, 0.4], threshold=0.5).true_positives == 1


def test_without_positives_only_the_base_rate_is_defined() -> None:
    no_positives = residue_metrics([0, 0], [0.9, 0.1], threshold=0.5)
    figures = (
        no_positives.auroc,
        no_positives.auprc,
        no_positives.hra,
        no_positives.hra_raw,
        no_positives.f1,
        no_positives.mcc,
        no_positives.precision,
        no_positives.recall,
    )
    assert all(math.isnan(figure) for figure in figures)
    assert (no_positives.base_rate, no_positives.false_positives, no_positives.true_negatives) == (0.0, 1, 1)


def test_without_negatives_the_curves_are_not_defined() -> None:
    figures = residue_metrics([1, 1], [0.9, 0.1], threshold=0.5)
    assert all(math.isnan(figure) for figure in (figures.auroc, figures.auprc, figures.hra, figures.mcc))
    assert (figures.recall, figures.precision, figures.f1) == pytest.approx((0.5, 1.0, 2 / 3))


def test_no_residues() -> None:
    figures = residue_metrics([], [], threshold=0.5)
    assert math.isnan(figures.base_rate)
    assert math.isnan(figures.auprc)


def test_a_threshold_that_is_not_defined_calls_nothing() -> None:
    figures = residue_metrics([1, 0], [0.9, 0.1], threshold=math.nan)
    assert (figures.auprc, figures.true_positives, figures.false_negatives) == (1.0, 0, 1)
    assert all(
        math.isnan(figure) for figure in (figures.f1, figures.mcc, figures.recall, figures.precision, figures.threshold)
    )


@pytest.mark.parametrize(
    ("labels", "scores", "problem"),
    [
        ([1, 0], [0.5, math.nan], "1 of 2 scores are not a number"),
        ([1, -1], [0.5, 0.4], "labels must be 0 or 1"),
        ([1], [0.5, 0.4], "equal length"),
        ([[1, 0]], [[0.5, 0.4]], "one row"),
    ],
)
def test_what_cannot_be_scored_raises(labels: list[int], scores: list[float], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        residue_metrics(labels, scores, threshold=0.5)
    with pytest.raises(ValueError, match=problem):
        hra_raw(labels, scores)


def test_figures_of_calls() -> None:
    figures = call_figures([1, 1, 0, 0], [True, False, True, False])
    assert (figures.f1, figures.mcc, figures.precision, figures.recall) == (0.5, 0.0, 0.5, 0.5)
