"""Proteins with their sites drawn along the sequence. Their rank chooses them, so that no example is hand-picked."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bindtune.evaluation.figure_text import number
from bindtune.evaluation.ranking import average_precision, sort
from bindtune.reports.page import Bar, Block, Collapsed, Mark, Notice, Section, Text, Track
from bindtune.reports.protein_browser import protein_browser
from bindtune.reports.protein_figures import average_precisions
from bindtune.reports.structure_views import find_structures
from bindtune.runs.out_of_fold import OutOfFold

_PLACES = {"typical": 0.5, "easy": 0.9, "hard": 0.1}  # rank among an ion's proteins, by average precision
_MOST_BARS = 400
_MOST_MARKS = 24
_NARROWEST = 0.007  # of the width: a single residue of a long protein must be seen
KINDS = np.array(["quiet", "false", "missed", "hit"])


def examples_section(
    predictions: OutOfFold | None, ions: tuple[str, ...], thresholds: dict[str, float], structures: Path | None = None
) -> Section:
    """All proteins as a table, drawings of the typical protein of each ion, and, in a closed block, of an easy and a
    hard one.

    Args:
        predictions: out-of-fold predictions; None if there are none yet.
        ions: ions to show.
        thresholds: by ion.
        structures: a structure file or a folder of them.

    Raises:
        InputError: a structure is damaged, or of another protein.
    """
    if predictions is None:
        return Section("examples", "Proteins", (Notice("There are no out-of-fold predictions to draw yet."),))
    scores = {ion: average_precisions(predictions.of(ion)) for ion in ions}
    by_name = {} if structures is None else find_structures(structures, predictions.proteins)
    blocks: list[Block] = [
        Text(
            "Every protein with predictions, from the model of the fold that held it out. Figures of a protein are at "
            "the ion's threshold. A click on a name shows its residues."
        ),
        protein_browser(predictions, scores, thresholds, by_name),
        Text(
            "Below, for each ion the proteins with sites are ranked by their average precision: the typical one stands "
            "in the middle, the easy and the hard one a tenth from either end. Bars are probabilities along the "
            "sequence; the dashed line is the ion's threshold. Under them: true sites, then what is called, each "
            "residue listed as a hit, missed or false. Positions count from 1. Residues without a known label have no "
            "bar and are not counted."
        ),
    ]
    others: list[Block] = []
    for ion in ions:
        rows = predictions.of(ion)
        ranked = _ranked(rows.proteins, scores[ion])
        if not ranked:
            blocks.append(Notice(f"{ion}: no protein with a site has predictions, so there is none to draw."))
        shown = set()
        for name, rank in _PLACES.items():
            index = round(rank * (len(ranked) - 1))
            if not ranked or index in shown:
                continue
            shown.add(index)
            drawing = track(rows.of_protein(ranked[index]), ion=ion, threshold=thresholds.get(ion, math.nan), why=name)
            (blocks if name == "typical" else others).append(drawing)
    if others:
        blocks.append(Collapsed("An easy and a hard protein for each ion", tuple(others)))
    return Section("examples", "Proteins", tuple(blocks))


def _ranked(names: Sequence[str], scores: Mapping[int, float]) -> list[int]:
    """Proteins with sites, from the lowest average precision to the highest; proteins with only sites come last."""
    return sorted(scores, key=lambda number: (scores[number], names[number]))


def track(rows: OutOfFold, *, ion: str, threshold: float, why: str) -> Track:
    """Draw one protein.

    Args:
        rows: its residues for one ion, sorted by position.
        ion: the ion's name.
        threshold: a residue is called from this probability on; nan where there is none, and nothing is called.
        why: the reason why the protein is an example.
    """
    name, length = rows.proteins[rows.protein[0]], int(rows.position[-1])
    true, called = rows.label == 1, rows.probability >= threshold
    outcome = true.astype(int) * 2 + called * 1  # 0 quiet, 1 false, 2 missed, 3 hit
    names = [
        f"{letter}{position}"
        for letter, position in zip(rows.letters().astype(str), rows.position.tolist(), strict=True)
    ]
    listed = np.flatnonzero(outcome)
    marks = tuple(
        Mark(names[i], number(float(rows.probability[i]), 2), str(KINDS[outcome[i]])) for i in listed.tolist()
    )
    hits, missed, false = (int((outcome == kind).sum()) for kind in (3, 2, 1))
    score = average_precision(sort(rows.label, rows.probability).ranking())
    counts = f"{hits} of {hits + missed} sites found, {false} false"
    labelled = f"{length} residues"
    if len(rows) < length:
        labelled = f"{len(rows)} labelled residues, the last at {length}"
    residues_by_kind = "; ".join(f"{kind}: {', '.join(mark.name for mark in marks if mark.kind == kind) or 'none'}"
                     for kind in ("hit", "missed", "false"))  # fmt: skip
    return Track(
        title=f"{name}: {ion}",
        note=f"{why}: average precision {number(score)}; {counts}; {labelled}, fold {int(rows.fold[0])}",
        described=f"Probabilities of binding {ion} along {name}. {counts}. {residues_by_kind}.",
        bars=_bars(rows, outcome, length),
        sites=tuple(
            _mark_bar(int(rows.position[i]), length, "site" if called[i] else "missed") for i in np.flatnonzero(true)
        ),
        calls=tuple(_mark_bar(int(rows.position[i]), length, str(KINDS[outcome[i]])) for i in np.flatnonzero(called)),
        threshold=None if math.isnan(threshold) else threshold,
        ticks=_ticks(length),
        marks=tuple(marks[i] for i in _foremost(true[listed], rows.probability[listed])),
        more=max(0, len(marks) - _MOST_MARKS),
    )


def _foremost(true: NDArray[np.bool_], probability: NDArray[np.floating]) -> list[int]:
    """The marks to show if there are too many: true sites first, then the most probable; in sequence order."""
    return sorted(np.lexsort((-probability, ~true))[:_MOST_MARKS].tolist())


def _bars(rows: OutOfFold, outcome: NDArray[np.int64], length: int) -> tuple[Bar, ...]:
    """One bar for each residue; in long proteins one bar for the highest of several residues."""
    bar_count = min(length, _MOST_BARS)
    bar = (rows.position.astype(np.int64) - 1) * bar_count // length
    height, kind = np.zeros(bar_count), np.zeros(bar_count, int)
    np.maximum.at(height, bar, rows.probability)
    np.maximum.at(kind, bar, outcome)
    drawn = np.flatnonzero(height >= 0.002)
    return tuple(Bar(i / bar_count, 0.88 / bar_count, float(height[i]), str(KINDS[kind[i]])) for i in drawn)


def _mark_bar(position: int, length: int, kind: str) -> Bar:
    width = max(1 / length, _NARROWEST)
    middle = (position - 0.5) / length
    return Bar(min(max(middle - width / 2, 0), 1 - width), width, 1.0, kind)


def _ticks(length: int) -> tuple[tuple[float, str], ...]:
    step = next((size for size in (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000) if length / size <= 5), 20_000)
    inner = [position for position in range(step, length, step) if length - position > 0.12 * length]
    return tuple(((position - 0.5) / length, str(position)) for position in (1, *inner, length))
