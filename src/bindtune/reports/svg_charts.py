"""Charts drawn as SVG for pages, in the page's own colours, with their values beside them for hovering and for CSV.

Colours are CSS variables, so that one drawing serves light and dark pages. `templates/charts.js` zooms by moving the
group of curves and writing new ticks; without scripts the drawing stands as it is. Sizes are in units of the drawing,
which a page shows at about one pixel each.
"""

import json
import math
from collections.abc import Sequence
from itertools import count
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup, escape

from bindtune.reports.charts import GREY, SERIES, Line, LineChart, Span

# About as wide as a phone, so that letters are as large there as on a desk; three square ones fit on a desk.
_SIZE, _SQUARE = (390.0, 270.0), (330.0, 310.0)
_LETTER, _TICK_LETTER = 6.4, 6.2  # width of a letter on average
_TICK = 60.0  # room of a number below a narrow axis
_TOP, _RIGHT, _BELOW, _LEGEND_ROW = 10.0, 14.0, 46.0, 17.0
_MARKER = 5.0
_NEAREST = 1e-9
_DASHES = {"--": "6 4", ":": "2 3"}
_LEVEL_DASHES = "4 3"
_drawing_numbers = count(1)


class _Axis(NamedTuple):
    """One axis: values from `low` to `high` lie between the places `start` and `end` of the drawing."""

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def svg(chart: LineChart) -> Markup:
    """Draw a chart for a page: small, in the page's colours.

    Examples:
        >>> from bindtune.reports.charts import Line
        >>> svg(LineChart([Line([1, 2], [0.5, 0.25])], "epoch", "loss"))[:5]
        Markup('<svg ')
    """
    width, height = _SQUARE if chart.square else _SIZE
    # A square chart has a note on its page that says which curve is which.
    named = [curve for curve in chart.curves if curve.name]
    legend, rows = ("", 0) if chart.square or len(named) < 2 else _legend(named, width)
    x_range, y_range = _ranges(chart)
    y_ticks = ticks(*y_range, whole=False)
    left = 30 + _TICK_LETTER * max((len(label) for _, label in y_ticks), default=1)
    top = _TOP + _LEGEND_ROW * rows
    height += _LEGEND_ROW * rows
    x_axis = _Axis(*x_range, left, width - _RIGHT)
    y_axis = _Axis(*y_range, height - _BELOW, top)
    marks = [
        f'<rect style="fill: {colour_of(band.colour)}; opacity: .13" x="{left:.1f}" '
        f'y="{y_axis.place(band.high):.2f}" width="{x_axis.end - left:.1f}" '
        f'height="{y_axis.place(band.low) - y_axis.place(band.high):.2f}"/>'
        for band in chart.bands
    ]
    for level in chart.levels:
        y = y_axis.place(level.y)
        marks.append(_path(f"M {left:.1f} {y:.2f} L {x_axis.end:.1f} {y:.2f}", GREY, 1.3, dashes=_LEVEL_DASHES))
    for curve in chart.curves:
        marks += _curve(curve, x_axis, y_axis)
    whole = not (chart.square or chart.shares)
    values = {
        "x": chart.x_label,
        "y": chart.y_label,
        "curves": [_values(curve, chart) for curve in chart.curves],
    }
    return _drawing(
        (width, height),
        (x_axis, y_axis),
        marks=[*marks, *_notes(chart.curves, x_axis, y_axis)],
        ticks=(ticks(*x_range, whole=whole), y_ticks),
        labels=(chart.x_label, chart.y_label),
        values=values,
        whole=whole,
        extra=legend if chart.curves else _text(width / 2, height / 2, chart.absence, "middle"),
    )


def spans_svg(rows: Sequence[Span], *, x_label: str) -> Markup:
    """Draw values with their intervals below each other, and a line at 0, for a page."""
    width, height = _SIZE[0], 70.0 + 30.0 * len(rows)
    ends = [0.0, *(end for row in rows for end in (row.low, row.high, row.value) if not math.isnan(end))]
    low, high = _padded(min(ends), max(ends), 0.05)
    left = 20 + _LETTER * max((len(row.name) for row in rows), default=0)
    x_axis = _Axis(low, high, min(left, width * 0.6), width - _RIGHT)
    y_axis = _Axis(len(rows) - 0.4, -0.6, height - _BELOW, _TOP)
    zero = x_axis.place(0)
    marks = [_path(f"M {zero:.2f} {_TOP:.1f} L {zero:.2f} {height - _BELOW:.1f}", GREY, 1.3, dashes=_LEVEL_DASHES)]
    names = []
    for index, row in enumerate(rows):
        y = y_axis.place(index)
        marks.append(
            _path(f"M {x_axis.place(row.low):.2f} {y:.2f} L {x_axis.place(row.high):.2f} {y:.2f}", row.colour, 2)
        )
        marks.append(_dot(x_axis.place(row.value), y, row.colour, 7))
        names.append(_text(x_axis.start - 8, y + 4, row.name, "end"))
    curves = [
        {"name": row.name, "x": _numbers([row.value]), "y": [index], "ends": _numbers([row.low, row.high])}
        for index, row in enumerate(rows)
    ]
    return _drawing(
        (width, height),
        (x_axis, y_axis),
        marks=marks,
        ticks=(ticks(low, high, whole=False, about=max(2, round((x_axis.end - x_axis.start) / _TICK))), []),
        labels=(x_label, ""),
        values={"x": x_label, "y": "", "curves": curves},
        whole=False,
        extra="".join(names),
    )


class Glyph(NamedTuple):
    """A shape over the middle of an x axis's value.

    Args:
        name: of its kind; equal names are one curve of the values beside the drawing.
        colour: number of a colour.
        shape: path in a box from (0, 0) to (1, 1), y upwards.
        x: middle.
        base: where its foot stands on the y axis.
        height: on the y axis; a negative one hangs down from `base`.
    """

    name: str
    colour: int
    shape: str
    x: float
    base: float
    height: float


def glyphs_svg(glyphs: Sequence[Glyph], *, x_label: str, y_label: str, y_range: tuple[float, float]) -> Markup:
    """Draw shapes that are as high as their values, for a page.

    Args:
        glyphs: the shapes, one unit of x wide.
        x_label: name of the x axis, which counts.
        y_label: name of the y axis.
        y_range: limits of the y axis.
    """
    width, height = _SIZE[0] * 2, _SIZE[1] * 0.7
    xs = [glyph.x for glyph in glyphs] or [1.0]
    x_range = (min(xs) - 0.6, max(xs) + 0.6)
    y_ticks = ticks(*y_range, whole=False, about=3)
    left = 30 + _TICK_LETTER * max((len(label) for _, label in y_ticks), default=1)
    x_axis = _Axis(*x_range, left, width - _RIGHT)
    y_axis = _Axis(*y_range, height - _BELOW, _TOP)
    marks = [_glyph(glyph, x_axis, y_axis) for glyph in glyphs]
    names = sorted({glyph.name for glyph in glyphs})
    curves = [
        {
            "name": name,
            "x": _numbers([glyph.x for glyph in glyphs if glyph.name == name]),
            "y": _numbers([glyph.height for glyph in glyphs if glyph.name == name]),
        }
        for name in names
    ]
    return _drawing(
        (width, height),
        (x_axis, y_axis),
        marks=marks,
        ticks=(ticks(*x_range, whole=True, about=10), y_ticks),
        labels=(x_label, y_label),
        values={"x": x_label, "y": y_label, "curves": curves},
        whole=True,
        extra="",
    )


def _glyph(glyph: Glyph, x_axis: _Axis, y_axis: _Axis) -> str:
    left, right = x_axis.place(glyph.x - 0.47), x_axis.place(glyph.x + 0.47)
    low, high = y_axis.place(glyph.base + min(glyph.height, 0)), y_axis.place(glyph.base + max(glyph.height, 0))
    transform = f"translate({left:.2f} {low:.2f}) scale({right - left:.3f} {high - low:.3f})"
    return f'<path d="{glyph.shape}" transform="{transform}" style="fill: {colour_of(glyph.colour)}"/>'


def colour_of(number: int) -> str:
    """A colour of the page by its number; after the last one, the colours begin again behind ink."""
    return f"var(--s{number if number < SERIES else 1 + (number - 1) % (SERIES - 1)})"


def ticks(low: float, high: float, *, whole: bool, about: int = 5) -> list[tuple[float, str]]:
    """Round values in a range, with their texts.

    Args:
        low: lower end.
        high: upper end, above `low`.
        whole: only whole numbers, as for steps and epochs.
        about: how many.

    Example:
        >>> ticks(0, 1, whole=False)
        [(0.0, '0.0'), (0.2, '0.2'), (0.4, '0.4'), (0.6, '0.6'), (0.8, '0.8'), (1.0, '1.0')]
        >>> [label for _, label in ticks(0, 12_000, whole=True)]
        ['0', '2,000', '4,000', '6,000', '8,000', '10,000', '12,000']
    """
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough / 1.6)
    step = max(1.0, round(step)) if whole else step
    digits = max(0, -math.floor(math.log10(step) + _NEAREST))
    first = math.ceil(low / step - _NEAREST)
    values = [index * step for index in range(first, math.floor(high / step + _NEAREST) + 1)]
    return [(round(value, 12), _tick_text(value, digits)) for value in values]


def _tick_text(value: float, digits: int) -> str:
    if digits > 4:
        return f"{value:.1e}"
    return f"{value:,.{digits}f}" if round(value, digits) else f"{0:.{digits}f}"


def _ranges(chart: LineChart) -> tuple[tuple[float, float], tuple[float, float]]:
    if chart.square:
        return (-0.02, 1.02), (-0.02, 1.03)
    xs, ys = (
        np.concatenate([[], *(np.asarray(getattr(curve, name), np.float64) for curve in chart.curves)]) for name in "xy"
    )
    bounds = [level.y for level in chart.levels] + [end for band in chart.bands for end in (band.low, band.high)]
    ys = np.append(ys[np.isfinite(ys)], bounds)
    x_range = (-0.02, 1.02) if chart.shares else _padded(*_ends(xs), 0.03)
    low, high = _padded(*_ends(ys), 0.05)
    set_low, set_high = chart.y_range or (None, None)
    return x_range, (low if set_low is None else set_low, high if set_high is None else set_high)


def _ends(values: Any) -> tuple[float, float]:
    return (float(np.min(values)), float(np.max(values))) if len(values) else (0.0, 1.0)


def _padded(low: float, high: float, share: float) -> tuple[float, float]:
    width = high - low
    margin = width * share if width > 0 else abs(low) * 0.1 or 0.5
    return low - margin, high + margin


def _curve(curve: Line, x_axis: _Axis, y_axis: _Axis) -> list[str]:
    """A path, cut where a value is missing, and a dot for each marker."""
    xs, ys = (np.asarray(values, np.float64) for values in (curve.x, curve.y))
    points = [
        None if math.isnan(y) else (x_axis.place(x), y_axis.place(y))
        for x, y in zip(xs.tolist(), ys.tolist(), strict=True)
    ]
    marks = []
    if curve.style != "none" and len(points) > 1:
        words, pen = [], "M"
        for point in points:
            words.append("" if point is None else f"{pen} {point[0]:.2f} {point[1]:.2f}")
            pen = "M" if point is None else "L"
        path = " ".join(word for word in words if word)
        marks.append(_path(path, curve.colour, curve.width, dashes=_DASHES.get(curve.style, "")))
    if curve.marker:
        size = (curve.size or _MARKER) + 1
        marks += [_dot(*point, curve.colour, size) for point in points if point is not None]
    return marks


def _path(path: str, colour: int, width: float, *, dashes: str = "") -> str:
    dashed = f"; stroke-dasharray: {dashes}" if dashes else ""
    style = f"fill: none; stroke: {colour_of(colour)}; stroke-width: {width:g}{dashed}"
    return f'<path d="{path}" style="{style}" vector-effect="non-scaling-stroke"/>'


def _dot(x: float, y: float, colour: int, size: float) -> str:
    """A point as the round end of a line without length, which stays round where the drawing is zoomed."""
    style = f"stroke: {colour_of(colour)}; stroke-width: {size:g}; stroke-linecap: round"
    return f'<path d="M {x:.2f} {y:.2f} h 0" style="{style}" vector-effect="non-scaling-stroke"/>'


def _notes(curves: Sequence[Line], x_axis: _Axis, y_axis: _Axis) -> list[str]:
    """The text of each point, above it."""
    return [
        _text(x_axis.place(x), y_axis.place(y) - 9, note, "middle", kind="point-note")
        for curve in curves
        for x, y, note in zip(_numbers(curve.x), _numbers(curve.y), curve.notes, strict=False)
        if y is not None and x is not None
    ]


def _text(x: float, y: float, text: str, anchor: str, *, kind: str = "") -> str:
    name = f' class="{kind}"' if kind else ""
    return f'<text{name} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _legend(curves: Sequence[Line], width: float) -> tuple[str, int]:
    """Names with a piece of their lines, in as many rows as they need."""
    parts, x, row = [], 34.0, 0
    for curve in curves:
        needed = 30 + _LETTER * len(curve.name)
        if x + needed > width and x > 34:
            x, row = 34.0, row + 1
        y = 12 + _LEGEND_ROW * row
        parts.append(_path(f"M {x:.1f} {y:.1f} h 18", curve.colour, 2, dashes=_DASHES.get(curve.style, "")))
        parts.append(_text(x + 23, y + 4, curve.name, "start"))
        x += needed + 8
    return "".join(parts), row + 1


def _values(curve: Line, chart: LineChart) -> dict[str, Any]:
    values = {"name": curve.name or chart.y_label, "x": _numbers(curve.x), "y": _numbers(curve.y)}
    return values | ({"notes": list(curve.notes)} if curve.notes else {})


def _numbers(values: Any) -> list[float | None]:
    """Numbers with the digits that a reader needs; None for those that are missing."""
    numbers = np.asarray(values, np.float64).tolist()
    return [float(f"{number:.6g}") if math.isfinite(number) else None for number in numbers]


def _drawing(
    size: tuple[float, float],
    axes: tuple[_Axis, _Axis],
    *,
    marks: Sequence[str],
    ticks: tuple[Sequence[tuple[float, str]], Sequence[tuple[float, str]]],
    labels: tuple[str, str],
    values: dict[str, Any],
    whole: bool,
    extra: str,
) -> Markup:
    """The whole drawing. Its data attributes say where the plot lies and which values its edges have."""
    (width, height), (x_axis, y_axis) = size, axes
    left, right, low, top = x_axis.start, x_axis.end, y_axis.start, y_axis.end
    clip = f"clip-{next(_drawing_numbers)}"
    middle = (low + top) / 2
    box = f"{left:.2f} {top:.2f} {right:.2f} {low:.2f}"
    limits = " ".join(f"{value:.8g}" for axis in axes for value in (axis.low, axis.high))
    grid = [_tick(x_axis.place(value), None, text, axes) for value, text in ticks[0]]
    grid += [_tick(None, y_axis.place(value), text, axes) for value, text in ticks[1]]
    y_label = (
        f'<text transform="translate(14 {middle:.1f}) rotate(-90)" text-anchor="middle">{escape(labels[1])}</text>'
    )
    # Names of runs and ions may stand among the values: "<" must not end the element.
    data = json.dumps(values, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")
    return Markup(  # noqa: S704 (texts are escaped where they enter)
        f'<svg viewBox="0 0 {width:g} {height:g}" xmlns="http://www.w3.org/2000/svg" data-box="{box}" '
        f'data-limits="{limits}" data-whole="{int(whole)}" data-ticks="{int(bool(ticks[1]))}">'
        f'<clipPath id="{clip}"><rect x="{left:.2f}" y="{top - 4:.2f}" width="{right - left + 4:.2f}" '
        f'height="{low - top + 8:.2f}"/></clipPath>'
        f'<g class="grid">{"".join(grid)}</g>'
        f'<g clip-path="url(#{clip})"><g class="curves">{"".join(marks)}</g></g>'
        f'<path class="frame-line" d="M {left:.2f} {top:.2f} V {low:.2f} H {right:.2f}"/>'
        f"{_text((left + right) / 2, height - 8, labels[0], 'middle')}{y_label}{extra}</svg>"
        f'<script type="application/json">{data}</script>'
    )


def _tick(x: float | None, y: float | None, text: str, axes: tuple[_Axis, _Axis]) -> str:
    """A line of the grid and its number."""
    x_axis, y_axis = axes
    if x is not None:
        line = f'<path d="M {x:.2f} {y_axis.start:.2f} V {y_axis.end:.2f}"/>'
        return line + _text(x, y_axis.start + 16, text, "middle")
    line = f'<path d="M {x_axis.start:.2f} {y:.2f} H {x_axis.end:.2f}"/>'
    return line + _text(x_axis.start - 6, (y or 0) + 4, text, "end")
