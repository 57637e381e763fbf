"""Whether a training step fits into memory: the predicted peak by part, and the most tokens that fit."""

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
"""glibc returns freed blocks of this size (bytes) or more to the system at once. By default, glibc raises the size."""
_SHARE = 0.9
"""Share of the memory that a prediction may use. The rest covers the error of the prediction."""


@dataclass(frozen=True)
class TrainingDevice:
    """The device that computes a training step.

    Args:
        name: for messages.
        available: bytes; 0 means unknown.
        taken: bytes that libraries and data take before training.
        on_host: whether tensors lie in the heap of the process.
    """

    name: str
    available: float
    taken: float
    on_host: bool = False


def check_heap(environment: Mapping[str, str]) -> list[Finding]:
    """Whether glibc returns large freed tensors to the system; otherwise its heap exceeds the prediction."""
    if platform.libc_ver()[0] != "glibc":
        return []
    threshold = environment.get(HEAP)
    if threshold is not None and threshold.isdigit() and int(threshold) <= int(THRESHOLD):
        return [noted("memory", "heap", threshold, f"{HEAP}={threshold}")]
    fix = f"export {HEAP}={THRESHOLD} before training on a CPU"
    text = f"{HEAP} is {threshold or 'not set'}: freed memory stays fragmented, so the peak exceeds the prediction"
    return [warning("memory", "heap", threshold, fix, text=text)]


def find_device() -> TrainingDevice:
    """The first GPU, or the host. The host's `taken` is the memory that this process holds now."""
    if torch.cuda.is_available():
        free, _ = torch.cuda.mem_get_info(0)
        return TrainingDevice(torch.cuda.get_device_name(0), free, 0)
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="utf-8").splitlines() if status.is_file() else []
    resident = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS")), 0)
    return TrainingDevice("this host", host_memory(), resident, on_host=True)


def check_memory(
    model: nn.Module, batch: BatchShape, arithmetic: Arithmetic, *, device: TrainingDevice, advice: Callable[[int], str]
) -> list[Finding]:
    """Predict the peak of a training step, and say whether it fits.

    Args:
        model: on any device, the meta device too.
        batch: the largest batch of the run.
        arithmetic: precision, checkpointing and accumulation of the step.
        device: where the step is computed.
        advice: settings that give at most so many tokens a batch; it is called with 0 if no row fits.
    """
    memory = predict_memory(model, batch, arithmetic)
    if memory is None:
        text = "not predicted: the memory of layers is known for E1 and DNABERT-2 only"
        return [noted("memory", "peak", None, text)]
    findings = [noted("memory", name, round(value), size(value)) for name, value in asdict(memory).items() if value]
    alternative = predict_memory(model, batch, replace(arithmetic, checkpointing=not arithmetic.checkpointing))
    peaks = {arithmetic.checkpointing: memory.total + device.taken}
    if alternative is not None:
        peaks[not arithmetic.checkpointing] = alternative.total + device.taken
    findings += check_heap(os.environ) if device.on_host else []
    if device.taken:
        findings.append(noted("memory", "libraries and data", round(device.taken), size(device.taken)))
    for on in (arithmetic.checkpointing, not arithmetic.checkpointing):
        how = f"gradient checkpointing {'on' if on else 'off'}{' (as set)' if on == arithmetic.checkpointing else ''}"
        findings.append(noted("memory", "peak with checkpointing" if on else "peak without it", round(peaks[on]),
                              f"{size(peaks[on])}, {how}"))  # fmt: skip
    return [
        *findings,
        _fit(model, batch, arithmetic, device=device, peak=peaks[arithmetic.checkpointing], advice=advice),
    ]


def _fit(
    model: nn.Module,
    batch: BatchShape,
    arithmetic: Arithmetic,
    *,
    device: TrainingDevice,
    peak: float,
    advice: Callable[[int], str],
) -> Finding:
    if not device.available:
        return noted("memory", "fits", None, "the memory of this host is unknown")
    room = _SHARE * device.available
    tokens = most_tokens(model, batch, arithmetic, room=room - device.taken)
    about = f"{size(peak)} of {size(device.available)} on {device.name}"
    if peak <= room:
        return noted("memory", "fits", True, f"yes: {about}; up to {tokens:,} tokens in a batch would")
    if peak <= device.available:
        return warning("memory", "fits", True, advice(tokens), text=f"barely: {about}")
    return problem("memory", "fits", False, advice(tokens), text=f"no: {about}")


def most_tokens(model: nn.Module, batch: BatchShape, arithmetic: Arithmetic, *, room: float) -> int:
    """The most tokens of such a batch that fit into `room` bytes, in tens; 0 if not even one row fits."""

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
    """A batch of the same kind of rows with `tokens` tokens."""
    factor = tokens / batch.tokens
    return BatchShape(
        rows=max(1, math.ceil(batch.rows * factor)),
        columns=min(batch.columns, tokens),
        tokens=tokens,
        masked=math.ceil(batch.masked * factor),
        queries=None if batch.queries is None else math.ceil(batch.queries * factor),
    )
