"""Sums over masked tokens, kept apart by region: they add up over batches, steps and processes."""

import torch
import torch.distributed
from torch import Tensor

from bindtune.data.masking import FLANK, PEAK

_NAMES = ("flank", "peak")


class Tally:
    """Losses, hits and counts of masked tokens in flanks and peaks.

    Args:
        device: where batches live; nothing is copied from it until `metrics` is called.
    """

    def __init__(self, device: torch.device) -> None:
        # one row for flanks and one for peaks: loss, hits, masked tokens, maskable tokens
        self.by_region = torch.zeros(2, 4, dtype=torch.float64, device=device)
        # of sequences with something to mask: how many, relaxed ones, tokens, places in the padded batches
        self.batches = torch.zeros(4, dtype=torch.float64, device=device)

    def add(
        self, *, region: Tensor, relaxed: Tensor, attended: Tensor, chosen: Tensor, loss: Tensor, hit: Tensor
    ) -> None:
        """Take in one batch.

        Args:
            region: (B, T), 0, FLANK or PEAK.
            relaxed: (B,) whether the peak range gave way.
            attended: (B, T), 0 at padding.
            chosen: (B, T) bool, masked tokens.
            loss: (masked tokens,) their cross entropy.
            hit: (masked tokens,) bool, predicted right.
        """
        kinds = region[chosen]
        values = torch.stack([loss.detach().double(), hit.double(), torch.ones_like(loss, dtype=torch.float64)], dim=1)
        for row, kind in enumerate((FLANK, PEAK)):
            self.by_region[row, :3] += values[kinds == kind].sum(dim=0)
            self.by_region[row, 3] += (region == kind).sum()
        maskable = (region > 0).any(dim=1)  # rows that fill up a batch have nothing to mask
        places = maskable.sum() * region.shape[1]
        counts = [maskable.sum(), relaxed.sum(), attended[maskable].sum(), places]
        self.batches += torch.stack([count.double() for count in counts])

    def merge(self, other: "Tally") -> None:
        """Add another tally's sums."""
        self.by_region += other.by_region
        self.batches += other.batches

    def reset(self) -> None:
        """Start again from nothing."""
        self.by_region.zero_()
        self.batches.zero_()

    def metrics(self) -> dict[str, float]:
        """Means over everything taken in, by all processes; what was never seen is left out."""
        by_region, batches = self.by_region.clone(), self.batches.clone()
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(by_region)
            torch.distributed.all_reduce(batches)
        rows = {"": by_region.sum(dim=0), **{f"{n}_": row for n, row in zip(_NAMES, by_region, strict=True)}}
        found: dict[str, float] = {}
        for name, row in rows.items():
            loss, hits, masked, maskable = row.tolist()
            if masked:
                found |= {f"{name}loss": loss / masked, f"{name}accuracy": hits / masked}
            if maskable:
                found[f"{name}masked_rate"] = masked / maskable
        sequences, relaxed, tokens, places = batches.tolist()
        if sequences:
            found |= {"relaxed_sequences": relaxed / sequences, "padding_efficiency": tokens / places}
        return found
