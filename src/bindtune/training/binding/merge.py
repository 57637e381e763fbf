"""Join the folds of a run into out-of-fold predictions, thresholds and a summary; only the run folder is read."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bindtune.config import BindingConfig, load_binding
from bindtune.data.protein.alignments import AlignmentCounts
from bindtune.errors import InputError
from bindtune.evaluation.residue_baseline import out_of_fold_residues
from bindtune.evaluation.scored_residues import ScoredResidues, by_ion
from bindtune.evaluation.summary import out_of_fold_summary, summary_table
from bindtune.evaluation.thresholds import METHODS, global_thresholds
from bindtune.reports.binding_figures import calibration_figure, threshold_figure
from bindtune.reports.card_binding import write_run_card
from bindtune.reports.png_charts import save_png
from bindtune.runs.exclusive import taking_turns
from bindtune.runs.kinds import require_run
from bindtune.runs.names import (
    CONFIG,
    FOLDS,
    HISTORY,
    METRICS,
    OUT_OF_FOLD,
    OUT_OF_FOLD_ARRAYS,
    PLOTS,
    PROVENANCE,
    SUMMARY,
    THRESHOLDS,
    calibration_plot,
    fold_folder,
    threshold_plot,
)
from bindtune.runs.reading import read_csv
from bindtune.runs.writing import atomic_stream, sweep, write_text
from bindtune.training.binding import fold_files
from bindtune.yaml_json import read_json, write_document

_DRAWS = 500


def merge_folds(run: Path) -> str:
    """Join the folds of a run folder, and return the table of results.

    Raises:
        ConfigError: the folder holds a pretraining run.
        InputError: the folder holds no run, a fold is not done, or the folds do not hold every labelled protein
            exactly once.
    """
    require_run(run, "binding", "merge")
    config = load_binding(run / CONFIG)
    numbers = range(1, config.training.num_folds + 1) if config.training.ions else [1]
    folders = [fold_folder(run, number) for number in numbers]
    missing = [folder.name for folder in folders if not (folder / OUT_OF_FOLD).is_file()]
    if missing:
        raise InputError(run, None, f"folds that are not done: {', '.join(missing)}")
    with taking_turns(run):  # folds that are trained apart may end at the same moment
        return _merge_folds(run, folders, config)


def _merge_folds(run: Path, folders: list[Path], config: BindingConfig) -> str:
    for folder in (run, run / PLOTS):
        sweep(folder)
    _join_metrics([folder / HISTORY for folder in folders], run / METRICS)
    if not config.training.ions:
        write_run_card(run)
        return f"the language model is adapted: {folders[0]}"
    table = pa.concat_tables([fold_files.read_out_of_fold(folder / OUT_OF_FOLD) for folder in folders])
    _check_complete(table, run)
    with atomic_stream(run / OUT_OF_FOLD) as stream:
        pq.write_table(table, stream)
    _write_arrays(table, run / OUT_OF_FOLD_ARRAYS)
    return _summarise(table, config, run)


def _join_metrics(parts: list[Path], target: Path) -> None:
    lines = [part.read_text(encoding="utf-8").splitlines(keepends=True) for part in parts]
    write_text(target, "".join([*lines[0][:1], *(line for part in lines for line in part[1:])]))


def _check_complete(table: pa.Table, run: Path) -> None:
    """Check that each labelled protein is predicted once for each of its ions, in the fold that folds.csv gives.

    An old folds.csv has no column `ions`. Then missing proteins cannot be noticed.
    """
    rows = table.group_by(["protein", "ion", "position"]).aggregate([("fold", "count")])
    twice = rows.filter(pc.greater(rows["fold_count"], 1))
    if len(twice):
        first = twice.slice(0, 1).to_pylist()[0]
        residue = f"{first['protein']} residue {first['position']} for {first['ion']}"
        raise InputError(run / OUT_OF_FOLD, None, f"{len(twice)} residues were predicted twice, such as {residue}")
    fold_rows = read_csv(run / FOLDS, ("protein", "fold"))
    if fold_rows is None:
        raise InputError(run / FOLDS, None, "is missing; it says which fold held out each protein")
    held_out = table.group_by(["protein", "ion", "fold"]).aggregate([])
    fold = {row["protein"]: row["fold"] for row in fold_rows}
    predicted = {(row["protein"], row["ion"], str(row["fold"])) for row in held_out.to_pylist()}
    wrong = sorted(name for name, _, number in predicted if fold.get(name) != number)
    if wrong:
        raise InputError(run / OUT_OF_FOLD, None, f"{wrong[0]!r} was held out in another fold than folds.csv says")
    expected = {(row["protein"], ion, row["fold"]) for row in fold_rows for ion in row.get("ions", "").split()}
    missing = sorted(expected - predicted)
    if missing:
        name, ion, number = missing[0]
        raise InputError(
            fold_folder(run, int(number)) / OUT_OF_FOLD,
            None,
            f"lacks {name!r} for {ion}, one of {len(missing)} that are missing; expected every protein of the fold for "
            "the ions that folds.csv gives it",
        )


def _write_arrays(table: pa.Table, path: Path) -> None:
    """`oof_preds.npz`: ids protein:position, labels, probs, folds, ions, and position_base, the first residue's number.

    No pickled objects.
    """
    proteins = np.array(table["protein"].to_pylist(), dtype=np.str_)
    positions = (table["position"].to_numpy() - 1).astype(np.str_)
    with atomic_stream(path) as stream:
        np.savez_compressed(
            stream,
            ids=np.char.add(np.char.add(proteins, ":"), positions),
            labels=table["label"].to_numpy(),
            probs=table["probability"].to_numpy(),
            folds=table["fold"].to_numpy(),
            ions=np.array(table["ion"].to_pylist(), dtype=np.str_),
            position_base=np.array(0),
        )


def _summarise(table: pa.Table, config: BindingConfig, run: Path) -> str:
    ions, method = config.training.ions, config.training.threshold_method
    columns = {name: _column(table, name) for name in ("protein", "ion", "label", "probability", "fold")}
    scored = by_ion(ions, **columns)
    letters = _column(table, "residue")
    baseline = {
        ion: out_of_fold_residues(letters[own], columns["label"][own], columns["fold"][own])
        for ion, own in ((ion, columns["ion"] == ion) for ion in ions)
    }
    summary = out_of_fold_summary(scored, baseline=baseline, method=method, draws=_DRAWS, seed=config.training.seed)
    thresholds = global_thresholds(scored, method=method, computed_from=OUT_OF_FOLD)
    write_text(run / THRESHOLDS, write_document(thresholds))
    aligned = _aligned(run / PROVENANCE)
    counted = {} if aligned is None else {"alignments": asdict(aligned)}
    write_text(run / SUMMARY, write_document({"out_of_fold": summary, **counted}))
    for ion, residues in scored.items():
        _draw(ion, residues, thresholds["thresholds"][ion]["methods"], run / PLOTS)
    write_run_card(run)
    return summary_table(summary) + ("" if aligned is None else f"\n{aligned}")


def _aligned(path: Path) -> AlignmentCounts | None:
    """Counts of proteins with homologs; None if the run read no alignments or has no counts."""
    if not path.is_file():
        return None
    try:
        counts = read_json(path).get("alignments")
        return None if counts is None else AlignmentCounts(**counts)
    except (AttributeError, TypeError) as error:
        raise InputError(path, None, "is damaged") from error


def _column(table: pa.Table, name: str) -> NDArray[Any]:
    column = table[name]
    if pa.types.is_string(column.type):
        return np.array(column.to_pylist(), dtype=np.str_)
    values: NDArray[Any] = column.to_numpy()
    return values


def _draw(ion: str, residues: ScoredResidues, methods: Mapping[str, float | None], folder: Path) -> None:
    if not np.any(residues.labels == 1) or np.all(residues.labels == 1):
        return
    thresholds = {str(name): value for name in METHODS if (value := methods.get(name)) is not None}
    title = f"{ion}, out of fold"
    figure = threshold_figure(residues.labels, residues.probabilities, thresholds=thresholds, title=title)
    save_png(figure, folder / threshold_plot(ion))
    calibration = calibration_figure(residues.labels, {"as trained": residues.probabilities}, title=title)
    save_png(calibration, folder / calibration_plot(ion))
