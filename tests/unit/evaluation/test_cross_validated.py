"""Intervals of out-of-fold scores hold the area that random labels must give."""

import math

import numpy as np
import pytest

from bindtune.evaluation.bootstrap import Interval, drawn_areas
from bindtune.evaluation.cross_validated import cross_validated_comparison, studentised, widened
from ridge import out_of_fold

_FOLDS, _DRAWS = 5, 100


@pytest.mark.parametrize("groups", [10, 200], ids=["few groups", "many groups"])
def test_random_labels_give_one_half_in_most_sets(groups: int) -> None:
    generator = np.random.default_rng(5)
    held, narrow, difference = [], [], []
    for seed in range(200):
        features, labels = generator.normal(size=(200, 12)), (generator.random(200) < 0.5).astype(np.int8)
        group = np.arange(200) % groups
        fold = group % _FOLDS
        first, second = (out_of_fold(features[:, :width], labels, fold) for width in (12, 4))
        compared = cross_validated_comparison(
            "auroc", labels, first, second, group, folds=_FOLDS, draws=_DRAWS, seed=seed
        )
        held.append(compared.first.low < 0.5 < compared.first.high)
        difference.append(compared.difference.low < 0 < compared.difference.high)
        _, drawn = drawn_areas("auroc", labels, first, group, draws=_DRAWS, seed=seed)
        low, high = np.quantile(drawn, [0.025, 0.975])
        narrow.append(low < 0.5 < high)
    # The standard error of a share of 0.95 in 200 sets is 0.015.
    assert np.mean(held) >= 0.9 and np.mean(difference) >= 0.9
    assert np.mean(narrow) < 0.88


def test_ends_are_students_t_widened_for_the_folds() -> None:
    drawn = np.array([0.5, 0.6, 0.7, math.nan])
    found = studentised(0.6, drawn, groups=4, folds=5, area=False)
    half = 3.182446 * 0.1 * math.sqrt(4 / 3) * 1.5
    assert found[:3] == pytest.approx((0.6, 0.6 - half, min(1.0, 0.6 + half)), abs=1e-6)
    area = studentised(0.6, drawn, groups=4, folds=5, area=True)
    logits = [math.log(end / (1 - end)) for end in area[:3]]
    assert [logits[0] - logits[1], logits[2] - logits[0]] == pytest.approx([half / 0.24] * 2, abs=1e-6)
    assert found.draws == 3


def test_ends_stay_where_a_figure_can_be() -> None:
    assert studentised(0.5, np.full(9, 0.5), groups=3, folds=2, area=True)[:3] == (0.5, 0.5, 0.5)
    certain = studentised(1.0, np.array([1.0, 0.9, 1.0]), groups=3, folds=2, area=True)
    assert 0 <= certain.low <= certain.high <= 1
    assert studentised(0.9, np.array([0.1, 1.0]), groups=2, folds=2, area=False)[1:3] == (-1.0, 1.0)
    for groups, drawn in ((1, np.array([0.5, 0.6])), (5, np.full(4, math.nan))):
        assert math.isnan(studentised(0.5, drawn, groups=groups, folds=5, area=True).low)
    wide = widened(Interval(0.8, 0.7, 0.9, 0), folds=2, area=True)
    assert 0 < wide.low < 0.7 and 0.9 < wide.high < 1
    assert math.isnan(widened(Interval(0.8, math.nan, math.nan, 0), folds=5, area=True).low)
