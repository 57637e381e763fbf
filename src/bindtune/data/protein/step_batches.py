"""Which proteins are computed together: batches within a budget of tokens, and the steps of an epoch."""

from collections.abc import Iterator, Sequence

import numpy as np

from bindtune.data.keyed_random import digest

Steps = list[list[list[list[int]]]]
"""Of each step, for each process, its batches of places."""


def budgeted(lengths: Sequence[int], *, max_tokens: int) -> Iterator[list[int]]:
    """Indices in batches of neighbours in length; a batch has at most `max_tokens`, or one member.

    The longest come first: what does not fit is known at once.
    """
    batch: list[int] = []
    held = 0
    for index in sorted(range(len(lengths)), key=lambda place: (-lengths[place], place)):
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
    """Cut an epoch into optimiser steps, and those into the batches of each process.

    Which proteins a step holds depends on the key and on `proteins_per_step` alone, so that any number of processes
    learns from the same steps. Within a step the processes get about equal numbers of tokens. A process that would get
    no protein gets an empty list.

    Args:
        costs: most tokens of each protein, its context included.
        proteins_per_step: over all processes and accumulated batches.
        processes: that share a step.
        batch_size: most proteins of a batch.
        max_tokens: most tokens of a batch; one protein is always allowed. None for no limit.
        key: what the order is drawn from.
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
    """The longest first, each to the process with the fewest tokens so far."""
    shares: list[list[int]] = [[] for _ in range(processes)]
    held = [0] * processes
    for place in sorted(step, key=lambda place: (-costs[place], place)):
        # By number of proteins first: no process waits with nothing while another has two.
        least = min(range(processes), key=lambda rank: (len(shares[rank]) > 0, held[rank], rank))
        shares[least].append(place)
        held[least] += costs[place]
    return shares


def _batches(share: list[int], costs: Sequence[int], *, batch_size: int, max_tokens: int | None) -> list[list[int]]:
    batches: list[list[int]] = []
    held = 0
    for place in share:
        full = not batches or len(batches[-1]) == batch_size
        if full or (max_tokens is not None and held + costs[place] > max_tokens):
            batches.append([])
            held = 0
        batches[-1].append(place)
        held += costs[place]
    return batches
