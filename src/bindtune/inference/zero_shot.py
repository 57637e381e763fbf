"""Models without training, from files to files: `bindtune embed` and `bindtune score`."""

import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from bindtune.config import EmbedConfig, ScoreConfig
from bindtune.data.blocks import blocks
from bindtune.data.keyed_random import digest
from bindtune.data.protein.alignments import AlignmentCounts, count_homologs
from bindtune.data.protein.contexts import (
    Context,
    ContextSpec,
    draw_context,
    gives_homolog,
    of_protein,
    read_homologs,
    warn_of_other_queries,
)
from bindtune.data.protein.input_files import find_alignment, unmatched
from bindtune.errors import ConfigError, InputError
from bindtune.inference.embed_sequences import embed_dna
from bindtune.inference.embedding import Per, add_embeddings, embed_proteins
from bindtune.inference.embedding_files import embedding_file
from bindtune.inference.ensemble_scores import NamedSequence
from bindtune.inference.model_kinds import alphabet_of, refuse_settings
from bindtune.inference.score_dna import score_dna
from bindtune.inference.variants import VariantScore, score_variants
from bindtune.io.proteins import read_proteins
from bindtune.io.variant_table import read_substitutions
from bindtune.models.backbones import BatchPreparer, load_backbone
from bindtune.models.base_files import check_reachable
from bindtune.models.loading import layer_number, layers_of
from bindtune.outputs import output_file
from bindtune.progress import progress
from bindtune.runs.writing import sweep, write_text

log = logging.getLogger(__name__)

_PROTEIN_SETTINGS = (
    "msa", "msa_dir", "num_contexts", "reduction", "cache_dir", "max_num_samples", "max_token_length",
    "max_query_similarity", "min_query_similarity", "neighbor_similarity_lower_bound", "seed",
)  # fmt: skip
_BLOCK_RESIDUES = 1 << 16
"""Most residues of the proteins whose vectors are in memory at the same time; one longer protein is always allowed."""
_SUFFIXES = (".tsv", ".parquet", ".vcf", ".vcf.gz")
"""Endings of files with scores of DNA."""
_DNA_EMBEDDING_SETTINGS = (
    "genome", "regions", "both_strands", "stretch_tokens", "chromosome_names", "chromosome_aliases", "write_index",
)  # fmt: skip
_DNA_SETTINGS = (
    "vcf", "table", "genome", "width", "strand", "genes", "gene_feature", "phases", "mismatches", "info_field",
    "effect", "dataset", "arm", "chromosome_names", "chromosome_aliases", "write_index", "part_variants",
)  # fmt: skip


def embed(settings: EmbedConfig, *, notify: Callable[[str], None] = lambda text: None) -> str:
    """Embed proteins or DNA, and return a summary.

    Args:
        settings: the settings.
        notify: gets a sentence about each slow step.

    Raises:
        InputError: sequences or alignments cannot be read, or an alignment is of another protein.
        CheckpointError: the model cannot be loaded.
    """
    out = output_file(settings.out)
    sweep(out.parent, out.name)
    if alphabet_of(settings.model) == "DNA":
        refuse_settings(settings, _PROTEIN_SETTINGS, "DNA")
        return embed_dna(settings, notify=notify)
    refuse_settings(settings, _DNA_EMBEDDING_SETTINGS, "protein")
    if settings.per not in ("sequence", "residue") or settings.fasta is None:
        raise ConfigError(f"{settings.model} reads proteins: --per is sequence or residue")
    return _embed_proteins(settings, settings.fasta, settings.per)


def _embed_proteins(settings: EmbedConfig, fasta: Path, per: Per) -> str:
    proteins = _sequences(fasta)
    contexts, aligned = _contexts(settings, proteins)
    model, preparer = _loaded(settings)
    layer = protein_layer(settings, model)
    about = {"model": settings.model, "per": per, "settings": settings.model_dump_json(), "positions": "1-based"}
    if settings.msa_dir is not None:
        about["alignments"] = json.dumps(asdict(aligned))
    with (
        embedding_file(settings.out, named="protein", metadata=about) as file,
        progress("embedding", len(proteins), unit="proteins", log=log) as advance,
    ):
        for named in blocks(proteins.items(), lambda pair: len(pair[1]), most=_BLOCK_RESIDUES):
            block = dict(named)
            embeddings = embed_proteins(
                model, block, contexts=contexts, per=per, max_batch_tokens=settings.max_batch_tokens,
                preparer=preparer, pooling=settings.pooling, layer=layer, overlap=settings.overlap,
            )  # fmt: skip
            add_embeddings(file, embeddings, proteins=block)
            advance(len(block))
    summary = f"{len(proteins)} proteins embedded ({model.config.hidden_size} numbers a {per}): {settings.out}"
    cut = sum(len(sequence) > preparer.max_residues for sequence in proteins.values())
    if cut:
        summary += f"\n{cut} proteins of more than {preparer.max_residues} residues were read in overlapping stretches"
    return summary if settings.msa_dir is None else f"{summary}\n{aligned}"


def protein_layer(settings: EmbedConfig, model: Any) -> int | None:
    """The requested layer of an encoder of proteins, or None for the last one.

    Raises:
        ConfigError: there is no such layer.
    """
    return layer_number(settings.model, layers_of(model), settings.layer)


def _contexts(settings: EmbedConfig, proteins: dict[str, str]) -> tuple[dict[str, list[str]], AlignmentCounts]:
    """The homologs of each protein with an alignment, and the counts of the alignments."""
    contexts, aligned = dict[str, list[str]](), AlignmentCounts()
    for name, sequence in proteins.items():
        path = _alignment(settings.msa_dir, name)
        if path is None:
            aligned += AlignmentCounts(proteins=1)
            continue
        drawn = _draw(settings, path, query=NamedSequence(name, sequence), seeds=[digest(settings.seed, name)])
        contexts[name] = drawn.contexts[0].sequences
        aligned += drawn.counts
    if settings.msa_dir is not None and not aligned.with_alignment:
        log.warning("%s", unmatched(settings.msa_dir, list(proteins)))
    return contexts, aligned


def score(settings: ScoreConfig, *, notify: Callable[[str], None] = lambda text: None) -> str:
    """Score the variants of a file, and return a summary.

    Args:
        settings: the settings.
        notify: gets a sentence about each slow step.

    Raises:
        InputError: parent, variants or alignment cannot be read or do not fit each other.
        CheckpointError: the model cannot be loaded.
    """
    output_file(settings.out)
    if settings.effect is not None or alphabet_of(settings.model) == "DNA":
        refuse_settings(settings, _PROTEIN_SETTINGS, "DNA")
        if settings.method != "masked_marginal":
            raise ConfigError(f"method: '{settings.method}' is for proteins; DNA has masked_marginal alone")
        if not settings.out.name.endswith(_SUFFIXES):
            endings = f"{', '.join(_SUFFIXES[:-1])} or {_SUFFIXES[-1]}"
            raise ConfigError(f"--out {settings.out}: the name must end in {endings}")
        return score_dna(settings, notify=notify)
    refuse_settings(settings, _DNA_SETTINGS, "protein")
    if settings.parent is None or settings.variants is None:
        raise ConfigError(f"{settings.model} reads proteins: give --parent and --variants")
    if settings.out.name.endswith(_SUFFIXES[1:]):
        raise ConfigError(f"--out {settings.out}: scores of a protein are a table (TSV)")
    return _score_protein(settings, settings.parent, settings.variants)


def _score_protein(settings: ScoreConfig, parent_file: Path, variant_file: Path) -> str:
    out = output_file(settings.out)
    sweep(out.parent, out.name)
    parents = _sequences(parent_file)
    if len(parents) > 1:
        raise InputError(parent_file, None, f"holds {len(parents)} proteins, expected the parent alone")
    ((name, parent),) = parents.items()
    variants = read_variants(variant_file, parent=parent)
    contexts, aligned = {}, AlignmentCounts()
    if settings.msa is not None:
        seeds = range(settings.seed, settings.seed + settings.num_contexts)
        drawn = _draw(settings, settings.msa, query=NamedSequence(name, parent), seeds=seeds)
        aligned = drawn.counts
        if aligned.without_homolog:
            reason = drawn.contexts[0].reason or "it holds no homolog beside the protein itself"
            log.warning("%s: no context: %s; the parent is scored alone", settings.msa, reason)
        else:
            contexts = {f"seed {seed}": context.sequences for seed, context in zip(seeds, drawn.contexts, strict=True)}
    model, preparer = _loaded(settings)
    scores = score_variants(
        model,
        parent,
        preparer=preparer,
        variants=variants,
        contexts=contexts,
        method=settings.method,
        reduction=settings.reduction,
        max_batch_tokens=settings.max_batch_tokens,
    )
    write_text(out, "variant\tcontext\tscore\n" + "".join(map(_line, scores)))
    summary = f"{len(variants)} variants scored: {settings.out}"
    return summary if settings.msa is None else f"{summary}\n{aligned}"


def read_variants(path: Path, *, parent: str) -> dict[str, str]:
    """Variants of a protein by their texts: ``A24G`` or ``A24G:K7R``, one in each line; ``#`` begins a comment.

    Raises:
        InputError: a line is no variant of this parent.
    """
    return {each.text: each.sequence for each in read_substitutions(path, parent=parent, unit="residue")}


def _sequences(path: Path) -> dict[str, str]:
    return {protein.name: protein.sequence for protein in read_proteins(path)}


def _loaded(settings: EmbedConfig | ScoreConfig) -> tuple[Any, BatchPreparer]:
    """The encoder and its batch preparer.

    Raises:
        CheckpointError: it cannot be loaded, or reads no homologs although an alignment is given.
    """
    device = _device(settings)
    check_reachable(settings.model)
    model, preparer = load_backbone(settings.model)
    alignments = settings.msa_dir if isinstance(settings, EmbedConfig) else settings.msa
    if alignments is not None and not preparer.reads_homologs:
        raise ConfigError(f"{settings.model} reads one protein at a time: leave out {alignments}")
    return model.to(getattr(torch, settings.dtype)).eval().to(device), preparer


def _device(settings: EmbedConfig | ScoreConfig) -> torch.device:
    try:
        device = torch.device(settings.device)
    except RuntimeError as error:
        raise ConfigError(f"device: '{settings.device}' is none, expected cpu, cuda or cuda:N") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device: '{settings.device}' is not there; this torch finds no CUDA")
    return device


def _alignment(folder: Path | None, name: str) -> Path | None:
    if folder is None:
        return None
    if not folder.is_dir():
        raise InputError(folder, None, "is no folder")
    return find_alignment(name, [folder])


class _Drawn(NamedTuple):
    """Contexts of a protein, and the counts of its alignment."""

    contexts: list[Context]
    counts: AlignmentCounts


def _draw(settings: EmbedConfig | ScoreConfig, path: Path, *, query: NamedSequence, seeds: Iterable[int]) -> _Drawn:
    spec = ContextSpec(
        max_num_samples=settings.max_num_samples,
        max_token_length=settings.max_token_length,
        max_query_similarity=settings.max_query_similarity,
        min_query_similarity=settings.min_query_similarity,
        neighbor_similarity_lower_bound=settings.neighbor_similarity_lower_bound,
    )
    bound = spec.neighbor_similarity_lower_bound
    homologs = read_homologs(path, neighbor_similarity_lower_bound=bound, cache_dir=settings.cache_dir)
    homologs = of_protein(homologs, query.sequence, name=query.name, path=path)
    contexts = [draw_context(homologs, replace(spec, seed=seed)) for seed in seeds]
    drawn = gives_homolog(homologs, spec) and all(context.sequences for context in contexts)
    warn_of_other_queries(homologs, path)
    return _Drawn(contexts, count_homologs(homologs, gives_homolog=drawn))


def _line(score: VariantScore) -> str:
    return f"{score.variant}\t{score.context or '-'}\t{score.score:.6f}\n"
