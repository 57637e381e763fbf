"""Draw the diagrams of the documentation: what the commands do, a mask, a context, folds.

    python docs/pictures.py [--out docs/images]

Masks and folds are computed by bindtune itself, on data that this script makes up.
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from bindtune.data.keyed_random import digest
from bindtune.data.masking import choose_masked
from bindtune.data.masking_strategies import MaskingRates
from bindtune.data.protein.folds import assign_folds
from bindtune.data.protein.proteins import Labels, Proteins

DNA, PROTEIN, INK, QUIET, PALE = "#1f5f8b", "#9a4f17", "#1b1b1b", "#6b6b6b", "#dde3e8"
FOLDS = ("#1f5f8b", "#9a4f17", "#3b7d4f")
STYLE = {"svg.fonttype": "path", "svg.hashsalt": "bindtune", "font.size": 10, "text.color": INK}


def main() -> None:
    """Read the command line and draw every picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "images")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        for name, draw in {"commands": commands, "masking": masking, "context": context, "folds": folds}.items():
            path = out / f"{name}.svg"
            draw().savefig(path, metadata={"Date": None}, facecolor="white")
            print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty drawing of so many inches, one unit an inch."""
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    return figure, axes


def commands() -> Figure:
    """Both straight lines: from the files that users have to what they get."""
    figure, axes = canvas(9.6, 3.1)
    checkpoint, sites = "adapted DNABERT-2,\ncheckpoint for the hub", "probability of binding\nfor each residue and ion"
    rows = {
        1.95: (DNA, "DNA, RNA", "peaks\ngenome, genes", ["windows", "pretrain", "compare"], checkpoint),
        0.55: (PROTEIN, "protein", "labelled proteins\nalignments", ["train", "evaluate", "predict"], sites),
    }
    for bottom, (colour, alphabet, inputs, steps, result) in rows.items():
        axes.text(0.15, bottom + 0.92, alphabet, color=colour, weight="bold")
        axes.text(0.15, bottom + 0.35, inputs, va="center", linespacing=1.4)
        left = 1.75
        for step in steps:
            axes.annotate(
                "", (left, bottom + 0.35), (left - 0.3, bottom + 0.35), arrowprops={"arrowstyle": "-|>", "color": QUIET}
            )
            axes.add_patch(
                FancyBboxPatch(
                    (left + 0.08, bottom + 0.08), 1.25, 0.54, boxstyle="round,pad=0.06", fc=colour, ec="none"
                )
            )
            axes.text(
                left + 0.7, bottom + 0.34, step, ha="center", va="center", color="white", family="monospace", size=11
            )
            left += 1.78
        axes.annotate(
            "", (left, bottom + 0.35), (left - 0.3, bottom + 0.35), arrowprops={"arrowstyle": "-|>", "color": QUIET}
        )
        axes.text(left + 0.08, bottom + 0.35, result, va="center", linespacing=1.4)
    axes.text(
        0.15,
        0.12,
        "Each step writes a folder that the next one reads. On every run: report, export, push, verify.",
        color=QUIET,
        size=9,
    )
    return figure


def masking() -> Figure:
    """One window of 80 tokens with a peak of 16: which tokens are masked."""
    tokens, peak = 80, slice(30, 46)
    in_peak = np.zeros((1, tokens), bool)
    in_peak[0, peak] = True
    rates = MaskingRates(target=0.15, peak_range=(0.20, 0.25), floor=0.05)
    keys = np.array([digest("picture", 5)], np.uint64)
    masked = choose_masked(in_peak, np.ones_like(in_peak), rates=rates, keys=keys)[0][0]
    figure, axes = canvas(9.6, 2.0)
    left, width = 0.2, 9.2 / tokens
    for index in range(tokens):
        inside = bool(in_peak[0, index])
        colour = INK if masked[index] else (DNA if inside else PALE)
        axes.add_patch(
            Rectangle(
                (left + index * width, 0.85),
                width * 0.82,
                0.42,
                fc=colour,
                alpha=0.55 if colour == DNA else 1,
                ec="none",
            )
        )
    flank = f"flank: {masked[: peak.start].sum()} of {peak.start} masked"
    behind = f"flank: {masked[peak.stop :].sum()} of {tokens - peak.stop} masked"
    inside = f"peak: {masked[peak].sum()} of {peak.stop - peak.start} masked"
    edges = [(0, peak.start, flank, QUIET), (peak.start, peak.stop, inside, DNA), (peak.stop, tokens, behind, QUIET)]
    for start, stop, text, colour in edges:
        axes.plot([left + start * width + 0.02, left + stop * width - 0.05], [1.42, 1.42], color=colour, linewidth=2)
        axes.text(left + (start + stop) / 2 * width, 1.55, text, ha="center", color=colour)
    share = f"{int(masked.sum())} of {tokens} tokens = {masked.mean():.0%}"
    axes.text(0.2, 0.45, f"The whole window: {share}. Black tokens are masked; the model has to name them.", size=10)
    axes.text(
        0.2,
        0.15,
        "The peak has its own rate, 20 to 25 %. The rate of the flanks follows, so that the total is exact.",
        color=QUIET,
        size=9,
    )
    return figure


def context() -> Figure:
    """A query behind its homologs: who reads whom."""
    figure, axes = canvas(9.6, 2.35)
    left = 0.2
    ends = []
    for name, width in (("homolog 1", 2.1), ("homolog 2", 2.4), ("homolog 3", 1.9), ("query", 2.5)):
        colour = PROTEIN if name == "query" else PALE
        axes.add_patch(
            FancyBboxPatch((left + 0.05, 0.75), width - 0.1, 0.4, boxstyle="round,pad=0.02", fc=colour, ec="none")
        )
        axes.text(left + width / 2, 0.94, name, ha="center", va="center", color="white" if name == "query" else INK)
        ends.append(left + width / 2)
        left += width + 0.03
    for number, x in enumerate(ends[:-1]):
        bend = {
            "arrowstyle": "-|>",
            "color": PROTEIN,
            "connectionstyle": f"arc3,rad={-0.2 + 0.02 * number}",
            "shrinkB": 4,
        }
        axes.annotate("", (ends[-1], 1.2), (x, 1.2), arrowprops=bend)
    axes.text(
        0.2,
        2.08,
        "The query reads all homologs. They never read the query, so they are computed once and shared.",
        size=10,
    )
    draws = "Homologs are drawn from an alignment: rare sequences more often, until the budget of residues is full."
    query = "Labels, masks and predictions are on the query alone."
    axes.text(0.2, 0.3, f"{draws}\n{query}", color=QUIET, size=9, va="center", linespacing=1.5)
    return figure


def folds() -> Figure:
    """Groups of similar proteins, placed whole in three folds."""
    sizes = [7, 6, 5, 5, 4, 3, 3, 2, 2, 2, 1, 1, 1]
    group = np.repeat(np.arange(len(sizes)), sizes)
    placed = assign_folds(_proteins(len(group)), group, num_folds=3, seed=0)
    figure, axes = canvas(9.6, 2.5)
    left = 0.25
    for number, size in enumerate(sizes):
        colour = FOLDS[placed[group == number][0] - 1]
        for row in range(size):
            axes.add_patch(Rectangle((left, 0.55 + row * 0.2), 0.34, 0.15, fc=colour, ec="none"))
        left += 0.4
    axes.text(0.25, 0.25, "one column: a group of similar proteins", color=QUIET, size=9)
    for number, colour in enumerate(FOLDS):
        share = int((placed == number + 1).sum())
        axes.add_patch(Rectangle((6.1, 1.62 - number * 0.42), 0.3, 0.2, fc=colour, ec="none"))
        axes.text(6.5, 1.72 - number * 0.42, f"fold {number + 1}: {share} proteins", va="center")
    axes.text(6.1, 2.15, "A group is never split.", weight="bold")
    axes.text(6.1, 0.25, "each fold is predicted by a model that has not seen it", color=QUIET, size=9)
    return figure


def _proteins(count: int) -> Proteins:
    """Made-up proteins of one ion, all alike."""
    labels: Labels = np.array([[1], [0]], np.int8)
    names = tuple(f"protein {number}" for number in range(count))
    return Proteins(names=names, sequences=("CA",) * count, ions=("ZN",), labels=(labels,) * count)


if __name__ == "__main__":
    main()
