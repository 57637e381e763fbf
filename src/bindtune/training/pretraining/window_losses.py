"""Losses of each window of an evaluation, gathered from all processes."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from accelerate.utils import gather_object
from numpy.typing import NDArray
from torch import Tensor

from bindtune.data.masking import FLANK, PEAK
from bindtune.runs.eval_records import RecordLosses


class WindowLosses:
    """Gathers the losses of the masked tokens of each window.

    Args:
        records: (R,) hash of each window of the evaluation; windows are numbered in this order.
    """

    def __init__(self, records: NDArray[np.int64]) -> None:
        self.records = np.asarray(records, dtype=np.int64)
        self._windows: list[int] = []
        self._masks: list[int] = []
        self._sums: list[Tensor] = []  # (B, 2, 2) each: peak and flank, masked tokens and their loss

    def see(self, windows: Sequence[int], batch: Mapping[str, Tensor]) -> None:
        """Note a batch as the collator made it, before it goes to the device.

        Args:
            windows: B, numbers of the batch's windows.
            batch: `input_ids`, `labels` and `attention_mask`, (B, T) each.
        """
        ids, labels, attended = (batch[name].numpy() for name in ("input_ids", "labels", "attention_mask"))
        self._windows += windows
        for row, is_token in enumerate(attended.astype(bool)):
            shown = np.concatenate([ids[row, is_token], labels[row, is_token]]).astype("<i8").tobytes()
            self._masks.append(int.from_bytes(hashlib.blake2b(shown, digest_size=8).digest(), "little", signed=True))

    def add(self, *, region: Tensor, masked: Tensor, loss: Tensor) -> None:
        """Add the losses of the batch that was last given to `see`.

        Args:
            region: (B, T), 0, FLANK or PEAK.
            masked: (B, T) bool, masked tokens.
            loss: (masked tokens,) their cross entropy.
        """
        by_token = torch.zeros(masked.shape, dtype=torch.float64, device=loss.device)
        by_token[masked] = loss.detach().double()
        inside = torch.stack([masked & (region == kind) for kind in (PEAK, FLANK)], dim=1)  # (B, 2, T)
        # Sums are copied from the device once, at the end.
        self._sums.append(
            torch.stack([inside.double().sum(2), torch.where(inside, by_token[:, None], 0.0).sum(2)], dim=2)
        )

    def gathered(self) -> RecordLosses:
        """The losses of all processes, in the order of the windows; every process must call this."""
        sums = torch.cat(self._sums).cpu().numpy() if self._sums else np.zeros((0, 2, 2))
        own = list(zip(self._windows, self._masks, sums.tolist(), strict=True))
        rows = sorted(gather_object(own))
        windows = np.array([window for window, *_ in rows], dtype=np.int64)
        if not np.array_equal(windows, np.arange(len(self.records))):
            raise RuntimeError(f"{len(self.records)} windows were to be evaluated once each, found {len(windows)}")
        parts = np.array([part for *_, part in rows]).reshape(-1, 2, 2)
        by_kind = np.concatenate([parts.sum(axis=1, keepdims=True), parts], axis=1)  # (R, 3, 2)
        masks = np.array([mask for _, mask, _ in rows], dtype=np.int64)
        return RecordLosses(self.records, masks, by_kind[:, :, 0].astype(np.int64), by_kind[:, :, 1])
