"""Check the files of a `bindtune train` with the readers that training uses, and count their records."""

import shlex
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from bindtune.config import BindingConfig
from bindtune.data.protein.alignments import AlignmentCounts
from bindtune.data.protein.folds import count_folds
from bindtune.data.protein.input_files import unmatched
from bindtune.data.protein.proteins import Proteins
from bindtune.doctor.encoders import check_weights
from bindtune.doctor.findings import Finding, attempt, noted, problem, warning
from bindtune.doctor.machine import check_room
from bindtune.doctor.memory_fit import TrainingDevice, check_memory
from bindtune.models.activation_bytes import WIDE, Arithmetic, BatchShape
from bindtune.models.adapters import count_parameters
from bindtune.models.backbones import BatchPreparer, empty_encoder, preparer_for
from bindtune.models.residue import E1ForResidueClassification
from bindtune.runs.names import CONFIG
from bindtune.training.binding.audit import audit
from bindtune.training.binding.batches import FoldBatches
from bindtune.training.binding.inputs import (
    RunInputs,
    divide,
    group_proteins,
    place_in_folds,
    read_alignments,
    read_proteins,
)
from bindtune.training.binding.model import assemble
from bindtune.training.binding.run_folder import check_folder, check_inputs
from bindtune.training.sharding import check_launcher


class _Empty(NamedTuple):
    """A model without weights, and the preparer of its batches."""

    model: E1ForResidueClassification
    preparer: BatchPreparer


def check_binding(config: BindingConfig, *, find_device: Callable[[], TrainingDevice]) -> list[Finding]:
    """Read every input of a run, build its model without weights, and predict the memory of its largest batch.

    Args:
        config: the settings.
        find_device: finds the device of the training; it is called after everything is read.
    """
    findings: list[Finding] = [
        warning("settings", "without effect", one, "leave it out") for one in config.without_effect
    ]
    attempt("settings", "launcher", lambda: check_launcher(precision=config.training.precision), findings)
    findings += _folder(config)
    empty = _model(config, findings)
    inputs = _inputs(config, findings)
    if inputs is not None:
        attempt("output", "inputs", lambda: check_inputs(config, config.training.output_dir, inputs), findings)
    if inputs is None or empty is None:
        return findings
    batches = attempt("batches", "batches", lambda: _batches(config, inputs, empty.preparer, findings), findings)
    if batches is None:
        return findings
    arithmetic = Arithmetic(
        checkpointing=config.training.gradient_checkpointing,
        half=config.training.use_bf16 and torch.cuda.is_available(),
        on_gpu=torch.cuda.is_available(),
        accumulated=config.training.accum_steps,
    )
    return findings + check_memory(
        empty.model, batches, arithmetic, device=find_device(), advice=lambda n: _advice(config, n)
    )


def _folder(config: BindingConfig) -> list[Finding]:
    """Whether the run folder is empty, or holds this run."""
    run, findings = config.training.output_dir, list[Finding]()
    if not (run / CONFIG).is_file():
        attempt("output", "run folder", lambda: check_folder(config, run, fold=None, resumed=False), findings)
        return findings
    refused: list[Finding] = []
    attempt("output", "run folder", lambda: check_folder(config, run, fold=None, resumed=False), refused)
    attempt("output", "run folder", lambda: check_folder(config, run, fold=None, resumed=True), findings)
    if refused and not findings:
        resume = shlex.join(["bindtune", "train", "--resume", str(run)])
        fix = f"{resume} goes on; for a new run, choose another training.output_dir"
        findings.append(warning("output", "run folder", str(run), fix, text=f"{run} holds this run"))
    return findings


def _model(config: BindingConfig, findings: list[Finding]) -> _Empty | None:
    name = config.model.checkpoint

    def build() -> _Empty:
        encoder = empty_encoder(name)
        preparer = preparer_for(encoder, name)
        with torch.device("meta"):
            return _Empty(assemble(config, encoder), preparer)

    empty = attempt("encoder", name, build, findings)
    findings += check_weights(name)
    if empty is None:
        return None
    settings = empty.model._original_model.config
    about = f"{settings.model_type}, {settings.num_hidden_layers} layers, width {settings.hidden_size}"
    findings.append(noted("encoder", "shape", about))
    counts = count_parameters(empty.model)
    findings.append(noted("encoder", "parameters", counts.total, str(counts)))
    trained = counts.adapters + counts.heads + counts.backbone
    # Each fold writes its best weights, and a training state with weights and two moments.
    findings += check_room(config.training.output_dir, needed=4 * WIDE * trained * config.training.num_folds)
    return empty


def _inputs(config: BindingConfig, findings: list[Finding]) -> RunInputs | None:
    """Read the inputs of a run step by step; a failed step skips only the steps that need it."""
    read = attempt("proteins", "labels", lambda: read_proteins(config), findings)
    if read is None:
        return None
    proteins, named = read
    findings += _counts(config, proteins, named)
    group = attempt("folds", "groups", lambda: group_proteins(config, proteins, named), findings)
    fold = None
    if group is not None:
        findings.append(noted("folds", "groups", len(set(group.tolist()))))
        fold = attempt("folds", "folds", lambda: place_in_folds(config, proteins, group, named), findings)
    with tempfile.TemporaryDirectory(prefix="bindtune-doctor-") as cache:  # data.cache_dir is used where it is set
        aligned = attempt(
            "alignments", str(config.data.msa_dir), lambda: read_alignments(config, proteins, Path(cache)), findings
        )
    if aligned is None or group is None or fold is None:
        return None
    alignments, counts = aligned
    if counts is not None:
        findings.append(_aligned(counts, str(config.data.msa_dir), proteins))
    inputs = RunInputs(proteins, fold, group, alignments, counts, named)
    findings += _folds(inputs)
    attempt("folds", "audit", lambda: findings.extend(_audit(config, inputs)), findings)
    return inputs


def _counts(config: BindingConfig, proteins: Proteins, named: dict[str, Path]) -> list[Finding]:
    findings = [noted("proteins", name, str(path)) for name, path in named.items()]
    findings.append(noted("proteins", "proteins", len(proteins), f"{len(proteins):,}"))
    residues = int(proteins.residues().sum())
    findings.append(noted("proteins", "residues", residues, f"{residues:,}"))
    labelled, positives = proteins.labelled().sum(axis=0).tolist(), proteins.positives().sum(axis=0).tolist()
    unknown = proteins.unknown().sum(axis=0).tolist()
    for ion, count, sites, unsure in zip(proteins.ions, labelled, positives, unknown, strict=True):
        value = {"proteins": count, "positives": sites, "unknown": unsure}
        about = f"{count:,} proteins, {sites:,} binding residues"
        about += f", {unsure:,} residues unknown (?)" if unsure else ""
        if sites:
            findings.append(noted("proteins", ion, value, about))
        else:
            fix = f"its head would learn that nothing binds: leave {ion} out of training.ions, or check its labels"
            findings.append(warning("proteins", ion, value, fix, text=about))
    return findings


def _aligned(counts: AlignmentCounts, msa_dir: str, proteins: Proteins) -> Finding:
    value = asdict(counts)
    if counts.without_homolog < counts.with_alignment:
        return noted("alignments", "alignments", value, str(counts))
    if counts.with_alignment:
        fix = "check the files and training.msa_sampling: no row of them can be drawn"
    else:
        fix = unmatched(msa_dir, proteins.names)
    return warning("alignments", "alignments", value, fix, text=str(counts))


def _folds(inputs: RunInputs) -> list[Finding]:
    counts = count_folds(inputs.proteins, inputs.fold)
    return [
        noted("folds", f"fold {number}", {"proteins": proteins, "residues": residues},
              f"{proteins:,} proteins, {residues:,} residues, "
              + ", ".join(f"{ion} {sites:,}" for ion, sites in zip(counts.ions, positives, strict=True)))
        for number, proteins, residues, positives in zip(
            counts.folds, counts.proteins, counts.residues, counts.positives, strict=True
        )
    ]  # fmt: skip


def _audit(config: BindingConfig, inputs: RunInputs) -> list[Finding]:
    said: dict[str, Any] = audit(config, inputs)
    first, *others = said["sentences"]
    refused = said["leaks"] and config.data.leaks == "fail"
    together = "data.clusters=kmer or mmseqs keeps them together"
    if config.data.folds is not None:
        together = "leave out data.folds, and folds of whole groups (data.clusters) are drawn"
    fix = f"{together}; data.leaks=allow trains nevertheless"
    leaks = problem("folds", "audit", said["leaks"], fix, text=first) if refused else noted(
        "folds", "audit", said["leaks"], first)  # fmt: skip
    fixes = dict.fromkeys(said["folds_without_sites"], "fewer folds, or more proteins")
    fixes |= dict.fromkeys(said["warnings"], "keep these proteins on one side only")
    return [leaks] + [
        warning("folds", "audit", text, fixes[text]) if text in fixes else noted("folds", "audit", text)
        for text in others
    ]


def _batches(config: BindingConfig, inputs: RunInputs, preparer: BatchPreparer, findings: list[Finding]) -> BatchShape:
    """Count tokens in a batch and steps in an epoch; return the largest batch that any epoch may draw."""
    fold = FoldBatches(config, divide(inputs, config, 1), preparer, fold=1, processes=1, rank=0)
    rows = fold.training
    costs = [rows.cost((number, 1)) for number in range(len(rows))]
    sizes = [sum(costs[number] for number in batch) for step in fold.steps(1) for each in step for batch in each]
    median, most = int(np.median(sizes)), max(sizes)
    about = f"at most {median:,} (median) to {most:,} in the first epoch of fold 1"
    findings.append(noted("batches", "tokens in a batch", {"median": median, "most": most}, about))
    findings.append(noted("batches", "steps in an epoch", fold.steps_per_epoch))
    if rows.cropped():
        findings.append(noted("batches", "longer than a row", rows.cropped()))
    order = sorted(range(len(costs)), key=lambda number: -costs[number])
    largest = [order[0]]
    budget = config.training.max_batch_tokens
    for number in order[1 : config.training.batch_size]:
        if budget is None or sum(costs[one] for one in [*largest, number]) <= budget:
            largest.append(number)
    lengths = rows.proteins.residues()
    queries = sum(min(int(lengths[number]), rows.spec.max_residues) + rows.spec.frame for number in largest)
    masking = config.training.mlm_probability if config.training.mlm_weight else 0
    return BatchShape(
        rows=len(largest),
        columns=costs[largest[0]],
        tokens=sum(costs[number] for number in largest),
        masked=round(masking * queries),
        queries=queries,
    )


def _advice(config: BindingConfig, tokens: int) -> str:
    training = config.training
    ways = [] if training.gradient_checkpointing else ["training.gradient_checkpointing=true"]
    if tokens:
        limit = f"training.max_batch_tokens={tokens}"
        return f"{limit}, with no row longer than that (training.msa_sampling.max_token_length)" + "".join(
            f"; or {way}" for way in ways
        )
    ways += ["a smaller encoder", "a device with more memory"]
    return f"not even a short row fits: {', or '.join(ways)}"
