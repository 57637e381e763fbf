"""Charts as values: `svg_charts.py` draws them for pages, `png_charts.py` for run folders."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

INK, BLUE, ORANGE, GREEN, PURPLE, GREY = 0, 1, 2, 3, 4, 7
"""Numbers of colours. People with any kind of colour vision can tell them apart."""
SERIES = 8


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
        notes: (N,) text of each point, such as how many residues it stands for; empty for none. Run folders show none.
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
    notes: Sequence[str] = ()


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
        y_range: limits of the y axis; with None the curves decide.
        square: both axes go from 0 to 1, and one unit is as long on both.
        shares: the x axis goes from 0 to 1; else it counts.
        log: whether the y axis is logarithmic.
        absence: text of an empty chart.
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


class Span(NamedTuple):
    """A value and its interval."""

    name: str
    value: float
    low: float
    high: float
    colour: int = INK
