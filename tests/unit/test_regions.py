"""Joining regions that lie near each other."""

import pytest

from bindtune.regions import begin_anew


@pytest.mark.parametrize(
    ("gap", "expected"),
    [
        (-1, [True, False, True, True, True, True]),
        (0, [True, False, False, True, True, True]),
        (9, [True, False, False, True, True, True]),
        (10, [True, False, False, False, True, True]),
    ],
)
def test_regions_are_joined_up_to_a_gap_and_never_across_groups(gap: int, expected: list[bool]) -> None:
    # The second lies inside the first: the third touches the first, not the second.
    groups, starts, ends = [0, 0, 0, 0, 0, 1], [0, 5, 50, 70, 500, 0], [50, 10, 60, 80, 600, 1000]
    assert begin_anew(groups, starts=starts, ends=ends, gap=gap).tolist() == expected


def test_no_regions() -> None:
    assert begin_anew([], starts=[], ends=[], gap=0).tolist() == []
