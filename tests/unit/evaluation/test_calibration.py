"""Calibrations that undo a known distortion, and the error by hand."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from bindtune.evaluation.calibration import (
    calibrate,
    cross_calibrated,
    expected_calibration_error,
    fit_calibration,
    reliability,
)


def honest(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from the probabilities beside them."""
    generator = np.random.default_rng(seed)
    probabilities = expit(generator.normal(-1.5, 1.5, size=count))
    return (generator.random(count) < probabilities).astype(np.int8), probabilities


def test_temperature_is_found() -> None:
    labels, probabilities = honest(60_000, seed=0)
    sharp = expit(logit(probabilities) * 2.5)
    calibration = fit_calibration(labels, sharp, "temperature")
    assert calibration is not None
    assert calibration["temperature"] == pytest.approx(2.5, rel=0.03)
    assert np.abs(calibrate(calibration, sharp) - probabilities).max() < 0.02


@pytest.mark.parametrize("method", ["temperature", "isotonic"])
def test_calibration_survives_a_file_and_brings_the_error_down(method: str) -> None:
    labels, probabilities = honest(20_000, seed=1)
    sharp = expit(logit(probabilities) * 2.5)
    calibration = json.loads(json.dumps(fit_calibration(labels, sharp, method)))
    new_labels, new_probabilities = honest(20_000, seed=2)
    new_sharp = expit(logit(new_probabilities) * 2.5)
    before = expected_calibration_error(new_labels, new_sharp)
    after = expected_calibration_error(new_labels, calibrate(calibration, new_sharp))
    assert after < 0.02 < 0.05 < before


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=2, max_size=40))
def test_order_is_never_turned_round(rows: list[tuple[int, float]]) -> None:
    labels, probabilities = (np.array(column) for column in zip(*rows, strict=True))
    for method in ("temperature", "isotonic"):
        calibration = fit_calibration(labels, probabilities, method)
        if calibration is None:
            assert len(set(labels.tolist())) == 1
            continue
        grid = calibrate(calibration, np.linspace(0, 1, 101))
        assert (np.diff(grid) >= -1e-12).all()
        assert grid.min() >= 0
        assert grid.max() <= 1


def test_isotonic_by_hand() -> None:
    calibration = fit_calibration([0, 1, 0, 1], [0.1, 0.2, 0.3, 0.9], "isotonic")
    assert calibration is not None
    assert calibrate(calibration, [0.0, 0.1, 0.2, 0.3, 0.9, 1.0]) == pytest.approx([0, 0, 0.5, 0.5, 1, 1])


def test_each_fold_is_calibrated_by_the_others() -> None:
    labels, probabilities = honest(2000, seed=3)
    folds = np.arange(2000) % 4
    calibrated = cross_calibrated(labels, probabilities, folds, "temperature")
    inside = folds == 2
    calibration = fit_calibration(labels[~inside], probabilities[~inside], "temperature")
    assert calibrated is not None
    assert calibration is not None
    assert np.allclose(calibrated[inside], calibrate(calibration, probabilities[inside]))
    assert cross_calibrated(labels, probabilities, np.zeros(2000), "isotonic") is None


def test_error_by_hand() -> None:
    labels, probabilities = [0, 1, 1, 1], [0.1, 0.3, 0.6, 1.0]
    bins = reliability(labels, probabilities, bins=2)
    assert bins.predicted == pytest.approx([0.2, 0.8])
    assert bins.observed == pytest.approx([0.5, 1.0])
    assert bins.residues.tolist() == [2, 2]
    assert expected_calibration_error(labels, probabilities, bins=2) == pytest.approx(0.25)


def test_nothing_to_calibrate() -> None:
    assert fit_calibration([0, 0], [0.1, 0.2], "temperature") is None
    assert math.isnan(expected_calibration_error([], []))
    assert len(reliability([], []).residues) == 0


def test_certainty_stays_finite() -> None:
    calibration = fit_calibration([0, 1, 0, 1], [0.0, 1.0, 1.0, 0.0], "temperature")
    assert calibration is not None
    assert np.isfinite(calibrate(calibration, [0.0, 1.0])).all()


def test_what_is_no_probability_raises() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        fit_calibration([0, 1], [0.1, 1.2], "isotonic")
    with pytest.raises(ValueError, match="temperature or isotonic"):
        fit_calibration([0, 1], [0.1, 0.2], "platt")
    with pytest.raises(ValueError, match="unknown calibration method"):
        calibrate({"method": "platt"}, [0.1])
