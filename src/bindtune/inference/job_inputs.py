"""The inputs of a prediction job: proteins, models, alignments, and the manifest that records them."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bindtune.config import EnsembleConfig
from bindtune.data.protein.alignments import Alignments
from bindtune.data.protein.input_files import alignment_files, unmatched
from bindtune.data.protein.protein_rows import row_spec
from bindtune.errors import CheckpointError
from bindtune.inference.checkpoints import Ensemble, load_ensemble_models
from bindtune.inference.ensemble_scores import NamedSequence, PredictionSpec
from bindtune.inference.ranks import choose_device
from bindtune.inference.trained_run import TrainedRun
from bindtune.models.backbones import E1, BatchPreparer
from bindtune.runs.names import CONFIG, CONTEXT_CACHE, MANIFEST, NOTICE, PARTS, PROVENANCE, part_files
from bindtune.runs.provenance import provenance, sha256
from bindtune.runs.writing import write_text

log = logging.getLogger(__name__)

_PACKAGES = ("torch", "transformers", "peft", "numpy")
# Settings that change predictions. The input, the alignments and the models are recorded by their hashes.
_BINDING = (
    "ions", "contexts", "seed", "bf16", "max_query_length", "max_token_length", "max_num_samples", "overlap",
    "calibration", "shard_proteins", "shard_residues",
)  # fmt: skip


@dataclass(frozen=True)
class ProteinSource:
    """The proteins of a job.

    Args:
        proteins: yields the proteins in the same order each time.
        sha256: hash of their names and sequences, or of their file.
        count: number of proteins.
        residues: number of all residues.
        files: their files, by role.
    """

    proteins: Callable[[], Iterator[NamedSequence]]
    sha256: str
    count: int
    residues: int
    files: dict[str, Path]


@dataclass(frozen=True)
class JobModels:
    """The models of a job, the preparer of their batches, and their device."""

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


def job_manifest(
    settings: EnsembleConfig,
    run: TrainedRun,
    source: ProteinSource,
    models: JobModels,
    shards: Iterable[list[NamedSequence]],
) -> dict[str, Any]:
    """A record of everything that changes predictions: proteins, alignments, models, thresholds and settings.

    Args:
        settings: of the command.
        run: the run.
        source: the proteins.
        models: of the run.
        shards: the proteins, shard by shard.
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


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """The differences between two manifests, in words."""
    return [_difference(name, before.get(name), now[name]) for name in now if before.get(name) != now[name]]


def _difference(name: str, before: Any, now: Any) -> str:
    if name in ("settings", "thresholds") and isinstance(before, dict):
        changed = [key for key in now.keys() | before.keys() if before.get(key) != now.get(key)]
        return ", ".join(f"{key} was {before.get(key)!r} and is now {now.get(key)!r}" for key in sorted(changed))
    return f"{name} {'are' if name.endswith('s') else 'is'} not the same"


def sign(settings: EnsembleConfig, run: TrainedRun, source: ProteinSource, ensemble: Ensemble, manifest: Any) -> None:
    """Write the manifest, the provenance and the notice."""
    out = settings.out
    inputs = {**source.files, "run settings": run.folder / CONFIG, **ensemble.files()}
    origin = {**provenance(inputs, _PACKAGES), "settings": settings.model_dump(mode="json")}
    if manifest["alignments"] is not None:
        path = Path(str(settings.msa_dir)).absolute()
        origin["inputs"]["alignments"] = {"path": str(path), "sha256": manifest["alignments"]}
    write_text(out / NOTICE, E1.licence.notice)
    if not part_files(out / PARTS):
        write_text(out / PROVENANCE, json.dumps(origin, indent=2) + "\n")
    write_text(out / MANIFEST, json.dumps(manifest, indent=2) + "\n")


def prediction_spec(settings: EnsembleConfig, run: TrainedRun, models: JobModels) -> PredictionSpec:
    """Settings of a prediction, from the settings of the command and of the run."""
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


def shard_alignments(
    settings: EnsembleConfig, run: TrainedRun, shard: list[NamedSequence], preparer: BatchPreparer
) -> Alignments | None:
    """The alignments of some proteins, read and checked; None without alignments.

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
    """Hash of the alignments of all proteins, with the proteins' names; None without alignments."""
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


def _reads_alignments(settings: EnsembleConfig, preparer: BatchPreparer) -> bool:
    return settings.msa_dir is not None and preparer.reads_homologs


def _alignment_paths(settings: EnsembleConfig, run: TrainedRun, shard: list[NamedSequence]) -> dict[str, Path]:
    ions = tuple(run.config.training.ions)
    looked_for = {protein.name: ions for protein in shard}
    paths, _ = alignment_files(settings.msa_dir, looked_for=looked_for, groups=run.config.data.ion_groups)
    return paths
