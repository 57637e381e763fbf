"""What this process may use of its machine: cores, memory, open files, by the limits of the system around it."""

import os
import resource
from pathlib import Path

GIB = 1 << 30
_UNLIMITED = 2**60
"""Where version 1 of control groups sets no limit, it says a number near 2^63."""


def usable_cores() -> int:
    """Cores that this process may use: by affinity, and by the limit of its control group."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for folder in _control_groups("cpu"):
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        if quota.isdigit() and period.isdigit():
            cores = min(cores, max(1, int(quota) // int(period)))
    return cores


def host_memory() -> int:
    """Bytes that this process may use: the machine's, or less by its control group or `ulimit`; 0 where unknown."""
    total = first_line(Path("/proc/meminfo"), "MemTotal:").split()
    limits = [int(total[1]) * 1024] if len(total) > 1 else []
    for folder in _control_groups("memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            number = _text(folder / name)
            if number.isdigit() and int(number) < _UNLIMITED:
                limits.append(int(number))
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        limit, _ = resource.getrlimit(kind)
        if limit != resource.RLIM_INFINITY:
            limits.append(limit)
    return min(limits, default=0)


def size(count: float) -> str:
    """Bytes as GiB.

    Examples:
        >>> size(3 * 2**29)
        '1.50 GiB'
    """
    return f"{count / GIB:.2f} GiB"


def first_line(path: Path, start: str) -> str:
    """The first line of a text file that begins in a certain way, or nothing."""
    return next((line for line in _text(path).splitlines() if line.startswith(start)), "")


def _control_groups(kind: str) -> list[Path]:
    """The folders of this process's control groups and of those around them, in either version of the file system."""
    folders = []
    for line in _text(Path("/proc/self/cgroup")).splitlines():
        number, _, rest = line.partition(":")
        kinds, _, path = rest.partition(":")
        root = Path("/sys/fs/cgroup") if number == "0" else Path("/sys/fs/cgroup") / kind
        if number == "0" or kind in kinds.split(","):
            own = root / path.lstrip("/")
            folders += [own, *(parent for parent in own.parents if parent.is_relative_to(root))]
    return folders


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
