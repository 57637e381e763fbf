"""`bindtune explain`: a value for each letter, motifs, tracks and a report. A killed command can be given again."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bindtune import __version__
from bindtune.config import ExplainConfig, dump
from bindtune.data.dna.motifs import Motif, find_motifs
from bindtune.errors import ConfigError
from bindtune.io.tracks import require_pybigtools
from bindtune.outputs import output_folder
from bindtune.probing import explanation_files as files
from bindtune.probing.binding_model import (
    NEW,
    BindingModel,
    TrainedProbe,
    binding_model,
    chosen_arm,
    head_files,
    open_probe,
)
from bindtune.probing.explained import Explained, held_out_folds, read_sequences
from bindtune.probing.explanation_files import Values
from bindtune.probing.gradients import attribute, has_gradients, require_captum
from bindtune.probing.mutations import importance, logit_changes
from bindtune.probing.run_folder import refuse_others
from bindtune.progress import progress
from bindtune.reports.report import write_report
from bindtune.runs.exclusive import only_writer
from bindtune.runs.kinds import refuse_other_job
from bindtune.runs.names import CONFIG, PREDICTIONS, PROBE_WINDOWS, PROVENANCE, REPORT, SUMMARY
from bindtune.runs.provenance import provenance
from bindtune.runs.writing import sweep, write_text, writing
from bindtune.yaml_json import write_document

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
log = logging.getLogger(__name__)
_PACKAGES = ("torch", "transformers", "numpy")
_PART_LETTERS = 1 << 22
"""Letters of the variants of one part. A killed command loses at most one part."""
_MOTIF_SEED = 1
_EXAMPLES, _EXAMPLE_LETTERS = 3, 101
"""Sequences with the highest logits whose letters the report shows, and how many letters of each."""


@dataclass(frozen=True)
class _Task:
    """The sequences and models to explain.

    Args:
        sequences: N.
        sizes: lengths of chromosomes, where there is a genome.
        folds: (N,) fold in which each sequence was held out, NEW for new sequences.
        mixed: sequences that overlap windows of several folds.
        models: to explain.
    """

    sequences: Sequence[Explained]
    sizes: Mapping[str, int] | None
    folds: Ints
    mixed: int
    models: Sequence[BindingModel]


def explain(config: ExplainConfig, *, notify: Callable[[str], None]) -> str:
    """Explain models of a probe, or go on with a command that was stopped.

    Args:
        config: the settings.
        notify: gets a sentence about each slow step.

    Returns:
        The motifs of each model, for the terminal.

    Raises:
        InputError: the folder is no finished probe, it lacks heads, or a file of sequences is not what it should be.
        ConfigError: a model has no gradients, an extra is missing, or the folder holds something else.
    """
    if config.method == "gradients":
        require_captum()
    if config.bigwig:
        require_pybigtools()
    probe = open_probe(config.probe, "explain")
    folder = output_folder(config.out)
    task = _task(config, probe, notify=notify)
    with only_writer(folder), writing(folder):
        sweep(folder)
        refuse_other_job(folder, "explanation", "explain --out")
        if config.overwrite:
            files.clear(folder)
        origin = provenance(_inputs(config, probe, task.models), _PACKAGES)
        refuse_others(folder, config, origin, "an explanation")
        if not (folder / CONFIG).is_file():
            write_text(folder / PROVENANCE, json.dumps(origin, indent=2, default=str) + "\n")
            write_text(folder / CONFIG, dump(config))
        parts = _parts(config, task)
        _compute(folder, config, task, parts)
        notify("writing tables, motifs and tracks")
        motifs = _written(folder, config, task, parts)
        summary = _summary(folder, config, task, motifs, parts)
        write_text(folder / SUMMARY, write_document(summary))
        write_report(folder)
    return _text(summary, folder)


def _task(config: ExplainConfig, probe: TrainedProbe, *, notify: Callable[[str], None]) -> _Task:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dataset, arm = chosen_arm(probe, config.dataset, config.arm)
    exact = config.method == "gradients"
    models = [
        binding_model(probe, name, dataset=dataset, arm=arm, paths=config.encoder_folders, device=device, exact=exact)
        for name in config.model_names or probe.models
    ]
    if config.method == "gradients":
        without = [model.name for model in models if not has_gradients(model)]
        if without and config.model:
            raise ConfigError(f"{without[0]} counts words, so it has no gradients: use --method mutate")
        if without:
            notify(f"left out, because they count words and have no gradients: {', '.join(without)}")
        models = [model for model in models if has_gradients(model)]
    sequences, sizes = read_sequences(config, notify=notify)
    folds, mixed = held_out_folds(probe, (dataset, arm), sequences)
    if mixed:
        log.warning("%d sequences overlap windows of several folds, so every model has seen a part of them", mixed)
    usual = max(len(sequence) for sequence in probe.windows["sequence"].to_pylist())
    longer = sum(len(each.sequence) > usual for each in sequences)
    if longer:
        log.warning("%d of %d sequences are longer than the probe's windows (%d nt)", longer, len(sequences), usual)
    new = int((folds == NEW).sum()) - mixed
    held_out = len(sequences) - new - mixed
    notify(f"sequences: {len(sequences)}; held out in a fold of the probe: {held_out}; new to it: {new}")
    return _Task(sequences, sizes, folds, mixed, models)


def _inputs(config: ExplainConfig, probe: TrainedProbe, models: Sequence[BindingModel]) -> dict[str, Path]:
    """The input files by their roles."""
    named = {name: getattr(config, name) for name in ("fasta", "genome", "regions")}
    inputs = {name: path for name, path in named.items() if path is not None}
    inputs |= {f"probe {name}": probe.folder / name for name in (PROBE_WINDOWS, PREDICTIONS)}
    for model in models:
        paths = head_files(probe, dataset=model.dataset, arm=model.arm, model=model.name)
        inputs |= {f"heads {model.name} {number}": path for number, path in enumerate(paths, start=1)}
    return inputs


def _parts(config: ExplainConfig, task: _Task) -> list[range]:
    """Sequences that are explained and kept together."""
    parts, first, letters = [], 0, 0
    for row, each in enumerate(task.sequences):
        size = len(each.sequence) * (3 * len(each.sequence) if config.method == "mutate" else 100)
        if row > first and letters + size > _PART_LETTERS:
            parts.append(range(first, row))
            first, letters = row, 0
        letters += size
    return [*parts, range(first, len(task.sequences))]


def _compute(folder: Path, config: ExplainConfig, task: _Task, parts: Sequence[range]) -> None:
    total = len(task.models) * len(task.sequences)
    with progress("explaining", total, unit="sequences x models", log=log) as advance:
        for number, model in enumerate(task.models):
            for part in parts:
                path = files.part_path(folder, number, part)
                there = path.is_file()
                if not there:
                    own = [task.sequences[row].sequence for row in part]
                    files.write_part(path, _values(config, model, own, task.folds[part.start : part.stop]))
                advance(len(part), skipped=there)


def _values(config: ExplainConfig, model: BindingModel, sequences: Sequence[str], folds: Ints) -> list[Values]:
    if config.method == "mutate":
        logits, changes = logit_changes(model, sequences, folds)
        return [
            Values(importance(own), own, float(logit), None, None)
            for own, logit in zip(changes, logits.tolist(), strict=True)
        ]
    attributions = attribute(model, sequences, folds, steps=config.steps, tolerance=config.tolerance)
    return [Values(own.values, None, own.logit, own.empty_logit, own.gap) for own in attributions]


def _written(folder: Path, config: ExplainConfig, task: _Task, parts: Sequence[range]) -> dict[str, list[Motif]]:
    """Write tables, motifs and tracks; the motifs of each model."""
    names = [model.name for model in task.models]
    values = {name: files.read_model(folder, number, parts) for number, name in enumerate(names)}
    files.write_tables(folder, task.sequences, task.folds, values=values, mutated=config.method == "mutate")
    motifs: dict[str, list[Motif]] = {}
    tracks = files.Tracks(task.sequences, task.sizes)
    for number, name in enumerate(names):
        own = [values.importance for values in files.read_model(folder, number, parts)]
        motifs[name] = find_motifs(
            [each.sequence for each in task.sequences], own, count=config.motifs, length=config.motif_length,
            seed=_MOTIF_SEED,
        )  # fmt: skip
        tracks.add(number, name, own)
    files.write_motifs(folder, task.sequences, motifs)
    tracks.write(folder, bigwig=config.bigwig)
    return motifs


def _summary(
    folder: Path,
    config: ExplainConfig,
    task: _Task,
    motifs: Mapping[str, Sequence[Motif]],
    parts: Sequence[range],
) -> dict[str, Any]:
    """The content of summary.yaml."""
    models: dict[str, Any] = {}
    for number, model in enumerate(task.models):
        entry: dict[str, Any] = {"motifs": [_motif_summary(motif) for motif in motifs[model.name]]}
        gaps, best = list[float](), list[tuple[float, int, Values]]()
        for row, own in enumerate(files.read_model(folder, number, parts)):
            gaps += [] if own.gap is None else [own.gap]
            best = sorted([*best, (-own.logit, row, own)], key=lambda each: each[:2])[:_EXAMPLES]
        entry["examples"] = [_example(task.sequences[row], own) for _, row, own in best]
        if gaps:
            over = sum(gap > config.tolerance for gap in gaps)
            entry["completeness"] = {"largest_gap": round(max(gaps), 6), "sequences_over_tolerance": over}
            if over:
                log.warning("%s: the sums of %d sequences miss their logit by more than --tolerance", model.name, over)
        models[model.name] = entry
    first = task.models[0]
    return {
        "version": __version__, "method": config.method, "dataset": first.dataset, "arm": first.arm,
        "sequences": len(task.sequences), "letters": sum(len(each.sequence) for each in task.sequences),
        "held_out_in_a_fold": int((task.folds != NEW).sum()), "overlapping_several_folds": task.mixed,
        "new_to_the_probe": int((task.folds == NEW).sum()) - task.mixed,
        "with_coordinates": sum(each.location is not None for each in task.sequences), "models": models,
    }  # fmt: skip


def _motif_summary(motif: Motif) -> dict[str, Any]:
    return {
        "consensus": motif.consensus, "sites": len(motif.sites), "sequences": len({site.row for site in motif.sites}),
        "value": round(motif.value, 4), "counts": motif.counts.tolist(),
    }  # fmt: skip


def _example(each: Explained, values: Values) -> dict[str, Any]:
    """The letters about the highest value of a sequence, for the report."""
    values_or_lowest = np.nan_to_num(values.importance, nan=-np.inf)
    last = max(0, min(int(values_or_lowest.argmax()) + _EXAMPLE_LETTERS // 2, len(values_or_lowest)) - _EXAMPLE_LETTERS)
    stretch = slice(last, last + _EXAMPLE_LETTERS)
    shown = [None if np.isnan(value) else round(value, 4) for value in values.importance[stretch].tolist()]
    return {
        "sequence": each.name, "logit": round(values.logit, 4), "first": last + 1, "letters": each.sequence[stretch],
        "values": shown,
    }  # fmt: skip


def _text(summary: Mapping[str, Any], folder: Path) -> str:
    lines = []
    for name, model in summary["models"].items():
        lines.append(f"{name}:")
        lines += [
            f"  {motif['consensus']}  {motif['sites']} places in {motif['sequences']} of "
            f"{summary['sequences']} sequences"
            for motif in model["motifs"]
        ] or ["  no motif: no stretches are higher than shuffled values"]
    return "\n".join([*lines, f"report: {folder / REPORT}"])
