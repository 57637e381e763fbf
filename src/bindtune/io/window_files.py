"""Training files of windows: Parquet, JSON Lines or one JSON array, written a few thousand windows at a time.

Fields of a record: `sequence seq_id seq_len start end strand method num_peaks_in_window eclip_regions peak_clipped`;
`start` and `end` are the window's place in its region, counted from the region's genomic left, as in `seq_id`;
`peak_clipped` says for each of the `eclip_regions` whether the window shows only a part of that peak.
"""

import gzip
import json
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Literal, Protocol, Self, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bindtune.errors import CheckError
from bindtune.io.intervals import STRAND_LETTERS

WindowFormat = Literal["parquet", "jsonl", "jsonl.gz", "json", "json.gz"]
METHODS = ("full_sequence", "sliding_window", "weighted_peak_centered", "weighted_uniform")

_PEAK = pa.struct(
    [("peak_start", pa.int32()), ("peak_end", pa.int32()), ("genomic_start", pa.int64()), ("genomic_end", pa.int64())]
)
_SCHEMA = pa.schema(
    [
        ("sequence", pa.string()),
        ("seq_id", pa.string()),
        ("seq_len", pa.int32()),
        ("start", pa.int64()),
        ("end", pa.int64()),
        ("strand", pa.string()),
        ("method", pa.string()),
        ("num_peaks_in_window", pa.int32()),
        ("eclip_regions", pa.list_(_PEAK)),
        ("peak_clipped", pa.list_(pa.bool_())),
    ]
)
_ROWS_IN_A_GROUP = 8192
# Names that JSON takes as they are.
_PLAIN = r"\A[ !#-\[\]-~]*\z"


@dataclass(frozen=True)
class WindowColumns:
    """N windows with P peaks in all, column by column.

    Args:
        sequence: N sequences, in the direction of their strand.
        seq_id: (N,) names, an Arrow array of strings.
        start: (N,) first position in the region, from its genomic left.
        end: (N,) one past the last position.
        strand: (N,) 1, -1 or 0.
        method: (N,) index into METHODS.
        peak_count: (N,) how many of the peaks below are this window's; they stand in the order of the windows.
        peak_start: (P,) on the sequence.
        peak_end: (P,) on the sequence.
        genomic_start: (P,) of the whole peak.
        genomic_end: (P,) of the whole peak.
        peak_clipped: (P,) whether the window cuts the peak.
    """

    sequence: list[str]
    seq_id: pa.Array
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    strand: NDArray[np.int8]
    method: NDArray[np.int8]
    peak_count: NDArray[np.int64]
    peak_start: NDArray[np.int64]
    peak_end: NDArray[np.int64]
    genomic_start: NDArray[np.int64]
    genomic_end: NDArray[np.int64]
    peak_clipped: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.sequence)


class WindowWriter(Protocol):
    """Takes windows and writes them; closes its file at the end of a `with` block."""

    def write(self, windows: WindowColumns) -> None:
        """Append windows.

        Raises:
            CheckError: a sequence has not the length that is written beside it, or a peak lies outside it.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def window_writer(path: Path, *, format: WindowFormat) -> WindowWriter:
    """The writer for a format, on a new file at `path`."""
    if format == "parquet":
        return ParquetWindowWriter(path)
    return JsonWindowWriter(
        path, array=format.startswith("json") and not format.startswith("jsonl"), packed=format.endswith(".gz")
    )


class ParquetWindowWriter:
    """Parquet in row groups of some thousand windows, so that readers can map it."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._writer = pq.ParquetWriter(
            self._file,
            _SCHEMA,
            compression="zstd",
            use_dictionary=["strand", "method"],
            # Nobody asks for the least and the greatest sequence, and to find them takes a tenth of the writing.
            write_statistics=["start", "end", "seq_len", "num_peaks_in_window"],
        )

    def write(self, windows: WindowColumns) -> None:
        """Append windows as one row group."""
        if len(windows):
            self._writer.write_table(_table(windows), row_group_size=_ROWS_IN_A_GROUP)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._writer.close()
        finally:
            self._file.close()


class JsonWindowWriter:
    """JSON Lines, or one JSON array with a record a line.

    Args:
        path: the file.
        array: write an array.
        packed: gzip it.
    """

    def __init__(self, path: Path, *, array: bool, packed: bool) -> None:
        self._file: BinaryIO
        if packed:
            self._file = cast(BinaryIO, gzip.open(path, "wb", compresslevel=5))  # noqa: SIM115 (closed in __exit__)
        else:
            self._file = path.open("wb")
        self._array, self._between = array, ",\n" if array else "\n"
        self._empty = True
        if array:
            self._file.write(b"[\n")

    def write(self, windows: WindowColumns) -> None:
        """Append windows."""
        if len(windows):
            text = memoryview(_json_lines(windows, before=self._between))
            self._file.write(text[len(self._between) :] if self._empty else text)
            self._empty = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._file.write((b"" if self._empty else b"\n") + (b"]\n" if self._array else b""))
        self._file.close()


def _check(windows: WindowColumns) -> None:
    """Refuse windows that break what a record promises: `seq_len` letters, and peaks within them."""
    lengths = np.fromiter(map(len, windows.sequence), np.int64, len(windows))
    owner = np.repeat(np.arange(len(windows)), windows.peak_count)
    broken = lengths != windows.end - windows.start
    outside = (windows.peak_start < 0) | (windows.peak_end > lengths[owner]) | (windows.peak_end < windows.peak_start)
    broken[owner[outside]] = True
    if broken.any():
        first = int(broken.argmax())
        size = int(windows.end[first] - windows.start[first])
        problem = f"a window of {size} nucleotides has {lengths[first]} letters or a peak beyond them"
        raise CheckError(f"{windows.seq_id[first]}: {problem}; nothing was written")


def _table(windows: WindowColumns) -> pa.Table:
    _check(windows)
    places = np.zeros(len(windows) + 1, np.int32)
    np.cumsum(windows.peak_count, out=places[1:])
    peaks = pa.StructArray.from_arrays(
        [
            pa.array(windows.peak_start.astype(np.int32)),
            pa.array(windows.peak_end.astype(np.int32)),
            pa.array(windows.genomic_start),
            pa.array(windows.genomic_end),
        ],
        fields=list(_PEAK),
    )
    strands = pa.array([STRAND_LETTERS[1], STRAND_LETTERS[0], STRAND_LETTERS[-1]])
    return pa.table(
        [
            pa.array(windows.sequence, pa.string()),
            windows.seq_id,
            pa.array((windows.end - windows.start).astype(np.int32)),
            pa.array(windows.start),
            pa.array(windows.end),
            strands.take(pa.array(1 - windows.strand)),
            pa.array(METHODS).take(pa.array(windows.method)),
            pa.array(windows.peak_count.astype(np.int32)),
            pa.ListArray.from_arrays(pa.array(places), peaks),
            pa.ListArray.from_arrays(pa.array(places), pa.array(windows.peak_clipped)),
        ],
        schema=_SCHEMA,
    )


def _json_lines(windows: WindowColumns, *, before: str) -> pa.Buffer:
    """The windows as ASCII text, a record each, with `before` in front of every one."""
    table = _table(windows)
    if not pc.all(pc.match_substring_regex(windows.seq_id, _PLAIN)).as_py():
        escaped = pa.array([json.dumps(name)[1:-1] for name in windows.seq_id.to_pylist()])
        table = table.set_column(table.schema.get_field_index("seq_id"), "seq_id", escaped)
    records = table.to_struct_array().combine_chunks()
    return _joined([before, *_json_parts(records)]).buffers()[2]


def _json_parts(values: pa.Array) -> list[pa.Array | str]:
    """What stands one after another in the JSON of each value: texts of its own, and what all have alike."""
    if pa.types.is_string(values.type):
        return ['"', values, '"']
    if pa.types.is_list(values.type):
        items = pa.ListArray.from_arrays(values.offsets, _joined(_json_parts(values.values)))
        return ["[", pc.binary_join(items, ", "), "]"]
    if pa.types.is_struct(values.type):
        parts: list[pa.Array | str] = []
        for field, column in zip(values.type, values.flatten(), strict=True):
            parts += [", " if parts else "{", f'"{field.name}": ', *_json_parts(column)]
        return [*parts, "}"]
    return [values.cast(pa.string())]


def _joined(parts: list[pa.Array | str]) -> pa.Array:
    """Texts made of parts; neighbouring parts that all values share are put together first."""
    merged: list[pa.Array | str] = []
    for shared, run in groupby(parts, key=lambda part: isinstance(part, str)):
        some = list(run)
        merged += ["".join(some)] if shared else some
    return pc.binary_join_element_wise(*merged, "")
