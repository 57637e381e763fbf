"""Losses of masked tokens in peaks and in flanks, summed over batches, steps and processes."""

import torch
import torch.distributed
from torch import Tensor

from bindtune.data.masking import FLANK, PEAK

_NAMES = ("flank", "peak")


class RegionLosses:
    """Losses, hits and counts of masked tokens in flanks and peaks.

    Args:
        device: of the batches; sums stay on it until `metrics` is called.
    """

    def __init__(self, device: torch.device) -> None:
        # one row for flanks and one for peaks: loss, hits, masked tokens, maskable tokens
        self.by_region = torch.zeros(2, 4, dtype=torch.float64, device=device)
        # of sequences with tokens to mask: their number, relaxed ones, tokens, tokens with padding
        self.batches = torch.zeros(4, dtype=torch.float64, device=device)

    def add(
        self, *, region: Tensor, relaxed: Tensor, attended: Tensor, masked: Tensor, loss: Tensor, hit: Tensor
    ) -> None:
        """Add one batch.

        Args:
            region: (B, T), 0, FLANK or PEAK.
            relaxed: (B,) whether the peak rate is outside its range.
            attended: (B, T), 0 at padding.
            masked: (B, T) bool, masked tokens.
            loss: (masked tokens,) their cross entropy.
            hit: (masked tokens,) bool, whether the prediction is right.
        """
        kinds = region[masked]
        values = torch.stack([loss.detach().double(), hit.double(), torch.ones_like(loss, dtype=torch.float64)], dim=1)
        for row, kind in enumerate((FLANK, PEAK)):
            self.by_region[row, :3] += values[kinds == kind].sum(dim=0)
            self.by_region[row, 3] += (region == kind).sum()
        maskable = (region > 0).any(dim=1)  # rows that only fill a batch have no tokens to mask
        padded_tokens = maskable.sum() * region.shape[1]
        counts = [maskable.sum(), relaxed.sum(), attended[maskable].sum(), padded_tokens]
        self.batches += torch.stack([count.double() for count in counts])

    def merge(self, losses: "RegionLosses") -> None:
        """Add the sums of other batches."""
        self.by_region += losses.by_region
        self.batches += losses.batches

    def reset(self) -> None:
        """Set all sums to 0."""
        self.by_region.zero_()
        self.batches.zero_()

    def metrics(self) -> dict[str, float]:
        """Means over all batches and processes; a figure without tokens is left out."""
        by_region, batches = self.by_region.clone(), self.batches.clone()
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(by_region)
            torch.distributed.all_reduce(batches)
        rows = {"": by_region.sum(dim=0), **{f"{n}_": row for n, row in zip(_NAMES, by_region, strict=True)}}
        figures: dict[str, float] = {}
        for name, row in rows.items():
            loss, hits, masked, maskable = row.tolist()
            if masked:
                figures |= {f"{name}loss": loss / masked, f"{name}accuracy": hits / masked}
            if maskable:
                figures[f"{name}masked_rate"] = masked / maskable
        sequences, relaxed, tokens, padded_tokens = batches.tolist()
        if sequences:
            figures |= {"relaxed_sequences": relaxed / sequences, "padding_efficiency": tokens / padded_tokens}
        return figures
