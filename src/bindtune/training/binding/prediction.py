"""Compute the logits of every residue and the masked-LM loss of proteins, in all processes together."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from numpy.typing import NDArray

from bindtune.data.protein.protein_rows import ResidueRows
from bindtune.errors import BindtuneError
from bindtune.models.e1_tokens import IDS
from bindtune.models.residue import E1ForResidueClassification
from bindtune.progress import tracked
from bindtune.training.binding.batches import FoldBatches

log = logging.getLogger(__name__)

INPUTS = (*IDS, "mlm_labels")


class Predictor:
    """The model without gradients, masks or dropout.

    Args:
        model: heads on an encoder, not wrapped for several processes.
        batches: batches of the fold.
        accelerator: joins the processes.
        pause: all processes call it before each batch; it may raise.
    """

    def __init__(
        self,
        model: E1ForResidueClassification,
        batches: FoldBatches,
        accelerator: Accelerator,
        *,
        pause: Callable[[], None],
    ) -> None:
        self._model, self._batches, self._accelerator = model, batches, accelerator
        self._pause = pause
        self.without_context = 0
        """Number of chunks of the last prediction whose alignment has no homolog that the settings allow."""

    @torch.no_grad()
    def logits(self, rows: ResidueRows, *, label: str) -> dict[str, NDArray[np.float32]]:
        """Logits (L, K) of every protein, the same in all processes; every residue is computed once.

        Args:
            rows: the proteins.
            label: text of the progress bar.

        Raises:
            BindtuneError: a logit is not a number.
        """
        self._model.eval()
        pieces: list[tuple[int, int, NDArray[np.float32]]] = []
        alone = 0
        for batch in self._rounds(rows, label=label):
            logits = self._forward(batch).logits.float().cpu()
            for index, row in enumerate(batch["rows"]):
                scores = logits[index][batch["residue_mask"][index]].numpy()
                own_residues = scores[row.chunk.first - row.chunk.start : row.chunk.last - row.chunk.start]
                pieces.append((rows.proteins.index(row.name), row.chunk.first, own_residues))
                alone += len(row.sequences) == 1 and rows.alignments is not None and row.name in rows.alignments
        gathered = gather_object(pieces)
        self.without_context = sum(gather_object([alone]))
        ions = len(self._model.ion_types)
        whole = {
            name: np.full((len(sequence), ions), np.nan, np.float32)
            for name, sequence in zip(rows.proteins.names, rows.proteins.sequences, strict=True)
        }
        for protein, first, scores in gathered:
            whole[rows.proteins.names[protein]][first : first + len(scores)] = scores
        if not all(np.isfinite(scores).all() for scores in whole.values()):
            raise BindtuneError(f"{label}: predictions are not numbers: learn at a lower training.learning_rate")
        return whole

    def _rounds(self, rows: ResidueRows, *, label: str, masking: bool = False) -> Iterator[dict[str, Any]]:
        """This process's batches; all processes call `pause` equally often."""
        own = iter(self._batches.evaluation_loader(rows, masking=masking))
        rounds, counted = self._batches.evaluation_rounds(rows)
        first = self._accelerator.is_main_process
        for number in tracked(range(rounds), label, rounds, unit="batches", log=log, shown=first):
            self._pause()
            batch = next(own, None)
            if batch is not None and number < counted:
                yield batch
            elif batch is not None:
                self._forward(batch)  # other processes need this process's part of a sharded model

    @torch.no_grad()
    def masked_lm_loss(self, rows: ResidueRows, *, label: str) -> float:
        """Mean loss of masked residues under masks that never change; nan if no residue is masked."""
        self._model.eval()
        summed = torch.zeros(2, dtype=torch.float64, device=self._accelerator.device)
        for batch in self._rounds(rows, label=label, masking=True):
            masked = int((batch["mlm_labels"] > 0).sum())
            loss = float(self._forward(batch).mlm_sum)
            summed += torch.tensor([loss, masked], dtype=torch.float64, device=summed.device)
        total: Any = self._accelerator.reduce(summed, reduction="sum")
        return float(total[0] / total[1]) if total[1] else float("nan")

    def _forward(self, batch: dict[str, Any]) -> Any:
        """Run the model on a batch in the precision of training; the processes do not wait for each other."""
        tensors = {name: batch[name].to(self._accelerator.device) for name in INPUTS if name in batch}
        with self._accelerator.autocast():
            return self._model(**tensors)
