"""Losses of an evaluation window by window, in one process or several; each window comes out exactly once."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from accelerate.utils import gather_object
from numpy.typing import NDArray
from torch import Tensor

from bindtune.data.masking import FLANK, PEAK
from bindtune.runs.eval_records import RecordLosses


class RecordTally:
    """Gathers what each window's masked tokens cost.

    Args:
        records: (R,) hash of each window of the evaluation, in the order that `add` counts in.
    """

    def __init__(self, records: NDArray[np.int64]) -> None:
        self.records = np.asarray(records, dtype=np.int64)
        self._places: list[int] = []
        self._masks: list[int] = []
        self._sums: list[Tensor] = []  # (B, 2, 2) each: peak and flank, masked tokens and their loss

    def see(self, places: Sequence[int], batch: Mapping[str, Tensor]) -> None:
        """Note a batch as the collator made it, before it goes to the device.

        Args:
            places: B, which windows they are.
            batch: `input_ids`, `labels` and `attention_mask`, (B, T) each.
        """
        ids, labels, attended = (batch[name].numpy() for name in ("input_ids", "labels", "attention_mask"))
        self._places += places
        for row, mask in enumerate(attended.astype(bool)):
            shown = np.concatenate([ids[row, mask], labels[row, mask]]).astype("<i8").tobytes()
            self._masks.append(int.from_bytes(hashlib.blake2b(shown, digest_size=8).digest(), "little", signed=True))

    def add(self, *, region: Tensor, chosen: Tensor, loss: Tensor) -> None:
        """Take in the losses of the batch last seen.

        Args:
            region: (B, T), 0, FLANK or PEAK.
            chosen: (B, T) bool, masked tokens.
            loss: (masked tokens,) their cross entropy.
        """
        each = torch.zeros(chosen.shape, dtype=torch.float64, device=loss.device)
        each[chosen] = loss.detach().double()
        inside = torch.stack([chosen & (region == kind) for kind in (PEAK, FLANK)], dim=1)  # (B, 2, T)
        # Copied from the device once, when all is done.
        self._sums.append(torch.stack([inside.double().sum(2), torch.where(inside, each[:, None], 0.0).sum(2)], dim=2))

    def gathered(self) -> RecordLosses:
        """What all processes took in, in the order of the windows; every process must ask."""
        sums = torch.cat(self._sums).cpu().numpy() if self._sums else np.zeros((0, 2, 2))
        own = list(zip(self._places, self._masks, sums.tolist(), strict=True))
        rows = sorted(gather_object(own))
        places = np.array([place for place, *_ in rows], dtype=np.int64)
        if not np.array_equal(places, np.arange(len(self.records))):
            raise RuntimeError(f"{len(self.records)} windows were to be evaluated once each, found {len(places)}")
        parts = np.array([part for *_, part in rows]).reshape(-1, 2, 2)
        by_kind = np.concatenate([parts.sum(axis=1, keepdims=True), parts], axis=1)  # (R, 3, 2)
        masks = np.array([mask for _, mask, _ in rows], dtype=np.int64)
        return RecordLosses(self.records, masks, by_kind[:, :, 0].astype(np.int64), by_kind[:, :, 1])
