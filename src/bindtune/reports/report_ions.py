"""Tables and curves of each ion over the out-of-fold predictions."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bindtune.evaluation import bootstrap
from bindtune.evaluation.calibration import Reliability, reliability
from bindtune.evaluation.figure_text import FEW_PROTEINS, UNDEFINED, few_proteins, interval, number, percent
from bindtune.evaluation.metrics import ResidueMetrics, residue_metrics
from bindtune.evaluation.ranking import average_precision, rank_groups, sort
from bindtune.evaluation.residue_baseline import out_of_fold_residues
from bindtune.reports.binding_charts import Call, calibration_chart, curve_charts
from bindtune.reports.charts import ORANGE
from bindtune.reports.page import Block, Chart, Charts, Collapsed, Notice, Section, Table, Text
from bindtune.reports.run_settings import choice_sentence
from bindtune.reports.svg_charts import svg
from bindtune.runs.out_of_fold import OutOfFold
from bindtune.runs.reading import as_number

_BINS = 10
_FEWEST = 20  # residues in a bin of the calibration chart
FEW = 100
"""Figures from fewer sites or residues have a warning."""


Range = tuple[float, float]


class IonFigures(NamedTuple):
    """Figures of one ion in one fold, or in all of them.

    Args:
        proteins: proteins with labels for the ion.
        residues: residues with labels.
        sites: residues that bind.
        metrics: of the residues; nan where not defined.
        baseline: AUPRC of the composition baseline.
        auprc_range: 95 % interval of the AUPRC by protein; nan where not defined.
    """

    proteins: int
    residues: int
    sites: int
    metrics: ResidueMetrics
    baseline: float
    auprc_range: Range


def figures(
    rows: OutOfFold, scores: NDArray[np.float64], *, threshold: float, written: tuple[float, Range] | None = None
) -> IonFigures:
    """Figures over some rows of one ion.

    Args:
        rows: R residues.
        scores: (R,) of the composition baseline.
        threshold: threshold of the calls; nan without one.
        written: the baseline's AUPRC and the interval from the run; None computes them.
    """
    if written is None:
        groups = rows.residue.astype(np.int64) * (int(rows.fold.max(initial=0)) + 1) + rows.fold
        written = (average_precision(rank_groups(rows.label, scores, groups)), _auprc_range(rows))
    baseline, auprc_range = written
    return IonFigures(
        proteins=rows.count_proteins(),
        residues=len(rows),
        sites=int(rows.label.sum()),
        metrics=residue_metrics(rows.label, rows.probability, threshold=threshold),
        baseline=baseline,
        auprc_range=auprc_range,
    )


class IonResults(NamedTuple):
    """Figures of one ion over all folds and in each fold; None and empty if no site has a prediction."""

    whole: IonFigures | None
    by_fold: dict[int, IonFigures]


def ion_results(
    predictions: OutOfFold | None, ions: tuple[str, ...], thresholds: dict[str, float], summary: dict[str, Any]
) -> dict[str, IonResults]:
    """Score every ion.

    Args:
        predictions: all out-of-fold predictions, or None.
        ions: ions to show, in this order.
        thresholds: by ion.
        summary: the run's own figures over all folds, by ion; they are computed for an ion without them.
    """
    results: dict[str, IonResults] = {}
    if predictions is None:
        return results
    for ion in ions:
        rows = predictions.of(ion)
        if not rows.label.any():
            results[ion] = IonResults(None, {})
            continue
        threshold = thresholds.get(ion, math.nan)
        scores = out_of_fold_residues(rows.letters(), rows.label, rows.fold)
        whole = figures(rows, scores, threshold=threshold, written=_as_written(summary.get(ion)))
        by_fold = {}
        for fold in rows.fold_numbers():
            held = np.flatnonzero(rows.fold == fold)
            by_fold[fold] = figures(rows.take(held), scores[held], threshold=threshold)
        results[ion] = IonResults(whole, by_fold)
    return results


def results_section(results: dict[str, IonResults], config: Mapping[str, Any]) -> Section:
    """Tables of every ion, over all folds and in each.

    Args:
        results: of `ion_results`; empty without predictions.
        config: the run's settings.
    """
    if not results:
        return Section(
            "results", "Results by ion", (Notice("No fold is done yet: there are no predictions to score."),)
        )
    figures_of = {ion: result.whole for ion, result in results.items()}
    whole = [(ion, *_row(each)) for ion, each in figures_of.items()]
    by_fold = [
        (ion, str(fold), *_row(each)) for ion, result in results.items() for fold, each in result.by_fold.items()
    ]
    scored = {ion: each for ion, each in figures_of.items() if each is not None}
    below = [ion for ion, each in scored.items() if each.metrics.auprc < each.baseline]
    few = [f"{ion} ({each.sites})" for ion, each in scored.items() if each.sites < FEW]
    choice = choice_sentence(config)
    blocks: list[Block] = [Text(f"{_READ} {choice}" if choice else _READ)]
    blocks += [
        Notice(f"{ion}: not defined. No residue with a site has a prediction.") for ion in results if ion not in scored
    ]
    if few:
        blocks.append(Notice(f"Figures that rest on fewer than {FEW} sites are uncertain: {', '.join(few)}."))
    blocks += [Notice(text) for text in few_proteins({ion: each.proteins for ion, each in scored.items()})]
    if below:
        sentence = f"{', '.join(below)} {'is' if len(below) == 1 else 'are'} below the composition baseline"
        blocks.append(Notice(f"{sentence}: the amino acid alone says more than the model."))
    heads = ("AUPRC (95 % interval)", "Base rate", "Composition AUPRC", "AUROC", "HRA", "Proteins", "Sites")
    blocks.append(Table("Each ion, all folds", ("Ion", *heads), tuple(whole), numeric=frozenset(range(1, 8))))
    if by_fold:
        note = "A fold without sites of an ion has no figures for it: a dash."
        if any(each.proteins < FEW_PROTEINS for result in results.values() for each in result.by_fold.values()):
            note += f" Intervals from fewer than {FEW_PROTEINS} proteins are often too narrow."
        table = Table(
            "Each ion and fold", ("Ion", "Fold", *heads), tuple(by_fold), numeric=frozenset(range(1, 9)), note=note
        )
        blocks.append(table)
    return Section("results", "Results by ion", tuple(blocks))


_READ = (
    "All predictions are for proteins that the model did not train on. Compare the AUPRC (average precision) with two "
    "other figures. The base rate is the AUPRC of a random order. The composition baseline knows only how often each "
    "amino acid binds in the other folds. HRA is the area under the precision-recall curve over recall 0.7 to 1, "
    "divided by 0.3. The unit of an interval is the protein, because residues of one protein are not independent."
)


def _as_written(summary: Any) -> tuple[float, Range] | None:
    """The baseline and the interval of summary.yaml, so that page and summary agree; None without them."""
    auprc, baseline = (_nested(summary, *path) for path in (("auprc",), ("baseline", "auprc", "value")))
    low, high = (as_number(_nested(auprc, end)) for end in ("low", "high"))
    if math.isnan(low) or math.isnan(high) or math.isnan(as_number(baseline)):
        return None
    return as_number(baseline), (low, high)


def _nested(value: Any, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _row(figures: IonFigures | None) -> tuple[str, ...]:
    if figures is None:
        return (UNDEFINED,) * 7
    metrics = figures.metrics
    return (
        interval(metrics.auprc, figures.auprc_range),
        percent(metrics.base_rate),
        number(figures.baseline),
        number(metrics.auroc),
        number(metrics.hra),
        str(figures.proteins),
        str(figures.sites),
    )


def curves_section(predictions: OutOfFold | None, ions: tuple[str, ...], thresholds: dict[str, float]) -> Section:
    """Precision-recall, ROC and calibration charts of every ion."""
    if predictions is None:
        return Section("curves", "Curves and calibration", (Notice("No fold is done yet: there is nothing to draw."),))
    dot = "" if all(math.isnan(thresholds.get(ion, math.nan)) for ion in ions) else " The dot is the run's threshold."
    blocks: list[Block] = [
        Text(
            f"Over all out-of-fold predictions of an ion.{dot} Dashed lines are a random order. Calibration compares "
            "predicted probabilities with the share of such residues that bind. On the diagonal they are right, below "
            "it they are too high. The number at a point is its number of residues."
        )
    ]
    bins: list[tuple[str, ...]] = []
    for ion in ions:
        rows = predictions.of(ion)
        if not 0 < int(rows.label.sum()) < len(rows):
            blocks.append(Notice(f"{ion}: curves are not defined without both sites and other residues."))
            continue
        blocks.append(_charts_of(ion, rows, thresholds.get(ion, math.nan)))
        bins += _bin_rows(ion, rows)
    if bins:
        heads = ("Ion", "Probability", "Residues", "Mean probability", "Share that binds", "Sites")
        table = Table("Residues in each bin of the calibration", heads, tuple(bins), numeric=frozenset(range(2, 6)),
                      note=f"Shares of fewer than {FEW} residues are uncertain.")  # fmt: skip
        blocks.append(Collapsed("Residues in each bin of the calibration", (table,)))
    return Section("curves", "Curves and calibration", tuple(blocks))


def _charts_of(ion: str, rows: OutOfFold, threshold: float) -> Charts:
    ranking = sort(rows.label, rows.probability).ranking()
    metrics = residue_metrics(rows.label, rows.probability, threshold=threshold)
    calls = []
    if not math.isnan(threshold):
        false_rate = metrics.false_positives / ranking.negatives
        calls = [Call(false_rate, metrics.recall, metrics.precision, {"colour": ORANGE, "marker": "o"})]
    roc, precision_recall = curve_charts(ranking, calls)
    area, base = f"AUPRC {number(metrics.auprc)}", f"base rate {percent(metrics.base_rate)}"
    return Charts(
        (
            Chart(
                f"{ion}: precision and recall",
                svg(precision_recall),
                f"Precision against recall for {ion}. {area}, {base}.",
                f"{area}, {base}",
            ),
            Chart(f"{ion}: ROC", svg(roc), f"ROC curve for {ion}.", f"AUROC {number(metrics.auroc)}"),
            _calibration_chart(ion, rows),
        ),
        small=True,
    )


def _calibration_chart(ion: str, rows: OutOfFold) -> Chart:
    bins = reliability(rows.label, rows.probability, bins=_BINS)
    enough = bins.residues >= _FEWEST
    bins = Reliability(bins.predicted[enough], bins.observed[enough], bins.residues[enough])
    pairs = zip(bins.predicted, bins.observed, strict=True)
    sentence = "; ".join(f"{predicted:.2f} predicted, {observed:.2f} observed" for predicted, observed in pairs)
    sentence += f". Residues in these ranges: {', '.join(f'{residues:,}' for residues in bins.residues.tolist())}"
    note = f"{enough.sum()} of {_BINS} ranges of probability hold {_FEWEST} residues or more"
    drawing = svg(calibration_chart({"": bins}))
    return Chart(f"{ion}: calibration", drawing, f"Calibration for {ion}: {sentence}.", note)


def _bin_rows(ion: str, rows: OutOfFold) -> list[tuple[str, ...]]:
    bins = reliability(rows.label, rows.probability, bins=_BINS)
    numbers = np.minimum((bins.predicted * _BINS + 1e-9).astype(int), _BINS - 1)
    return [
        (
            ion,
            f"{bin_number / _BINS:.1f} to {(bin_number + 1) / _BINS:.1f}",
            f"{residues:,}",
            number(predicted),
            f"{number(observed)} (few)" if residues < FEW else number(observed),
            f"{round(observed * residues):,}",
        )
        for bin_number, predicted, observed, residues in zip(
            numbers.tolist(), bins.predicted.tolist(), bins.observed.tolist(), bins.residues.tolist(), strict=True
        )
    ]


def _auprc_range(rows: OutOfFold) -> Range:
    auprc = bootstrap.interval("auprc", rows.label, rows.probability, rows.protein, draws=1, seed=0)
    return auprc.low, auprc.high
