"""Calibration of probabilities: fit it on out-of-fold residues, save it as plain values, apply it to new residues."""

import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

from bindtune.evaluation.ranking import checked

Floats = NDArray[np.float64]
CalibrationMethod = Literal["temperature", "isotonic"]
# Single precision rounds larger logits to a probability of 1; that is put back to the edge of what it can tell apart.
_FURTHEST_LOGIT = 17.0
_TEMPERATURES = (0.01, 100.0)


class Reliability(NamedTuple):
    """Residues in bins of equal width by probability; bins without residues are left out.

    Args:
        predicted: (b,), mean probability of each bin.
        observed: (b,), share of its residues that bind.
        residues: (b,), how many it has.
    """

    predicted: Floats
    observed: Floats
    residues: NDArray[np.int64]


def fit_calibration(
    labels: ArrayLike, probabilities: ArrayLike, method: CalibrationMethod = "isotonic"
) -> dict[str, Any] | None:
    """Fit a calibration for `calibrate`.

    A temperature divides the logits. The order of residues and the probability 0.5 stay, so a model that was trained
    with weighted positives keeps too high probabilities for them. Isotonic regression finds any rising curve. It makes
    neighbouring probabilities equal, which lowers the AUPRC a little.

    Args:
        labels: (R,), 1 binds, 0 does not.
        probabilities: (R,), out of fold.
        method: temperature or isotonic.

    Returns:
        Plain Python values for YAML or JSON; None unless both classes are there.

    Raises:
        ValueError: the method is unknown, a probability is not between 0 and 1, or labels and probabilities do not fit.
    """
    positive, values = _probabilities(labels, probabilities)
    if method not in ("temperature", "isotonic"):
        raise ValueError(f"calibration method must be temperature or isotonic, not {method!r}")
    if not positive.any() or positive.all():
        return None
    if method == "temperature":
        return {"method": "temperature", "temperature": _temperature(positive, _logits(values))}
    from sklearn.isotonic import IsotonicRegression  # here: it takes a second to import, and applying a fit needs none

    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(values, positive)
    return {
        "method": "isotonic",
        "probabilities": fitted.X_thresholds_.astype(float).tolist(),
        "calibrated": fitted.y_thresholds_.astype(float).tolist(),
    }


def calibrate(calibration: Mapping[str, Any], probabilities: ArrayLike) -> Floats:
    """Apply a calibration of `fit_calibration` to new probabilities of any shape.

    Raises:
        ValueError: the calibration is of an unknown method.
    """
    values = np.asarray(probabilities, np.float64)
    if calibration["method"] == "temperature":
        return np.asarray(expit(_logits(values) / calibration["temperature"]))
    if calibration["method"] == "isotonic":
        return np.asarray(np.interp(values, calibration["probabilities"], calibration["calibrated"]))
    raise ValueError(f"unknown calibration method {calibration['method']!r}")


def cross_calibrated(
    labels: ArrayLike, probabilities: ArrayLike, folds: ArrayLike, method: CalibrationMethod
) -> Floats | None:
    """Probabilities (R,), each fold's calibrated with a fit on the other folds; None where a fit is not defined.

    Use these to test a calibration: on the residues of its own fit, every calibration looks right.
    """
    truth, values, numbers = np.asarray(labels), np.asarray(probabilities, np.float64), np.asarray(folds)
    calibrated = np.empty(len(values))
    for fold in np.unique(numbers):
        inside = numbers == fold
        calibration = fit_calibration(truth[~inside], values[~inside], method)
        if calibration is None:
            return None
        calibrated[inside] = calibrate(calibration, values[inside])
    return calibrated if len(values) else None


def reliability(labels: ArrayLike, probabilities: ArrayLike, *, bins: int = 15) -> Reliability:
    """Compare probabilities with how often residues bind, in bins of equal width.

    Raises:
        ValueError: as in `fit_calibration`.
    """
    positive, values = _probabilities(labels, probabilities)
    bin_of = np.minimum((values * bins).astype(np.int64), bins - 1)
    counts = np.bincount(bin_of, minlength=bins)
    filled = counts > 0
    predicted, observed = (
        np.bincount(bin_of, weights=weights, minlength=bins)[filled] / counts[filled] for weights in (values, positive)
    )
    return Reliability(predicted, observed, counts[filled])


def expected_calibration_error(labels: ArrayLike, probabilities: ArrayLike, *, bins: int = 15) -> float:
    """Mean distance of a bin's probability from its share of binding residues, bins weighted by residues.

    If few residues bind, nearly all lie in the first bin. The error is then small for any model with low probabilities.
    """
    each_bin = reliability(labels, probabilities, bins=bins)
    if not len(each_bin.residues):
        return math.nan
    return float(np.average(np.abs(each_bin.predicted - each_bin.observed), weights=each_bin.residues))


def _temperature(positive: NDArray[np.bool_], logits: Floats) -> float:
    """The temperature at which the labels are likeliest."""
    from scipy.optimize import minimize_scalar  # here: see fit_calibration

    signed = np.where(positive, -logits, logits)

    def loss(log_temperature: float) -> float:
        return float(np.logaddexp(0, signed * math.exp(-log_temperature)).mean())

    low, high = (math.log(end) for end in _TEMPERATURES)
    return math.exp(minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6}).x)


def _logits(probabilities: Floats) -> Floats:
    return np.asarray(np.clip(logit(probabilities), -_FURTHEST_LOGIT, _FURTHEST_LOGIT))


def _probabilities(labels: ArrayLike, probabilities: ArrayLike) -> tuple[NDArray[np.bool_], Floats]:
    positive, values = checked(labels, probabilities)
    if len(values) and (values.min() < 0 or values.max() > 1):
        raise ValueError(f"probabilities must lie between 0 and 1, not {values.min()} to {values.max()}")
    return positive, values
