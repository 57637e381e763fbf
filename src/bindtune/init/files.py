"""Write the starter files of `bindtune init`."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from importlib.resources import files
from pathlib import Path

from bindtune import __version__
from bindtune.errors import ConfigError
from bindtune.init.settings_file import settings_file
from bindtune.init.starters import STARTERS
from bindtune.outputs import output_folder
from bindtune.runs.writing import write_text


def _settings(command: str) -> dict[str, str]:
    return {f"{command}.yaml": settings_file(command)}


def _carried(folder: str) -> dict[str, str]:
    """The files of a folder of this package."""
    return {file.name: file.read_text(encoding="utf-8") for file in (files("bindtune.init") / folder).iterdir()}


KINDS: Mapping[str, Callable[[], Mapping[str, str]]] = {
    **{command: partial(_settings, command) for command in STARTERS},
    "slurm": partial(_carried, "slurm"),
    "accelerate": partial(_carried, "accelerate"),
}
"""The kinds of starter files; each gives the text of its files by name."""


def write_files(kind: str, folder: Path) -> list[Path]:
    """Write the starter files of a kind, all of them or none.

    Args:
        kind: one of `KINDS`.
        folder: output folder; it is made if it is missing.

    Returns:
        The files.

    Raises:
        ConfigError: there is no such kind, or a file exists already.
        OSError: a file cannot be written.
    """
    if kind not in KINDS:
        raise ConfigError(f"bindtune {__version__} has no files for '{kind}', expected one of {', '.join(KINDS)}")
    output_folder(folder)
    texts = {folder / name: text for name, text in sorted(KINDS[kind]().items())}
    for path in texts:
        if os.path.lexists(path):
            raise ConfigError(f"{path} is there already and is left as it is: move it away, or give another --out")
    written: list[Path] = []
    try:
        for path, text in texts.items():
            write_text(path, text)
            written.append(path)
    except OSError:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return written
