"""Figures of predictions on a test set, beside the figures of the composition baseline."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bindtune.evaluation.bootstrap import Interval, interval, paired_interval
from bindtune.evaluation.figure_text import aligned
from bindtune.evaluation.metrics import ResidueMetrics, residue_metrics
from bindtune.evaluation.thresholds import defined

MEAN = "mean"
INTERVALS = ("auroc", "auprc", "hra", "f1", "mcc", "precision", "recall")
"""Figures that get an interval."""
FIGURES = ("auroc", "auprc", "base_rate", "hra", "hra_raw", "f1", "mcc", "precision", "recall", "threshold")
_AT_THRESHOLD = ("f1", "mcc", "precision", "recall")
_HEADER = (
    "ion", "proteins", "residues", "positives", "base rate", "AUPRC", "interval", "baseline", "AUROC", "HRA", "F1",
    "MCC",
)  # fmt: skip
_NOTHING = Interval(math.nan, math.nan, math.nan, 0)


class LabelledResidues(NamedTuple):
    """Labelled residues of one ion; R of them.

    Args:
        proteins: (R,) name of each residue's protein.
        labels: (R,) 1 binds, 0 does not.
        probabilities: (R,).
        baseline: (R,) scores of the composition baseline.
    """

    proteins: NDArray[Any]
    labels: NDArray[np.int8]
    probabilities: NDArray[np.float32]
    baseline: ArrayLike


def score_test_set(
    residues: Mapping[str, LabelledResidues],
    *,
    thresholds: Mapping[str, float],
    draws: int,
    seed: int,
    level: float,
) -> dict[str, dict[str, Any]]:
    """Score each ion, and take the mean over the ions.

    Args:
        residues: by ion.
        thresholds: by ion; an ion without a threshold has no figures of calls.
        draws: bootstrap draws of proteins for all intervals but those of auprc.
        seed: of the draws.
        level: how often an interval is to hold the figure of all proteins like these.

    Returns:
        Plain values by ion and for "mean", None for what is not defined. An ion: counts, every figure, NAME_low and
        NAME_high, baseline_auprc and gain_auprc (auprc less the baseline's) with their ends, and the confusion matrix.
    """
    rows = {
        ion: _score(each, thresholds.get(ion, math.nan), draws=draws, seed=seed, level=level)
        for ion, each in residues.items()
    }
    return {**rows, MEAN: _mean(list(rows.values()))}


def _score(residues: LabelledResidues, threshold: float, *, draws: int, seed: int, level: float) -> dict[str, Any]:
    labels, probabilities, proteins = residues.labels, residues.probabilities, residues.proteins
    metrics: ResidueMetrics = residue_metrics(labels, probabilities, threshold=threshold)
    options: dict[str, Any] = {"draws": draws, "seed": seed, "level": level}
    compared = paired_interval("auprc", labels, probabilities, residues.baseline, proteins, **options)
    row: dict[str, Any] = {
        "proteins": len(np.unique(proteins)),
        "residues": len(labels),
        "positives": int(np.sum(labels == 1)),
        **{name: defined(float(getattr(metrics, name))) for name in FIGURES},
    }
    for name in INTERVALS:
        ends: Interval = _NOTHING
        if name == "auprc":
            ends = compared.first
        elif name not in _AT_THRESHOLD:
            ends = interval(name, labels, probabilities, proteins, **options)  # type: ignore[arg-type]
        elif not math.isnan(threshold):
            ends = interval(name, labels, probabilities, proteins, threshold=threshold, **options)  # type: ignore[arg-type]
        row |= {f"{name}_low": defined(ends.low), f"{name}_high": defined(ends.high)}
    for name, estimate in (("baseline_auprc", compared.second), ("gain_auprc", compared.difference)):
        row |= {
            name: defined(estimate.value),
            f"{name}_low": defined(estimate.low),
            f"{name}_high": defined(estimate.high),
        }
    counts = ("true_positives", "false_positives", "true_negatives", "false_negatives")
    has_calls = not math.isnan(threshold)
    return row | {name: int(getattr(metrics, name)) if has_calls else None for name in counts}


def _mean(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means of each figure over the ions that have it."""
    names = [*(name for name in FIGURES if name != "threshold"), "baseline_auprc", "gain_auprc"]
    values = {name: [row[name] for row in rows if row[name] is not None] for name in names}
    return {name: float(np.mean(defined_values)) if defined_values else None for name, defined_values in values.items()}


def figures_table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """The figures as an aligned table; "-" means undefined."""
    lines = [_HEADER, *(_line(ion, row) for ion, row in rows.items())]
    return "\n".join(aligned(lines))


def _line(ion: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    counts = (f"{row[name]:,}" if name in row else "" for name in ("proteins", "residues", "positives"))
    ends = f"{_number(row['auprc_low'])} to {_number(row['auprc_high'])}" if "auprc_low" in row else ""
    figures = (_number(row[name]) for name in ("baseline_auprc", "auroc", "hra", "f1", "mcc"))
    return (ion, *counts, _number(row["base_rate"], digits=4), _number(row["auprc"]), ends, *figures)


def _number(value: float | None, *, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
