"""The provenance of a run: versions, the command, and the hash of each input file."""

import hashlib
import os
import platform
import stat
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bindtune.errors import ConfigError, InputError
from bindtune.runs.names import PROVENANCE
from bindtune.yaml_json import read_json

FOLDER = "folder"
"""What provenance.json calls the absolute path of the run folder when the run began."""


def sha256(path: Path) -> str:
    """Hash of a file's content, a block at a time; one process hashes a file again only where it has changed.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        state = path.stat()
        if not stat.S_ISREG(state.st_mode):
            return _hash(path)
        key = (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
        if key not in _hashes:
            _hashes[key] = _hash(path)
        return _hashes[key]
    except OSError as error:
        raise InputError(path, None, f"cannot be read: {error.strerror}") from error


_hashes: dict[tuple[int, ...], str] = {}
"""Hashes of files by where they lie on the disk, their size and when they were changed."""


def _hash(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _folder_sha256(folder: Path) -> str:
    """Hash of the names and the hashes of the files in a folder.

    Raises:
        InputError: a file cannot be read.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return hashlib.sha256("".join(f"{path.name}\t{sha256(path)}\n" for path in files).encode()).hexdigest()


def provenance(inputs: Mapping[str, Path], packages: Sequence[str]) -> dict[str, Any]:
    """What a run was made of: versions, the command, and the absolute path and the hash of each input file.

    Args:
        inputs: input files by the setting that names them. Of a folder, the names and contents of its files count.
        packages: distributions whose versions matter.
    """
    hashes = {name: (_folder_sha256 if path.is_dir() else sha256)(path) for name, path in inputs.items()}
    return {
        "command": sys.argv,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {name: version(name) for name in ("bindtune", *packages)},
        "inputs": {name: {"path": str(path.absolute()), "sha256": hashes[name]} for name, path in inputs.items()},
    }


def read_inputs(signed: Path) -> dict[str, dict[str, str]]:
    """Path and hash of each input file, as `provenance` noted them; none where the file is missing.

    Raises:
        InputError: the file is damaged.
    """
    if not signed.is_file():
        return {}
    damaged = InputError(signed, None, "is damaged: expected inputs, each with a path and a sha256")
    content = read_json(signed)
    inputs = content.get("inputs") if isinstance(content, dict) else None
    if not isinstance(inputs, dict):
        raise damaged
    for each in inputs.values():
        if not isinstance(each, dict) or not isinstance(each.get("sha256"), str):
            raise damaged
    return {name: {key: str(value) for key, value in each.items()} for name, each in inputs.items()}


def places(run: Path, path: Path) -> Iterator[Path]:
    """Where a file or folder of a run may lie now: where it was, where it moved together with the run, beside the run.

    Args:
        run: the run folder, as it lies now.
        path: the absolute path when the run began.
    """
    yield path
    before = read_json(run / PROVENANCE).get(FOLDER) if (run / PROVENANCE).is_file() else None
    if isinstance(before, str) and Path(before).is_absolute():
        yield Path(os.path.normpath(run.absolute() / os.path.relpath(path, before)))
    yield from (folder / path.name for folder in (run.absolute(), run.absolute().parent))


def refuse_other_inputs(signed: Path, origin: Mapping[str, Any], *, names: Collection[str] | None = None) -> None:
    """Refuse to go on with other input files than those that a run began with; hashes decide, and not where they lie.

    Args:
        signed: what `provenance` said then, as JSON.
        origin: what it says now.
        names: of the inputs that are compared; all by default.

    Raises:
        ConfigError: names the inputs that changed.
        InputError: what was said then is damaged.
    """
    before, now = read_inputs(signed), origin["inputs"]
    changed = [
        _change(name, before.get(name), now.get(name))
        for name in sorted(before.keys() | now.keys())
        if names is None or name in names
        if before.get(name, {}).get("sha256") != now.get(name, {}).get("sha256")
    ]
    if changed:
        raise ConfigError(
            f"{signed.parent}: the input files are not those that the run began with: {'; '.join(changed)}"
        )


def _change(name: str, before: Mapping[str, str] | None, now: Mapping[str, str] | None) -> str:
    """What changed of an input file, in words."""
    if now is None:
        return f"{name} is missing"
    if before is None:
        return f"{name} is new"
    return f"{name} has another content{f', {path}' if (path := now.get('path')) else ''}"
