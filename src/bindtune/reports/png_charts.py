"""Charts drawn as PNG for run folders, with matplotlib.

No display and no global state of matplotlib is used. A canvas writes the files: `Figure.savefig` would draw each figure
twice, once for its bounding box.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bindtune.reports.charts import GREY, ORANGE, Line, LineChart
from bindtune.runs.writing import atomic_path

# Okabe and Ito's colours, as on light pages.
_COLOURS = ("#1C2422", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#8A6D00", "#6A51A3", "#595959")
_LEVEL: dict[str, Any] = {"color": _COLOURS[ORANGE], "linewidth": 1.6, "linestyle": ":"}
_MARKER_SIZE = 5  # points
_DPI = 150


def folder_figure(charts: Sequence[LineChart], title: str) -> Figure:
    """Draw charts beside each other for a run folder, with legends; `save_png` writes the figure."""
    several = len(charts) > 1
    wide, high, below = 5.0 * len(charts) + 0.4, 5.0 if several else 3.8, 1.2 if several else 0.55
    figure = Figure(figsize=(wide, high))
    figure.subplots_adjust(0.8 / wide, below / high, 1 - 0.15 / wide, 1 - 0.5 / high, wspace=0.25)  # margins in inches
    figure.suptitle(title, fontsize=12, fontweight="bold")
    # Curves of several charts may be anywhere, so the legend is below and hides none.
    legend: dict[str, Any] = {"fontsize": 9, "framealpha": 0.9, "edgecolor": "#CCCCCC"}
    if several:
        legend = {"fontsize": 9, "loc": "upper center", "bbox_to_anchor": (0.5, -0.14), "ncols": 2, "frameon": False}
    for index, chart in enumerate(charts, start=1):
        axes = figure.add_subplot(1, len(charts), index)
        axes.grid(color="#E5E5E5", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        _draw(axes, chart)
        axes.set(xlabel=_capitalised(chart.x_label), ylabel=_capitalised(chart.y_label))
        if axes.get_legend_handles_labels()[0]:
            axes.legend(**legend)
    return figure


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure at 150 dots per inch, completely or not at all."""
    figure.set_dpi(_DPI)
    with atomic_path(path) as temporary:
        canvas: Any = FigureCanvasAgg(figure)  # Any: matplotlib leaves the method without types
        canvas.print_png(temporary)


def _draw(axes: Axes, chart: LineChart) -> None:
    for band in chart.bands:
        axes.axhspan(band.low, band.high, color=_COLOURS[band.colour], alpha=0.13, linewidth=0)
    for level in chart.levels:
        axes.axhline(level.y, label=level.name or "_", **_LEVEL)
    for curve in chart.curves:
        _draw_curve(axes, curve)
    if not chart.curves:
        axes.text(0.5, 0.5, chart.absence, transform=axes.transAxes, ha="center", color=_COLOURS[GREY])
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(chart.y_label)
    if chart.square:
        axes.set(aspect="equal", xlim=(-0.02, 1.02), ylim=(-0.02, 1.03))
    elif chart.shares:
        axes.set_xlim(-0.02, 1.02)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(min_n_ticks=1, integer=True))
    if chart.log:
        axes.set_yscale("log")
    if chart.y_range:
        axes.set_ylim(*chart.y_range)


def _draw_curve(axes: Axes, curve: Line) -> None:
    colour = _COLOURS[curve.colour]
    outline: dict[str, Any] = {"fillstyle": "none", "markeredgewidth": 1.9} if curve.hollow else {}
    axes.plot(
        curve.x, curve.y, linestyle=curve.style, color=colour, linewidth=curve.width, label=curve.name or "_",
        marker=curve.marker or None, markersize=curve.size or _MARKER_SIZE, **outline,
    )  # fmt: skip
    if curve.error is not None:
        axes.errorbar(curve.x, curve.y, yerr=curve.error, fmt="none", ecolor=colour, capsize=2)


def _capitalised(label: str) -> str:
    return label[:1].upper() + label[1:]
