"""Pages show what they are given as text, and numbers as people write them."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bindtune.evaluation.figure_text import interval, number, percent
from bindtune.reports.page import Collapsed, Notice, Page, Section, Table, Text, render

HOSTILE = "<script>alert('1')</script>\"&"
SHOWN = "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&#34;&amp;"


def test_everything_given_is_escaped() -> None:
    table = Table(HOSTILE, (HOSTILE, "b"), ((HOSTILE, HOSTILE),), note=HOSTILE)
    section = Section("one", HOSTILE, (Text(HOSTILE), Notice(HOSTILE), Collapsed(HOSTILE, (table,))))
    html = render(Page(title=HOSTILE, lead=HOSTILE, facts=((HOSTILE, HOSTILE),), sections=(section,), footer=HOSTILE))
    assert html.count("<script>") == 1  # the page's own
    assert html.count(SHOWN) >= 14


@settings(deadline=None, max_examples=40)
@given(st.text(min_size=1, max_size=40))
def test_no_text_can_open_a_tag(text: str) -> None:
    plain = render(Page(title="a", lead="b")).count("<")
    assert render(Page(title="a", lead=text)).count("<") == plain


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (number(0.12345), "0.123"),
        (number(2.0, 1), "2.0"),
        (number(math.nan), "\u2013"),
        (number(None), "\u2013"),
        (percent(0.15023), "15.02 %"),
        (percent(0.2, 0), "20 %"),
        (percent(math.nan), "\u2013"),
        (interval(0.5, (0.41, 0.62)), "0.500 (0.410 to 0.620)"),
        (interval(0.5, (math.nan, math.nan)), "0.500"),
        (interval(0.5, None), "0.500"),
    ],
)
def test_numbers(shown: str, expected: str) -> None:
    assert shown == expected
