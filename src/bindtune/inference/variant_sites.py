"""Probabilities of a protein's binding sites in its variants: all folds and contexts, each context computed once.

Shapes: V variants; S followed sites, a residue and an ion each; K ions; L residues of a chunk.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from bindtune.data.chunks import Chunk, chunks
from bindtune.data.protein.alignments import Alignments
from bindtune.data.protein.step_batches import budgeted
from bindtune.errors import BindtuneError
from bindtune.inference.checkpoints import Ensemble
from bindtune.inference.ensemble_scores import Floats, NamedSequence, PredictionSpec, less_memory, prediction_row
from bindtune.memory_errors import naming_settings
from bindtune.models.backbones import BatchPreparer
from bindtune.models.e1_tokens import IDS


class Variant(NamedTuple):
    """A protein with substitutions.

    Args:
        text: its text, such as A24G or A24G:K7R.
        changes: the new letter of each 0-based position that changes.
    """

    text: str
    changes: dict[int, str]


class FollowedSite(NamedTuple):
    """A residue whose probability is followed: its 0-based position, and the column of its ion in `spec.ions`."""

    position: int
    ion: int


@torch.no_grad()
def variant_probabilities(
    protein: NamedSequence,
    variants: Sequence[Variant],
    sites: Sequence[FollowedSite],
    *,
    wildtype: Floats,
    ensemble: Ensemble,
    preparer: BatchPreparer,
    spec: PredictionSpec,
    alignments: Alignments | None = None,
    progress: Callable[[int], object] = lambda variants: None,
) -> Floats:
    """The mean over folds and contexts of each site's probability in each variant, (V, S).

    A long protein is cut as for predictions. A substitution outside the chunk of a site does not change the site.

    Args:
        protein: without substitutions.
        variants: V.
        sites: S.
        wildtype: (S,) their probabilities in the protein itself.
        ensemble: the models.
        preparer: of their encoder.
        spec: settings of the prediction.
        alignments: homologs, prepared for the protein; None for none.
        progress: called with the number of finished variants of a model, once over all chunks and contexts.

    Raises:
        OutOfMemoryError: memory ran out.
        BindtuneError: an output is not finite.
    """
    has_homologs = alignments is not None and protein.name in alignments
    contexts = spec.contexts if has_homologs else 1
    means = np.repeat(wildtype[None], len(variants), axis=0)
    pieces = chunks(len(protein.sequence), size=spec.rows.max_residues, overlap=spec.rows.overlap)
    work = [piece for piece in (_Work.of(chunk, variants, sites) for chunk in pieces) if piece is not None]
    for piece in work:
        means[np.ix_(piece.variants, piece.sites)] = 0.0
    members = len(ensemble) * contexts
    with naming_settings(lambda: less_memory(spec)):
        for models in ensemble.groups():
            for model in models:
                columns = [model.ion_types.index(ion) for ion in spec.ions]
                for piece in work:
                    for context in range(contexts):
                        row = prediction_row(protein, piece.chunk, context, spec=spec, alignments=alignments)
                        own = [variants[number] for number in piece.variants]
                        at = [sites[number].position - piece.chunk.start for number in piece.sites]
                        heads = [columns[sites[number].ion] for number in piece.sites]
                        scores = _chunk_scores(model, row, piece.chunk, own, at, heads, preparer=preparer, spec=spec)
                        means[np.ix_(piece.variants, piece.sites)] += scores / members
                progress(len(variants))
    return means


class _Work(NamedTuple):
    """A chunk with followed sites, with the indices of these sites and of the variants that change it."""

    chunk: Chunk
    variants: list[int]
    sites: list[int]

    @classmethod
    def of(cls, chunk: Chunk, variants: Sequence[Variant], sites: Sequence[FollowedSite]) -> "_Work | None":
        changing = [
            number
            for number, variant in enumerate(variants)
            if any(chunk.start <= position < chunk.end for position in variant.changes)
        ]
        own = [number for number, site in enumerate(sites) if chunk.first <= site.position < chunk.last]
        return cls(chunk, changing, own) if changing and own else None


def _chunk_scores(
    model: Any,
    row: Sequence[str],
    chunk: Chunk,
    variants: Sequence[Variant],
    positions: list[int],
    heads: list[int],
    *,
    preparer: BatchPreparer,
    spec: PredictionSpec,
) -> Floats:
    """Probabilities (v, s) of sites, a position in the chunk and a head each, in variants after one context."""
    *context, query = row
    queries = [_changed(query, variant, chunk) for variant in variants]
    scores = np.empty((len(queries), len(positions)))
    with torch.autocast(spec.device.type, torch.bfloat16, enabled=spec.bf16):
        cache = None
        if context:
            cache = model.cache_context(**_tensors(preparer.get_batch_kwargs([context], spec.device)))
        for batch in budgeted([len(query) + spec.rows.frame] * len(queries), max_tokens=spec.max_batch_tokens):
            ids = _query_tensors(preparer, [queries[number] for number in batch], context, spec)
            residues = preparer.residue_mask(ids["input_ids"], ids["sequence_ids"])
            logits: Tensor = model(**ids, context_cache=cache).logits[residues]  # (residues of the batch, all heads)
            followed = logits.view(len(batch), len(query), -1)[:, positions, heads].double()
            if not bool(followed.isfinite().all()):
                raise BindtuneError(f"{variants[batch[0]].text}: the model's output is not finite")
            scores[batch] = followed.sigmoid().cpu().numpy()
    return scores


def _query_tensors(
    preparer: Any, queries: list[str], context: Sequence[str], spec: PredictionSpec
) -> dict[str, Tensor]:
    """The queries without their context, with the positions that they have after it."""
    if context:
        return _tensors(preparer.get_query_kwargs(queries, list(context), spec.device))
    return _tensors(preparer.get_batch_kwargs([[query] for query in queries], spec.device))


def _tensors(batch: Any) -> dict[str, Tensor]:
    return {name: batch[name] for name in IDS}


def _changed(query: str, variant: Variant, chunk: Chunk) -> str:
    letters = list(query)
    for position, letter in variant.changes.items():
        if chunk.start <= position < chunk.end:
            letters[position - chunk.start] = letter
    return "".join(letters)
