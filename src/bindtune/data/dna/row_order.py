"""The order in which rows are read, and the keys of their masks."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import Sampler

from bindtune.data.keyed_random import derive, digest

MUTED = -1
"""Index of a row that fills up a batch and counts for nothing: one special token, so that nothing is masked."""


class KeyedRows(TorchDataset[dict[str, Any]]):
    """Tokenised rows, each with the key of its mask.

    An index counts on over the epochs: row i in epoch e is e * len + i. The epoch thus reaches every worker with the
    index itself, and a mask depends on (seed, epoch, record) alone.

    Args:
        rows: a dataset with the columns of `data.tokens`.
        seed: what the masks come from; a number for training, ("evaluation", number) for masks that stay the same.
    """

    def __init__(self, rows: Dataset, *, seed: object) -> None:
        self.rows = rows.with_format("numpy")
        self.seed = seed

    def __len__(self) -> int:
        return len(self.rows)

    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each row, (rows,)."""
        return np.asarray(self.rows["length"], dtype=np.int64)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """Rows of one batch, read at once; a DataLoader calls this."""
        numbers = np.asarray(indices, dtype=np.int64)
        epochs, row_numbers = np.divmod(np.where(numbers == MUTED, 0, numbers), len(self.rows))
        columns = self.rows[row_numbers.tolist()]
        shared = {epoch: digest(self.seed, epoch) for epoch in set(epochs.tolist())}
        above = np.array([shared[epoch] for epoch in epochs.tolist()], dtype=np.uint64)
        keys = derive(above, columns["record"].astype(np.uint64))
        names = ("input_ids", "eclip_token_starts", "eclip_token_ends")
        rows = [{**{name: columns[name][row] for name in names}, "mask_key": key} for row, key in enumerate(keys)]
        for row in np.flatnonzero(numbers == MUTED):
            rows[row] |= {name: rows[row][name][: name == "input_ids"] for name in names}
        return rows


class LengthGroupedSampler(Sampler[int]):
    """Shuffle rows so that neighbours have similar lengths; a function of (seed, epoch) alone.

    Args:
        lengths: (rows,) tokens of each row.
        group: rows that are used at a time, over all processes and accumulation steps.
        seed: what the order comes from.
        by_length: False shuffles only.
        share: rows are filled up with MUTED to a multiple of this, so that each of several processes has whole batches.
    """

    GROUPS_SORTED_TOGETHER = 50

    def __init__(
        self, lengths: NDArray[np.int64], *, group: int, seed: int, by_length: bool = True, share: int = 1
    ) -> None:
        self.lengths, self.group, self.seed, self.by_length, self.share = lengths, group, seed, by_length, share
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order is given next; may be called more than once."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.share) * self.share

    def __iter__(self) -> Iterator[int]:
        order = np.random.default_rng(digest(self.seed, "order", self.epoch)).permutation(len(self.lengths))
        if self.by_length:
            order = self._grouped(order)
        filling = [MUTED] * (len(self) - len(order))
        return iter((order + self.epoch * len(self.lengths)).tolist() + filling)

    def _grouped(self, order: NDArray[np.int64]) -> NDArray[np.int64]:
        """Sort long stretches by length, cut them into groups, and shuffle the groups."""
        stretch = self.group * self.GROUPS_SORTED_TOGETHER
        stretches = (order[start : start + stretch] for start in range(0, len(order), stretch))
        sorted_ = np.concatenate([part[np.argsort(-self.lengths[part], kind="stable")] for part in stretches])
        groups = [sorted_[start : start + self.group] for start in range(0, len(sorted_), self.group)]
        whole = groups if len(groups[-1]) == self.group else groups[:-1]
        shuffled = np.random.default_rng(digest(self.seed, "groups", self.epoch)).permutation(len(whole))
        return np.concatenate([*(whole[index] for index in shuffled), *groups[len(whole) :]])
