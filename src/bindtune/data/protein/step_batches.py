"""Group proteins into batches within a budget of tokens, and into the optimiser steps of an epoch."""

from collections.abc import Iterator, Sequence

import numpy as np

from bindtune.data.keyed_random import digest

Steps = list[list[list[list[int]]]]
"""Protein indices by step, process and batch."""


def budgeted(lengths: Sequence[int], *, max_tokens: int) -> Iterator[list[int]]:
    """Batches of indices with similar lengths; a batch has at most `max_tokens` tokens, or one member.

    The longest come first, so a batch that does not fit into memory fails at the start.
    """
    batch: list[int] = []
    held = 0
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        if batch and held + lengths[index] > max_tokens:
            yield batch
            batch, held = [], 0
        batch.append(index)
        held += lengths[index]
    if batch:
        yield batch


def training_steps(
    costs: Sequence[int],
    *,
    proteins_per_step: int,
    processes: int,
    batch_size: int,
    max_tokens: int | None,
    key: object,
) -> Steps:
    """Cut an epoch into optimiser steps, and each step into the batches of each process.

    The proteins of a step depend only on the key and on `proteins_per_step`, so the steps are the same for any number
    of processes. In a step, the processes get about equal numbers of tokens. A process without a protein gets an
    empty list.

    Args:
        costs: most tokens of each protein, including its context.
        proteins_per_step: proteins of a step, over all processes and accumulated batches.
        processes: number of processes that share a step.
        batch_size: most proteins of a batch.
        max_tokens: most tokens of a batch; one protein is always allowed. None means no limit.
        key: key of the random order.
    """
    order = np.random.default_rng(digest(key, "order")).permutation(len(costs)).tolist()
    steps = (order[start : start + proteins_per_step] for start in range(0, len(order), proteins_per_step))
    return [
        [
            _batches(share, costs, batch_size=batch_size, max_tokens=max_tokens)
            for share in _shares(step, costs, processes)
        ]
        for step in steps
    ]


def _shares(step: list[int], costs: Sequence[int], processes: int) -> list[list[int]]:
    """Give proteins to processes, the longest first, each to the process with the fewest tokens so far."""
    shares: list[list[int]] = [[] for _ in range(processes)]
    held = [0] * processes
    for index in sorted(step, key=lambda index: (-costs[index], index)):
        # A process without a protein comes first, so none is idle while another has two.
        least = min(range(processes), key=lambda rank: (len(shares[rank]) > 0, held[rank], rank))
        shares[least].append(index)
        held[least] += costs[index]
    return shares


def _batches(share: list[int], costs: Sequence[int], *, batch_size: int, max_tokens: int | None) -> list[list[int]]:
    batches: list[list[int]] = []
    held = 0
    for index in share:
        full = not batches or len(batches[-1]) == batch_size
        if full or (max_tokens is not None and held + costs[index] > max_tokens):
            batches.append([])
            held = 0
        batches[-1].append(index)
        held += costs[index]
    return batches
