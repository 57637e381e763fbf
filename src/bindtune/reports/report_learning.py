"""Learning curves of a binding run: losses and validation figures, by fold and epoch."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bindtune.errors import InputError
from bindtune.evaluation.epoch_selection import kept_epoch, score_of
from bindtune.evaluation.figure_text import UNDEFINED, number
from bindtune.reports.charts import Line, LineChart
from bindtune.reports.page import Block, Chart, Charts, Collapsed, Notice, Section, Table, Text
from bindtune.reports.run_settings import chooses_epoch, judged_by, kept_epoch_sentences, section
from bindtune.reports.svg_charts import svg
from bindtune.runs.names import HISTORY, METRICS, in_folds
from bindtune.runs.reading import as_number, read_csv

COLUMNS = ("fold", "epoch", "split", "ion", "loss", "auprc", "base_rate", "hra")
MEAN = "mean"  # in the place of an ion: the mean over ions
Row = dict[str, str]


def read_metrics(run: Path) -> list[Row]:
    """Rows of metrics.csv; if it is not written yet, rows of the histories of the folds.

    Raises:
        InputError: a file is damaged.
    """
    whole = run / METRICS
    rows = []
    for path in [whole] if whole.is_file() else in_folds(run, HISTORY):
        for line, row in enumerate(read_csv(path, COLUMNS) or [], start=2):
            if not (row["fold"].isdigit() and row["epoch"].isdigit()):
                raise InputError(path, line, f"fold and epoch must be numbers, found {row['fold']!r}, {row['epoch']!r}")
            rows.append(row)
    return rows


def learning_section(rows: Sequence[Row], ions: tuple[str, ...], config: Mapping[str, Any]) -> Section:
    """Losses and validation figures against epochs, one line for each fold.

    Args:
        rows: rows of metrics.csv.
        ions: ions to show, in this order.
        config: the run's settings.
    """
    if not rows:
        return Section("learning", "Learning curves", (Notice("No epoch is done yet: there are no curves."),))
    blocks: list[Block] = [Text(kept_epoch_sentences(config))]
    drawn = [
        _chart(rows, "loss", "Loss, mean over ions", "loss", both=True),
        _chart(rows, "loss_mlm", "Masked-language-model loss", "loss (nats)", both=True),
        _chart(rows, "hra", "HRA in validation, mean over ions", "HRA"),
        _chart(rows, "auprc", "AUPRC in validation, mean over ions", "AUPRC"),
    ]
    blocks.append(Charts(tuple(chart for chart in drawn if chart)))
    by_ion = [_chart(rows, "auprc", f"{ion}: AUPRC in validation", "AUPRC", ion=ion) for ion in ions]
    drawn_by_ion = tuple(chart for chart in by_ion if chart)
    if drawn_by_ion:
        blocks.append(Collapsed("AUPRC of each ion", (Charts(drawn_by_ion),)))
    if chooses_epoch(config):
        blocks.append(_best_epochs(rows, config))
    return Section("learning", "Learning curves", tuple(blocks))


def folds_of(rows: Sequence[Row]) -> list[int]:
    """Folds that have rows."""
    return sorted({int(row["fold"]) for row in rows})


def last_epoch(rows: Sequence[Row], fold: int) -> int:
    """The last epoch of a fold that has a row; 0 without any."""
    return max((int(row["epoch"]) for row in rows if int(row["fold"]) == fold), default=0)


def _points(rows: Sequence[Row], *, fold: int, split: str, ion: str, name: str) -> tuple[list[int], list[float]]:
    by_epoch = {
        int(row["epoch"]): as_number(row.get(name))
        for row in rows
        if int(row["fold"]) == fold and row["split"] == split and row["ion"] == ion
    }
    points = sorted((epoch, value) for epoch, value in by_epoch.items() if not math.isnan(value))
    return [epoch for epoch, _ in points], [value for _, value in points]


def _chart(
    rows: Sequence[Row], name: str, title: str, label: str, *, ion: str = MEAN, both: bool = False
) -> Chart | None:
    curves, ends = [], []
    for colour, fold in enumerate(folds_of(rows), start=1):
        epochs, values = _points(rows, fold=fold, split="validation", ion=ion, name=name)
        if both:
            at, losses = _points(rows, fold=fold, split="train", ion=ion, name=name)
            if at:
                curves.append(
                    Line(at, losses, colour=colour, style="--", width=1.1, marker="o" if len(at) == 1 else "")
                )
        if epochs:
            curves.append(Line(epochs, values, f"fold {fold}", colour, marker="o" if len(epochs) == 1 else ""))
            ends.append(f"fold {fold} ends at {number(values[-1])} in epoch {epochs[-1]}")
    if not curves:
        return None
    return Chart(title, svg(LineChart(curves, "epoch", label)), f"{title}: {'; '.join(ends)}.")


def _best_epochs(rows: Sequence[Row], config: Mapping[str, Any]) -> Block:
    training = section(config, "training")
    inner = as_number(training.get("inner_validation_fraction")) > 0
    metric, min_delta = judged_by(config), max(0.0, as_number(training.get("min_delta", 0)))
    cells = []
    for fold in folds_of(rows):
        means = [row for row in rows if (int(row["fold"]), row["split"], row["ion"]) == (fold, "validation", MEAN)]
        means = [row for row in means if not math.isnan(score_of(row, metric))]
        best = kept_epoch(means, metric, min_delta=min_delta)
        if not best:
            cells.append((str(fold), str(last_epoch(rows, fold)), "not defined", UNDEFINED, UNDEFINED))
            continue
        (row,) = (row for row in means if int(row["epoch"]) == best)
        hra, auprc = (number(as_number(row.get(name))) for name in ("hra", "auprc"))
        cells.append((str(fold), str(last_epoch(rows, fold)), str(best), hra, auprc))
    heads = ("Fold", "Epochs", "Best epoch", "HRA there, mean over ions", "AUPRC there, mean over ions")
    note = "The figures chose these epochs, so they are slightly too high"
    note += "." if inner else ", and so are the out-of-fold figures, because the held-out fold made the choice."
    return Table("The epoch that each fold keeps", heads, tuple(cells), numeric=frozenset(range(1, 5)), note=note)
