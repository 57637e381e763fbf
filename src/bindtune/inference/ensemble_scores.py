"""Predict proteins with every model of a run: rows by length, batches by tokens, mean and spread of each residue.

Shapes: R residues of all proteins, one after the other; K ions; M members, a fold and a context each.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bindtune.data.chunks import Chunk, chunks
from bindtune.data.keyed_random import digest
from bindtune.data.protein.alignments import Alignments
from bindtune.data.protein.protein_rows import RowSpec, most_tokens, with_context
from bindtune.data.protein.step_batches import budgeted
from bindtune.errors import BindtuneError
from bindtune.memory_errors import naming_settings
from bindtune.models.backbones import BatchPreparer
from bindtune.models.e1_tokens import IDS

if TYPE_CHECKING:  # it imports PEFT, which embeddings and scores need not
    from bindtune.inference.checkpoints import Ensemble

Floats = NDArray[np.float64]


class NamedSequence(NamedTuple):
    """A protein to predict."""

    name: str
    sequence: str


@dataclass(frozen=True, kw_only=True)
class PredictionSpec:
    """Settings of a prediction.

    Args:
        rows: how a protein becomes rows.
        ions: the requested heads, in this order.
        contexts: number of contexts for a protein with an alignment.
        seed: seed of the draws of contexts.
        max_batch_tokens: most tokens of a batch.
        bf16: compute in bfloat16.
        device: device of the models.
    """

    rows: RowSpec
    ions: tuple[str, ...]
    contexts: int
    seed: int
    max_batch_tokens: int
    bf16: bool
    device: torch.device


class Scores(NamedTuple):
    """Probabilities of all residues of some proteins, one protein after the other.

    Args:
        mean: (R, K) over the members.
        spread: (R, K) standard deviation over the members.
    """

    mean: Floats
    spread: Floats


class _Row(NamedTuple):
    """A chunk of a protein with one of its contexts; `offset` is the index of the protein's first residue."""

    protein: NamedSequence
    offset: int
    chunk: Chunk
    context: int
    cost: int


@torch.no_grad()
def predict_shard(
    proteins: Sequence[NamedSequence],
    *,
    ensemble: "Ensemble",
    preparer: BatchPreparer,
    spec: PredictionSpec,
    alignments: Alignments | None = None,
    progress: Callable[[int], object] = lambda residues: None,
) -> Scores:
    """Predict proteins. The result of a protein does not depend on the other proteins, up to the rounding of sums.

    Args:
        proteins: in any order.
        ensemble: the models.
        preparer: of their encoder.
        spec: settings of the prediction.
        alignments: homologs, prepared for these proteins; None for none.
        progress: called with the number of finished residues times the number of models.

    Raises:
        OutOfMemoryError: memory ran out.
        BindtuneError: an output is not finite.
    """
    rows = _rows(proteins, spec, alignments)
    sums = _Sums(sum(len(protein.sequence) for protein in proteins), len(spec.ions))
    batches = list(budgeted([row.cost for row in rows], max_tokens=spec.max_batch_tokens))
    with naming_settings(lambda: less_memory(spec)):
        for models in ensemble.groups():
            columns = [[model.ion_types.index(ion) for ion in spec.ions] for model in models]
            for batch in batches:
                members = [rows[index] for index in batch]
                scores = _members(models, columns, members, preparer=preparer, spec=spec, alignments=alignments)
                for row, values in zip(members, scores, strict=True):
                    sums.add(row.offset, row.chunk, values)
                    progress((row.chunk.last - row.chunk.first) * len(models) if row.context == 0 else 0)
    return sums.scores()


def less_memory(spec: PredictionSpec) -> str:
    """Advice: the settings that need less memory."""
    return (
        f"lower --max-batch-tokens (now {spec.max_batch_tokens}), --max-query-length (now "
        f"{spec.rows.max_residues + spec.rows.frame}) or --max-token-length (now {spec.rows.max_tokens})"
    )


def _rows(proteins: Sequence[NamedSequence], spec: PredictionSpec, alignments: Alignments | None) -> list[_Row]:
    rows, offset = [], 0
    for protein in proteins:
        length = len(protein.sequence)
        has_homologs = alignments is not None and protein.name in alignments
        for chunk in chunks(length, size=spec.rows.max_residues, overlap=spec.rows.overlap):
            cost = most_tokens(chunk.end - chunk.start, protein.name, spec=spec.rows, alignments=alignments)
            for context in range(spec.contexts if has_homologs else 1):
                rows.append(_Row(protein, offset, chunk, context, cost))
        offset += length
    return rows


def _members(
    models: Sequence[Any],
    columns: Sequence[list[int]],
    rows: Sequence[_Row],
    *,
    preparer: BatchPreparer,
    spec: PredictionSpec,
    alignments: Alignments | None,
) -> list[Floats]:
    """Probabilities (M, l, K) of the kept residues of each row."""
    sequences = [prediction_row(row.protein, row.chunk, row.context, spec=spec, alignments=alignments) for row in rows]
    whole: Any = preparer.get_batch_kwargs(sequences, spec.device, names=[row.protein.name for row in rows])
    tensors: dict[str, Tensor] = {name: whole[name] for name in IDS}
    residues = preparer.residue_mask(tensors["input_ids"], tensors["sequence_ids"])
    logits_of_models = []
    with torch.autocast(spec.device.type, torch.bfloat16, enabled=spec.bf16):
        for model, own in zip(models, columns, strict=True):
            logits: Tensor = model(**tensors).logits[residues]  # (residues of the batch, all ions)
            logits_of_models.append(logits[:, own].double())
    stacked = torch.stack(logits_of_models)
    scores = stacked.sigmoid().where(stacked.isfinite(), torch.nan).cpu().numpy()  # one transfer a batch
    if np.isnan(scores).any():
        raise BindtuneError(f"{_first_odd(scores, rows, spec)}: the model's output is not finite")
    ends = np.cumsum([row.chunk.end - row.chunk.start for row in rows]).tolist()
    return [
        scores[:, end - (row.chunk.end - row.chunk.first) : end - (row.chunk.end - row.chunk.last)]
        for row, end in zip(rows, ends, strict=True)
    ]


def _first_odd(scores: Floats, rows: Sequence[_Row], spec: PredictionSpec) -> str:
    """The first protein, residue and ion with nan; `scores` (M, residues of all rows, K) has one."""
    _, row_index, ion = map(int, np.argwhere(np.isnan(scores))[0])
    for row in rows:
        length = row.chunk.end - row.chunk.start
        if row_index < length:
            return f"{row.protein.name}, residue {row.chunk.start + row_index + 1}, {spec.ions[ion]}"
        row_index -= length
    raise RuntimeError("a score belongs to no residue")


def prediction_row(
    protein: NamedSequence, chunk: Chunk, context: int, *, spec: PredictionSpec, alignments: Alignments | None
) -> list[str]:
    """The homologs of one context of a chunk, and its residues as the last sequence."""
    name, sequence = protein
    query = sequence[chunk.start : chunk.end]
    key = digest(spec.seed, "prediction", name, context)
    key = digest(key, chunk.start) if chunk.start else key
    return with_context(query, name, spec=spec.rows, alignments=alignments, key=key)


class _Sums:
    """Mean and spread while they grow (Welford 1962, doi 10.1080/00401706.1962.10490022).

    Args:
        residues: R.
        ions: K.
    """

    def __init__(self, residues: int, ions: int) -> None:
        self._mean = np.zeros((residues, ions))
        self._squares = np.zeros((residues, ions))
        self._count = np.zeros((residues, 1), np.int32)

    def add(self, offset: int, chunk: Chunk, members: Floats) -> None:
        """Take in (M, l, K) of the kept residues of a chunk."""
        residues = slice(offset + chunk.first, offset + chunk.last)
        for values in members:
            self._count[residues] += 1
            change = values - self._mean[residues]
            self._mean[residues] += change / self._count[residues]
            self._squares[residues] += change * (values - self._mean[residues])

    def scores(self) -> Scores:
        """The mean and the spread."""
        if (self._count == 0).any():
            raise RuntimeError("a residue was not predicted")
        return Scores(self._mean, np.sqrt(np.maximum(self._squares, 0) / self._count))
