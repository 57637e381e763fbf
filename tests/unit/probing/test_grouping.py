"""Folds: parts of chromosomes lie apart, and hold equally much."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bindtune.data.dna.negatives import Sites
from bindtune.errors import ConfigError
from bindtune.probing.grouping import make_territories, place_groups


def sites(starts: list[int], *, chrom: int = 0, width: int = 50) -> Sites:
    start = np.array(starts, np.int64)
    return Sites(np.full(len(start), chrom), start, start + width, np.ones(len(start), np.int64))


@given(
    st.lists(st.integers(0, 30_000), min_size=4, max_size=60),
    st.lists(st.integers(0, 30_000), min_size=1, max_size=200),
    st.sampled_from([0, 1, 7, 200, 1000]),
)
def test_windows_of_two_parts_lie_apart(positives: list[int], candidates: list[int], distance: int) -> None:
    territories = make_territories(sites(positives), split="neighbourhood", folds=2, distance=distance)
    windows = sites([*positives, *candidates])
    group = territories.group_of(windows)
    assert (group[: len(positives)] >= 0).all()
    order = np.argsort(windows.start, kind="stable")
    order = order[group[order] >= 0]
    for one, two in pairwise(order.tolist()):
        if group[one] != group[two]:
            assert windows.start[two] - windows.end[one] >= territories.distance


def test_chromosomes_are_taken_where_there_are_enough() -> None:
    many = Sites(*(np.array(column) for column in ([0, 2, 5, 5], [0, 0, 0, 900], [10, 10, 10, 910], [1, 1, 1, 1])))
    territories = make_territories(many, split="auto", folds=3, distance=100)
    assert territories.kind == "chromosome"
    assert territories.group_of(many).tolist() == [0, 1, 2, 2]
    elsewhere = Sites(*(np.array(column) for column in ([1, 2, 7], [5, 5, 5], [9, 9, 9], [1, 1, 1])))
    assert territories.group_of(elsewhere).tolist() == [-1, 1, -1]
    assert make_territories(many, split="auto", folds=4, distance=100).kind == "neighbourhood"


def test_neighbourhoods_shrink_aloud(caplog: pytest.LogCaptureFixture) -> None:
    territories = make_territories(sites(list(range(0, 20_000, 300))), split="auto", folds=5, distance=1000)
    assert territories.distance == 250
    assert "too close together" in caplog.text


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 1)), min_size=60, max_size=200), st.integers(0, 99))
def test_groups_stay_whole_and_folds_are_full(rows: list[tuple[int, int]], key: int) -> None:
    _, groups = np.unique([group for group, _ in rows], return_inverse=True)
    if groups.max() < 4:
        return
    fold = place_groups(groups, np.array([label for _, label in rows]), folds=3, key=key)
    assert len(fold) == groups.max() + 1
    assert set(fold.tolist()) == {0, 1, 2}
    assert fold.tolist() == place_groups(groups, np.array([label for _, label in rows]), folds=3, key=key).tolist()


def test_classes_are_spread_evenly() -> None:
    groups = np.arange(300)
    classes = np.repeat([0, 1], [100, 200])
    fold = place_groups(groups, classes, folds=5, key=1)
    assert np.bincount(fold * 2 + classes).tolist() == [20, 40] * 5


def test_too_few_groups_are_refused() -> None:
    with pytest.raises(ConfigError, match="2 groups, too few for 3 folds"):
        place_groups(np.array([0, 0, 1]), np.zeros(3, np.int64), folds=3, key=0)
