"""The folder of a probe: its files, and whether a command may go on in it."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bindtune.config import Settings
from bindtune.errors import ConfigError, InputError
from bindtune.probing.array_files import read_array
from bindtune.runs.cells import name_cell
from bindtune.runs.names import (
    CONFIG,
    EMBEDDING_CACHE,
    LEAKS,
    LOCK,
    METRICS,
    PREDICTIONS,
    PROBE_COUNTS,
    PROBE_HEADS,
    PROBE_UNFINISHED,
    PROBE_WINDOWS,
    PROVENANCE,
    REPORT,
    SCORES,
    SEED_PREDICTIONS,
    SUMMARY,
)
from bindtune.runs.provenance import refuse_other_inputs
from bindtune.runs.writing import atomic_stream, sweep
from bindtune.yaml_json import read_document, read_json

_FILES = (
    CONFIG, PROBE_WINDOWS, PROBE_COUNTS, LEAKS, PROVENANCE, PREDICTIONS, SEED_PREDICTIONS, METRICS, SUMMARY, REPORT,
    SCORES, PROBE_HEADS, PROBE_UNFINISHED, EMBEDDING_CACHE,
)  # fmt: skip
_BEFORE_A_RUN = {LEAKS, PROVENANCE, EMBEDDING_CACHE, LOCK}
"""Files that a refused or stopped command may leave before the settings are written."""
_APART = ("overwrite", "batch_tokens", "write_index", "out")
"""Settings that change no figure."""
METRIC_COLUMNS = (
    "dataset", "arm", "model", "figure", "value", "low", "high", "n", "positives", "base_rate", "against",
)  # fmt: skip


def refuse_others(folder: Path, config: Settings, origin: Mapping[str, Any], kind: str = "a probe") -> None:
    """Refuse to write into a folder that holds a probe with other settings or input files, or something else.

    Args:
        folder: of the probe.
        config: its settings.
        origin: its provenance.
        kind: kind of the folder, with its article.

    Raises:
        ConfigError: the folder holds something else.
    """
    if (folder / CONFIG).is_file():
        _refuse_other_settings(folder, config, kind)
        refuse_other_inputs(folder / PROVENANCE, origin)
        return
    strays = sorted(path.name for path in folder.iterdir() if path.name not in _BEFORE_A_RUN)
    if strays:
        raise ConfigError(
            f"{folder} is not empty and holds no {kind.partition(' ')[2]}: it has {strays[0]}; give another --out"
        )


def clear(folder: Path) -> None:
    """Remove the files of an earlier probe, except vectors of windows, which are named by their content."""
    for name in _FILES:
        path = folder / name
        if name in (SCORES, PROBE_HEADS, PROBE_UNFINISHED):
            remove_parts(path)
        elif path.is_file():
            path.unlink()


def remove_parts(folder: Path) -> None:
    """Remove a folder of scores, heads or networks in training, if there is one. A killed command may have left a
    half-written file. If this file cannot be removed yet, it stays in the folder.
    """
    if folder.is_dir():
        sweep(folder)
        for part in (*folder.glob("*.npy"), *folder.glob("*.safetensors")):
            part.unlink()
        with suppress(OSError):
            folder.rmdir()


def _refuse_other_settings(folder: Path, config: Settings, kind: str) -> None:
    before = read_document(folder / CONFIG)
    now = config.model_dump(mode="json")
    if not isinstance(before, dict):
        raise InputError(folder / CONFIG, None, "holds no settings")
    changed = [name for name in now if name not in _APART and before.get(name) != now[name]]
    if changed:
        raise ConfigError(
            f"{folder} holds {kind} with other settings ({', '.join(changed)}): give another --out, or --overwrite"
        )


def read_counts(path: Path) -> dict[str, Any]:
    """The counts of peaks and windows.

    Raises:
        InputError: the file is damaged.
    """
    counts = read_json(path)
    if not isinstance(counts, dict):
        raise InputError(path, None, "holds no counts")
    return counts


def write_table(path: Path, table: pa.Table) -> None:
    """Write a Parquet file whole or not at all."""
    with atomic_stream(path) as stream:
        pq.write_table(table, stream)


def write_scores(path: Path, scores: NDArray[np.float64]) -> None:
    """Write the scores of one model whole or not at all."""
    with atomic_stream(path) as stream:
        np.save(stream, scores, allow_pickle=False)


def read_scores(path: Path, *, count: int) -> NDArray[np.float64] | None:
    """The scores of one model, or None if they are missing.

    Raises:
        InputError: the file is damaged.
    """
    if not path.is_file():
        return None
    scores = read_array(path, shape=(count,))
    if not np.isfinite(scores).all():
        raise InputError(path, None, "holds scores that are not finite: delete it, and run the same command")
    return np.array(scores, np.float64)


def metrics_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """metrics.csv: one row for each figure; an undefined value is an empty field."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, METRIC_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(row[name]) for name in METRIC_COLUMNS})
    return buffer.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return name_cell(value)
    return "" if isinstance(value, float) and math.isnan(value) else value
