"""Charts stand in a page: in its colours, with ids that are theirs alone, and load nothing."""

import doctest
import re

import numpy as np
import pytest

from bindtune.reports import charts
from bindtune.reports.charts import SERIES, Band, Level, Line, LineChart, Span, colour_of, spans_svg, svg


def chart() -> str:
    curves = [Line([1, 2, 3], [0.5, 0.4, np.nan], "a", 1, marker="o"), Line([1, 3], [0.1, 0.2], "b", 2, style="--")]
    return str(svg(LineChart(curves, "step", "loss < 3", levels=[Level(0.3)], bands=[Band(0.1, 0.2, 2)])))


def test_colours_are_the_pages() -> None:
    drawing = chart()
    assert "var(--s1)" in drawing
    assert "var(--s2)" in drawing
    assert not re.search(r"#000[12][0-9a-f]{2}", drawing)


def test_ids_are_unique_and_every_reference_has_its_target() -> None:
    page = chart() + chart()
    ids = re.findall(r' id="([^"]+)"', page)
    used = set(re.findall(r"url\(#([^)]+)\)", page)) | set(re.findall(r'href="#([^"]+)"', page))
    assert len(ids) == len(set(ids))
    assert used == set(ids)


def test_nothing_is_loaded_and_text_is_escaped() -> None:
    drawing = chart()
    assert drawing.startswith("<svg")
    assert "<metadata" not in drawing
    assert "loss &lt; 3" in drawing
    assert set(re.findall(r"https?://[^\"]+", drawing)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_colours_go_round_but_never_to_ink() -> None:
    assert [colour_of(n) for n in (0, 1, SERIES - 1)] == ["#000100", "#000101", "#000107"]
    assert colour_of(SERIES) == colour_of(1)
    assert colour_of(2 * SERIES - 1) == colour_of(1)


def test_spans_stand_where_their_numbers_are() -> None:
    rows = [Span("loss, B - A", 0.5, 0.25, 1.0, 1), Span("loss, C - A", -0.5, -1.0, -0.25, 2)]
    drawing = str(spans_svg(rows, x_label="difference"))
    assert "loss, B - A" in drawing
    assert "var(--s2)" in drawing
    # Two intervals, mirrored about the line at 0: the middle of their outer ends is where the line stands.
    line = r'd="M ([\d.]+) ([\d.]+)\s+L ([\d.]+) ([\d.]+)\s*"[^>]*stroke: (var\([^)]+\))'
    paths = re.findall(line, drawing)
    by_colour = {colour: (float(left), float(right)) for left, _, right, _, colour in paths if "s" in colour}
    first, second = by_colour["var(--s1)"], by_colour["var(--s2)"]
    assert first[1] - first[0] == pytest.approx(second[1] - second[0], abs=0.01)
    zero = float(re.findall(r'd="M ([\d.]+) [^"]*"[^>]*stroke-dasharray', drawing)[0])
    assert (first[1] + second[0]) / 2 == pytest.approx(zero, abs=0.01)


def test_example() -> None:
    assert doctest.testmod(charts) == doctest.TestResults(failed=0, attempted=1)
