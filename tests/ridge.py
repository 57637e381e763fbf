"""Out-of-fold scores of a ridge regression, for tests and the benchmark of intervals."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_PENALTY = 100


def out_of_fold(features: Floats, labels: NDArray[np.int8], fold: NDArray[np.int64]) -> Floats:
    """(N,) scores of a regression that was trained on the other folds.

    Args:
        features: (N, F), of about unit variance.
        labels: (N,).
        fold: (N,) fold of each row.
    """
    scores = np.zeros(len(labels))
    for number in np.unique(fold).tolist():
        train = fold != number
        mean = features[train].mean(axis=0)
        centred, target = features[train] - mean, labels[train] - labels[train].mean()
        curvature = centred.T @ centred + _PENALTY * np.eye(features.shape[1])
        scores[~train] = (features[~train] - mean) @ np.linalg.solve(curvature, centred.T @ target)
    return scores
