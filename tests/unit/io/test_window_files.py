"""All formats hold the same records."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bindtune.errors import CheckError
from bindtune.io.window_files import WindowColumns, WindowFormat, window_writer

RECORDS = [
    {
        "sequence": "ACGT",
        "seq_id": 'chr"1\\:0-4',
        "seq_len": 4,
        "start": 0,
        "end": 4,
        "strand": "-",
        "method": "full_sequence",
        "num_peaks_in_window": 2,
        "eclip_regions": [
            {"peak_start": 0, "peak_end": 2, "genomic_start": 2, "genomic_end": 9},
            {"peak_start": 1, "peak_end": 2, "genomic_start": 2, "genomic_end": 3},
        ],
        "peak_clipped": [True, False],
    },
    {
        "sequence": "GG",
        "seq_id": "chr2:5000000000-5000000009_window_1_3",
        "seq_len": 2,
        "start": 1,
        "end": 3,
        "strand": ".",
        "method": "sliding_window",
        "num_peaks_in_window": 0,
        "eclip_regions": [],
        "peak_clipped": [],
    },
]


def columns(records: list[dict[str, Any]]) -> WindowColumns:
    peaks = [peak for record in records for peak in record["eclip_regions"]]

    def numbers(name: str, rows: list[dict[str, Any]]) -> Any:
        return np.array([row[name] for row in rows], np.int64)

    return WindowColumns(
        sequence=[record["sequence"] for record in records],
        seq_id=pa.array([record["seq_id"] for record in records]),
        start=numbers("start", records),
        end=numbers("end", records),
        strand=np.array([{"+": 1, "-": -1, ".": 0}[record["strand"]] for record in records], np.int8),
        method=np.array([record["method"] == "sliding_window" for record in records], np.int8),
        peak_count=numbers("num_peaks_in_window", records),
        peak_start=numbers("peak_start", peaks),
        peak_end=numbers("peak_end", peaks),
        genomic_start=numbers("genomic_start", peaks),
        genomic_end=numbers("genomic_end", peaks),
        peak_clipped=np.array([flag for record in records for flag in record["peak_clipped"]], bool),
    )


def read(path: Path, format: WindowFormat) -> Any:
    if format == "parquet":
        return pq.read_table(path).to_pylist()
    content = gzip.decompress(path.read_bytes()) if format.endswith("gz") else path.read_bytes()
    if format.startswith("jsonl"):
        return [json.loads(line) for line in content.splitlines()]
    return json.loads(content)


@pytest.mark.parametrize("format", ["parquet", "jsonl", "jsonl.gz", "json", "json.gz"])
@pytest.mark.parametrize("batches", [[], [RECORDS], [RECORDS[:1], [], RECORDS[1:]]], ids=["none", "one", "three"])
def test_records_come_back(tmp_path: Path, format: WindowFormat, batches: list[list[dict[str, Any]]]) -> None:
    path = tmp_path / "train"
    with window_writer(path, format=format) as writer:
        for batch in batches:
            writer.write(columns(batch))
    assert read(path, format) == [record for batch in batches for record in batch]


@pytest.mark.parametrize("format", ["parquet", "jsonl", "json.gz"])
@pytest.mark.parametrize(
    "broken",
    [
        {"sequence": "ACG"},
        {"sequence": "ACGTA"},
        {"eclip_regions": [{"peak_start": 1, "peak_end": 5, "genomic_start": 2, "genomic_end": 9}] * 2},
        {"eclip_regions": [{"peak_start": -1, "peak_end": 2, "genomic_start": 2, "genomic_end": 9}] * 2},
    ],
)
def test_a_window_that_is_not_what_it_promises_is_not_written(
    tmp_path: Path, format: WindowFormat, broken: dict[str, Any]
) -> None:
    with (
        pytest.raises(CheckError, match=r"chr\"1.*a window of 4 nucleotides has [345] letters or a peak beyond them"),
        window_writer(tmp_path / "train", format=format) as writer,
    ):
        writer.write(columns([RECORDS[1], RECORDS[0] | broken]))
