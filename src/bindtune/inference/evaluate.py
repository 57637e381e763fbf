"""`bindtune evaluate`: figures of a run on labelled test proteins, which took no part in any choice."""

import csv
import hashlib
import io
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bindtune.config import EvaluateConfig
from bindtune.data.protein.alignments import AlignmentCounts
from bindtune.data.protein.input_files import label_files, label_sources
from bindtune.data.protein.protein_leaks import TEST, ProteinLeaks, audit_test_set, shortened
from bindtune.data.protein.proteins import Proteins, load_proteins
from bindtune.errors import CheckError, ConfigError
from bindtune.evaluation import residue_baseline
from bindtune.evaluation.figure_text import exact_percent, few_proteins
from bindtune.evaluation.test_set import MEAN, LabelledResidues, figures_table, score_test_set
from bindtune.evaluation.tool_comparison import Residues
from bindtune.inference.ensemble_scores import NamedSequence
from bindtune.inference.job import claimed, run_job
from bindtune.inference.job_inputs import ProteinSource
from bindtune.inference.ranks import launched
from bindtune.inference.site_results import site_results
from bindtune.inference.tool_results import beside_tools, tested_tools
from bindtune.inference.trained_run import TrainedRun, read_run
from bindtune.inference.training_proteins import training_proteins
from bindtune.io.labels import UNKNOWN
from bindtune.reports.binding_figures import calibration_figure, threshold_figure
from bindtune.reports.compared_tools import read_tools
from bindtune.reports.png_charts import save_png
from bindtune.runs.names import (
    AUDIT,
    PLOTS,
    PREDICTIONS,
    SUMMARY,
    TEST_ARRAYS,
    TEST_METRICS,
    calibration_plot,
    threshold_plot,
)
from bindtune.runs.prediction_table import read_predictions
from bindtune.runs.writing import atomic_stream, write_text
from bindtune.yaml_json import write_document

log = logging.getLogger(__name__)

ANY_HEAD = "any head"
"""The row of the highest probability of all heads; no ion has a name with a blank."""


class _Scored(NamedTuple):
    """Labelled residues of one ion; R of them.

    Args:
        residues: with labels, probabilities and baseline.
        ids: (R,) protein:position, 0-based.
        positions: (R,) from 0.
        spread: (R,).
    """

    residues: LabelledResidues
    ids: NDArray[np.str_]
    positions: NDArray[np.integer]
    spread: NDArray[np.float32]


def evaluate(settings: EvaluateConfig) -> str:
    """Predict the proteins of labelled test files, score the predictions and return the results as text.

    Raises:
        InputError: labels, alignments or the run folder cannot be read.
        CheckpointError: the models cannot be loaded.
        ConfigError: settings that cannot work, or an output folder with other predictions.
        CheckError: a test protein is also a training protein, and the settings do not allow it.
    """
    run = read_run(settings, command="evaluate")
    sources = tested_tools(settings)
    if settings.transfer is None:
        ions, files = _label_files(settings, run)
        run = _restricted(run, ions)
        proteins = load_proteins(files, ions=run.ions, groups=run.config.data.ion_groups)
    else:
        files, proteins = _transferred(settings, run, settings.transfer)
    inputs = read_tools(sources, proteins, run.ions)  # before anything is computed
    with launched() as processes, claimed(settings.out, processes):
        learned, odds = training_proteins(run, proteins)
        leaks = audit_test_set(learned, proteins, identity=settings.audit_identity)
        sentence = _sentence(leaks, settings.audit_identity)
        if processes.is_first:
            write_text(
                settings.out / AUDIT, json.dumps({"leaks": leaks.total, "test": leaks.as_dict()}, indent=2) + "\n"
            )
        if leaks.total and settings.leaks == "fail":
            raise CheckError(f"{sentence}; see {settings.out / AUDIT}; --leaks allow evaluates nevertheless")
        if leaks.total and processes.is_first:
            log.warning(
                "test proteins that are training proteins make the figures too high: %s; see %s",
                sentence,
                settings.out / AUDIT,
            )
        source = _source(proteins, {f"labels of {name}": path for name, path in files.items()})
        counts = run_job(settings, run, source, tsv=False, processes=processes)
        if not processes.is_first:
            return ""
        scored = _score_residues(settings.out / PREDICTIONS, proteins, odds, ions=run.ions)
        residues = _residues(scored)
        site_lines, site_counts = site_results(settings.out, residues, run.thresholds, inputs.linking)
        tools = beside_tools(settings, run, residues, proteins, learned=learned, inputs=inputs)
        if settings.transfer is not None:
            scored |= _any_head(scored)
        lines = [*_report(settings, run, scored, leaks, counts.alignments, site_counts), *site_lines]
        return "\n".join([*lines, *([] if counts.alignments is None else [str(counts.alignments)]), sentence, *tools])


def _residues(scored: Mapping[str, _Scored]) -> dict[str, Residues]:
    return {
        ion: Residues(each.residues.proteins, each.positions, each.residues.labels, each.residues.probabilities)
        for ion, each in scored.items()
    }


def _label_files(settings: EvaluateConfig, run: TrainedRun) -> tuple[tuple[str, ...], dict[str, Path]]:
    """The ions that have labels, and the labelled files of these ions or, for a group, of its members.

    Raises:
        InputError: no ion has a file, a requested ion has none, or a member of a group has none.
    """
    groups = run.config.data.ion_groups
    files = label_files(settings.fasta, ions=run.ions, groups=groups, part="test", partly=settings.ions is None)
    ions = tuple(ion for ion in run.ions if label_sources(ion, files=files, groups=groups))
    for ion in run.ions:
        if ion not in ions:
            log.warning("%s: no test file, it is not evaluated", ion)
    return ions, files


def _transferred(settings: EvaluateConfig, run: TrainedRun, ion: str) -> tuple[dict[str, Path], Proteins]:
    """The labelled files of an ion that the run was not trained on, with its labels for each head.

    Raises:
        ConfigError: the run was trained on sites of the ion.
        InputError: it has no file, or that is malformed.
    """
    groups = run.config.data.ion_groups
    learned = run.config.training.ions
    sources = [name for name in learned if name == ion or ion in groups.get(name, ()) or name in groups.get(ion, ())]
    if sources:
        raise ConfigError(f"transfer: {run.folder} was trained on sites of {ion}, as {sources[0]}: leave transfer out")
    files = label_files(settings.fasta, ions=(ion,), groups=groups, part="test")
    own = load_proteins(files, ions=(ion,), groups=groups)
    labels = tuple(np.repeat(each, len(run.ions), axis=1) for each in own.labels)
    return files, Proteins(own.names, own.sequences, run.ions, labels)


def _any_head(scored: Mapping[str, _Scored]) -> dict[str, _Scored]:
    """If there are several heads, the highest probability of all heads as one more row."""
    if len(scored) < 2:
        return {}
    every = list(scored.values())
    highest = np.max([each.residues.probabilities for each in every], axis=0)
    baseline_scores = np.max([np.asarray(each.residues.baseline) for each in every], axis=0)
    first = every[0]
    residues = first.residues._replace(probabilities=highest, baseline=baseline_scores)
    return {ANY_HEAD: _Scored(residues, first.ids, first.positions, np.full(len(highest), np.nan, np.float32))}


def _restricted(run: TrainedRun, ions: tuple[str, ...]) -> TrainedRun:
    guarantees = {ion: run.guarantees[ion] for ion in ions if ion in run.guarantees}
    return TrainedRun(run.folder, run.config, ions, run.thresholds, run.calibrations, guarantees)


def _source(proteins: Proteins, files: dict[str, Path]) -> ProteinSource:
    def named() -> Iterator[NamedSequence]:
        return (NamedSequence(*pair) for pair in zip(proteins.names, proteins.sequences, strict=True))

    text = "\n".join(f"{name} {sequence}" for name, sequence in named())
    return ProteinSource(
        named, hashlib.sha256(text.encode()).hexdigest(), len(proteins), int(proteins.residues().sum()), files
    )


def _sentence(leaks: ProteinLeaks, identity: float | None) -> str:
    part = next(part for part in leaks.parts if part.part == TEST)
    text = f"{part.identical} of {part.proteins} test proteins have the sequence of a training protein"
    if part.similar is not None:
        text += f", {part.similar} others are similar to one (identity at least {leaks.identity})"
    if part.names:
        text += f": {shortened(part.names)}"
    if part.similar is None and identity is not None:
        text += "; too many proteins to look for similar ones"
    return text


def _score_residues(
    table: Path, proteins: Proteins, odds: dict[str, NDArray[np.float64]], *, ions: tuple[str, ...]
) -> dict[str, _Scored]:
    """Predictions of the labelled residues, by ion."""
    parts: dict[str, list[tuple[Any, ...]]] = {ion: [] for ion in ions}
    for predicted in read_predictions(table):
        labels = proteins.labels[proteins.index(predicted.protein)][:, ions.index(predicted.ion)]
        labelled = np.flatnonzero(labels != UNKNOWN)
        if len(labelled):
            scores = residue_baseline.score(odds[predicted.ion], predicted.sequence)[labelled, 0]
            named = np.full(len(labelled), predicted.protein)
            values = (labels[labelled], predicted.probability[labelled], scores, predicted.spread[labelled])
            parts[predicted.ion].append((named, labelled, *values))
    scored = {}
    for ion, rows in parts.items():
        if not rows:
            log.warning("%s: no residue of the test file has a label 0 or 1, it is not evaluated", ion)
            continue
        names, places, labels, probabilities, scores, spread = (
            np.concatenate(column) for column in zip(*rows, strict=True)
        )
        ids = np.char.add(np.char.add(names.astype(np.str_), ":"), places.astype(np.str_))
        scored[ion] = _Scored(LabelledResidues(names, labels, probabilities, scores), ids, places, spread)
    return scored


def _report(
    settings: EvaluateConfig,
    run: TrainedRun,
    scored: dict[str, _Scored],
    leaks: ProteinLeaks,
    aligned: AlignmentCounts | None,
    sites: Mapping[str, Any],
) -> list[str]:
    """Write figures, arrays and pictures, and return the table of figures."""
    out = settings.out
    with atomic_stream(out / TEST_ARRAYS) as stream:
        arrays: dict[str, NDArray[Any]] = {"position_base": np.array(0)}
        for ion, each in scored.items():
            arrays |= {
                f"{ion}_probs": each.residues.probabilities,
                f"{ion}_labels": each.residues.labels,
                f"{ion}_ids": each.ids,
                f"{ion}_std_probs": each.spread,
            }
        np.savez_compressed(stream, allow_pickle=False, **arrays)
    figures = score_test_set(
        {ion: each.residues for ion, each in scored.items()},
        thresholds=run.thresholds,
        draws=settings.draws,
        seed=settings.seed,
        level=settings.level,
    )
    _write_metrics(out / TEST_METRICS, figures)
    write_text(out / SUMMARY, write_document(_summary(settings, run, figures, leaks, aligned) | {"sites": sites}))
    for ion, each in scored.items():
        if ion == ANY_HEAD:
            continue
        _draw(ion, each.residues, run, out / PLOTS)
    notes = [
        f"interval: {exact_percent(settings.level)}, studentised, of AUPRC by protein",
        "baseline: AUPRC of the residue's letter alone, fitted on training proteins; a random order has the base rate",
        "F1 and MCC: at the threshold that was chosen on the out-of-fold residues of the run; -: not defined",
        *_target_lines(run, figures),
        *few_proteins({ion: entry["proteins"] for ion, entry in figures.items() if ion != MEAN}),
    ]
    if settings.transfer is not None:
        title = f"sites of {settings.transfer}, which the run was not trained on, as its heads find them"
        return [title, figures_table(figures), f"{ANY_HEAD}: the highest probability of all heads", *notes]
    return [figures_table(figures), *notes]


def _target_lines(run: TrainedRun, figures: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Whether each ion keeps the target on the test proteins."""
    lines = []
    for ion, guarantee in run.guarantees.items():
        line = f"{ion}: {guarantee.as_text()}"
        value = figures.get(ion, {}).get(guarantee.target.figure)
        if guarantee.is_reached and value is not None:
            outcome = "kept" if value >= guarantee.target.value else "not kept"
            line += f"; on the test proteins {guarantee.target.figure} is {value:.3f}: {outcome}"
        lines.append(line)
    return lines


def _write_metrics(path: Path, figures: dict[str, dict[str, Any]]) -> None:
    names = list(dict.fromkeys(name for row in figures.values() for name in row))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["ion", *names])
    for ion, row in figures.items():
        values = [row.get(name) for name in names]
        writer.writerow([ion, *(f"{value:.8g}" if isinstance(value, float) else value for value in values)])
    write_text(path, text.getvalue())


def _summary(
    settings: EvaluateConfig,
    run: TrainedRun,
    figures: dict[str, dict[str, Any]],
    leaks: ProteinLeaks,
    aligned: AlignmentCounts | None,
) -> dict[str, Any]:
    mean = figures["mean"]
    return {
        "overall": {f"mean_{name}": value for name, value in mean.items()},
        "ions": {ion: row for ion, row in figures.items() if ion != "mean"},
        "thresholds_from": "out-of-fold residues of the run",
        "targets": {ion: guarantee.as_dict() for ion, guarantee in run.guarantees.items()} or None,
        "calibration": settings.calibration,
        "level": settings.level,
        "draws": settings.draws,
        "transfer": settings.transfer,
        "contexts": settings.contexts,
        "folds": run.config.training.num_folds,
        "alignments": None if aligned is None else asdict(aligned),
        "leaks": {"identical_pairs": leaks.identical_pairs, "similar_pairs": leaks.similar_pairs},
    }


def _draw(ion: str, residues: LabelledResidues, run: TrainedRun, folder: Path) -> None:
    if len(np.unique(residues.labels)) < 2:
        return
    title = f"{ion}, test"
    method = run.config.training.threshold_method
    chosen = {str(method): run.thresholds[ion]} if ion in run.thresholds else {}
    figure = threshold_figure(residues.labels, residues.probabilities, thresholds=chosen, title=title)
    save_png(figure, folder / threshold_plot(ion))
    name = "calibrated" if ion in run.calibrations else "as trained"
    calibration = calibration_figure(residues.labels, {name: residues.probabilities}, title=title)
    save_png(calibration, folder / calibration_plot(ion))
