"""Charts stand in a page: in its colours, with ids that are theirs alone, and load nothing."""

import re

import numpy as np
import pytest

from bindtune.reports.charts import SERIES, Line, Span, colour_of, lines, spans


def chart() -> str:
    curves = [Line([1, 2, 3], [0.5, 0.4, np.nan], "a", 1, points=True), Line([1, 3], [0.1, 0.2], "b", 2, style="--")]
    return str(lines(curves, x_label="step", y_label="loss < 3", levels=[(0.3, 7)], bands=[(0.1, 0.2, 2)]))


def test_colours_are_the_pages() -> None:
    svg = chart()
    assert "var(--s1)" in svg
    assert "var(--s2)" in svg
    assert not re.search(r"#000[12][0-9a-f]{2}", svg)


def test_ids_are_unique_and_every_reference_has_its_target() -> None:
    page = chart() + chart()
    ids = re.findall(r' id="([^"]+)"', page)
    used = set(re.findall(r"url\(#([^)]+)\)", page)) | set(re.findall(r'href="#([^"]+)"', page))
    assert len(ids) == len(set(ids))
    assert used == set(ids)


def test_nothing_is_loaded_and_text_is_escaped() -> None:
    svg = chart()
    assert svg.startswith("<svg")
    assert "<metadata" not in svg
    assert "loss &lt; 3" in svg
    assert set(re.findall(r"https?://[^\"]+", svg)) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_colours_go_round_but_never_to_ink() -> None:
    assert [colour_of(n) for n in (0, 1, SERIES - 1)] == ["#000100", "#000101", "#000107"]
    assert colour_of(SERIES) == colour_of(1)
    assert colour_of(2 * SERIES - 1) == colour_of(1)


def test_spans_stand_where_their_numbers_are() -> None:
    rows = [Span("loss, B - A", 0.5, 0.25, 1.0, 1), Span("loss, C - A", -0.5, -1.0, -0.25, 2)]
    svg = str(spans(rows, x_label="difference"))
    assert "loss, B - A" in svg
    assert "var(--s2)" in svg
    # Two intervals, mirrored about the line at 0: the middle of their outer ends is where the line stands.
    line = r'd="M ([\d.]+) ([\d.]+)\s+L ([\d.]+) ([\d.]+)\s*"[^>]*stroke: (var\([^)]+\))'
    paths = re.findall(line, svg)
    by_colour = {colour: (float(left), float(right)) for left, _, right, _, colour in paths if "s" in colour}
    first, second = by_colour["var(--s1)"], by_colour["var(--s2)"]
    assert first[1] - first[0] == pytest.approx(second[1] - second[0], abs=0.01)
    zero = float(re.findall(r'd="M ([\d.]+) [^"]*"[^>]*stroke-dasharray', svg)[0])
    assert (first[1] + second[0]) / 2 == pytest.approx(zero, abs=0.01)
