"""Cross-validated regression learns on training folds alone, and is scikit-learn's."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

from bindtune.probing.linear import STRENGTHS, best_strength, out_of_fold


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(300, 12)) * np.arange(1, 13) + 5
    labels = (features[:, 0] + 0.3 * features[:, 3] + generator.normal(size=300) > 6.5).astype(np.int8)
    return features, labels, np.arange(300) % 5


def test_scores_are_those_of_a_plain_loop(data: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    features, labels, folds = data
    expected = np.zeros(300)
    for fold in range(5):
        train = folds != fold
        losses = dict.fromkeys(STRENGTHS, 0.0)
        for inner in set(range(5)) - {fold}:
            part, held = train & (folds != inner), folds == inner
            scaler = StandardScaler().fit(features[part])
            for strength in STRENGTHS:
                model = LogisticRegression(C=strength, max_iter=2000).fit(
                    scaler.transform(features[part]), labels[part]
                )
                losses[strength] += log_loss(labels[held], model.predict_proba(scaler.transform(features[held])))
        scaler = StandardScaler().fit(features[train])
        best = min(losses, key=lambda strength: losses[strength])
        model = LogisticRegression(C=best, max_iter=2000).fit(scaler.transform(features[train]), labels[train])
        expected[~train] = model.decision_function(scaler.transform(features[~train]))
    np.testing.assert_allclose(out_of_fold(features, labels, folds)[0], expected, rtol=1e-9)


def test_a_fold_has_no_part_in_its_own_scores(data: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    features, labels, folds = data
    before, _ = out_of_fold(features, labels, folds)
    turned = np.where(folds == 2, 1 - labels, labels).astype(np.int8)
    after, _ = out_of_fold(features, turned, folds)
    np.testing.assert_array_equal(before[folds == 2], after[folds == 2])
    assert (before[folds != 2] != after[folds != 2]).all()


def test_noise_gets_a_strong_penalty(data: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    features, labels, folds = data
    noise = np.random.default_rng(1).normal(size=(300, 200))
    assert best_strength(noise, labels, folds) <= 1e-3 < best_strength(features, labels, folds)
    assert best_strength(features, labels, np.zeros(300, np.int64)) == 1.0
