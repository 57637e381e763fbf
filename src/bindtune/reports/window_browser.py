"""Every evaluated window of a pretraining run, packed for a page: its masked tokens and their mean losses."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bindtune.data.keyed_random import digest
from bindtune.errors import InputError
from bindtune.reports.page import Section, Text, WindowBrowser
from bindtune.runs.eval_records import KINDS, RecordLosses
from bindtune.runs.parquet import small_batches

MOST_ROWS = 20_000
"""Windows of a page."""
_NAMES = {"": "all", "peak_": "peaks", "flank_": "flanks"}
_ROWS_OF_A_BATCH = 1000


def windows_section(records: RecordLosses | None, config: Mapping[str, Any]) -> tuple[Section, ...]:
    """Every window of the last evaluation of a finished run; empty without an evaluation."""
    if records is None or not len(records.record):
        return ()
    file = config.get("validation_file")
    text = (
        "Every window of the last evaluation. It has the weights that the run keeps. A window has few masked tokens, "
        "so its loss is uncertain: sort by it to find windows to look at, not to judge them."
    )
    browser = window_browser(records, None if file is None else Path(str(file)))
    return (Section("windows", "Windows", (Text(text), browser)),)


def window_browser(records: RecordLosses, windows: Path | None) -> WindowBrowser:
    """Pack the windows of an evaluation; windows without room in the page are left out and counted.

    Args:
        records: of the evaluation.
        windows: the file of windows that were evaluated; None where it is not known.
    """
    shown = records.take(np.arange(min(len(records.record), MOST_ROWS)))
    names = window_names(windows, set(shown.record.tolist())) if windows is not None else {}
    masked = {f"{_NAMES[kind]}_masked": shown.masked[:, index].tolist() for index, kind in enumerate(KINDS)}
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(shown.masked > 0, np.rint(1000 * shown.loss / shown.masked), -1).astype(np.int64)
    losses = {f"{_NAMES[kind]}_loss": mean[:, index].tolist() for index, kind in enumerate(KINDS)}
    identifiers = [names.get(record, f"window {row}") for row, record in enumerate(shown.record.tolist(), start=1)]
    return WindowBrowser(
        data={"names": identifiers, **masked, **losses},
        windows=len(records.record),
        rows=len(identifiers),
        named=sum(record in names for record in shown.record.tolist()),
    )


def window_names(path: Path, records: set[int]) -> dict[int, str]:
    """The names of windows by their hash; none if the file is missing, is no Parquet file or holds other windows.

    Args:
        path: the file of windows.
        records: hashes of name and sequence, as `eval_records.parquet` has them.
    """
    names = {}
    try:
        for name, sequence in _named_sequences(path):
            upper = sequence.upper()
            # A model of RNA reads U, all others read T.
            for letters in {upper, upper.replace("U", "T")}:
                record = digest(name, letters) - 2**63
                if record in records:
                    names[record] = name
    except (InputError, OSError, ValueError):
        return names
    return names


def _named_sequences(path: Path) -> Iterator[tuple[str, str]]:
    with path.open("rb") as stream:
        for batch in small_batches(stream, path, columns=("seq_id", "sequence"), rows=_ROWS_OF_A_BATCH):
            if {"seq_id", "sequence"} <= set(batch.schema.names):
                yield from zip(batch["seq_id"].to_pylist(), batch["sequence"].to_pylist(), strict=True)
