"""Logistic regression on fixed features, cross-validated. Training folds alone decide scaling, penalty and weights."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from bindtune.errors import CheckpointError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""The values of C, the inverse strength of the L2 penalty, that are tried."""
_STEPS = 2000


class LinearHead(NamedTuple):
    """A trained regression.

    Args:
        mean: (D,) of each feature.
        scale: (D,) standard deviation of each feature, 1 for a feature that does not vary.
        weight: (D,) of each scaled feature.
        intercept: (1,).
    """

    mean: Floats
    scale: Floats
    weight: Floats
    intercept: Floats

    def logits(self, features: NDArray[np.floating]) -> Floats:
        """(N,) log odds of features (N, D).

        Raises:
            CheckpointError: the head was trained on another number of features.
        """
        if features.shape[1] != len(self.weight):
            raise CheckpointError(f"a head of {len(self.weight)} features cannot read {features.shape[1]}")
        return np.asarray((features - self.mean) / self.scale @ self.weight + self.intercept[0])

    def state(self) -> dict[str, Tensor]:
        """The same as tensors, to be saved."""
        return {name: torch.from_numpy(np.array(value, np.float64)) for name, value in self._asdict().items()}

    @classmethod
    def of(cls, state: Mapping[str, Tensor]) -> "LinearHead":
        """The head with this `state`."""
        return cls(*(state[name].numpy() for name in cls._fields))


def out_of_fold(
    features: NDArray[np.floating], labels: NDArray[np.int8], folds: Ints
) -> tuple[Floats, dict[int, LinearHead]]:
    """Score every window with a regression that was trained on the other folds.

    Features are scaled to mean 0 and variance 1. The strength of the penalty has the lowest log loss in a
    cross-validation over the training folds, in which scaling is learned anew.

    Args:
        features: (N, D).
        labels: (N,) 1 bound, 0 not; both in every fold.
        folds: (N,) fold of each window.

    Returns:
        (N,) log odds, and the regression that scored each fold.
    """
    scores, heads = np.zeros(len(labels)), {}
    for fold in np.unique(folds).tolist():
        train, test = folds != fold, folds == fold
        strength = best_strength(features[train], labels[train], folds[train])
        model = pipeline(strength).fit(features[train], labels[train])
        scaler, regression = model[0], model[1]
        heads[fold] = LinearHead(scaler.mean_, scaler.scale_, regression.coef_[0], regression.intercept_)
        scores[test] = heads[fold].logits(features[test])
    return scores, heads


def best_strength(features: NDArray[np.floating], labels: NDArray[np.int8], folds: Ints) -> float:
    """The C with the lowest mean log loss over held-out folds; with one fold alone, 1.

    Args:
        features: (N, D).
        labels: (N,).
        folds: (N,).
    """
    numbers = np.unique(folds).tolist()
    if len(numbers) < 2:
        return 1.0
    losses = np.zeros(len(STRENGTHS))
    for fold in numbers:
        train, test = folds != fold, folds == fold
        scaler = StandardScaler().fit(features[train])
        losses += _losses(
            scaler.transform(features[train]), labels[train], scaler.transform(features[test]), labels[test]
        )
    return STRENGTHS[int(losses.argmin())]


def _losses(
    train: NDArray[np.floating], labels: NDArray[np.int8], test: NDArray[np.floating], truth: NDArray[np.int8]
) -> Floats:
    """(S,) log loss at each strength; each regression begins at the one before."""
    model = LogisticRegression(C=STRENGTHS[0], max_iter=_STEPS, warm_start=True)
    signs = np.where(truth > 0, -1.0, 1.0)
    losses: list[float] = []
    for strength in STRENGTHS:
        model.set_params(C=strength).fit(train, labels)
        losses.append(float(np.logaddexp(0, signs * model.decision_function(test)).mean()))
    return np.array(losses)


def pipeline(strength: float) -> Pipeline:
    """Scaling and L2 logistic regression.

    Args:
        strength: C of scikit-learn.
    """
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=_STEPS))
