"""Choose the threshold from which a residue is called, on out-of-fold predictions, and test it by cross-fitting."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bindtune.errors import InputError
from bindtune.evaluation import confusion
from bindtune.evaluation.metrics import call_figures
from bindtune.evaluation.ranking import Ranking, Sorted, sort
from bindtune.evaluation.scored_residues import ScoredResidues
from bindtune.yaml_json import checked_number, read_document

Method = Literal["youden", "f1", "mcc"]
METHODS: tuple[Method, ...] = get_args(Method)
FIGURES = tuple(confusion.FIGURES)
# What rounding makes of equal fractions.
_SAME = 1e-12
_QUALITIES = {"youden": confusion.youden, "f1": confusion.f1, "mcc": confusion.mcc}


def choose_threshold(labels: ArrayLike, probabilities: ArrayLike, method: Method) -> float:
    """The threshold at which Youden's J, F1 or MCC is highest, over every distinct probability.

    Among equals the highest threshold wins, which calls the fewest residues. It lies midway between the lowest
    probability that is called and the highest that is not (0 where all are called), and is a number that 32 bits hold,
    so that calls are the same in single and double precision.

    Args:
        labels: (R,), 1 binds, 0 does not.
        probabilities: (R,).
        method: what is to be highest.

    Returns:
        The threshold; called is what has at least this probability. nan unless both classes are there.

    Raises:
        ValueError: the method is unknown, or as in `residue_metrics`.
    """
    return _best(sort(labels, probabilities).ranking(), method)


def cross_fitted(labels: ArrayLike, probabilities: ArrayLike, folds: ArrayLike, method: Method) -> dict[str, float]:
    """F1, MCC, precision and recall of calls; the threshold of a fold is chosen without this fold.

    Each fold's threshold is chosen on the other folds; the figures are those of all folds' calls together.

    Args:
        labels: (R,), 1 binds, 0 does not.
        probabilities: (R,), out of fold.
        folds: (R,), the fold of each residue.
        method: see `choose_threshold`.

    Returns:
        The figures by name; all nan where a fold's threshold cannot be chosen, as with one fold only.
    """
    calls = cross_fitted_calls(sort(labels, probabilities), np.asarray(folds), method)
    if calls is None:
        return dict.fromkeys(FIGURES, math.nan)
    figures = call_figures(labels, calls)._asdict()
    return {name: figures[name] for name in FIGURES}


def cross_fitted_calls(ordered: Sorted, folds: NDArray[Any], method: Method) -> NDArray[np.bool_] | None:
    """The calls (R,) that `cross_fitted` judges, in the residues' own order, or None where they are not defined."""
    if folds.shape != ordered.order.shape:
        raise ValueError(f"folds must be given for each of {len(ordered.order)} residues, not {folds.shape}")
    calls = np.zeros(len(folds), bool)
    for fold in np.unique(folds):
        threshold = _best(ordered.part(folds != fold).ranking(), method)
        if math.isnan(threshold):
            return None
        calls[ordered.order] |= (ordered.scores >= threshold) & (folds[ordered.order] == fold)
    return calls if len(folds) else None


def global_thresholds(scored: Mapping[str, ScoredResidues], *, method: Method, computed_from: str) -> dict[str, Any]:
    """Content of `global_thresholds.yaml`: a threshold for each ion, chosen on all folds' residues together.

    Args:
        scored: out-of-fold residues by ion.
        method: the threshold to use; those of the other methods are listed beside it.
        computed_from: name of the table that the residues come from.

    Returns:
        Plain Python values; None where a figure is not defined. `f1` and its neighbours are those of the residues that
        chose the threshold, so they are too high; those in `cross_fitted` are not.
    """
    thresholds = {ion: ion_thresholds(residues, method) for ion, residues in scored.items()}
    return {"threshold_method": method, "computed_from": computed_from, "thresholds": thresholds}


def read_thresholds(path: Path) -> dict[str, dict[str, Any]]:
    """What `global_thresholds` wrote for each ion, with "method" beside it: figures are numbers or None.

    Raises:
        InputError: the file is damaged, or a threshold or a figure is no number that it can be.
    """
    content = read_document(path)
    entries = content.get("thresholds") if isinstance(content, dict) else None
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise InputError(path, None, "no thresholds of a run: 'thresholds' does not hold a mapping for each ion")
    method = str(content.get("threshold_method"))
    return {str(ion): {**_checked_entry(path, str(ion), entry), "method": method} for ion, entry in entries.items()}


def _checked_entry(path: Path, ion: str, entry: dict[str, Any]) -> dict[str, Any]:
    judged = entry.get("cross_fitted")
    if judged is not None and not isinstance(judged, dict):
        raise InputError(path, None, f"thresholds.{ion}.cross_fitted: expected figures, found {judged!r}")
    figures = {name: entry.get(name) for name in ("threshold", *FIGURES)}
    figures |= {f"cross_fitted.{name}": (judged or {}).get(name) for name in FIGURES}
    for name, value in figures.items():
        if value is not None:
            low = -1 if name.endswith("mcc") else 0
            checked_number(path, f"thresholds.{ion}.{name}", value, low=low, high=1)
    return {**entry, "cross_fitted": judged or {}}


def defined(value: float) -> float | None:
    """A figure as a plain float, None for nan: what YAML and JSON have for "not defined"."""
    return None if math.isnan(value) else float(value)


def ion_thresholds(residues: ScoredResidues, method: Method) -> dict[str, Any]:
    """The entry of one ion in `global_thresholds`."""
    ranking = sort(residues.labels, residues.probabilities).ranking()
    methods = {each: _best(ranking, each) for each in METHODS}
    threshold = methods[method]
    figures: Mapping[str, float] = dict.fromkeys(FIGURES, math.nan)
    if not math.isnan(threshold):
        called = np.asarray(residues.probabilities, np.float64) >= threshold
        figures = call_figures(residues.labels, called)._asdict()
    judged = cross_fitted(residues.labels, residues.probabilities, residues.folds, method)
    count = len(residues.labels)
    return {
        "threshold": defined(threshold),
        **{name: defined(figures[name]) for name in ("f1", "mcc", "recall", "precision")},
        "num_samples": count,
        "pos_ratio": ranking.positives / count if count else None,
        "cross_fitted": {name: defined(value) for name, value in judged.items()},
        "methods": {each: defined(value) for each, value in methods.items()},
    }


def _best(ranking: Ranking, method: Method) -> float:
    if method not in _QUALITIES:
        raise ValueError(f"threshold method must be one of {', '.join(METHODS)}, not {method!r}")
    sites, others = ranking.positives, ranking.negatives
    if not sites or not others:
        return math.nan
    quality = _QUALITIES[method](ranking.true_positives, ranking.false_positives, positives=sites, negatives=others)
    best = int(np.argmax(quality >= quality.max() - _SAME))
    called = float(ranking.scores[best])
    below = float(ranking.scores[best + 1]) if best + 1 < len(ranking.scores) else min(0.0, called)
    midway = float(np.float32((called + below) / 2))
    return midway if below < midway <= called else called
