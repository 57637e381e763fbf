"""Compare probes: out-of-fold scores of the same windows in the same folds."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bindtune.errors import InputError
from bindtune.evaluation.cross_validated import cross_validated_comparison
from bindtune.evaluation.ranking import AREAS, sort
from bindtune.evaluation.wilcoxon import wilcoxon_by_protein
from bindtune.reports.compared_runs import Comparison, Difference, Run, RunFigures
from bindtune.runs.names import PREDICTIONS, PROBE_WINDOWS
from bindtune.runs.parquet import read_parquet

_FIGURES: dict[Literal["auroc", "auprc"], str] = {"auroc": "AUROC", "auprc": "AUPRC"}
_Key = tuple[str, str, str]
"""Data set, arm, model."""


class Scores(NamedTuple):
    """Out-of-fold scores of one model, by window.

    Args:
        window: (N,) names, sorted.
        label: (N,).
        fold: (N,).
        score: (N,).
    """

    window: NDArray[Any]
    label: NDArray[np.int8]
    fold: NDArray[np.integer]
    score: NDArray[np.float64]


def compare(runs: Sequence[Run], *, draws: int, seed: int) -> Comparison:
    """Compare the figures of probes with those of the first probe, model by model.

    Raises:
        InputError: a probe is not finished, or has other windows than the first.
    """
    reference, *others = runs
    tables = [_scores(run) for run in runs]
    groups = _groups(reference)
    shared = [key for key in tables[0] if all(key in table for table in tables)]
    if not shared:
        raise InputError(others[-1].folder, None, f"has no data set, arm and model in common with {reference.folder}")
    rows = []
    for key in shared:
        base = tables[0][key]
        own_groups = np.array([groups[key[:2]][window] for window in base.window.tolist()])
        for run, table in zip(others, tables[1:], strict=True):
            _same_windows(reference, run, base, table[key], key=key)
            rows += _differences(key, run.name, base, table[key], own_groups, draws=draws, seed=seed)
    alone = {
        run.name: [" / ".join(key) for key in table if key not in shared]
        for run, table in zip(runs, tables, strict=True)
    }
    return Comparison(
        unit="groups of windows",
        heads=("data set / arm / model", "base rate"),
        digits=3,
        rows=tuple(rows),
        scope="Out-of-fold scores of the same windows in the same folds. A random order has an AUROC of 0.5 and the "
        "base rate as its AUPRC.",
        about=(("models", tuple(", ".join(dict.fromkeys(key[2] for key in table)) for table in tables)),),
        doubts=tuple(
            f"{name} also has {', '.join(left)}, which not all probes have." for name, left in alone.items() if left
        ),
    )


def figures(runs: Sequence[Run]) -> RunFigures:
    """Figures of each probe, model by model; folds may differ from probe to probe.

    Raises:
        InputError: a probe is not finished, or has other windows than the first.
    """
    reference, tables = runs[0], [_scores(run) for run in runs]
    shared = [key for key in tables[0] if all(key in table for table in tables)]
    if not shared:
        raise InputError(runs[-1].folder, None, f"has no data set, arm and model in common with {reference.folder}")
    values: dict[tuple[str, str], list[float]] = {}
    against = {}
    for key in shared:
        pool, base = " / ".join(key), tables[0][key]
        against[pool] = f"{base.label.mean():.4f}"
        for run, table in zip(runs, tables, strict=True):
            _same_windows(reference, run, base, table[key], key=key, columns=("window", "label"))
            ranking = sort(table[key].label, table[key].score).ranking()
            for statistic, shown in _FIGURES.items():
                values.setdefault((pool, shown), []).append(AREAS[statistic](ranking))
    return RunFigures(
        values=values,
        against=against,
        heads=("data set / arm / model", "base rate"),
        digits=3,
        scope="Out-of-fold scores of the same windows. A random order has an AUROC of 0.5 and the base rate as its "
        "AUPRC.",
        held_fixed="the windows",
    )


def _scores(run: Run) -> dict[_Key, Scores]:
    if not (run.folder / PREDICTIONS).is_file():
        raise InputError(run.folder, None, f"holds no {PREDICTIONS}: the probe is not finished")
    table = read_parquet(run.folder / PREDICTIONS).to_pydict()
    try:
        keys = list(zip(table["dataset"], table["arm"], table["model"], strict=True))
        columns = [np.array(table[name]) for name in ("window", "label", "fold", "score")]
    except KeyError as error:
        raise InputError(run.folder / PREDICTIONS, None, f"has no column {error}") from error
    places: dict[_Key, list[int]] = {}
    for row, key in enumerate(keys):
        places.setdefault(key, []).append(row)
    scores = {}
    for key, rows in places.items():
        window, label, fold, score = (column[rows] for column in columns)
        order = np.argsort(window)
        scores[key] = Scores(window[order], label[order].astype(np.int8), fold[order], score[order])
    return scores


def _groups(run: Run) -> dict[tuple[str, str], dict[str, int]]:
    """Group of each window, by data set and arm."""
    if not (run.folder / PROBE_WINDOWS).is_file():
        raise InputError(run.folder, None, f"holds no {PROBE_WINDOWS}")
    table = read_parquet(run.folder / PROBE_WINDOWS).select(["dataset", "arm", "window", "group"]).to_pydict()
    group_of: dict[tuple[str, str], dict[str, int]] = {}
    for dataset, arm, window, group in zip(*table.values(), strict=True):
        group_of.setdefault((dataset, arm), {})[window] = group
    return group_of


def _same_windows(
    reference: Run,
    run: Run,
    first: Scores,
    second: Scores,
    *,
    key: _Key,
    columns: Sequence[str] = ("window", "label", "fold"),
) -> None:
    for name in columns:
        if not np.array_equal(getattr(first, name), getattr(second, name)):
            raise InputError(
                run.folder / PREDICTIONS,
                None,
                f"{' / '.join(key)}: other {name}s than in {reference.folder}; compared probes have the same windows, "
                "seed and folds",
            )


def _differences(
    key: _Key, name: str, reference: Scores, run_scores: Scores, groups: NDArray[Any], *, draws: int, seed: int
) -> list[Difference]:
    labels, scores = reference.label, (run_scores.score, reference.score)
    folds = len(np.unique(reference.fold))
    return [
        Difference(
            pool=" / ".join(key),
            figure=shown,
            against=f"{labels.mean():.4f}",
            run=name,
            compared=cross_validated_comparison(figure, labels, *scores, groups, folds=folds, draws=draws, seed=seed),
            test=wilcoxon_by_protein(figure, labels, *scores, groups),
        )
        for figure, shown in _FIGURES.items()
    ]
