"""Predict many proteins, shard by shard, so that a killed command goes on and several processes share the work.

A folder holds a manifest of the proteins, models and settings, and a part for each shard. Manifest and parts are
written completely or not at all, so every part that exists is correct.
"""

import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bindtune.config import InferenceConfig
from bindtune.data.blocks import blocks
from bindtune.data.protein.alignments import AlignmentCounts
from bindtune.data.protein.protein_rows import RowSpec, count_aligned
from bindtune.errors import ConfigError, InputError
from bindtune.evaluation.calibration import calibrate
from bindtune.inference.ensemble_scores import NamedSequence, PredictionSpec, predict_shard
from bindtune.inference.job_inputs import (
    JobModels,
    ProteinSource,
    differences,
    job_manifest,
    load_models,
    prediction_spec,
    shard_alignments,
    sign,
)
from bindtune.inference.ranks import ALL, Processes, Share
from bindtune.inference.tables import PredictionCounts, join_parts, write_part, write_texts
from bindtune.inference.trained_run import TrainedRun
from bindtune.models.backbones import BatchPreparer
from bindtune.outputs import output_folder
from bindtune.progress import progress
from bindtune.runs.exclusive import only_writer, taking_turns
from bindtune.runs.names import (
    AUDIT,
    CONTEXT_CACHE,
    INPUT_COPY,
    MANIFEST,
    NOTICE,
    PARTS,
    PLOTS,
    PREDICTIONS,
    PREDICTIONS_TSV,
    PROVENANCE,
    calls_file,
    part_file,
    part_files,
)
from bindtune.runs.writing import sweep, write_text, writing
from bindtune.yaml_json import read_json

log = logging.getLogger(__name__)

_LEFT_BEFORE = (AUDIT, NOTICE, PROVENANCE)  # files that a command may leave before the manifest


@contextmanager
def claimed(folder: Path, processes: Processes, *, shared: bool = False) -> Iterator[None]:
    """Lock the output folder for this command's processes, and refuse a folder with other files.

    Args:
        folder: of the output.
        processes: of this command.
        shared: allow commands that predict other shares.

    Raises:
        ConfigError: the folder is in use, or holds other files.
    """
    output_folder(folder)
    names = {path.name for path in folder.glob("*") if not path.name.startswith(".")} if folder.is_dir() else set()
    others = names.difference(_LEFT_BEFORE)
    if others and MANIFEST not in others:
        raise ConfigError(f"{folder} is not empty and holds no predictions to go on with: choose another --out")
    processes.wait()
    with only_writer(folder, shared=shared) if processes.is_first else nullcontext(), writing(folder):
        if processes.is_first:
            for swept in (folder, folder / PARTS, folder / PLOTS):
                sweep(swept)
        yield


def run_job(
    settings: InferenceConfig, run: TrainedRun, source: ProteinSource, *, tsv: bool, processes: Processes
) -> PredictionCounts:
    """Predict every protein into `predictions.parquet`, or go on with the parts in the folder.

    A finished folder gets its missing tables, for example if an earlier command did not write the TSV.

    Returns:
        The counts of the prediction.

    Raises:
        CheckpointError: the models cannot be loaded.
        ConfigError: the folder holds predictions of other proteins, alignments, models or settings.
        InputError: an alignment cannot be read or is of another protein, or there is no folder of them.
    """
    models = load_models(settings, run)
    manifest = job_manifest(settings, run, source, models, _cut(settings, source))
    done = _compare(settings.out / MANIFEST, manifest)
    processes.wait()  # every process has read the folder before the first one writes
    if done is not None:
        if processes.is_first:
            _write_missing(settings.out, run, tsv=tsv)
            _clean(settings.out)
        return done
    if processes.is_first:
        sign(settings, run, source, models.ensemble, manifest)
    processes.wait()
    spec = prediction_spec(settings, run, models)
    _predict_parts(settings, run, source, models=models, spec=spec, processes=processes)
    processes.wait()
    counts = PredictionCounts()
    if processes.is_first:
        counts = _join(settings, run, source, tsv=tsv)
        _count_aligned(counts, settings, run, source, preparer=models.preparer, rows=spec.rows)
        write_text(settings.out / MANIFEST, json.dumps({**manifest, "done": asdict(counts)}, indent=2) + "\n")
        _clean(settings.out)
    return counts


def run_share(
    settings: InferenceConfig, run: TrainedRun, source: ProteinSource, *, share: Share, processes: Processes
) -> tuple[int, int]:
    """Predict the parts of one share; `run_job` joins all parts.

    Returns:
        The number of parts in the folder now, and the number of parts of all proteins.

    Raises:
        CheckpointError: the models cannot be loaded.
        ConfigError: the folder holds predictions of other proteins, alignments, models or settings.
        InputError: an alignment cannot be read or is of another protein, or there is no folder of them.
    """
    models = load_models(settings, run)
    manifest = job_manifest(settings, run, source, models, _cut(settings, source))
    done = None
    if processes.is_first:
        with taking_turns(
            settings.out / PARTS
        ):  # shares that begin at the same time write the manifest one after the other
            done = _compare(settings.out / MANIFEST, manifest)
            if done is None:
                sign(settings, run, source, models.ensemble, manifest)
    processes.wait()
    if not processes.is_first:
        done = _compare(settings.out / MANIFEST, manifest)
    if done is None:
        spec = prediction_spec(settings, run, models)
        _predict_parts(settings, run, source, models=models, spec=spec, processes=processes, share=share)
    processes.wait()
    total = sum(1 for _ in _shards(settings, source))
    return (total if done is not None else len(part_files(settings.out / PARTS))), total


def _clean(out: Path) -> None:
    """Remove the files that a finished job does not need."""
    for name in (PARTS, CONTEXT_CACHE):
        shutil.rmtree(out / name, ignore_errors=True)
    (out / INPUT_COPY).unlink(missing_ok=True)


def _compare(path: Path, manifest: dict[str, Any]) -> PredictionCounts | None:
    """The counts of a finished folder; None if some parts are missing."""
    if not path.is_file():
        return None
    try:
        document = read_json(path)
        done = None if document.get("done") is None else PredictionCounts.of_document(document["done"])
        differing = differences(document, manifest)
    except (TypeError, AttributeError) as error:
        raise InputError(path, None, f"no manifest of predictions: {error}") from error
    if differing and done is None and not part_files(path.parent / PARTS):
        return None  # nothing was predicted yet
    if differing:
        raise ConfigError(f"{path.parent} holds other predictions: {'; '.join(differing)}; choose another --out")
    return done if (path.parent / PREDICTIONS).is_file() else None


def _cut(settings: InferenceConfig, source: ProteinSource) -> Iterator[list[NamedSequence]]:
    return blocks(
        source.proteins(),
        lambda protein: len(protein.sequence),
        most=settings.shard_residues,
        count=settings.shard_proteins,
    )


def _shards(settings: InferenceConfig, source: ProteinSource) -> Iterator[tuple[Path, list[NamedSequence]]]:
    """Each shard with its part."""
    for number, shard in enumerate(_cut(settings, source)):
        yield settings.out / PARTS / part_file(number), shard


def _predict_parts(
    settings: InferenceConfig,
    run: TrainedRun,
    source: ProteinSource,
    *,
    models: JobModels,
    spec: PredictionSpec,
    processes: Processes,
    share: Share = ALL,
) -> None:
    """Write the missing parts that belong to this process."""
    ensemble, preparer = models.ensemble, models.preparer
    about = {"ions": ",".join(run.ions), "spread": "standard deviation over folds and contexts"}
    if run.calibrations:
        about |= {"calibration": settings.calibration, "spread": f"{about['spread']}, before calibration"}
    total = source.residues * len(ensemble)
    with progress("predicting", total, unit="residues x models", log=log, shown=processes.is_first) as advance:
        for number, (part, shard) in enumerate(_shards(settings, source)):
            work = sum(len(protein.sequence) for protein in shard) * len(ensemble)
            if part.is_file() or not share.has(number, processes):
                advance(work, skipped=True)
                continue
            scores = predict_shard(
                shard,
                ensemble=ensemble,
                preparer=preparer,
                spec=spec,
                alignments=shard_alignments(settings, run, shard, preparer),
                progress=advance,
            )
            for column, ion in enumerate(run.ions):
                if ion in run.calibrations:
                    scores.mean[:, column] = calibrate(run.calibrations[ion], scores.mean[:, column])
            write_part(part, shard, scores, ions=run.ions, thresholds=run.thresholds, about=about)


def _count_aligned(
    counts: PredictionCounts,
    settings: InferenceConfig,
    run: TrainedRun,
    source: ProteinSource,
    *,
    preparer: BatchPreparer,
    rows: RowSpec,
) -> None:
    """If alignments are read, count the proteins with an alignment, and the alignments that give no homolog."""
    for _, shard in _shards(settings, source):
        alignments = shard_alignments(settings, run, shard, preparer)
        if alignments is not None:
            counted = count_aligned(shard, spec=rows, alignments=alignments)
            counts.alignments = (counts.alignments or AlignmentCounts()) + counted


def _join(settings: InferenceConfig, run: TrainedRun, source: ProteinSource, *, tsv: bool) -> PredictionCounts:
    out = settings.out
    join_parts(part_files(out / PARTS), out)
    counts = write_texts(out, ions=run.ions, tsv=tsv, called=_called(run))
    if (counts.proteins, counts.residues) != (source.count, source.residues):
        raise ConfigError(f"{out / PARTS} holds {counts.proteins} proteins, expected {source.count}: delete the folder")
    return counts


def _write_missing(out: Path, run: TrainedRun, *, tsv: bool) -> None:
    """Write the files that are made from the table of predictions, if one of them is missing."""
    called = _called(run)
    expected = [*map(calls_file, called), *([PREDICTIONS_TSV] if tsv else [])]
    if not all((out / name).is_file() for name in expected):
        write_texts(out, ions=run.ions, tsv=tsv, called=called)


def _called(run: TrainedRun) -> list[str]:
    return [ion for ion in run.ions if ion in run.thresholds]
