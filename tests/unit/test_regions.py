"""Regions against loops over letters and tokens."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bindtune.regions import Overlap, Region, begin_anew, clip, regions_to_token_spans, reverse, span_mask

Span = tuple[int, int]


@st.composite
def tokenised(draw: st.DrawFn) -> list[Span]:
    """Offsets as tokenizers give them: special tokens around, gaps where white space was, nothing past a cut."""
    pieces = draw(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 6)), max_size=25))
    offsets, position = [], 0
    for gap, length in pieces:
        position += gap
        offsets.append((position, position + length))
        position += length
    before, after = draw(st.integers(0, 2)), draw(st.integers(0, 5))
    return [(0, 0)] * before + offsets + [(0, 0)] * after


regions = st.lists(
    st.tuples(st.integers(-10, 110), st.integers(0, 40)).map(lambda pair: (pair[0], pair[0] + pair[1])), max_size=12
)
rules = st.sampled_from(["any", "contained"])


def belongs(token: Span, region: Span, overlap: str) -> bool:
    letters = set(range(*token)) & set(range(*region))
    return bool(letters) and (overlap == "any" or len(letters) == token[1] - token[0])


@given(offsets=tokenised(), intervals=regions, overlap=rules)
def test_token_spans_equal_a_loop_over_letters(offsets: list[Span], intervals: list[Span], overlap: Overlap) -> None:
    expected = []
    for region in intervals:
        inside = [number for number, token in enumerate(offsets) if belongs(token, region, overlap)]
        if inside:
            assert inside == list(range(inside[0], inside[-1] + 1))
            expected.append((inside[0], inside[-1] + 1))
    starts, ends = regions_to_token_spans(offsets, intervals, overlap)
    assert list(zip(starts, ends, strict=True)) == expected


@given(offsets=tokenised(), intervals=regions)
def test_the_union_does_not_depend_on_order_or_on_how_regions_are_cut(
    offsets: list[Span], intervals: list[Span]
) -> None:
    def covered(listed: list[Span]) -> set[int]:
        starts, ends = regions_to_token_spans(offsets, listed)
        return {token for start, end in zip(starts, ends, strict=True) for token in range(start, end)}

    halves = [part for a, b in intervals for part in ((a, (a + b) // 2), ((a + b) // 2, b))]
    assert covered(intervals) == covered(intervals[::-1]) == covered(intervals + intervals) == covered(halves)


OFFSETS = [(0, 0), (0, 4), (4, 8), (10, 12), (12, 20), (0, 0), (0, 0)]  # letters 8 and 9 are blanks


@pytest.mark.parametrize(
    ("region", "any_", "contained"),
    [
        ((0, 20), (1, 5), (1, 5)),
        ((-50, 500), (1, 5), (1, 5)),
        ((3, 5), (1, 3), None),
        ((4, 8), (2, 3), (2, 3)),
        ((8, 10), None, None),
        ((7, 11), (2, 4), None),
        ((4, 12), (2, 4), (2, 4)),
        ((19, 20), (4, 5), None),
        ((20, 30), None, None),
        ((-5, 0), None, None),
        ((-5, 1), (1, 2), None),
        ((6, 6), None, None),
        ((0, 0), None, None),
        ((12, 19), (4, 5), None),
    ],
)
def test_cases_by_hand(region: Span, any_: Span | None, contained: Span | None) -> None:
    for rule, expected in (("any", any_), ("contained", contained)):
        spans = regions_to_token_spans(OFFSETS, [region], rule)  # type: ignore[arg-type]
        assert spans == (([expected[0]], [expected[1]]) if expected else ([], []))


def test_the_answer_is_plain_ints_and_takes_arrays() -> None:
    starts, ends = regions_to_token_spans(np.array(OFFSETS, np.int32), np.array([[3, 5], [12, 13]], np.int64))
    assert (starts, ends) == ([1, 4], [3, 5])
    assert {type(number) for number in starts + ends} == {int}


@pytest.mark.parametrize("offsets", [[], [(0, 0)], OFFSETS])
def test_nothing_to_place(offsets: list[Span]) -> None:
    assert regions_to_token_spans(offsets, []) == ([], [])


def test_no_token_to_place_on() -> None:
    assert regions_to_token_spans([(0, 0), (0, 0)], [(0, 9)]) == ([], [])
    assert regions_to_token_spans([], [(0, 9)]) == ([], [])


def test_a_region_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(ValueError, match="end 3 is less than its start 5"):
        regions_to_token_spans(OFFSETS, [(0, 1), (5, 3)])


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="'most'"):
        regions_to_token_spans(OFFSETS, [(0, 1)], "most")  # type: ignore[arg-type]


@given(intervals=regions, start=st.integers(-5, 60), width=st.integers(0, 60))
def test_clip_keeps_the_letters_inside(intervals: list[Span], start: int, width: int) -> None:
    window = set(range(start, start + width))
    starts, ends = clip([a for a, _ in intervals], [b for _, b in intervals], start=start, end=start + width)
    for region, first, last in zip(intervals, starts, ends, strict=True):
        assert set(range(first, last)) == set(range(*region)) & window
        assert start <= first <= last <= start + width


def test_clip_takes_a_window_for_each_region() -> None:
    starts, ends = clip([0, 0, 0], [10, 10, 10], start=[0, 4, 20], end=[3, 8, 30])
    assert starts.tolist() == [0, 4, 20]
    assert ends.tolist() == [3, 8, 20]


@given(intervals=regions, length=st.integers(0, 200))
def test_reverse_maps_every_letter(intervals: list[Span], length: int) -> None:
    starts, ends = reverse([a for a, _ in intervals], [b for _, b in intervals], length=length)
    for region, first, last in zip(intervals, starts, ends, strict=True):
        assert set(range(first, last)) == {length - 1 - letter for letter in range(*region)}
    again = reverse(starts, ends, length=length)
    assert list(zip(*(side.tolist() for side in again), strict=True)) == intervals


@given(
    spans=st.lists(st.tuples(st.integers(0, 3), st.integers(-4, 14), st.integers(0, 14)), max_size=15),
    width=st.integers(0, 10),
)
def test_span_mask_equals_a_loop(spans: list[tuple[int, int, int]], width: int) -> None:
    expected = np.zeros((4, width), bool)
    for row, start, length in spans:
        for column in range(start, start + length):
            if 0 <= column < width:
                expected[row, column] = True
    rows, starts, lengths = (np.array([span[part] for span in spans], np.int64) for part in range(3))
    mask = span_mask(rows, starts, starts + lengths, shape=(4, width))
    assert mask.dtype == bool
    assert np.array_equal(mask, expected)


def test_a_region_is_a_peak_unless_said_otherwise() -> None:
    assert Region(3, 8) == (3, 8, "peak")


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
