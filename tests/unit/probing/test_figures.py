"""Figures agree with scikit-learn, and sentences say no more than intervals."""

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from bindtune.evaluation.cross_validated import cross_validated_comparison
from bindtune.probing.figures import Figure, Labelled, compare_scores, conclusion, over_seeds


def comparison() -> tuple[Labelled, dict[str, np.ndarray], list[Figure]]:
    generator = np.random.default_rng(2)
    labels = (generator.random(400) < 0.4).astype(np.int8)
    windows = Labelled(labels, np.arange(400) % 4, np.arange(400) // 10)
    scores = {name: gap * labels + generator.normal(size=400) for name, gap in {"base": 0.2, "good": 2.0}.items()}
    figures = compare_scores(windows, scores, composition="base", pairs=[("good", "base")], draws=200, key=3)
    return windows, scores, figures


def test_figures_are_those_of_others() -> None:
    windows, scores, figures = comparison()
    value = {(each.model, each.figure): each for each in figures}
    for name, values in scores.items():
        assert value[name, "auroc"].value == pytest.approx(roc_auc_score(windows.labels, values), abs=1e-12)
        assert value[name, "auprc"].value == pytest.approx(average_precision_score(windows.labels, values), abs=1e-12)
    for area in ("auroc", "auprc"):
        compared = cross_validated_comparison(
            area, windows.labels, scores["good"], scores["base"], windows.groups, folds=4, draws=200, seed=3
        )
        for name, figure, interval in [("good", area, compared.first), ("good", f"{area}_difference", compared[2])]:
            assert value[name, figure][2:5] == pytest.approx(interval[:3], abs=1e-12)
    difference = value["good", "auroc_difference"]
    assert difference.against == "base"
    assert value["good", "gain_over_composition"].low > 0.1
    assert ("base", "gain_over_composition") not in value


def test_one_group_gives_no_interval_and_no_verdict() -> None:
    windows, scores, _ = comparison()
    alone = windows._replace(groups=np.zeros(400, np.int64))
    figures = compare_scores(alone, scores, composition="base", pairs=[("good", "base")], draws=20, key=3)
    assert all(math.isnan(each.low) and math.isnan(each.high) and not math.isnan(each.value) for each in figures)
    difference = next(each for each in figures if each.figure == "auroc_difference")
    assert conclusion(difference).startswith("Nothing can be said of good and base")


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.001, 0.05, "adapted is ahead of base by 0.030 AUROC"),
        (0.0, 0.05, "No difference between adapted and base could be shown"),
        (-0.05, 0.0, "No difference between adapted and base could be shown"),
        (-0.05, -0.001, "adapted is behind base by"),
    ],
)
def test_words_follow_the_interval(low: float, high: float, words: str) -> None:
    value = 0.03 if high > 0 else -0.03
    assert conclusion(Figure("adapted", "auroc_difference", value, low, high, "base")).startswith(words)


def test_there_is_an_interval_over_seeds_from_three_on() -> None:
    assert math.isnan(over_seeds("cnn", "auroc", [0.7, 0.8]).low)
    three = over_seeds("cnn", "auroc", [0.7, 0.8, 0.9])
    assert three.value == pytest.approx(0.8)
    assert three.low == pytest.approx(0.8 - 4.302653 * 0.1 / math.sqrt(3), abs=1e-6)
