"""Thresholds against trying every one of them, and figures that never see their own fold."""

import math

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from bindtune.evaluation.scored_residues import ScoredResidues, by_ion
from bindtune.evaluation.thresholds import METHODS, choose_threshold, cross_fitted, global_thresholds

probabilities = st.floats(0, 1, width=32) | st.integers(0, 8).map(lambda eighths: eighths / 8)
residues = st.lists(st.tuples(st.integers(0, 1), probabilities), min_size=2, max_size=40).filter(
    lambda rows: {label for label, _ in rows} == {0, 1}
)


def quality(labels: np.ndarray, calls: np.ndarray, method: str) -> float:
    if method == "f1":
        return float(sklearn_metrics.f1_score(labels, calls))
    if method == "mcc":
        return float(sklearn_metrics.matthews_corrcoef(labels, calls))
    return float(calls[labels == 1].mean() - calls[labels == 0].mean())


@settings(deadline=None)
@given(rows=residues, method=st.sampled_from(METHODS))
def test_no_threshold_is_better_and_none_as_good_is_higher(rows: list[tuple[int, float]], method: str) -> None:
    labels, scores = np.array([row[0] for row in rows]), np.array([row[1] for row in rows], np.float32)
    threshold = choose_threshold(labels, scores, method)
    calls = scores.astype(np.float64) >= threshold
    reached = quality(labels, calls, method)
    for other in np.unique(scores):
        tried = quality(labels, scores >= other, method)
        assert tried <= reached + 1e-9
        if (scores >= other).sum() < calls.sum():
            assert tried < reached - 1e-13


@given(rows=residues, method=st.sampled_from(METHODS))
def test_calls_are_the_same_in_both_precisions(rows: list[tuple[int, float]], method: str) -> None:
    labels, scores = np.array([row[0] for row in rows]), np.array([row[1] for row in rows], np.float32)
    threshold = choose_threshold(labels, scores, method)
    assert ((scores >= np.float32(threshold)) == (scores.astype(np.float64) >= threshold)).all()
    assert float(np.float32(threshold)) == threshold


def test_midway_between_called_and_not() -> None:
    labels, scores = [0, 0, 1, 1], [0.125, 0.25, 0.75, 0.875]
    assert [choose_threshold(labels, scores, method) for method in METHODS] == [0.5, 0.5, 0.5]
    assert choose_threshold([1, 1, 0], [0.5, 0.5, 0.5], "f1") == 0.25


def test_neighbours_that_touch_in_single_precision_are_still_told_apart() -> None:
    low = np.float32(0.3)
    high = np.nextafter(low, np.float32(1))
    assert choose_threshold([0, 1], np.array([low, high]), "mcc") == float(high)
    assert choose_threshold([0, 1], np.array([0.3, 0.3 + 1e-15]), "mcc") == 0.3 + 1e-15


def test_the_highest_of_equal_thresholds_wins() -> None:
    # Youden: calling the first one or the first three gives J of 1/2 each.
    labels, scores = [1, 0, 1, 0], [0.9, 0.7, 0.5, 0.3]
    assert choose_threshold(labels, scores, "youden") == pytest.approx(0.8)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("labels", [[0, 0], [1, 1], []])
def test_one_class_has_no_threshold(labels: list[int], method: str) -> None:
    assert math.isnan(choose_threshold(labels, [0.5, 0.6][: len(labels)], method))


def test_an_unknown_method_raises() -> None:
    with pytest.raises(ValueError, match="youden, f1, mcc"):
        choose_threshold([0, 1], [0.1, 0.2], "accuracy")


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 1), probabilities, st.integers(1, 3)), min_size=1, max_size=50),
    method=st.sampled_from(METHODS),
)
def test_cross_fitting_is_a_loop_over_folds(rows: list[tuple[int, float, int]], method: str) -> None:
    labels, scores, folds = (np.array(column) for column in zip(*rows, strict=True))
    calls = np.zeros(len(labels), bool)
    undefined = False
    for fold in set(folds.tolist()):
        threshold = choose_threshold(labels[folds != fold], scores[folds != fold], method)
        undefined = undefined or math.isnan(threshold)
        calls[folds == fold] = scores[folds == fold] >= threshold
    fitted = cross_fitted(labels, scores, folds, method)
    if undefined or not labels.any():
        assert all(math.isnan(value) for value in fitted.values())
    else:
        assert fitted["f1"] == pytest.approx(sklearn_metrics.f1_score(labels, calls))
        assert fitted["recall"] == pytest.approx(sklearn_metrics.recall_score(labels, calls))


def test_a_threshold_that_only_fits_its_own_fold_is_found_out() -> None:
    labels = np.array([1, 0, 1, 0])
    scores = np.array([0.9, 0.8, 0.2, 0.1])
    folds = np.array([1, 1, 2, 2])
    # Fold 1 is called from 0.15 on, which calls its negative; fold 2 from 0.85 on, which calls nothing.
    assert cross_fitted(labels, scores, folds, "mcc") == pytest.approx(
        {"f1": 0.5, "mcc": 0.0, "precision": 0.5, "recall": 0.5}
    )


def test_one_fold_cannot_be_cross_fitted() -> None:
    assert all(math.isnan(value) for value in cross_fitted([1, 0], [0.9, 0.1], [1, 1], "mcc").values())


def test_folds_must_be_given_for_each_residue() -> None:
    with pytest.raises(ValueError, match="2 residues"):
        cross_fitted([1, 0], [0.9, 0.1], [1], "mcc")


def test_content_of_the_file() -> None:
    scored = by_ion(
        ["ZN", "CA"],
        protein=["a", "a", "b", "b", "a", "b"],
        ion=["ZN", "ZN", "ZN", "ZN", "CA", "CA"],
        label=np.array([1, 0, 1, 0, 0, 0], np.int8),
        probability=np.array([0.75, 0.25, 0.75, 0.25, 0.5, 0.5], np.float32),
        fold=np.array([1, 1, 2, 2, 1, 2]),
    )
    content = global_thresholds(scored, method="mcc", computed_from="oof.parquet")
    assert yaml.safe_load(yaml.safe_dump(content)) == content
    perfect = {"f1": 1.0, "mcc": 1.0, "precision": 1.0, "recall": 1.0}
    nothing = dict.fromkeys(perfect)
    assert content == {
        "threshold_method": "mcc",
        "computed_from": "oof.parquet",
        "thresholds": {
            "ZN": {
                "threshold": 0.5,
                **perfect,
                "num_samples": 4,
                "pos_ratio": 0.5,
                "cross_fitted": perfect,
                "methods": {"youden": 0.5, "f1": 0.5, "mcc": 0.5},
            },
            "CA": {
                "threshold": None,
                **nothing,
                "num_samples": 2,
                "pos_ratio": 0.0,
                "cross_fitted": nothing,
                "methods": {"youden": None, "f1": None, "mcc": None},
            },
        },
    }


def test_an_ion_without_rows() -> None:
    nobody = ScoredResidues(*(np.empty(0) for _ in range(4)))
    content = global_thresholds({"MN": nobody}, method="f1", computed_from="oof.parquet")
    assert content["thresholds"]["MN"]["num_samples"] == 0
    assert content["thresholds"]["MN"]["pos_ratio"] is None
