"""Logits of every residue and the masked-LM loss of a set of proteins, computed by all processes together."""

import sys
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from numpy.typing import NDArray
from tqdm import tqdm

from bindtune.data.residue_rows import ResidueRows
from bindtune.models.residue import E1ForResidueClassification
from bindtune.training.binding.batches import FoldBatches

INPUTS = ("input_ids", "within_seq_position_ids", "global_position_ids", "sequence_ids", "label_mask", "mlm_labels")


class Predictor:
    """The model without gradients, masks or dropout.

    Args:
        model: heads on an encoder, not wrapped for several processes.
        batches: of the fold.
        accelerator: of the processes.
    """

    def __init__(self, model: E1ForResidueClassification, batches: FoldBatches, accelerator: Accelerator) -> None:
        self._model, self._batches, self._accelerator = model, batches, accelerator

    @torch.no_grad()
    def logits(self, rows: ResidueRows, *, label: str) -> dict[str, NDArray[np.float32]]:
        """Logits (L, K) of every protein, from all processes and for all of them; every residue exactly once.

        Args:
            rows: the proteins.
            label: of the progress bar.
        """
        self._model.eval()
        pieces: list[tuple[int, int, NDArray[np.float32]]] = []
        quiet = not (self._accelerator.is_main_process and sys.stderr.isatty())
        for batch in tqdm(self._batches.evaluation_loader(rows), desc=label, disable=quiet, leave=False):
            logits = self._forward(batch).logits.float().cpu()
            for place, row in enumerate(batch["rows"]):
                scores = logits[place][batch["residue_mask"][place]].numpy()
                kept = scores[row.chunk.first - row.chunk.start : row.chunk.last - row.chunk.start]
                pieces.append((rows.proteins.index(row.name), row.chunk.first, kept))
        gathered = gather_object(pieces)
        ions = len(self._model.ion_types)
        whole = {
            name: np.full((len(sequence), ions), np.nan, np.float32)
            for name, sequence in zip(rows.proteins.names, rows.proteins.sequences, strict=True)
        }
        for index, first, kept in gathered:
            whole[rows.proteins.names[index]][first : first + len(kept)] = kept
        return whole

    @torch.no_grad()
    def masked_lm_loss(self, rows: ResidueRows) -> float:
        """Mean over masked residues, under masks that never change; nan where none is masked."""
        self._model.eval()
        summed = torch.zeros(2, dtype=torch.float64, device=self._accelerator.device)
        for batch in self._batches.evaluation_loader(rows, masking=True):
            masked = int((batch["mlm_labels"] > 0).sum())
            loss = self._forward(batch).loss_mlm
            summed += torch.tensor([float(loss) * masked, masked], dtype=torch.float64, device=summed.device)
        total: Any = self._accelerator.reduce(summed, reduction="sum")
        return float(total[0] / total[1]) if total[1] else float("nan")

    def _forward(self, batch: dict[str, Any]) -> Any:
        """The model on a batch without the processes' synchronisation, in the precision of training."""
        tensors = {name: batch[name].to(self._accelerator.device) for name in INPUTS if name in batch}
        with self._accelerator.autocast():
            return self._model(**tensors)
