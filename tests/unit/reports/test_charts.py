"""Charts stand in a page: in its colours, with ids that are theirs alone, and load nothing."""

import json
import math
import re
from typing import Any

import numpy as np
import pytest

from bindtune.reports.charts import SERIES, Band, Level, Line, LineChart, Span
from bindtune.reports.svg_charts import colour_of, spans_svg, svg, ticks


def chart() -> str:
    curves = [Line([1, 2, 3], [0.5, 0.4, np.nan], "a", 1, marker="o"), Line([1, 3], [0.1, 0.2], "b", 2, style="--")]
    return str(svg(LineChart(curves, "step", "loss < 3", levels=[Level(0.3)], bands=[Band(0.1, 0.2, 2)])))


def test_colours_are_the_pages() -> None:
    drawing = chart()
    assert "var(--s1)" in drawing
    assert "var(--s2)" in drawing
    assert not re.search(r"(?:fill|stroke): #", drawing)


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
    }


def test_colours_go_round_but_never_to_ink() -> None:
    assert [colour_of(n) for n in (0, 1, SERIES - 1)] == ["var(--s0)", "var(--s1)", "var(--s7)"]
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


def test_numbers_below_a_narrow_axis_do_not_overlap() -> None:
    drawings = [str(spans_svg([Span("n" * letters, 0.09, 0.05, 0.14, 1)], x_label="d")) for letters in (4, 35)]
    numbers = [re.findall(r">(0\.\d+)<", drawing) for drawing in drawings]
    assert numbers[1] == ["0.00", "0.05", "0.10"] and len(numbers[0]) > 3


def values(drawing: str) -> dict[str, Any]:
    (data,) = re.findall(r'<script type="application/json">(.*?)</script>', drawing)
    return dict(json.loads(data))


def test_values_stand_beside_the_drawing_and_end_no_element() -> None:
    curve = Line([1, 2, 3], [0.5, math.nan, 0.25], "</script><b>", 1, notes=("5", "6", "7"))
    drawing = str(svg(LineChart([curve], "epoch", "loss")))
    assert drawing.count("</script>") == 1
    assert values(drawing) == {
        "x": "epoch",
        "y": "loss",
        "curves": [{"name": "</script><b>", "x": [1, 2, 3], "y": [0.5, None, 0.25], "notes": ["5", "6", "7"]}],
    }


def test_points_lie_where_the_limits_say() -> None:
    drawing = str(svg(LineChart([Line([0, 10, 20], [1.0, 3.0, math.nan], "a", 1)], "step", "loss")))
    left, top, right, low = map(float, re.findall(r'data-box="([^"]+)"', drawing)[0].split())
    x_low, x_high, y_low, y_high = map(float, re.findall(r'data-limits="([^"]+)"', drawing)[0].split())
    (path,) = re.findall(r'd="(M [\d. L]+)" style="fill: none; stroke: var\(--s1\)', drawing)
    x1, y1, x2, y2 = map(float, re.findall(r"[\d.]+", path))
    for (x, y), (step, loss) in zip([(x1, y1), (x2, y2)], [(0, 1.0), (10, 3.0)], strict=True):
        assert x_low + (x - left) / (right - left) * (x_high - x_low) == pytest.approx(step, abs=0.05)
        assert y_low + (low - y) / (low - top) * (y_high - y_low) == pytest.approx(loss, abs=0.02)
    assert x_low < 0 < 10 < x_high
    assert y_low < 1 < 3 < y_high


@pytest.mark.parametrize(
    ("ends", "whole", "labels"),
    [
        ((0.9, 3.1), True, ["1", "2", "3"]),
        ((-0.004, 0.011), False, ["-0.004", "-0.002", "0.000", "0.002", "0.004", "0.006", "0.008", "0.010"]),
        ((2.4e-5, 3.1e-5), False, [f"{tenth / 10:.1f}e-05" for tenth in range(24, 32)]),
        ((0, 643_461), True, ["0", "100,000", "200,000", "300,000", "400,000", "500,000", "600,000"]),
    ],
)
def test_ticks_are_round(ends: tuple[float, float], whole: bool, labels: list[str]) -> None:
    assert [label for _, label in ticks(*ends, whole=whole)] == labels


def test_a_chart_without_curves_says_so() -> None:
    drawing = str(svg(LineChart((), "epoch", "loss", absence="not defined")))
    assert ">not defined</text>" in drawing
