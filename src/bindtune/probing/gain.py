"""The gain of a model's score over the composition of a window: 0 for a score that adds nothing."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import rankdata

from bindtune.data.keyed_random import digest

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_STEPS, _SMALL_STEP = 50, 1e-8
_RIDGE = 1.0
"""As C = 1 in scikit-learn: weights stay finite if scores separate the classes completely."""
_NULLS = 40
"""Number of shuffled scores, which show the gain of a useless score."""


class Gain(NamedTuple):
    """Scores whose difference in AUROC, less `useless`, is the gain.

    Args:
        alone: (N,) ranks by the composition score alone.
        both: (N,) ranks by the composition score and the model's score.
        useless: the same difference for scores that add nothing. It is a little below 0, because a weight that is
            learned for noise lowers the AUROC.
    """

    alone: Floats
    both: Floats
    useless: float

    def value(self, labels: NDArray[np.int8]) -> float:
        """The gain in AUROC."""
        return float(auroc(labels, self.both) - auroc(labels, self.alone) - self.useless)


def gain_over(
    base: Floats, score: Floats, labels: NDArray[np.int8], folds: Ints, *, key: int, nulls: int = _NULLS
) -> Gain:
    """Combine two out-of-fold scores, cross-fitted: the weights for a fold are learned on the other folds.

    The base score is subtracted from the score, as far as it predicts it. The rest is shuffled many times within folds
    and combined in the same way. This shows the gain of a useless score.

    Args:
        base: (N,) log odds of the composition baseline.
        score: (N,) log odds of the model.
        labels: (N,) 1 bound, 0 not.
        folds: (N,) fold of each window.
        key: of the shuffles.
        nulls: how many shuffles.
    """
    alone = combine([base], labels, folds)
    rest = _rest(base, score)
    generator = np.random.default_rng(digest(key, "useless"))
    shuffled = np.empty((nulls, len(rest)))
    for each in shuffled:
        for fold in np.unique(folds).tolist():
            own = np.flatnonzero(folds == fold)
            each[own] = rest[generator.permutation(own)]
    areas = auroc(labels, combine([np.broadcast_to(base, shuffled.shape), shuffled], labels, folds))
    useless = float(np.mean(areas - auroc(labels, alone)))
    return Gain(alone, combine([base, rest], labels, folds), useless)


def combine(scores: list[Floats], labels: NDArray[np.int8], folds: Ints) -> Floats:
    """(..., N) one score from one or more (..., N), cross-fitted: ranks within each fold, between 0 and 1.

    Log odds of different folds must not be ranked together here. For a useless score they depend on each other, and the
    area of all folds together is below one half.
    """
    features = np.stack([*scores, np.ones(scores[0].shape)], axis=-2)
    combined = np.zeros(scores[0].shape)
    for fold in np.unique(folds).tolist():
        train, test = folds != fold, folds == fold
        train_features, test_features = features[..., train], features[..., test]
        mean, spread = train_features.mean(axis=-1, keepdims=True), train_features.std(axis=-1, keepdims=True)
        mean[..., -1, :], spread[..., -1, :] = 0.0, 1.0
        spread = np.where(spread > 0, spread, 1.0)
        weights = logistic_weights((train_features - mean) / spread, labels[train])
        odds = (weights[..., None, :] @ ((test_features - mean) / spread))[..., 0, :]
        combined[..., test] = (rankdata(odds, axis=-1) - 0.5) / odds.shape[-1]
    return combined


def logistic_weights(features: Floats, labels: NDArray[np.int8]) -> Floats:
    """(..., F) weights of logistic regressions of few features, by Newton's method.

    scikit-learn gives the same result, but takes a hundred times as long for so few features and so many regressions.

    Args:
        features: (..., F, N), of about unit variance.
        labels: (N,).
    """
    weights: Floats = np.zeros(features.shape[:-1])
    turned = np.swapaxes(features, -1, -2)
    for _ in range(_STEPS):
        probability = expit((weights[..., None, :] @ features)[..., 0, :])
        slope = (features @ (labels - probability)[..., None])[..., 0] - _RIDGE * weights
        curvature = (features * (probability * (1 - probability))[..., None, :]) @ turned
        step = np.linalg.solve(curvature + _RIDGE * np.eye(features.shape[-2]), slope[..., None])[..., 0]
        weights += step
        if np.abs(step).max() < _SMALL_STEP:
            break
    return weights


def auroc(labels: NDArray[np.int8], scores: Floats) -> Floats:
    """(...) areas under the ROC curve of scores (..., N), from their ranks; nan unless both classes are there."""
    ranks = rankdata(scores, axis=-1)
    bound = labels > 0
    positives = int(bound.sum())
    pairs = positives * (len(labels) - positives) or float("nan")
    return np.asarray((ranks[..., bound].sum(axis=-1) - positives * (positives + 1) / 2) / pairs)


def _rest(base: Floats, score: Floats) -> Floats:
    """The score less its best linear guess from the base score."""
    centred = base - base.mean()
    spread = float(centred @ centred)
    slope = float(centred @ score) / spread if spread else 0.0
    return np.asarray(score - slope * centred)
