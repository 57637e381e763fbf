"""Predicting many proteins, shard by shard, so that a killed command goes on where it was and processes share the work.

A folder holds a manifest of what is predicted with what, and a part for each shard. Both are written whole or not at
all, so that whatever part is there is right.
"""

import hashlib
import json
import logging
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from bindtune.config import EnsembleConfig, InferenceConfig
from bindtune.data.protein.alignments import AlignmentCounts, Alignments
from bindtune.data.protein.input_files import alignment_files, unmatched
from bindtune.data.protein.protein_rows import RowSpec, count_aligned, row_spec
from bindtune.errors import CheckpointError, ConfigError, InputError
from bindtune.evaluation.calibration import calibrate
from bindtune.inference.checkpoints import Ensemble, load_ensemble_models
from bindtune.inference.ranks import ALL, Processes, Share, choose_device
from bindtune.inference.shards import NamedSequence, PredictionSpec, cut_shards, predict_shard
from bindtune.inference.tables import PredictionCounts, join_parts, write_part, write_texts
from bindtune.inference.trained_run import TrainedRun
from bindtune.models.backbones import E1, BatchPreparer
from bindtune.outputs import output_folder
from bindtune.runs.exclusive import only_writer, taking_turns
from bindtune.runs.names import (
    AUDIT,
    CONFIG,
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
from bindtune.runs.provenance import provenance, sha256
from bindtune.runs.writing import sweep, write_text, writing
from bindtune.yaml_json import read_json

log = logging.getLogger(__name__)

_LEFT_BEFORE = (AUDIT, NOTICE, PROVENANCE)  # what a command may leave before it has a manifest
_PACKAGES = ("torch", "transformers", "peft", "numpy")
# Settings that what is predicted follows from, beside the input, the alignments and the models, whose hashes are noted.
_BINDING = (
    "ions", "contexts", "seed", "bf16", "max_query_length", "max_token_length", "max_num_samples", "overlap",
    "calibration", "shard_proteins", "shard_residues",
)  # fmt: skip


@dataclass(frozen=True)
class ProteinSource:
    """The proteins of a job.

    Args:
        proteins: gives them anew, in the same order.
        sha256: of their names and sequences, or of the file that they stand in.
        count: how many proteins.
        residues: of all of them.
        files: the files that they come from, by what they are.
    """

    proteins: Callable[[], Iterator[NamedSequence]]
    sha256: str
    count: int
    residues: int
    files: dict[str, Path]


@contextmanager
def claimed(folder: Path, processes: Processes, *, shared: bool = False) -> Iterator[None]:
    """Keep the output folder for this command's processes, and refuse one that holds something else.

    Args:
        folder: of the output.
        processes: of this command.
        shared: let commands in that predict other shares.

    Raises:
        ConfigError: the folder is in use, or holds other files.
    """
    output_folder(folder)
    found = {path.name for path in folder.glob("*") if not path.name.startswith(".")} if folder.is_dir() else set()
    others = found.difference(_LEFT_BEFORE)
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
    """Predict every protein into `predictions.parquet`, or go on with what is there.

    A folder that is done gets the tables that it lacks, as where none was wanted as TSV before.

    Returns:
        What was predicted.

    Raises:
        CheckpointError: the models cannot be loaded.
        ConfigError: the folder holds predictions of other proteins, alignments, models or settings.
        InputError: an alignment cannot be read or is of another protein, or there is no folder of them.
    """
    models = load_models(settings, run)
    wanted = job_manifest(settings, run, source, models, _cut(settings, source))
    done = _compare(settings.out / MANIFEST, wanted)
    processes.wait()  # every process has looked before the first one writes
    if done is not None:
        if processes.is_first:
            _write_missing(settings.out, run, tsv=tsv)
            _clean(settings.out)
        return done
    if processes.is_first:
        sign(settings, run, source, models.ensemble, wanted)
    processes.wait()
    spec = prediction_spec(settings, run, models)
    _predict_parts(settings, run, source, models=models, spec=spec, processes=processes)
    processes.wait()
    counts = PredictionCounts()
    if processes.is_first:
        counts = _join(settings, run, source, tsv=tsv)
        _count_aligned(counts, settings, run, source, preparer=models.preparer, rows=spec.rows)
        write_text(settings.out / MANIFEST, json.dumps({**wanted, "done": asdict(counts)}, indent=2) + "\n")
        _clean(settings.out)
    return counts


def run_share(
    settings: InferenceConfig, run: TrainedRun, source: ProteinSource, *, share: Share, processes: Processes
) -> tuple[int, int]:
    """Predict the parts of one share, and leave joining all parts to `run_job`.

    Returns:
        How many parts the folder holds now, and how many all proteins make.

    Raises:
        CheckpointError: the models cannot be loaded.
        ConfigError: the folder holds predictions of other proteins, alignments, models or settings.
        InputError: an alignment cannot be read or is of another protein, or there is no folder of them.
    """
    models = load_models(settings, run)
    wanted = job_manifest(settings, run, source, models, _cut(settings, source))
    done = None
    if processes.is_first:
        with taking_turns(settings.out / PARTS):  # shares that begin together sign one after the other
            done = _compare(settings.out / MANIFEST, wanted)
            if done is None:
                sign(settings, run, source, models.ensemble, wanted)
    processes.wait()
    if not processes.is_first:
        done = _compare(settings.out / MANIFEST, wanted)
    if done is None:
        spec = prediction_spec(settings, run, models)
        _predict_parts(settings, run, source, models=models, spec=spec, processes=processes, share=share)
    processes.wait()
    total = sum(1 for _ in _shards(settings, source))
    return (total if done is not None else len(part_files(settings.out / PARTS))), total


@dataclass(frozen=True)
class JobModels:
    """The models of a job, what makes their batches, and where they compute."""

    ensemble: Ensemble
    preparer: BatchPreparer
    device: torch.device


def load_models(settings: EnsembleConfig, run: TrainedRun) -> JobModels:
    """Load the folds of a run.

    Raises:
        CheckpointError: a fold cannot be loaded, or lacks an ion of the run.
        ConfigError: there is no such device.
    """
    device = choose_device(settings.device)
    ensemble = load_ensemble_models(settings.run, run.config.training.num_folds, device, base_model=settings.base_model)
    absent = [ion for ion in run.ions if ion not in ensemble.ion_types]
    if absent:
        raise CheckpointError(f"{settings.run}: no head for {', '.join(absent)} in {', '.join(ensemble.files())}")
    preparer = ensemble.preparer()
    if settings.msa_dir is not None and not preparer.reads_homologs:
        log.warning("the encoder reads one protein at a time: msa_dir has no effect")
    return JobModels(ensemble, preparer, device)


def _clean(out: Path) -> None:
    """Remove what a finished job needs no more."""
    for name in (PARTS, CONTEXT_CACHE):
        shutil.rmtree(out / name, ignore_errors=True)
    (out / INPUT_COPY).unlink(missing_ok=True)


def job_manifest(
    settings: EnsembleConfig,
    run: TrainedRun,
    source: ProteinSource,
    models: JobModels,
    shards: Iterable[list[NamedSequence]],
) -> dict[str, Any]:
    """What predictions follow from: proteins, alignments, models, thresholds and settings.

    Args:
        settings: of the command.
        run: the run.
        source: the proteins.
        models: of the run.
        shards: the proteins again, some at a time.
    """
    values = settings.model_dump(mode="json")
    return {
        "input": {"sha256": source.sha256, "proteins": source.count, "residues": source.residues},
        "alignments": _digest(settings, run, shards, models.preparer),
        "models": {name: sha256(path) for name, path in models.ensemble.files().items()},
        "base_model": models.ensemble.base_hashes(),
        "thresholds": run.thresholds,
        "settings": {**{name: values[name] for name in _BINDING if name in values}, "ions": list(run.ions)},
    }


def _compare(path: Path, wanted: dict[str, Any]) -> PredictionCounts | None:
    """The counts of a folder that is done; None where there is something left to predict."""
    if not path.is_file():
        return None
    try:
        found = read_json(path)
        done = None if found.get("done") is None else PredictionCounts.of_document(found["done"])
        differing = differences(found, wanted)
    except (TypeError, AttributeError) as error:
        raise InputError(path, None, f"no manifest of predictions: {error}") from error
    if differing and done is None and not part_files(path.parent / PARTS):
        return None  # nothing was predicted yet
    if differing:
        raise ConfigError(f"{path.parent} holds other predictions: {'; '.join(differing)}; choose another --out")
    return done if (path.parent / PREDICTIONS).is_file() else None


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What differs between two manifests, in words."""
    return [_difference(name, before.get(name), now[name]) for name in now if before.get(name) != now[name]]


def _difference(name: str, before: Any, now: Any) -> str:
    if name in ("settings", "thresholds") and isinstance(before, dict):
        changed = [key for key in now.keys() | before.keys() if before.get(key) != now.get(key)]
        return ", ".join(f"{key} was {before.get(key)!r} and is now {now.get(key)!r}" for key in sorted(changed))
    return f"{name} {'are' if name.endswith('s') else 'is'} not the same"


def sign(settings: EnsembleConfig, run: TrainedRun, source: ProteinSource, ensemble: Ensemble, wanted: Any) -> None:
    """Leave the manifest, where everything came from, and the notice."""
    out = settings.out
    inputs = {**source.files, "run settings": run.folder / CONFIG, **ensemble.files()}
    origin = {**provenance(inputs, _PACKAGES), "settings": settings.model_dump(mode="json")}
    if wanted["alignments"] is not None:
        path = Path(str(settings.msa_dir)).absolute()
        origin["inputs"]["alignments"] = {"path": str(path), "sha256": wanted["alignments"]}
    write_text(out / NOTICE, E1.licence.notice)
    if not part_files(out / PARTS):
        write_text(out / PROVENANCE, json.dumps(origin, indent=2) + "\n")
    write_text(out / MANIFEST, json.dumps(wanted, indent=2) + "\n")


def prediction_spec(settings: EnsembleConfig, run: TrainedRun, models: JobModels) -> PredictionSpec:
    """How proteins are predicted, by the settings of a command and those of the run."""
    sampling = run.config.training.validation_context.model_dump()
    for name in ("max_num_samples", "max_query_length", "max_token_length"):
        value = getattr(settings, name)
        sampling[name] = sampling[name] if value is None else value
    rows = row_spec(models.preparer, **sampling, overlap=settings.overlap)
    return PredictionSpec(
        rows=rows,
        ions=run.ions,
        contexts=settings.contexts,
        seed=settings.seed,
        max_batch_tokens=settings.max_batch_tokens,
        bf16=settings.bf16,
        device=models.device,
    )


def _cut(settings: InferenceConfig, source: ProteinSource) -> Iterator[list[NamedSequence]]:
    return cut_shards(source.proteins(), most_proteins=settings.shard_proteins, most_residues=settings.shard_residues)


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
    """Write the parts that are missing and are this process's."""
    ensemble, preparer = models.ensemble, models.preparer
    about = {"ions": ",".join(run.ions), "spread": "standard deviation over folds and contexts"}
    if run.calibrations:
        about |= {"calibration": settings.calibration, "spread": f"{about['spread']}, before calibration"}
    total = source.residues * len(ensemble)
    quiet = not (processes.is_first and sys.stderr.isatty())
    with tqdm(total=total, desc="residues x models", unit_scale=True, disable=quiet) as bar:
        for number, (part, shard) in enumerate(_shards(settings, source)):
            work = sum(len(protein.sequence) for protein in shard) * len(ensemble)
            if part.is_file() or not share.has(number, processes):
                bar.update(work)
                continue
            scores = predict_shard(
                shard,
                ensemble=ensemble,
                preparer=preparer,
                spec=spec,
                alignments=shard_alignments(settings, run, shard, preparer),
                progress=bar.update,
            )
            for column, ion in enumerate(run.ions):
                if ion in run.calibrations:
                    scores.mean[:, column] = calibrate(run.calibrations[ion], scores.mean[:, column])
            write_part(part, shard, scores, ions=run.ions, thresholds=run.thresholds, about=about)


def shard_alignments(
    settings: EnsembleConfig, run: TrainedRun, shard: list[NamedSequence], preparer: BatchPreparer
) -> Alignments | None:
    """The alignments of some proteins, read and checked; None where none are read.

    Raises:
        InputError: an alignment cannot be read or is of another protein.
    """
    if not _reads_alignments(settings, preparer):
        return None
    bound = run.config.training.validation_context.neighbor_similarity_lower_bound
    cache = settings.cache_dir or settings.out / CONTEXT_CACHE
    paths = _alignment_paths(settings, run, shard)
    alignments = Alignments(paths, cache_dir=cache, neighbor_similarity_lower_bounds=[bound])
    alignments.prepare({protein.name: protein.sequence for protein in shard})
    return alignments


def _digest(
    settings: EnsembleConfig, run: TrainedRun, shards: Iterable[list[NamedSequence]], preparer: BatchPreparer
) -> str | None:
    """Hash of what the alignments of all proteins hold, and of whose they are; None where none is read."""
    if not _reads_alignments(settings, preparer):
        return None
    content = hashlib.sha256()
    names, matched = list[str](), False
    for shard in shards:
        names += [protein.name for protein in shard]
        for name, path in _alignment_paths(settings, run, shard).items():
            matched = True
            content.update(f"{name}\t{sha256(path)}\n".encode())
    if not matched:
        log.warning("%s", unmatched(str(settings.msa_dir), names))
    return content.hexdigest()


def _count_aligned(
    counts: PredictionCounts,
    settings: InferenceConfig,
    run: TrainedRun,
    source: ProteinSource,
    *,
    preparer: BatchPreparer,
    rows: RowSpec,
) -> None:
    """Note how many proteins have an alignment, where alignments are read, and how many of these give no homolog."""
    for _, shard in _shards(settings, source):
        alignments = shard_alignments(settings, run, shard, preparer)
        if alignments is not None:
            counted = count_aligned(shard, spec=rows, alignments=alignments)
            counts.alignments = (counts.alignments or AlignmentCounts()) + counted


def _reads_alignments(settings: EnsembleConfig, preparer: BatchPreparer) -> bool:
    return settings.msa_dir is not None and preparer.reads_homologs


def _alignment_paths(settings: EnsembleConfig, run: TrainedRun, shard: list[NamedSequence]) -> dict[str, Path]:
    ions = tuple(run.config.training.ions)
    looked_for = {protein.name: ions for protein in shard}
    paths, _ = alignment_files(settings.msa_dir, looked_for=looked_for, groups=run.config.data.ion_groups)
    return paths


def _join(settings: InferenceConfig, run: TrainedRun, source: ProteinSource, *, tsv: bool) -> PredictionCounts:
    out = settings.out
    join_parts(part_files(out / PARTS), out)
    counts = write_texts(out, ions=run.ions, tsv=tsv, called=_called(run))
    if (counts.proteins, counts.residues) != (source.count, source.residues):
        raise ConfigError(f"{out / PARTS} holds {counts.proteins} proteins, expected {source.count}: delete the folder")
    return counts


def _write_missing(out: Path, run: TrainedRun, *, tsv: bool) -> None:
    """Write what is made of the table of predictions, if any of it is not there."""
    called = _called(run)
    expected = [*map(calls_file, called), *([PREDICTIONS_TSV] if tsv else [])]
    if not all((out / name).is_file() for name in expected):
        write_texts(out, ions=run.ions, tsv=tsv, called=called)


def _called(run: TrainedRun) -> list[str]:
    return [ion for ion in run.ions if ion in run.thresholds]
