"""The report of a binding run: figures by ion and fold, curves, thresholds, folds and leaks, proteins."""

import math
from pathlib import Path
from typing import Any

from bindtune.errors import InputError
from bindtune.evaluation.figure_text import UNDEFINED, number
from bindtune.evaluation.summary import read_summary
from bindtune.evaluation.thresholds import read_thresholds
from bindtune.reports.page import Block, Notice, Page, Preformatted, Section, Table, Text, Tile
from bindtune.reports.report_calls import calls_section
from bindtune.reports.report_folds import folds_section, read_partition
from bindtune.reports.report_ions import FEW, IonResults, curves_section, ion_results, results_section
from bindtune.reports.report_learning import Row, last_epoch, learning_section, read_metrics
from bindtune.reports.report_run import FOOTER, inputs_section, provenance, settings_section, started, version
from bindtune.reports.report_sites import examples_section
from bindtune.reports.run_settings import training_words, weights_words
from bindtune.runs.names import CONFIG, NOTICE, OUT_OF_FOLD, PROVENANCE, SUMMARY, THRESHOLDS
from bindtune.runs.out_of_fold import OutOfFold, read_out_of_fold
from bindtune.runs.reading import as_number, read_text
from bindtune.yaml_json import checked_number


def build(run: Path, config: dict[str, Any], structures: Path | None = None) -> Page:
    """The page of a binding run; some of its folds may be missing.

    Args:
        run: the run folder.
        config: what its config.yaml holds.
        structures: a structure file or a folder of them, called like proteins of the run.

    Raises:
        InputError: a file in the folder is damaged.
    """
    origin = provenance(run)
    training = config["training"]
    predictions = read_out_of_fold(run)
    rows = read_metrics(run)
    ions = _ions(run, training, predictions)
    chosen = read_thresholds(run / THRESHOLDS) if (run / THRESHOLDS).exists() else {}
    thresholds = {ion: as_number(entry.get("threshold")) for ion, entry in chosen.items()}
    done = [] if predictions is None else predictions.fold_numbers()
    planned = _planned(run, training)
    partition = read_partition(run, predictions)
    notices = _notices(run, done, planned, rows, complete=(run / OUT_OF_FOLD).is_file())
    results = ion_results(predictions, ions, thresholds, read_summary(run / SUMMARY))
    sites_sections: tuple[Section, ...] = (
        results_section(results, config),
        curves_section(predictions, ions, thresholds),
        _thresholds_section(chosen, ions),
        *calls_section(predictions, ions, thresholds),
        examples_section(predictions, ions, thresholds, structures),
    )
    if not ions:  # a language model of proteins has no sites
        sites_sections = ()
    return Page(
        title=run.resolve().name,
        kind="report of a binding-site run" if ions else "report of a language-model run",
        lead=_lead(config, predictions, ions),
        facts=(
            ("Status", "finished" if (run / OUT_OF_FOLD).is_file() else "not finished"),
            ("Started", started(origin)),
            *((("Folds done", f"{len(done)} of {planned}"), ("Ions", ", ".join(ions))) if ions else ()),
            ("bindtune", version(origin)),
        ),
        tiles=_tiles(results),
        notices=(*partition.doubts, *notices),
        sections=(
            *sites_sections,
            learning_section(rows, ions, config),
            folds_section(partition, predictions, ions, config),
            inputs_section(origin, _data(predictions, ions)),
            settings_section(config),
            _notice_section(run, config),
        ),
        footer=FOOTER,
    )


def _ions(run: Path, training: dict[str, Any], predictions: OutOfFold | None) -> tuple[str, ...]:
    named = training.get("ions") or ()
    if not isinstance(named, list | tuple) or not all(isinstance(ion, str) for ion in named):
        raise InputError(run / CONFIG, None, "training.ions is not a list of names")
    others = () if predictions is None else predictions.ions
    return tuple(dict.fromkeys((*named, *others)))


def _planned(run: Path, training: dict[str, Any]) -> int:
    """Folds to score; none if no ion is learned."""
    if not training.get("ions"):
        return 0
    return int(checked_number(run / CONFIG, "training.num_folds", training.get("num_folds"), low=1, high=1000))


def _lead(config: dict[str, Any], predictions: OutOfFold | None, ions: tuple[str, ...]) -> str:
    model = config.get("model")
    name = Path(str(model.get("checkpoint"))).name if isinstance(model, dict) else "a protein encoder"
    how = training_words(config)
    if not ions:
        return f"{name} {how} as a language model of proteins, without labels."
    what = f"{name} {how} to mark the residues that bind {_joined(ions)}"
    if predictions is None:
        return f"{what}."
    return f"{what}, cross-validated on {len(predictions.proteins)} proteins."


def _joined(names: tuple[str, ...]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _notices(run: Path, done: list[int], planned: int, rows: list[Row], *, complete: bool) -> tuple[str, ...]:
    lines = []
    if not planned:
        lines.append("The run had no ions: it adapts the language model alone, and there are no sites to score.")
    waiting = [fold for fold in range(1, planned + 1) if fold not in done]
    if waiting:
        state = ", ".join(f"fold {fold} ({_progress(rows, fold)})" for fold in waiting)
        lines.append(f"{len(done)} of {planned} folds are done; not done: {state}. Figures are of the folds that are.")
    elif planned and not complete:
        lines.append("All folds are done but not merged yet: oof.parquet is missing, and figures come from the folds.")
    if not (run / PROVENANCE).is_file():
        lines.append("provenance.json is missing: what the run was made from is not known.")
    return tuple(lines)


def _progress(rows: list[Row], fold: int) -> str:
    epoch = last_epoch(rows, fold)
    return f"after epoch {epoch}" if epoch else "not started"


def _tiles(results: dict[str, IonResults]) -> tuple[Tile, ...]:
    tiles = []
    for ion, result in results.items():
        if result.whole is None or math.isnan(result.whole.metrics.auprc):
            tiles.append(Tile(f"{ion}: AUPRC", UNDEFINED, "not defined"))
            continue
        whole = result.whole
        ends = [number(end) for end in whole.auprc_range]
        lines = [
            f"95 % interval {ends[0]} to {ends[1]}" if UNDEFINED not in ends else "no interval",
            f"letters alone {number(whole.baseline)}, random order {number(whole.metrics.base_rate)}",
            f"{whole.sites:,} sites in {whole.proteins:,} proteins" + (": few" if whole.sites < FEW else ""),
        ]
        tiles.append(Tile(f"{ion}: AUPRC", number(whole.metrics.auprc), "\n".join(lines).replace(" %", "\u00a0%")))
    return tuple(tiles)


def _thresholds_section(chosen: dict[str, dict[str, Any]], ions: tuple[str, ...]) -> Section:
    if not chosen:
        missing = Notice(
            f"{THRESHOLDS} is missing: thresholds are chosen when the folds are merged. Nothing is called yet."
        )
        return Section("thresholds", "Thresholds", (missing,))
    rows = []
    for ion in ions:
        entry = chosen.get(ion, {})
        honest = entry.get("cross_fitted", {})
        names = ("f1", "mcc", "precision", "recall")
        same = [number(as_number(entry.get(name))) for name in names]
        fitted = [number(as_number(honest.get(name))) for name in names]
        threshold = as_number(entry.get("threshold"))
        shown = "not defined" if math.isnan(threshold) else number(threshold, 4)
        sites = as_number(entry.get("num_samples")) * as_number(entry.get("pos_ratio"))
        rows.append((ion, str(entry.get("method", UNDEFINED)), shown, number(sites, 0), *fitted, *same[:2]))
    heads = (
        "Ion", "Chosen by", "Threshold", "Sites", "F1", "MCC", "Precision", "Recall", "F1, same data", "MCC, same data",
    )  # fmt: skip
    text = Text(
        "A residue is called where its probability reaches the ion's threshold. The figures are cross-fitted: for each "
        "fold the threshold is chosen on the other folds. The last two columns score a threshold on the data that "
        "chose it, as is often done, so they are too high."
    )
    table = Table("Threshold of each ion", heads, tuple(rows), numeric=frozenset(range(2, 10)))
    return Section("thresholds", "Thresholds", (text, table))


def _data(predictions: OutOfFold | None, ions: tuple[str, ...]) -> tuple[Block, ...]:
    if predictions is None:
        return ()
    rows = []
    for ion in ions:
        residues = predictions.of(ion)
        with_sites = residues.take(residues.label == 1).count_proteins()
        counts = (residues.count_proteins(), with_sites, len(residues), int(residues.label.sum()))
        rows.append((ion, *(f"{count:,}" for count in counts)))
    heads = ("Ion", "Proteins with labels", "with sites", "Labelled residues", "Sites")
    return (Table("Labelled data", heads, tuple(rows), numeric=frozenset(range(1, 5))),)


def _notice_section(run: Path, config: dict[str, Any]) -> Section:
    text = read_text(run / NOTICE)
    blocks: tuple[Block, ...] = (Notice("NOTICE is missing from the run folder."),)
    if text is not None:
        blocks = (
            Text(f"The {weights_words(config)} and predictions of this run derive from the backbone's weights."),
            Preformatted(text.strip()),
        )
    return Section("notice", "Licence notice", blocks)
