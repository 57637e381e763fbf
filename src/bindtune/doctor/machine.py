"""Check the machine: versions, devices, threads, the hub, extras, and the output disk's free space and locks."""

import os
import platform
import shutil
import tempfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import torch
from huggingface_hub import constants

from bindtune.data.protein.mmseqs import find_mmseqs
from bindtune.data.workers import SHARED_MEMORY
from bindtune.doctor.findings import Finding, noted, problem, warning
from bindtune.doctor.tested import TESTED, doubt
from bindtune.errors import ConfigError
from bindtune.host_limits import GIB, first_line, host_memory, size, usable_cores
from bindtune.locks import lock
from bindtune.models.attention import can_compile

_EXTRAS = {
    "docs": ("sphinx", "myst_parser", "pydata_sphinx_theme"),
    "trackers": ("mlflow", "trackio", "wandb"),
}
_SWITCHES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HOME", "HF_HUB_CACHE", "HF_DATASETS_CACHE")
_LEAST_ROOM = GIB
_LEAST_SHARED, _CONTAINER_SHARED = 1 << 20, 64 << 20
_FEWER_PROCESSES = (
    "set training.num_workers=0 (pretrain: --dataloader_num_workers=0 --preprocessing_num_workers=1), or give the "
    "container more (docker run --shm-size=1g)"
)
LOCKS = "locks"


def check_machine(output: Path) -> list[Finding]:
    """Check all that does not depend on the settings of a run.

    Args:
        output: the output folder of a run; its nearest existing parent is checked.
    """
    return [
        *check_versions(), *_devices(), *check_threads(os.environ), *_hub(), *_extras(), *check_room(output),
        *check_locks(output),
    ]  # fmt: skip


def check_versions() -> list[Finding]:
    """Compare the installed versions with the tested ones."""
    findings = []
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU build"
    for name in ("bindtune", *TESTED):
        try:
            number = platform.python_version() if name == "Python" else version(name)
        except PackageNotFoundError:
            findings.append(problem("versions", name, "not installed", "pip install bindtune"))
            continue
        value = f"{number} ({build})" if name == "torch" else number
        if name not in TESTED:
            findings.append(noted("versions", name, value))
            continue
        text, doubted = f"{value}, tested {' to '.join(TESTED[name])}", doubt(name, number)
        if doubted is None:
            findings.append(noted("versions", name, value, text))
        else:
            fix = "bindtune smoke tries both jobs; if it fails, install a tested version"
            findings.append(warning("versions", name, value, fix, text=f"{text}: {doubted}"))
    return findings


def _devices() -> list[Finding]:
    findings = [noted("devices", "CPU", _cpu_model()), noted("devices", "cores", usable_cores())]
    memory = host_memory()
    findings.append(noted("devices", "memory", memory, size(memory) if memory else "unknown"))
    findings.append(check_shared_memory())
    findings += [finding for number in range(torch.cuda.device_count()) for finding in _gpu(number)]
    if not torch.cuda.is_available():
        findings.append(_no_gpu())
        return findings
    if find_spec("torch.nn.attention.varlen"):
        findings.append(noted("devices", "varlen attention", True, "there"))
    else:
        fix = "update torch to 2.10 or newer, or set training.use_bf16=false"
        findings.append(problem("devices", "varlen attention", False, fix, text="missing"))
    how = "compiled" if can_compile() else "pair by pair: for kernels, Triton, a C compiler and Python's headers"
    findings.append(noted("devices", "attention to contexts", can_compile(), how))
    return findings


def check_shared_memory(folder: Path = Path(SHARED_MEMORY)) -> Finding:
    """Whether shared memory has space for the processes of a run; a container has 64 MiB of it by default.

    Args:
        folder: the system's folder of shared memory.
    """
    name = f"shared memory ({folder})"
    try:
        disk = shutil.disk_usage(folder)
    except OSError as error:
        return warning("devices", name, None, _FEWER_PROCESSES, text=f"cannot be used: {error.strerror}")
    text = f"{disk.total >> 20:,} MiB, {disk.free >> 20:,} MiB free"
    if disk.free < _LEAST_SHARED:
        return problem("devices", name, disk.free, _FEWER_PROCESSES, text=text)
    if disk.total <= _CONTAINER_SHARED:
        fix = "enough to prepare batches; for several GPUs, give the container more (docker run --shm-size=1g)"
        return warning("devices", name, disk.free, fix, text=text)
    return noted("devices", name, disk.free, text)


def _gpu(number: int) -> list[Finding]:
    free, total = torch.cuda.mem_get_info(number)
    name = torch.cuda.get_device_name(number)
    with torch.cuda.device(number):
        bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    about = f"{name}, {size(total)}, {size(free)} free, bfloat16 {'in hardware' if bf16 else 'not in hardware'}"
    value = {"name": name, "memory": total, "free": free, "bf16": bf16}
    if bf16:
        return [noted("devices", f"GPU {number}", value, about)]
    fix = "--fp16 for pretrain, training.use_bf16=false for train"
    return [warning("devices", f"GPU {number}", value, fix, text=about)]


def _no_gpu() -> Finding:
    if torch.version.cuda is None and Path("/dev/nvidia0").exists():
        return warning("devices", "GPU", "torch cannot use the GPU", "install a build of torch with CUDA")
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if torch.version.cuda is not None:
        text = "torch sees none" if seen is None else f"torch sees none, CUDA_VISIBLE_DEVICES is {seen!r}"
        return warning("devices", "GPU", text, "ask the scheduler for a GPU, and look at nvidia-smi")
    return noted("devices", "GPU", None, "none: training is on the CPU")


def _cpu_model() -> str:
    line = first_line(Path("/proc/cpuinfo"), "model name")
    return line.partition(":")[2].strip() or platform.processor() or platform.machine()


def check_threads(environment: Mapping[str, str]) -> list[Finding]:
    """Compare torch's threads with the usable cores and with the cores that SLURM reserved."""
    threads, cores = torch.get_num_threads(), usable_cores()
    findings = [noted("threads", "OMP_NUM_THREADS", environment.get("OMP_NUM_THREADS"),
                      environment.get("OMP_NUM_THREADS", "not set"))]  # fmt: skip
    reservation = environment.get("SLURM_CPUS_PER_TASK", "")
    reserved_cores = int(reservation) if reservation.isdigit() else None
    if reserved_cores is not None:
        findings.append(noted("threads", "SLURM_CPUS_PER_TASK", reserved_cores))
    usable = cores if reserved_cores is None else reserved_cores
    if threads > usable:
        fix = f"export OMP_NUM_THREADS={usable}: more threads than cores slow each other down"
        findings.append(warning("threads", "torch", threads, fix, text=f"{threads} threads for {usable} cores"))
    elif reserved_cores is not None and threads < reserved_cores:
        fix = "export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK"
        findings.append(
            warning("threads", "torch", threads, fix, text=f"{threads} threads, {reserved_cores} cores are reserved")
        )
    else:
        findings.append(noted("threads", "torch", threads))
    return findings


def _hub() -> list[Finding]:
    findings = [noted("hub", name, os.environ[name]) for name in _SWITCHES if name in os.environ]
    offline = bool(constants.HF_HUB_OFFLINE)
    findings.append(noted("hub", "offline", offline, "yes: nothing is downloaded" if offline else "no"))
    cache = Path(constants.HF_HUB_CACHE)
    if offline or _writable(cache):
        return [*findings, noted("hub", "cache", str(cache))]
    return [*findings, warning("hub", "cache", str(cache), "is not writable: set HF_HOME to a writable folder")]


def _extras() -> list[Finding]:
    try:
        findings = [noted("extras", "clusters", True, f"MMseqs2: {find_mmseqs()}")]
    except ConfigError as error:
        findings = [noted("extras", "clusters", False, str(error))]
    for name, modules in _EXTRAS.items():
        missing = [module for module in modules if find_spec(module) is None]
        text = "there" if not missing else f"without {', '.join(missing)} (pip install 'bindtune[{name}]')"
        findings.append(noted("extras", name, not missing, text))
    return findings


def check_room(output: Path, *, needed: float = _LEAST_ROOM) -> list[Finding]:
    """Whether a folder can be written to, and its disk has enough free space.

    Args:
        output: the folder, or one that will be made.
        needed: bytes that a run writes.
    """
    folder = _existing(output)
    if folder.is_symlink() and not folder.exists():
        fix = "make the folder that it points to, or remove the link"
        return [problem("output", str(output), False, fix, text=f"{folder} is a link to nothing")]
    if not _writable(output):
        fix = "choose another output folder, or change its permissions"
        return [problem("output", str(output), False, fix, text=f"{folder} cannot be written to")]
    free = shutil.disk_usage(folder).free
    about = f"{size(free)} free, about {size(needed)} needed"
    if free < needed:
        return [warning("output", str(output), free, "free some space, or choose another output folder", text=about)]
    return [noted("output", str(output), free, about)]


def check_locks(output: Path) -> list[Finding]:
    """Whether files in a folder can be locked; some network disks do not allow it.

    Args:
        output: the folder, or one that will be made.
    """
    try:
        with tempfile.NamedTemporaryFile(dir=_existing(output), prefix=".bindtune-") as file:
            path, descriptor = Path(file.name), file.fileno()
            try:
                locked = lock(descriptor, path)
            except OSError as error:
                fix = "choose another output folder: no run can start in this one"
                return [problem("output", LOCKS, False, fix, text=f"files cannot be locked: {error.strerror}")]
    except OSError:  # `check_room` reports that the folder cannot be written to
        return []
    if locked:
        return [noted("output", LOCKS, True, "there")]
    fix = "start only one command at a time in a folder: bindtune cannot notice a second one"
    return [warning("output", LOCKS, False, fix, text="this disk has no locks; runs work without them")]


def _existing(path: Path) -> Path:
    """The path, or its nearest existing parent; a link counts as existing even if its target is missing."""
    return next(each for each in (path.absolute(), *path.absolute().parents) if os.path.lexists(each))


def _writable(path: Path) -> bool:
    folder = _existing(path)
    try:
        with tempfile.TemporaryFile(dir=folder):  # on network file systems, permissions alone do not tell
            return True
    except OSError:
        return False
