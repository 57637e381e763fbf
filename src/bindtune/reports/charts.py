"""Charts: described once as values, drawn as SVG for pages or as PNG for run folders.

An SVG chart has the colours of its page: matplotlib draws with placeholder colours, and CSS variables replace them. So
one drawing serves light and dark pages. matplotlib escapes the texts of a drawing. No display and no global state of
matplotlib is used. Canvases write the files: `Figure.savefig` would draw each figure twice, once for its bounding box.
"""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from bindtune.runs.writing import atomic_path

INK, BLUE, ORANGE, GREEN, PURPLE, GREY = 0, 1, 2, 3, 4, 7
"""Numbers of colours. People with any kind of colour vision can tell them apart."""
SERIES = 8
_VARIABLES = {f"#0001{number:02x}": f"var(--s{number})" for number in range(SERIES)}
_VARIABLES |= {"#000201": "var(--soft)", "#000202": "var(--grid)", "#000203": "var(--paper)"}
_SOFT, _GRID = "#000201", "#000202"
# Okabe and Ito's colours, as on light pages.
_FOLDER_COLOURS = ("#1C2422", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#8A6D00", "#6A51A3", "#595959")
# Inches. About as wide as a phone, so that letters are as large there as on a desk; three square ones fit on a desk.
_SIZE, _SQUARE = (3.9, 2.7), (3.3, 3.1)
_PAGE_STYLE: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "bindtune", "font.size": 9, "axes.edgecolor": _SOFT, "text.color": _SOFT,
    "axes.labelcolor": _SOFT, "xtick.color": _SOFT, "ytick.color": _SOFT, "axes.spines.top": False,
    "axes.spines.right": False, "grid.color": _GRID, "axes.grid": True, "axes.axisbelow": True, "legend.frameon": False,
    "legend.fontsize": 8.5, "text.parse_math": False, "axes.formatter.use_mathtext": False,
}  # fmt: skip
_DPI = 150
_drawing_numbers = count(1)


class Line(NamedTuple):
    """One curve, or points.

    Args:
        x: (N,).
        y: (N,), nan leaves a gap.
        name: in the legend; empty for none.
        colour: number of a colour.
        style: "-", "--", ":" or "none".
        width: of the line in points.
        marker: matplotlib's letter of a marker; empty for none.
        size: of the marker in points; 0 takes the usual one.
        hollow: whether the marker is an outline.
        error: (2, N), how far error bars reach below and above; pages show none.
    """

    x: ArrayLike
    y: ArrayLike
    name: str = ""
    colour: int = INK
    style: str = "-"
    width: float = 1.7
    marker: str = ""
    size: float = 0
    hollow: bool = False
    error: NDArray[np.float64] | None = None


class Level(NamedTuple):
    """A horizontal line, such as a target or a base rate, and its name in the legend of a PNG."""

    y: float
    name: str = ""


class Band(NamedTuple):
    """A shaded range of y."""

    low: float
    high: float
    colour: int


@dataclass(frozen=True)
class LineChart:
    """Curves over one pair of axes.

    Args:
        curves: curves in the order of drawing.
        x_label: name of the x axis.
        y_label: name of the y axis.
        levels: horizontal lines below the curves.
        bands: shaded ranges below the curves.
        y_range: limits of the y axis; None where the curves decide.
        square: both axes go from 0 to 1, and one unit is as long on both.
        shares: the x axis goes from 0 to 1; else it counts.
        log: whether the y axis is logarithmic.
        absence: text where there is nothing to draw.
    """

    curves: Sequence[Line]
    x_label: str
    y_label: str
    levels: Sequence[Level] = ()
    bands: Sequence[Band] = ()
    y_range: tuple[float | None, float | None] | None = None
    square: bool = False
    shares: bool = False
    log: bool = False
    absence: str = ""


@dataclass(frozen=True)
class _Look:
    """How pages and run folders differ.

    Args:
        colours: by number.
        level: style of horizontal lines.
        marker_size: the usual one, in points.
        error_bars: whether error bars are drawn.
        ticks: arguments of `MaxNLocator` for an axis that counts.
    """

    colours: tuple[str, ...]
    level: dict[str, Any]
    marker_size: float
    error_bars: bool
    ticks: dict[str, int]


_PLACEHOLDERS = tuple(_VARIABLES)[:SERIES]
_ON_PAGE = _Look(
    _PLACEHOLDERS,
    {"color": _PLACEHOLDERS[GREY], "linewidth": 1.1, "linestyle": (0, (4, 3))},
    marker_size=3.6,
    error_bars=False,
    ticks={"nbins": 5},
)
_IN_FOLDER = _Look(
    _FOLDER_COLOURS,
    {"color": _FOLDER_COLOURS[ORANGE], "linewidth": 1.6, "linestyle": ":"},
    marker_size=5,
    error_bars=True,
    ticks={"min_n_ticks": 1},
)


def colour_of(number: int, colours: Sequence[str] = _ON_PAGE.colours) -> str:
    """A colour by its number; after the last one, the colours begin again behind ink."""
    return colours[number if number < SERIES else 1 + (number - 1) % (SERIES - 1)]


def svg(chart: LineChart) -> Markup:
    """Draw a chart for a page: small, in the page's colours.

    Examples:
        >>> svg(LineChart([Line([1, 2], [0.5, 0.25])], "epoch", "loss"))[:5]
        Markup('<svg ')
    """
    with _page_figure(square=chart.square) as (figure, axes):
        _draw(axes, chart, _ON_PAGE)
        # A square chart has a note on its page that says which curve is which.
        if not chart.square and sum(bool(curve.name) for curve in chart.curves) > 1:
            axes.legend(handlelength=1.6, borderaxespad=0.2, labelspacing=0.3)
        return _markup(figure)


class Span(NamedTuple):
    """A value and its interval."""

    name: str
    value: float
    low: float
    high: float
    colour: int = INK


def spans_svg(rows: Sequence[Span], *, x_label: str) -> Markup:
    """Draw values with their intervals below each other, and a line at 0, for a page."""
    with _page_figure(square=False, height=0.9 + 0.32 * len(rows)) as (figure, axes):
        axes.axvline(0, color=_SOFT, linewidth=1.1, linestyle=(0, (4, 3)))
        for index, row in enumerate(rows):
            colour = colour_of(row.colour)
            axes.plot([row.low, row.high], [index, index], color=colour, linewidth=1.7)
            axes.plot([row.value], [index], marker="o", markersize=4.5, color=colour)
        axes.set_yticks(range(len(rows)), [row.name for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel(x_label)
        return _markup(figure)


def folder_figure(charts: Sequence[LineChart], title: str) -> Figure:
    """Draw charts beside each other for a run folder, with legends; `save_png` writes the figure."""
    several = len(charts) > 1
    wide, high, below = 5.0 * len(charts) + 0.4, 5.0 if several else 3.8, 1.2 if several else 0.55
    figure = Figure(figsize=(wide, high))
    figure.subplots_adjust(0.8 / wide, below / high, 1 - 0.15 / wide, 1 - 0.5 / high, wspace=0.25)  # margins in inches
    figure.suptitle(title, fontsize=12, fontweight="bold")
    # Where curves of several charts may run anywhere, the legend stands below and hides none.
    legend: dict[str, Any] = {"fontsize": 9, "framealpha": 0.9, "edgecolor": "#CCCCCC"}
    if several:
        legend = {"fontsize": 9, "loc": "upper center", "bbox_to_anchor": (0.5, -0.14), "ncols": 2, "frameon": False}
    for index, chart in enumerate(charts, start=1):
        axes = figure.add_subplot(1, len(charts), index)
        axes.grid(color="#E5E5E5", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        _draw(axes, chart, _IN_FOLDER)
        axes.set(xlabel=_capitalised(chart.x_label), ylabel=_capitalised(chart.y_label))
        if axes.get_legend_handles_labels()[0]:
            axes.legend(**legend)
    return figure


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure at 150 dots an inch, whole or not at all."""
    figure.set_dpi(_DPI)
    with atomic_path(path) as temporary:
        canvas: Any = FigureCanvasAgg(figure)  # Any: matplotlib leaves the method without types
        canvas.print_png(temporary)


def _draw(axes: Axes, chart: LineChart, look: _Look) -> None:
    for band in chart.bands:
        axes.axhspan(band.low, band.high, color=colour_of(band.colour, look.colours), alpha=0.13, linewidth=0)
    for level in chart.levels:
        axes.axhline(level.y, label=level.name or "_", **look.level)
    for curve in chart.curves:
        _draw_curve(axes, curve, look)
    if not chart.curves:
        axes.text(0.5, 0.5, chart.absence, transform=axes.transAxes, ha="center", color=colour_of(GREY, look.colours))
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(chart.y_label)
    if chart.square:
        axes.set(aspect="equal", xlim=(-0.02, 1.02), ylim=(-0.02, 1.03))
    elif chart.shares:
        axes.set_xlim(-0.02, 1.02)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(**look.ticks, integer=True))
    if chart.log:
        axes.set_yscale("log")
    if chart.y_range:
        axes.set_ylim(*chart.y_range)


def _draw_curve(axes: Axes, curve: Line, look: _Look) -> None:
    colour = colour_of(curve.colour, look.colours)
    outline: dict[str, Any] = {"fillstyle": "none", "markeredgewidth": 1.9} if curve.hollow else {}
    axes.plot(
        curve.x, curve.y, linestyle=curve.style, color=colour, linewidth=curve.width, label=curve.name or "_",
        marker=curve.marker or None, markersize=curve.size or look.marker_size, **outline,
    )  # fmt: skip
    if look.error_bars and curve.error is not None:
        axes.errorbar(curve.x, curve.y, yerr=curve.error, fmt="none", ecolor=colour, capsize=2)


def _capitalised(label: str) -> str:
    return label[:1].upper() + label[1:]


def _markup(figure: Figure) -> Markup:
    """Turn a figure into markup that stands in a page; placeholder colours become the page's."""
    buffer = io.StringIO()
    canvas: Any = FigureCanvasSVG(figure)  # Any: matplotlib leaves the method without types
    canvas.print_svg(buffer, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    for placeholder, variable in _VARIABLES.items():
        text = text.replace(placeholder, variable)
    return Markup(_distinct_ids(text))  # noqa: S704 (made by matplotlib, which escapes the texts of a drawing)


def _distinct_ids(text: str) -> str:
    """Drop ids that nothing refers to, and make the others unique in the page."""
    used = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", text))
    prefix = f"c{next(_drawing_numbers)}-"
    text = re.sub(r' id="([^"]+)"', lambda match: f' id="{prefix}{match[1]}"' if match[1] in used else "", text)
    return re.sub(r"(url\(#|href=\"#)", rf"\g<1>{prefix}", text)


@contextmanager
def _page_figure(*, square: bool, height: float | None = None) -> Iterator[tuple[Figure, Axes]]:
    with mpl.rc_context(_PAGE_STYLE):
        size = _SQUARE if square else (_SIZE[0], height or _SIZE[1])
        figure = Figure(figsize=size, layout="constrained")
        figure.patch.set_visible(False)
        axes = figure.add_subplot()
        axes.patch.set_visible(False)
        yield figure, axes
