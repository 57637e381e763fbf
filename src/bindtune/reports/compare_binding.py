"""Compare binding runs: out-of-fold predictions of the same residues in the same folds."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bindtune.data.protein.residue_contacts import Linking, read_linking
from bindtune.data.protein.site_rules import STANDARD_RULES, SiteRules
from bindtune.errors import InputError
from bindtune.evaluation.binding_sites import Site, SitePair, definition, find_sites, pair_sites
from bindtune.evaluation.bootstrap import paired_interval
from bindtune.evaluation.figure_text import few_proteins
from bindtune.evaluation.ranking import AREAS, sort
from bindtune.evaluation.thresholds import read_thresholds
from bindtune.evaluation.wilcoxon import wilcoxon_by_protein
from bindtune.reports.compared_runs import Comparison, Difference, Run, RunFigures, same_inputs
from bindtune.reports.run_proteins import run_proteins
from bindtune.runs.names import FOLDS, OUT_OF_FOLD, THRESHOLDS
from bindtune.runs.out_of_fold import OutOfFold, read_out_of_fold
from bindtune.runs.reading import read_csv

_FIGURES: dict[Literal["auprc", "auroc", "hra"], str] = {"auprc": "AUPRC", "auroc": "AUROC", "hra": "HRA"}


class Residues(NamedTuple):
    """R residues of one ion, by protein and position.

    Args:
        protein: (R,), names.
        position: (R,), from 1.
        fold: (R,).
        label: (R,).
        probability: (R,).
    """

    protein: NDArray[np.str_]
    position: NDArray[np.integer]
    fold: NDArray[np.integer]
    label: NDArray[np.int8]
    probability: NDArray[np.floating]


def compare(runs: Sequence[Run], *, draws: int, seed: int, rules: SiteRules = STANDARD_RULES) -> Comparison:
    """Compare the figures of runs with those of the first run, ion by ion.

    Args:
        runs: the first is the reference.
        draws: bootstrap draws.
        seed: of the draws.
        rules: how residues are linked into sites.

    Raises:
        InputError: a run is not merged, or has other data, folds or residues than the first.
    """
    reference, *others = runs
    tables = [_predictions(reference)]
    for later_run in others:
        tables.append(_predictions(later_run))
        _same_data(reference, later_run)
    ions = _shared_ions(runs, tables)
    proteins = run_proteins(tables[0], reference.folder)
    linking = read_linking(rules, dict(zip(proteins.names, proteins.sequences, strict=True)))
    thresholds = {run.name: run_thresholds(run.folder) for run in runs}
    rows, sites, counts = list[Difference](), dict[str, dict[str, SitePair]](), dict[str, int]()
    for ion in ions:
        base = _sorted(tables[0], ion)
        counts[ion] = len(np.unique(base.protein))
        base_sites = _sites(base, thresholds[reference.name].get(ion), linking)
        for run, table in zip(others, tables[1:], strict=True):
            residues = _sorted(table, ion)
            _same_residues(reference, run, base, residues, ion=ion)
            rows += _differences(ion, run.name, base, residues, draws=draws, seed=seed)
            own_sites = _sites(residues, thresholds[run.name].get(ion), linking)
            if own_sites is not None and base_sites is not None:
                sites.setdefault(run.name, {})[ion] = pair_sites(own_sites, base_sites)
    alone = {run.name: [ion for ion in table.ions if ion not in ions] for run, table in zip(runs, tables, strict=True)}
    doubts = [f"{name} also has {', '.join(left)}, which not all runs have." for name, left in alone.items() if left]
    return Comparison(
        unit="proteins",
        heads=("ion", "base rate"),
        digits=3,
        rows=tuple(rows),
        scope="Out-of-fold predictions of the same labelled residues, each protein held out in the same fold in all "
        "runs. A random order of residues has the base rate as its AUPRC.",
        about=(("folds", tuple(str(len(np.unique(table.fold))) for table in tables)),),
        doubts=(*doubts, *few_proteins(counts)),
        sites=sites,
        site_definition=definition(linking),
    )


def _sites(residues: Residues, threshold: float | None, linking: Linking) -> list[Site] | None:
    """The sites at a threshold; None without one. Probabilities have single precision, as in the run."""
    if threshold is None:
        return None
    called = residues.probability >= threshold
    return find_sites(residues.protein, residues.position - 1, residues.label, called, linking=linking)


def run_thresholds(run: Path) -> dict[str, float]:
    """The threshold of each ion of a run; none if its folds are not merged.

    Raises:
        InputError: the file of thresholds is damaged.
    """
    path = run / THRESHOLDS
    entries = read_thresholds(path) if path.is_file() else {}
    return {ion: float(entry["threshold"]) for ion, entry in entries.items() if entry.get("threshold") is not None}


def figures(runs: Sequence[Run]) -> RunFigures:
    """Figures of each run on the same residues; folds may differ from run to run.

    Raises:
        InputError: a run is not merged, or has other labels or residues than the first.
    """
    reference = runs[0]
    tables = []
    for run in runs:
        tables.append(_predictions(run))
        _same_labels(reference, run)
    ions = _shared_ions(runs, tables)
    values: dict[tuple[str, str], list[float]] = {}
    against = {}
    for ion in ions:
        base = _sorted(tables[0], ion)
        against[ion] = f"{base.label.mean():.4f}" if len(base.label) else "-"
        for run, table in zip(runs, tables, strict=True):
            residues = _sorted(table, ion)
            _same_residues(reference, run, base, residues, ion=ion, with_folds=False)
            ranking = sort(residues.label, residues.probability).ranking()
            for statistic, shown in _FIGURES.items():
                values.setdefault((ion, shown), []).append(AREAS[statistic](ranking))
    folds = [_folds(run) for run in runs]
    doubts = (
        ()
        if all(each == folds[0] for each in folds)
        else ("Folds differ between runs, so differences between seeds come from folds, too.",)
    )
    proteins = tables[0].count_proteins()
    return RunFigures(
        values=values,
        against=against,
        heads=("ion", "base rate"),
        digits=3,
        scope=f"Out-of-fold predictions of the same labelled residues of {proteins:,} proteins. A random order of "
        "residues has the base rate as its AUPRC.",
        held_fixed=f"the {proteins:,} proteins",
        doubts=doubts,
    )


def _predictions(run: Run) -> OutOfFold:
    # Folds that are done before the others would be a part of the residues.
    predictions = read_out_of_fold(run.folder) if (run.folder / OUT_OF_FOLD).is_file() else None
    if predictions is None:
        raise InputError(run.folder, None, "holds no oof.parquet: its folds are not done, or not merged yet")
    return predictions


def _same_labels(reference: Run, later_run: Run) -> None:
    labels = [{name for name in run.input_hashes() if name.startswith("labels of ")} for run in (reference, later_run)]
    same_inputs(reference, later_run, sorted(labels[0] & labels[1]))


def _same_data(reference: Run, later_run: Run) -> None:
    _same_labels(reference, later_run)
    first, second = (_folds(run) for run in (reference, later_run))
    moved = [name for name, fold in second.items() if first.get(name, fold) != fold]
    if moved:
        raise InputError(
            later_run.folder / FOLDS,
            None,
            f"{len(moved)} proteins are in other folds than in {reference.folder}, such as {moved[0]!r}; train with "
            f"{shlex.quote(f'data.folds={reference.folder / FOLDS}')} to compare",
        )


def _folds(run: Run) -> dict[str, str]:
    rows = read_csv(run.folder / FOLDS, ("protein", "fold"))
    if rows is None:
        raise InputError(run.folder, None, "holds no folds.csv: nothing says which proteins were held out together")
    return {row["protein"]: row["fold"] for row in rows}


def _shared_ions(runs: Sequence[Run], tables: Sequence[OutOfFold]) -> list[str]:
    shared = [ion for ion in tables[0].ions if all(ion in table.ions for table in tables)]
    if not shared:
        by_run = "; ".join(f"{run.name}: {', '.join(table.ions)}" for run, table in zip(runs, tables, strict=True))
        raise InputError(runs[-1].folder, None, f"the runs have no ion in common: {by_run}")
    order = [ion for ion in runs[0].config["training"].get("ions") or () if ion in shared]
    return [*order, *(ion for ion in shared if ion not in order)]


def _sorted(table: OutOfFold, ion: str) -> Residues:
    rows = table.of(ion)
    names = np.array(table.proteins, dtype=np.str_)
    by_name = np.empty(len(names), np.int64)
    by_name[np.argsort(names)] = np.arange(len(names))
    order = np.lexsort((rows.position, by_name[rows.protein]))
    rows = rows.take(order)
    return Residues(names[rows.protein], rows.position, rows.fold, rows.label, rows.probability)


def _same_residues(
    reference: Run, run: Run, first: Residues, second: Residues, *, ion: str, with_folds: bool = True
) -> None:
    what = "residues"
    if len(first.label) == len(second.label):
        same = {
            "residues": np.array_equal(first.protein, second.protein)
            and np.array_equal(first.position, second.position),
            "folds": not with_folds or np.array_equal(first.fold, second.fold),
            "labels": np.array_equal(first.label, second.label),
        }
        differing = [name for name, equal in same.items() if not equal]
        if not differing:
            return
        what = differing[0]
    raise InputError(
        run.folder / OUT_OF_FOLD,
        None,
        f"{ion}: other {what} than in {reference.folder} ({len(second.label):,} and {len(first.label):,} rows)",
    )


def _differences(
    ion: str, name: str, reference: Residues, residues: Residues, *, draws: int, seed: int
) -> list[Difference]:
    labels, proteins = reference.label, reference.protein
    scores = (residues.probability, reference.probability)
    base_rate = f"{labels.mean():.4f}" if len(labels) else "-"
    return [
        Difference(
            pool=ion,
            figure=shown,
            against=base_rate,
            run=name,
            compared=paired_interval(figure, labels, *scores, proteins, draws=draws, seed=seed),
            test=wilcoxon_by_protein(figure, labels, *scores, proteins),
        )
        for figure, shown in _FIGURES.items()
    ]
