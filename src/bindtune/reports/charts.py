"""Charts as SVG text that stands inside a page: small, without ids of their own, in the page's colours.

matplotlib draws with placeholder colours, which are exchanged for the page's CSS variables, so that one drawing serves
light and dark pages. No text that a user chose enters a drawing.
"""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any, NamedTuple

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

SERIES = 8  # colours of a page: 0 is ink
_COLOURS = {f"#0001{number:02x}": f"var(--s{number})" for number in range(SERIES)}
_COLOURS |= {"#000201": "var(--soft)", "#000202": "var(--grid)", "#000203": "var(--paper)"}
_SOFT, _GRID = "#000201", "#000202"
# Inches. About as wide as a phone, so that letters are as large there as on a desk; three square ones fit on a desk.
_SIZE, _SQUARE = (3.9, 2.7), (3.3, 3.1)
_STYLE: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "bindtune", "font.size": 9, "axes.edgecolor": _SOFT, "text.color": _SOFT,
    "axes.labelcolor": _SOFT, "xtick.color": _SOFT, "ytick.color": _SOFT, "axes.spines.top": False,
    "axes.spines.right": False, "grid.color": _GRID, "axes.grid": True, "axes.axisbelow": True, "legend.frameon": False,
    "legend.fontsize": 8.5, "text.parse_math": False, "axes.formatter.use_mathtext": False,
}  # fmt: skip
_numbers = count(1)


class Line(NamedTuple):
    """One curve: x and y, its name in the legend (none where empty), its colour, and how it is drawn."""

    x: ArrayLike
    y: ArrayLike
    name: str = ""
    colour: int = 0
    style: str = "-"
    width: float = 1.7
    points: bool = False


def lines(
    curves: Sequence[Line],
    *,
    x_label: str,
    y_label: str,
    levels: Sequence[tuple[float, int]] = (),
    bands: Sequence[tuple[float, float, int]] = (),
    y_range: tuple[float | None, float | None] | None = None,
    square: bool = False,
) -> Markup:
    """Draw curves.

    Args:
        curves: what to draw.
        x_label: name of the x axis.
        y_label: name of the y axis.
        levels: (y, colour) of horizontal lines, such as a target or a base rate.
        bands: (low, high, colour) of shaded ranges.
        y_range: limits of the y axis; None where the curves decide.
        square: both axes go from 0 to 1, and one unit is as long on both.
    """
    with _figure(square=square) as (figure, axes):
        for low, high, colour in bands:
            axes.axhspan(low, high, color=colour_of(colour), alpha=0.13, linewidth=0)
        for level, colour in levels:
            axes.axhline(level, color=colour_of(colour), linewidth=1.1, linestyle=(0, (4, 3)))
        for curve in curves:
            axes.plot(
                curve.x, curve.y, curve.style, color=colour_of(curve.colour), linewidth=curve.width,
                label=curve.name or "_", marker="o" if curve.points else None, markersize=3.6,
            )  # fmt: skip
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        if y_range:
            axes.set_ylim(*y_range)
        if not square:
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        if sum(bool(curve.name) for curve in curves) > 1:
            axes.legend(handlelength=1.6, borderaxespad=0.2, labelspacing=0.3)
        return to_svg(figure)


class Span(NamedTuple):
    """A value and its interval; `name` is one of ours, never one that a user chose."""

    name: str
    value: float
    low: float
    high: float
    colour: int = 0


def spans(rows: Sequence[Span], *, x_label: str) -> Markup:
    """Draw values with their intervals below each other, and a line at 0."""
    with _figure(square=False, height=0.9 + 0.32 * len(rows)) as (figure, axes):
        axes.axvline(0, color=_SOFT, linewidth=1.1, linestyle=(0, (4, 3)))
        for place, row in enumerate(rows):
            colour = colour_of(row.colour)
            axes.plot([row.low, row.high], [place, place], color=colour, linewidth=1.7)
            axes.plot([row.value], [place], marker="o", markersize=4.5, color=colour)
        axes.set_yticks(range(len(rows)), [row.name for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel(x_label)
        return to_svg(figure)


def colour_of(number: int) -> str:
    """The placeholder of a page's colour, which goes round after the last one."""
    return f"#0001{number if number < SERIES else 1 + (number - 1) % (SERIES - 1):02x}"


def to_svg(figure: Figure) -> Markup:
    """A figure as markup to stand in a page; placeholder colours become the page's."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    for placeholder, variable in _COLOURS.items():
        text = text.replace(placeholder, variable)
    return Markup(_own_ids(text))  # noqa: S704 (made by matplotlib, which escapes the texts it is given)


def _own_ids(text: str) -> str:
    """Drop ids that nothing refers to, and make the others unique in the page."""
    used = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", text))
    prefix = f"c{next(_numbers)}-"
    text = re.sub(r' id="([^"]+)"', lambda found: f' id="{prefix}{found[1]}"' if found[1] in used else "", text)
    return re.sub(r"(url\(#|href=\"#)", rf"\g<1>{prefix}", text)


@contextmanager
def _figure(*, square: bool, height: float | None = None) -> Iterator[tuple[Figure, Axes]]:
    with mpl.rc_context(_STYLE):
        size = _SQUARE if square else (_SIZE[0], height or _SIZE[1])
        figure = Figure(figsize=size, layout="constrained")
        figure.patch.set_visible(False)
        axes = figure.add_subplot()
        axes.patch.set_visible(False)
        if square:
            axes.set(aspect="equal", xlim=(-0.02, 1.02), ylim=(-0.02, 1.03))
        yield figure, axes
