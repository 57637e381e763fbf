"""Counts from the top, and the corners that are all a curve needs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bindtune.evaluation.ranking import area_under_roc, average_precision, high_recall_area, rank_groups, sort

rows = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 20)), max_size=60)


def test_counts_at_each_distinct_score() -> None:
    ranking = sort([1, 0, 0, 1, 0], [0.5, 0.5, 0.9, 0.1, 0.1]).ranking()
    assert ranking.scores.tolist() == [0.9, 0.5, 0.1]
    assert ranking.true_positives.tolist() == [0, 1, 2]
    assert ranking.false_positives.tolist() == [1, 2, 3]
    assert (ranking.positives, ranking.negatives) == (2, 3)


def test_a_part_is_sorted_already() -> None:
    ordered = sort([1, 0, 1], [0.1, 0.9, 0.5])
    part = ordered.part(np.array([True, False, True]))
    assert (part.order.tolist(), part.scores.tolist()) == ([2, 0], [0.5, 0.1])


def test_corners_leave_out_what_lies_between_negatives() -> None:
    ordered = sort([0, 0, 0, 1, 0, 0, 0], [0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])
    assert ordered.ranking(ordered.corners()).scores.tolist() == [0.5, 0.4, 0.1]


@given(rows)
def test_corners_have_the_areas_of_the_whole_curve(rows: list[tuple[int, int]]) -> None:
    ordered = sort([label for label, _ in rows], [float(score) for _, score in rows])
    whole, corners = ordered.ranking(), ordered.ranking(ordered.corners())
    for area in (area_under_roc, average_precision, high_recall_area):
        assert area(corners) == pytest.approx(area(whole), abs=1e-12, nan_ok=True)


@given(rows)
def test_average_precision_needs_the_steps_alone(rows: list[tuple[int, int]]) -> None:
    ordered = sort([label for label, _ in rows], [float(score) for _, score in rows])
    whole, steps = ordered.ranking(), ordered.ranking(ordered.steps())
    assert average_precision(steps) == pytest.approx(average_precision(whole), abs=1e-12, nan_ok=True)
    assert (steps.positives, steps.negatives) == (whole.positives, whole.negatives)


@given(rows)
def test_groups_are_ranked_as_their_residues_are(rows: list[tuple[int, int]]) -> None:
    labels, groups = [label for label, _ in rows], np.array([group for _, group in rows], int)
    scores = (groups * 7 % 5) / 4  # some groups have equal scores
    ranking, expected = rank_groups(labels, scores, groups), sort(labels, scores).ranking()
    assert [column.tolist() for column in ranking] == [column.tolist() for column in expected]


def test_rows_that_are_sorted_stay() -> None:
    assert sort([0, 1, 1], [0.9, 0.5, 0.5]).order.tolist() == [0, 1, 2]
