"""Batches for the ion heads: labels on the residues of the query, and masked residues for the masked-LM loss."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bindtune.data.masking import Replacement, choose_masked, replace_selected
from bindtune.data.masking_strategies import MaskingRates
from bindtune.data.protein.protein_rows import ResidueRow
from bindtune.io.labels import UNKNOWN
from bindtune.models.e1_tokens import IDS, ProteinRow
from bindtune.models.token_loss import IGNORED

_UNINFORMATIVE = frozenset("X?")


class Preparer(Protocol):
    """What a collator needs of `models.backbones.BatchPreparer`."""

    mask_id: int
    amino_acids: NDArray[np.int64]

    def get_batch_kwargs(self, sequences: Sequence[ProteinRow], *, names: Sequence[str] | None = None) -> Any:
        """Tokenise."""

    def residue_mask(self, input_ids: Tensor, sequence_ids: Tensor) -> Tensor:
        """Residues of the queries."""


class ResidueCollator:
    """Turn rows into a batch: the encoder's tensors, and `labels` (B, T, K).

    Labels stand on the residues of the query; context, special tokens and unknown ions carry -100.

    Args:
        preparer: of the encoder.
    """

    def __init__(self, preparer: Preparer) -> None:
        self.preparer = preparer

    def __call__(self, rows: Sequence[ResidueRow]) -> dict[str, Any]:
        """Collate; `rows` of the result are those given."""
        batch = self.preparer.get_batch_kwargs([row.sequences for row in rows], names=[row.name for row in rows])
        tensors = {name: batch[name] for name in IDS}
        residues = self.preparer.residue_mask(tensors["input_ids"], tensors["sequence_ids"])
        labels_of_residues = torch.from_numpy(np.concatenate([row.labels for row in rows])).long()
        labels = torch.full((*residues.shape, labels_of_residues.shape[1]), IGNORED)
        labels[residues] = labels_of_residues.masked_fill(labels_of_residues == UNKNOWN, IGNORED)
        return {
            **tensors,
            "labels": labels,
            "residue_mask": residues,
            "rows": list(rows),
        }


class JointCollator(ResidueCollator):
    """Mask residues of the queries too: `mlm_labels` (B, T) holds their true ids, -100 elsewhere.

    Masked residues have no label: -100. What is masked is a function of the row's key.

    Args:
        preparer: of the encoder.
        mlm_probability: share of a query's residues that is masked; X is never masked.
        replacement: what masked residues become.
    """

    def __init__(self, preparer: Preparer, *, mlm_probability: float, replacement: Replacement) -> None:
        super().__init__(preparer)
        self.rates = MaskingRates(target=mlm_probability, peak_range=(0.0, 1.0), floor=0.0, strategy="uniform")
        self.replacement = replacement

    def __call__(self, rows: Sequence[ResidueRow]) -> dict[str, Any]:
        """Collate and mask."""
        batch = super().__call__(rows)
        ids = batch["input_ids"].numpy()
        maskable = batch["residue_mask"].numpy().copy()
        informative = np.concatenate([_informative(row) for row in rows])
        maskable[maskable] = informative
        keys = np.array([row.key for row in rows], dtype=np.uint64)
        selected, _ = choose_masked(np.zeros_like(maskable), maskable, rates=self.rates, keys=keys)
        replaced = replace_selected(
            ids,
            selected,
            mask_id=self.preparer.mask_id,
            ordinary=self.preparer.amino_acids,
            replacement=self.replacement,
            keys=keys,
        )
        chosen = torch.from_numpy(selected)
        labels = batch["labels"].masked_fill(chosen[..., None], IGNORED)
        return {
            **batch,
            "input_ids": torch.from_numpy(replaced),
            "labels": labels,
            "mlm_labels": batch["input_ids"].masked_fill(~chosen, IGNORED),
        }


def _informative(row: ResidueRow) -> NDArray[np.bool_]:
    return np.array([letter not in _UNINFORMATIVE for letter in row.query])
