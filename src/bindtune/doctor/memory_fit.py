"""Whether a training step fits: the predicted peak by part, what there is, and the most tokens that fit."""

import math
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import nn

from bindtune.doctor.findings import Finding, noted, problem, warning
from bindtune.host_limits import host_memory, size
from bindtune.models.activation_bytes import Arithmetic, BatchShape
from bindtune.models.memory import predict_memory

HEAP, THRESHOLD = "MALLOC_MMAP_THRESHOLD_", "262144"
"""A fixed size, in bytes, from which on glibc gives freed memory back at once; it grows by itself where none is set."""
_SHARE = 0.9
"""Of the memory there is: the rest is for what the prediction is off by."""


@dataclass(frozen=True)
class Place:
    """Where a step is computed.

    Args:
        name: for messages.
        available: bytes; 0 where nobody knows.
        taken: bytes that the process has before it trains: libraries, and the data.
        on_host: whether the heap of the process is where tensors live.
    """

    name: str
    available: float
    taken: float
    on_host: bool = False


def check_heap(environment: Mapping[str, str]) -> list[Finding]:
    """Whether glibc gives large tensors back when they are freed; in pieces, its heap holds more than is predicted."""
    if platform.libc_ver()[0] != "glibc":
        return []
    told = environment.get(HEAP)
    if told is not None and told.isdigit() and int(told) <= int(THRESHOLD):
        return [noted("memory", "heap", told, f"{HEAP}={told}")]
    fix = f"export {HEAP}={THRESHOLD} before training on a CPU"
    text = f"{HEAP} is {told or 'not set'}: freed memory stays in pieces, and the peak is far above the prediction"
    return [warning("memory", "heap", told, fix, text=text)]


def find_place() -> Place:
    """The first GPU, or the host with what this process, which has imported all of it, holds by now."""
    if torch.cuda.is_available():
        free, _ = torch.cuda.mem_get_info(0)
        return Place(torch.cuda.get_device_name(0), free, 0)
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="utf-8").splitlines() if status.is_file() else []
    resident = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS")), 0)
    return Place("this host", host_memory(), resident, on_host=True)


def check_memory(
    model: nn.Module, batch: BatchShape, arithmetic: Arithmetic, *, place: Place, advice: Callable[[int], str]
) -> list[Finding]:
    """Findings of the predicted peak.

    Args:
        model: on any device, the meta device too.
        batch: the largest batch of the run.
        arithmetic: how it is computed.
        place: where.
        advice: what to set for so many tokens in a batch; 0 where none fits.
    """
    memory = predict_memory(model, batch, arithmetic)
    if memory is None:
        told = "not predicted: what the layers of this encoder keep is known for E1 and DNABERT-2 alone"
        return [noted("memory", "peak", None, told)]
    found = [noted("memory", name, round(value), size(value)) for name, value in asdict(memory).items() if value]
    other = predict_memory(model, batch, replace(arithmetic, checkpointing=not arithmetic.checkpointing))
    peaks = {arithmetic.checkpointing: memory.total + place.taken}
    if other is not None:
        peaks[not arithmetic.checkpointing] = other.total + place.taken
    found += check_heap(os.environ) if place.on_host else []
    if place.taken:
        found.append(noted("memory", "libraries and data", round(place.taken), size(place.taken)))
    for on in (arithmetic.checkpointing, not arithmetic.checkpointing):
        how = f"gradient checkpointing {'on' if on else 'off'}{' (as set)' if on == arithmetic.checkpointing else ''}"
        found.append(noted("memory", "peak with checkpointing" if on else "peak without it", round(peaks[on]),
                           f"{size(peaks[on])}, {how}"))  # fmt: skip
    return [*found, _fit(model, batch, arithmetic, place=place, peak=peaks[arithmetic.checkpointing], advice=advice)]


def _fit(
    model: nn.Module,
    batch: BatchShape,
    arithmetic: Arithmetic,
    *,
    place: Place,
    peak: float,
    advice: Callable[[int], str],
) -> Finding:
    if not place.available:
        return noted("memory", "fits", None, "the memory of this host is unknown")
    room = _SHARE * place.available
    tokens = most_tokens(model, batch, arithmetic, room=room - place.taken)
    about = f"{size(peak)} of {size(place.available)} on {place.name}"
    if peak <= room:
        return noted("memory", "fits", True, f"yes: {about}; up to {tokens:,} tokens in a batch would")
    if peak <= place.available:
        return warning("memory", "fits", True, advice(tokens), text=f"barely: {about}")
    return problem("memory", "fits", False, advice(tokens), text=f"no: {about}")


def most_tokens(model: nn.Module, batch: BatchShape, arithmetic: Arithmetic, *, room: float) -> int:
    """The most tokens of a batch of this kind that fit into so many bytes, in tens; 0 where not even a row does."""

    def fits(tokens: int) -> bool:
        memory = predict_memory(model, scaled(batch, tokens), arithmetic)
        return memory is not None and memory.total <= room

    low, high = 0, 1
    while high < 2**20 and fits(10 * high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(10 * middle) else (low, middle)
    return 10 * low


def scaled(batch: BatchShape, tokens: int) -> BatchShape:
    """A batch of the same kind of rows with another number of tokens."""
    factor = tokens / batch.tokens
    return BatchShape(
        rows=max(1, math.ceil(batch.rows * factor)),
        columns=min(batch.columns, tokens),
        tokens=tokens,
        masked=math.ceil(batch.masked * factor),
        queries=None if batch.queries is None else math.ceil(batch.queries * factor),
    )
