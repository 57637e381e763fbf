"""Wilcoxon's test by protein."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sklearn_metrics

from bindtune.evaluation.wilcoxon import signed_rank, wilcoxon_by_protein


def test_wilcoxon_compares_proteins_with_both_classes() -> None:
    generator = np.random.default_rng(8)
    labels, proteins = (generator.random(1200) < 0.1).astype(np.int8), np.repeat(np.arange(40), 30)
    scores = generator.normal(size=len(labels)) + 2 * labels
    labels[proteins == 3] = 0
    worse = scores - 1.5 * labels
    test = wilcoxon_by_protein("auprc", labels, scores, worse, proteins)
    differences = [
        sklearn_metrics.average_precision_score(labels[proteins == one], scores[proteins == one])
        - sklearn_metrics.average_precision_score(labels[proteins == one], worse[proteins == one])
        for one in range(40)
        if labels[proteins == one].any()
    ]
    assert test.proteins == len(differences) < 40
    assert test.p_value == pytest.approx(stats.wilcoxon(differences).pvalue)
    assert test.p_value < 0.001
    assert test.median_difference == pytest.approx(np.median(differences))
    assert test.higher == sum(difference > 0 for difference in differences)
    assert test.lower == sum(difference < 0 for difference in differences)


def test_wilcoxon_without_a_difference_or_without_proteins() -> None:
    assert wilcoxon_by_protein("auroc", [1, 0], [0.9, 0.1], [0.8, 0.3], ["a", "a"]) == (1.0, 1, 0, 0, 0.0)
    nobody = wilcoxon_by_protein("auroc", [0, 0], [0.9, 0.1], [0.8, 0.3], ["a", "b"])
    assert nobody.proteins == 0
    assert math.isnan(nobody.p_value)
    assert wilcoxon_by_protein("auroc", [], [], [], []).proteins == 0


def test_signed_rank() -> None:
    gaps = [0.3, -0.1, 0.7, 0.2, 0.0, 0.45]
    test = signed_rank(gaps)
    assert test.p_value == pytest.approx(stats.wilcoxon(gaps).pvalue)
    assert (test.proteins, test.higher, test.lower) == (6, 4, 1)
    assert test.median_difference == pytest.approx(0.25)
    assert signed_rank([0.0, 0.0]).p_value == 1.0
    assert math.isnan(signed_rank([]).p_value)
