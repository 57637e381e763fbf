"""`bindtune predict`: binding sites of new proteins, from FASTA to tables and structures."""

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from bindtune.config import PredictConfig
from bindtune.errors import ConfigError
from bindtune.inference.ensemble_scores import NamedSequence
from bindtune.inference.job import claimed, run_job, run_share
from bindtune.inference.job_inputs import ProteinSource
from bindtune.inference.ranks import Processes, Share, launched
from bindtune.inference.tables import PredictionCounts
from bindtune.inference.trained_run import ENSEMBLE_NOTE, TrainedRun, read_run
from bindtune.io.proteins import read_proteins
from bindtune.io.text import STANDARD_INPUT
from bindtune.runs.names import COUNT_SUMMARY, INPUT_COPY, PREDICTIONS, PREDICTIONS_TSV
from bindtune.runs.provenance import sha256
from bindtune.runs.writing import atomic_stream, write_text


def predict(settings: PredictConfig) -> str:
    """Predict the proteins of a FASTA file, and return the results as text. A killed command resumes.

    With `shard`, only this share of the proteins is predicted. Shares may run at the same time, on any machines that
    see the folder. The command without `shard` predicts the missing parts, and joins all.

    Raises:
        InputError: proteins, alignments, a structure or the run folder cannot be read.
        CheckpointError: the models cannot be loaded.
        ConfigError: settings that cannot work, or an output folder with other predictions.
    """
    run = read_run(settings, command="predict")
    if settings.structure_ion is not None and settings.structure_ion not in run.ions:
        raise ConfigError(f"structure_ion: expected one of {', '.join(run.ions)}, found {settings.structure_ion!r}")
    if settings.shard is not None and settings.fasta == STANDARD_INPUT:
        raise ConfigError("shard: every share reads the whole file, so it cannot be standard input")
    if settings.structure is not None:
        # Imported here, because biotite takes half a second.
        from bindtune.inference.structures import check_structures, colour_structures, find_structures

        find_structures(settings)  # before the output folder is made
    share = None if settings.shard is None else Share.of_text(settings.shard)
    with launched() as processes, claimed(settings.out, processes, shared=share is not None):
        source = _source(settings, processes)
        if settings.structure is not None:
            check_structures(settings, source.proteins())
        if share is not None:
            done, total = run_share(settings, run, source, share=share, processes=processes)
            return _progress(settings, done, total) if processes.is_first else ""
        counts = run_job(settings, run, source, tsv=settings.tsv, processes=processes)
        if not processes.is_first:
            return ""
        lines = _lines(run, counts, settings)
        summary = _summary(run, counts, settings)
        if settings.structure is not None:
            coloured = colour_structures(settings)
            summary |= coloured.summary()
            lines += coloured.lines()
        write_text(settings.out / COUNT_SUMMARY, json.dumps(summary, indent=2) + "\n")
        return "\n".join(lines)


def _progress(settings: PredictConfig, done: int, total: int) -> str:
    state = f"share {settings.shard} is predicted: {settings.out} holds {done:,} of {total:,} parts"
    return f"{state}\nnext, when all shares are done: the same command without --shard"


def _source(settings: PredictConfig, processes: Processes) -> ProteinSource:
    """The proteins of the file. It is read once here, so that every mistake is known before anything is computed."""
    path = settings.fasta
    if path == STANDARD_INPUT:
        path = settings.out / INPUT_COPY
        if processes.is_first:
            with atomic_stream(path) as copy:
                shutil.copyfileobj(sys.stdin.buffer, copy)
        processes.wait()

    def proteins() -> Iterator[NamedSequence]:
        return (NamedSequence(protein.name, protein.sequence) for protein in read_proteins(path))

    count = residues = 0
    for protein in proteins():
        count, residues = count + 1, residues + len(protein.sequence)
    return ProteinSource(proteins, sha256(path), count, residues, {"fasta": path})


def _summary(run: TrainedRun, counts: PredictionCounts, settings: PredictConfig) -> dict[str, Any]:
    return {
        "proteins": counts.proteins,
        "residues": counts.residues,
        "models": run.config.training.num_folds,
        "contexts": settings.contexts,
        "calibration": settings.calibration,
        "positions": "1-based",
        "alignments": None if counts.alignments is None else asdict(counts.alignments),
        "ions": {
            ion: {
                "threshold": run.thresholds.get(ion),
                "called_residues": counts.called_residues.get(ion),
                "called_proteins": counts.called_proteins.get(ion),
                **({"target": run.guarantees[ion].as_dict()} if ion in run.guarantees else {}),
            }
            for ion in run.ions
        },
    }


def _lines(run: TrainedRun, counts: PredictionCounts, settings: PredictConfig) -> list[str]:
    tables = f"{settings.out / PREDICTIONS}{f' and {PREDICTIONS_TSV}' if settings.tsv else ''}"
    lines = [f"{counts.proteins:,} proteins, {counts.residues:,} residues: {tables}"]
    if counts.alignments is not None:
        lines.append(str(counts.alignments))
    for ion in run.ions:
        if ion in run.thresholds:
            calls = f"{counts.called_residues[ion]:,} residues of {counts.called_proteins[ion]:,} proteins are called"
            lines.append(f"{ion}: {calls} (probability at least {run.thresholds[ion]:.3g})")
        else:
            lines.append(f"{ion}: no threshold, nothing is called")
        if ion in run.guarantees:
            lines.append(f"{ion}: {run.guarantees[ion].as_text()}")
    if run.guarantees:
        lines.append(ENSEMBLE_NOTE)
    return lines
