"""Charts stand in a page: in its colours, with ids that are theirs alone, and load nothing."""

import re

import numpy as np

from bindtune.evaluation.charts import SERIES, Line, colour_of, lines


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
