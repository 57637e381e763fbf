"""`eval_records.parquet` of a pretraining run: the losses of each evaluated window, for comparisons of runs."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bindtune.errors import InputError, library_text
from bindtune.runs.parquet import read_parquet
from bindtune.runs.writing import atomic_stream

KINDS = ("", "peak_", "flank_")
_SUMS = {"masked": pa.int64(), "loss": pa.float64()}
_SCHEMA = pa.schema(
    [
        ("record", pa.int64()),
        ("masks", pa.int64()),
        *((f"{kind}{name}", type_) for kind in KINDS for name, type_ in _SUMS.items()),
    ],
    metadata={
        "record": "hash of a window's name and sequence",
        "masks": "hash of what the model was shown and asked for",
        "loss": "sum over the masked tokens, nats",
    },
)  # fmt: skip


class RecordLosses(NamedTuple):
    """Losses of R evaluated windows.

    Args:
        record: (R,), hash of a window's name and sequence.
        masks: (R,), hash of the tokens that the model was shown and those it was asked for.
        masked: (R, 3), masked tokens: all, in peaks, in flanks.
        loss: (R, 3), their summed loss in nats.
    """

    record: NDArray[np.int64]
    masks: NDArray[np.int64]
    masked: NDArray[np.int64]
    loss: NDArray[np.float64]

    def take(self, chosen: NDArray[np.intp]) -> "RecordLosses":
        """Some of the windows, by index."""
        return RecordLosses(self.record[chosen], self.masks[chosen], self.masked[chosen], self.loss[chosen])


def write_record_losses(path: Path, records: RecordLosses) -> None:
    """Write one row a window, whole or not at all."""
    columns: list[NDArray[Any]] = [records.record, records.masks]
    for kind in range(len(KINDS)):
        columns += [records.masked[:, kind], records.loss[:, kind]]
    with atomic_stream(path) as stream:
        pq.write_table(pa.table(columns, schema=_SCHEMA), stream)


def read_record_losses(path: Path) -> RecordLosses:
    """Read what `write_record_losses` wrote.

    Raises:
        InputError: the file is missing or damaged, lacks a column or holds impossible values.
    """
    table = read_parquet(path, _SCHEMA.names)
    missing = [name for name in _SCHEMA.names if name not in table.column_names]
    if missing:
        raise InputError(path, None, f"lacks the columns {', '.join(missing)}")
    try:
        table = table.select(_SCHEMA.names).cast(_SCHEMA)
    except (pa.ArrowException, ValueError) as error:
        raise InputError(path, None, f"a column has the wrong type: {library_text(error)}") from error
    if any(table[name].null_count for name in _SCHEMA.names):
        raise InputError(path, None, "has empty fields")
    masked, loss = (
        np.stack([table[f"{kind}{name}"].to_numpy() for kind in KINDS], axis=1) for name in ("masked", "loss")
    )
    if (masked < 0).any() or (masked[:, 0] != masked[:, 1:].sum(axis=1)).any() or np.isnan(loss).any():
        raise InputError(path, None, "holds counts that do not add up, or losses that are not numbers")
    return RecordLosses(table["record"].to_numpy(), table["masks"].to_numpy(), masked, loss)
