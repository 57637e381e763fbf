"""Rows of sequences with their padding, for `torch.export`: no shape and no branch depends on the content of a batch.

The results are those of `packing.py`, with more work: every layer computes padding, and attention is dense with a mask.
"""

from dataclasses import dataclass, replace

from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class DensePlan:
    """An attention pattern as a mask.

    Args:
        sees: (B, T, T) bool, whether the query in the row sees the key in the column.
    """

    sees: Tensor

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Softmax attention: (N, H, d) and two (N, G, d), N = B T, to (N, H, d)."""
        rows, columns = self.sees.shape[:2]
        groups = query.shape[1] // key.shape[1]
        key, value = (part.repeat_interleave(groups, dim=1) if groups > 1 else part for part in (key, value))
        query, key, value = (
            part.view(rows, columns, -1, part.shape[-1]).transpose(1, 2) for part in (query, key, value)
        )  # (B, H, T, d)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=self.sees[:, None])
        return mixed.transpose(1, 2).flatten(0, 1)


@dataclass(frozen=True)
class PaddedRows:
    """A padded batch, with the methods of `Packing`.

    Args:
        ids: (B, T) number of the sequence that a token belongs to, -1 at padding.
        shown: (B, T) the tokens whose values are given back; 0 stands in the place of the others.
    """

    ids: Tensor
    shown: Tensor
    has_context = False  # nothing is left out of the later layers

    def pack(self, batch: Tensor) -> Tensor:
        """(B, T, ...) to (B T, ...)."""
        return batch.flatten(0, 1)

    def unpack(self, packed: Tensor) -> Tensor:
        """(B T, D) to (B, T, D), 0 where nothing is shown."""
        return packed.view(*self.ids.shape, packed.shape[-1]).masked_fill(~self.shown[..., None], 0.0)

    @property
    def sequence_ids(self) -> Tensor:
        """(B T,) as the embedding takes them, 0 at padding."""
        return self.ids.flatten().clamp(min=0)

    @property
    def queries(self) -> "PaddedRows":
        """The same batch; the last sequence of each row is shown."""
        return replace(self, shown=self.shown & (self.ids == self.ids.amax(dim=1, keepdim=True)))

    @property
    def within(self) -> DensePlan:
        """Each sequence sees itself; padding too, so that no query is without a key."""
        return DensePlan(self.ids[:, :, None] == self.ids[:, None, :])

    @property
    def causal(self) -> DensePlan:
        """Each sequence sees itself and those before it in its row; padding sees padding."""
        query, key = self.ids[:, :, None], self.ids[:, None, :]
        return DensePlan((query >= key) & ((query < 0) == (key < 0)))


def padded_rows(sequence_ids: Tensor) -> PaddedRows:
    """Take a batch as it is; sequence_ids is (B, T), -1 at padding."""
    return PaddedRows(sequence_ids, sequence_ids >= 0)
