"""The summary of a cross-validation: figures of each ion with the base rate and the baseline beside them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bindtune.errors import InputError
from bindtune.evaluation.bootstrap import Compared, Interval, interval, paired_interval, protein_codes
from bindtune.evaluation.figure_text import aligned, exact_percent, few_proteins
from bindtune.evaluation.ranking import (
    MOST_HIGH_RECALL_AREA,
    area_under_roc,
    average_precision,
    high_recall_area,
    sort,
)
from bindtune.evaluation.scored_residues import ScoredResidues
from bindtune.evaluation.thresholds import FIGURES, Method, defined, ion_thresholds
from bindtune.yaml_json import checked_number, read_document

_HEADER = (
    "ion",
    "proteins",
    "residues",
    "positives",
    "base rate",
    "AUPRC",
    "interval",
    "baseline",
    "AUROC",
    "HRA",
    "F1*",
    "MCC*",
)


_SHARES = ("auprc", "auroc", "base_rate")
_IN_SHARES = ("value", "low", "high", *_SHARES)


def read_summary(path: Path) -> dict[str, dict[str, Any]]:
    """The `out_of_fold_summary` in a run's summary.yaml; empty if the file is missing.

    Raises:
        InputError: the file is damaged, or a figure is no number, or one that it cannot be.
    """
    content = read_document(path) if path.exists() else {}
    summary = content.get("out_of_fold", {}) if isinstance(content, dict) else None
    if not isinstance(summary, dict) or not all(isinstance(entry, dict) for entry in summary.values()):
        raise InputError(path, None, "'out_of_fold' does not hold a mapping for each ion")
    for names, value in _leaves(summary, ()):
        if value is not None and names[-1] != "threshold_method":
            share = names[-1] in _IN_SHARES and any(name in _SHARES for name in names[1:])
            least = -1 if "gain" in names else 0  # a model may say less than its baseline
            low, high = (least, 1) if share else (-math.inf, math.inf)
            checked_number(path, ".".join(("out_of_fold", *names)), value, low=low, high=high)
    return {str(ion): entry for ion, entry in summary.items()}


def _leaves(content: Mapping[Any, Any], before: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in content.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*before, str(name)))
        else:
            yield (*before, str(name)), value


def out_of_fold_summary(
    scored: Mapping[str, ScoredResidues],
    *,
    baseline: Mapping[str, ArrayLike],
    method: Method,
    draws: int,
    seed: int,
    level: float = 0.95,
) -> dict[str, dict[str, Any]]:
    """Summarise the out-of-fold residues of each ion.

    Args:
        scored: out-of-fold residues by ion.
        baseline: (R,) by ion, what the composition baseline scores the same residues; an ion may be missing.
        method: of the threshold: youden, f1 or mcc.
        draws: draws of proteins for intervals that are drawn; those of an AUPRC are not.
        seed: of the draws.
        level: how often an interval is to hold the figure of all proteins like these.

    Returns:
        By ion, plain Python values with None for what is not defined: counts; `auprc` with its interval by protein;
        `auroc`, `hra`, `hra_raw` of all folds' residues together; `folds` with the mean and the population standard
        deviation over the folds where a figure is defined; `at_threshold` with the figures of the residues that chose
        the threshold, `cross_fitted` with those of residues that did not; the `baseline`'s AUPRC with its interval; and
        the `gain` in AUPRC over it, paired by protein.
    """
    return {
        ion: {
            **_counts(residues),
            **_areas(residues),
            **_intervals(residues, baseline.get(ion), draws=draws, seed=seed, level=level),
            "folds": _over_folds(residues),
            **_at_threshold(residues, method),
        }
        for ion, residues in scored.items()
    }


def summary_table(summary: Mapping[str, Mapping[str, Any]]) -> str:
    """The summary as an aligned table; "-" is what is not defined."""
    rows = [_HEADER, *(_row(ion, entry) for ion, entry in summary.items())]
    lines = aligned(rows)
    lines.insert(1, "-" * len(lines[0]))
    levels = [exact_percent(entry["auprc"]["level"]) for entry in summary.values()]
    notes = [
        *[f"interval: {level}, studentised, of AUPRC by protein" for level in levels[:1]],
        "baseline: AUPRC of the residue's letter alone; a random order has the base rate",
        "* threshold of a fold chosen on the other folds; -: not defined",
        *few_proteins({ion: entry["proteins"] for ion, entry in summary.items()}),
    ]
    return "\n".join([*lines, *notes])


def _counts(residues: ScoredResidues) -> dict[str, Any]:
    codes, proteins = protein_codes(residues.proteins)
    positive = np.asarray(residues.labels) == 1
    count, sites = len(codes), int(positive.sum())
    return {
        "proteins": proteins,
        "proteins_with_positives": len(np.unique(codes[positive])),
        "residues": count,
        "positives": sites,
        "base_rate": sites / count if count else None,
    }


def _areas(residues: ScoredResidues) -> dict[str, float | None]:
    ranking = sort(residues.labels, residues.probabilities).ranking()
    raw = high_recall_area(ranking)
    return {
        "auroc": defined(area_under_roc(ranking)),
        "hra": defined(raw / MOST_HIGH_RECALL_AREA),
        "hra_raw": defined(raw),
    }


def _intervals(
    residues: ScoredResidues, baseline: ArrayLike | None, *, draws: int, seed: int, level: float
) -> dict[str, Any]:
    labels, model, proteins = residues.labels, residues.probabilities, residues.proteins
    options: dict[str, Any] = {"draws": draws, "seed": seed, "level": level}
    if baseline is None:
        nothing = Interval(math.nan, math.nan, math.nan, 0)
        compared = Compared(interval("auprc", labels, model, proteins, **options), nothing, nothing)
    else:
        compared = paired_interval("auprc", labels, model, baseline, proteins, **options)
    first, second, difference = (_plain(each, level) for each in compared)
    return {"auprc": first, "baseline": {"auprc": second}, "gain": {"auprc": difference}}


def _plain(bounds: Interval, level: float) -> dict[str, Any]:
    ends = {name: defined(getattr(bounds, name)) for name in ("value", "low", "high")}
    return {**ends, "level": level, "draws": bounds.draws}


def _over_folds(residues: ScoredResidues) -> dict[str, Any]:
    folds = np.unique(residues.folds)
    auprc, hra = [], []
    for fold in folds:
        inside = residues.folds == fold
        ranking = sort(residues.labels[inside], residues.probabilities[inside]).ranking()
        auprc.append(average_precision(ranking))
        hra.append(high_recall_area(ranking) / MOST_HIGH_RECALL_AREA)
    return {"count": len(folds), "auprc": _spread(auprc), "hra": _spread(hra)}


def _spread(values: Sequence[float]) -> dict[str, Any]:
    numbers = [value for value in values if not math.isnan(value)]
    if not numbers:
        return {"mean": None, "std": None, "defined": 0}
    return {
        "mean": float(np.mean(numbers)),
        "std": float(np.std(numbers)),
        "defined": len(numbers),
    }


def _at_threshold(residues: ScoredResidues, method: Method) -> dict[str, Any]:
    entry = ion_thresholds(residues, method)
    return {
        "threshold_method": method,
        "threshold": entry["threshold"],
        "at_threshold": {name: entry[name] for name in FIGURES},
        "cross_fitted": entry["cross_fitted"],
    }


def _row(ion: str, entry: Mapping[str, Any]) -> tuple[str, ...]:
    auprc, judged = entry["auprc"], entry["cross_fitted"]
    ends = f"{_number(auprc['low'])} to {_number(auprc['high'])}" if auprc["low"] is not None else "-"
    return (
        ion,
        *(f"{entry[name]:,}" for name in ("proteins", "residues", "positives")),
        _number(entry["base_rate"], digits=4),
        _number(auprc["value"]),
        ends,
        *(_number(value) for value in (entry["baseline"]["auprc"]["value"], entry["auroc"], entry["hra"])),
        *(_number(judged[name]) for name in ("f1", "mcc")),
    )


def _number(value: float | None, *, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
