"""The gain over composition is 0 for a score that adds nothing, and what AUROC gains for one that does."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from bindtune.probing.gain import auroc, gain_over, logistic_weights

WINDOWS = 1000


def drawn(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, folds, and a composition score of AUROC 0.64."""
    labels = (generator.random(WINDOWS) < 0.5).astype(np.int8)
    return labels, np.arange(WINDOWS) % 5, 0.5 * labels + generator.normal(size=WINDOWS)


@pytest.mark.slow
def test_the_mean_gain_of_useless_scores_is_within_half_a_thousandth_of_0() -> None:
    generator = np.random.default_rng(5)
    gains = []
    for key in range(800):  # the standard error of the mean is 0.0001; more nulls would lower it less than more keys
        labels, folds, base = drawn(generator)
        useless = generator.normal(size=WINDOWS) + (2 * base if key % 2 else 0)
        gains.append(gain_over(base, useless, labels, folds, key=key, nulls=3).value(labels))
    assert abs(np.mean(gains)) < 0.0005
    assert np.std(gains) / np.sqrt(len(gains)) < 0.00012


def test_a_useful_score_gains_what_the_two_together_are_better() -> None:
    generator = np.random.default_rng(7)
    labels, folds, base = drawn(generator)
    useful = 0.8 * labels + generator.normal(size=WINDOWS)
    gain = gain_over(base, useful, labels, folds, key=1)
    best = auroc(labels, 0.5 * base + 0.8 * useful) - auroc(labels, base)
    assert gain.value(labels) == pytest.approx(best, abs=0.01)
    assert best > 0.05
    assert -0.01 < gain.useless < 0.002


def test_the_base_score_itself_gains_nothing() -> None:
    labels, folds, base = drawn(np.random.default_rng(8))
    assert gain_over(base, 3 * base - 2, labels, folds, key=1).value(labels) == pytest.approx(0, abs=0.002)


def test_weights_are_those_of_scikit_learn() -> None:
    labels, _, base = drawn(np.random.default_rng(9))
    features = np.column_stack([base, np.random.default_rng(1).normal(size=WINDOWS)])
    model = LogisticRegression(fit_intercept=False, tol=1e-10).fit(features, labels)
    np.testing.assert_allclose(logistic_weights(features.T, labels), model.coef_[0], atol=1e-6)
    both = np.stack([features.T, 2 * features.T[::-1]])  # two regressions at once
    np.testing.assert_allclose(logistic_weights(both, labels)[0], model.coef_[0], atol=1e-6)


def test_areas_are_those_of_scikit_learn() -> None:
    labels, _, base = drawn(np.random.default_rng(9))
    scores = np.stack([base, base.round(), -base])  # rounded, so that there are ties
    np.testing.assert_allclose(auroc(labels, scores), [roc_auc_score(labels, each) for each in scores], atol=1e-12)
    assert np.isnan(auroc(np.ones(5, np.int8), np.arange(5.0)))


def test_scores_that_part_the_classes_stay_finite() -> None:
    labels, folds, base = drawn(np.random.default_rng(9))
    assert gain_over(base, 10.0 * labels, labels, folds, key=1).value(labels) == pytest.approx(
        1 - auroc(labels, base), abs=0.02
    )
