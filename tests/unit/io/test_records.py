"""Training files in every form, and one clear line for every way in which one can be wrong."""

import gzip
import itertools
import json
import math
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bindtune.errors import InputError
from bindtune.io.records import Window, read_windows

Record = dict[str, Any]


def record(number: int = 0, **changes: Any) -> Record:
    sequence = "ACGTTGCA" * 4
    return {
        "sequence": sequence,
        "seq_id": f"chr7:100-900_window_{number}_{number + 32}",
        "seq_len": len(sequence),
        "eclip_regions": [
            {"peak_start": 3, "peak_end": 9, "genomic_start": 103, "genomic_end": 109},
            {"peak_start": 20, "peak_end": 32, "genomic_start": 120, "genomic_end": 140},
        ],
        **changes,
    }


RECORDS = [record(), record(1, eclip_regions=[]), record(2)]
EXPECTED = [
    Window("chr7:100-900_window_0_32", "ACGTTGCA" * 4, ((3, 9), (20, 32)), ((103, 109), (120, 140))),
    Window("chr7:100-900_window_1_33", "ACGTTGCA" * 4, (), ()),
    Window("chr7:100-900_window_2_34", "ACGTTGCA" * 4, ((3, 9), (20, 32)), ((103, 109), (120, 140))),
]


def array(records: list[Record]) -> bytes:
    return json.dumps(records).encode()


def lines(records: list[Record]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in records)


def parquet(records: list[Record]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(records), sink)
    return bytes(sink.getvalue())


FORMS: dict[str, Callable[[list[Record]], bytes]] = {
    "array": array,
    "indented array": lambda records: json.dumps(records, indent=2).encode(),
    "array after a byte-order mark": lambda records: b"\xef\xbb\xbf" + array(records),
    "array after blanks": lambda records: b" \r\n\t" + array(records) + b"\n\n",
    "array after many blanks": lambda records: b"\n" * 10_000 + array(records),
    "array with CRLF": lambda records: json.dumps(records, indent=1).replace("\n", "\r\n").encode(),
    "lines": lines,
    "lines after a byte-order mark": lambda records: b"\xef\xbb\xbf" + lines(records),
    "lines with CRLF": lambda records: lines(records).replace(b"\n", b"\r\n"),
    "blank lines": lambda records: b"\n\n" + lines(records).replace(b"\n", b"\n \n\n"),
    "lines after many blanks": lambda records: b" \n" * 9000 + lines(records),
    "no last newline": lambda records: lines(records).rstrip(),
    "Parquet": parquet,
}


def found(tmp_path: Path, content: bytes) -> list[Window]:
    path = tmp_path / "windows"  # no suffix: the form is told by the content
    path.write_bytes(content)
    return list(read_windows(path))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("zipped", [False, True])
def test_every_form(tmp_path: Path, form: str, zipped: bool) -> None:
    content = FORMS[form](RECORDS)
    assert found(tmp_path, gzip.compress(content) if zipped else content) == EXPECTED


def test_gzip_in_several_members(tmp_path: Path) -> None:
    content = lines(RECORDS)
    assert found(tmp_path, gzip.compress(content[:100]) + gzip.compress(content[100:])) == EXPECTED


@pytest.mark.parametrize("form", ["array", "lines", "Parquet"])
@pytest.mark.parametrize(
    ("changes", "peaks", "genomic"),
    [
        ({"seq_len": None}, ((3, 9), (20, 32)), ((103, 109), (120, 140))),
        ({"more": "x", "num_peaks_in_window": 2}, ((3, 9), (20, 32)), ((103, 109), (120, 140))),
        ({"eclip_regions": [{"peak_start": 3, "peak_end": 9}]}, ((3, 9),), (None,)),
        ({"eclip_regions": [{"peak_start": 3.0, "peak_end": 9.0}]}, ((3, 9),), (None,)),
        ({"eclip_regions": [{"peak_start": -3, "peak_end": 900}]}, ((-3, 900),), (None,)),
        ({"eclip_regions": [{"peak_start": 7, "peak_end": 7}]}, ((7, 7),), (None,)),
        (
            {"eclip_regions": [{"peak_start": 3, "peak_end": 9, "genomic_start": 50, "genomic_end": 10}]},
            ((3, 9),),
            ((50, 10),),
        ),
        (
            {"eclip_regions": [{"peak_start": 3, "peak_end": 9, "genomic_start": "chr1", "genomic_end": "?"}]},
            ((3, 9),),
            (None,),
        ),
        (
            {"eclip_regions": [{"peak_start": 3, "peak_end": 9, "genomic_start": 5, "genomic_end": None}]},
            ((3, 9),),
            (None,),
        ),
    ],
)
def test_what_may_differ(tmp_path: Path, form: str, changes: Record, peaks: Any, genomic: Any) -> None:
    (window,) = found(tmp_path, FORMS[form]([record(**changes)]))
    assert window.peaks == peaks
    assert window.genomic == genomic


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_genomic_positions_are_carried_and_never_checked(tmp_path: Path, number: float) -> None:
    region = {"peak_start": 3, "peak_end": 9, "genomic_start": number, "genomic_end": number}
    for form in ("lines", "Parquet"):
        (window,) = found(tmp_path, FORMS[form]([record(eclip_regions=[region])]))
        assert window.genomic == (None,)


def test_an_empty_array_holds_no_windows(tmp_path: Path) -> None:
    assert found(tmp_path, b" [ ] ") == []


def region(**changes: Any) -> Record:
    return record(eclip_regions=[{"peak_start": 3, "peak_end": 9, **changes}])


def without(name: str) -> Record:
    return {key: value for key, value in record().items() if key != name}


BAD_RECORDS = {
    "no sequence": (without("sequence"), "sequence must be text that is not empty, found nothing"),
    "an empty sequence": (record(sequence="", seq_len=0), "sequence must be text"),
    "a sequence that is a number": (record(sequence=5), "sequence must be text that is not empty, found 5"),
    "no name": (without("seq_id"), "seq_id must be text"),
    "a name that is a number": (record(seq_id=7), "seq_id must be text that is not empty, found 7"),
    "another length": (record(seq_len=31), "seq_len is 31, but the sequence has 32 letters"),
    "a length that is text": (record(seq_len="32"), "seq_len must be a whole number, found '32'"),
    "no regions": (without("eclip_regions"), "eclip_regions must be a list"),
    "regions that are no list": (record(eclip_regions={"a": 1}), "eclip_regions must be a list"),
    "a region that is a list": (record(eclip_regions=[[3, 9]]), "a region must hold peak_start and peak_end"),
    "no start": (record(eclip_regions=[{"peak_end": 9}]), "peak_start must be a whole number, found nothing"),
    "no end": (record(eclip_regions=[{"peak_start": 9}]), "peak_end must be a whole number, found nothing"),
    "a start that is text": (region(peak_start="3"), "peak_start must be a whole number, found '3'"),
    "a start that is true": (region(peak_start=True), "peak_start must be a whole number, found True"),
    "half a letter": (region(peak_end=8.5), "peak_end must be a whole number, found 8.5"),
    "an end before the start": (region(peak_end=2), "peak_end 2 is less than peak_start 3"),
}


@pytest.mark.parametrize("kind", BAD_RECORDS)
@pytest.mark.parametrize("form", ["array", "lines", "Parquet"])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_bad_record_is_named_with_its_file_and_number(tmp_path: Path, kind: str, form: str, zipped: bool) -> None:
    bad, problem = BAD_RECORDS[kind]
    if form == "Parquet":
        content, location = parquet([bad]), "record 1"  # alone, for a column has one type
    else:
        content = FORMS[form]([record(), record(1), bad, record(3)])
        location = "record 3" if form == "array" else "3"
    path = tmp_path / "w"
    path.write_bytes(gzip.compress(content) if zipped else content)
    with pytest.raises(InputError) as caught:
        list(read_windows(path))
    separator = ":" if location == "3" else ": "
    assert str(caught.value).startswith(f"{path}{separator}{location}: ")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.json", tmp_path):
        with pytest.raises(InputError, match=str(path)):
            list(read_windows(path))


def test_records_before_a_mistake_are_read(tmp_path: Path) -> None:
    path = tmp_path / "w.jsonl"
    path.write_bytes(lines(RECORDS) + b"{")
    windows = read_windows(path)
    assert list(itertools.islice(windows, 3)) == EXPECTED
    with pytest.raises(InputError, match=r"w\.jsonl:4: not JSON"):
        next(windows)


@pytest.mark.parametrize("form", ["array", "lines", "gzip", "Parquet"])
def test_damage_anywhere_is_an_input_error_or_harmless(tmp_path: Path, form: str) -> None:
    """Flip bits and overwrite bytes: whatever happens, it is never another kind of error."""
    good = gzip.compress(array(RECORDS * 20)) if form == "gzip" else FORMS[form](RECORDS * 20)
    rng, refused = random.Random(form), 0
    path = tmp_path / "damaged"
    for _ in range(150):
        content = bytearray(good)
        for _ in range(rng.choice((1, 3))):
            content[rng.randrange(len(content))] = rng.randrange(256)
        path.write_bytes(content)
        try:
            list(read_windows(path))
        except InputError:
            refused += 1
    assert refused > 30


@pytest.mark.slow
@pytest.mark.parametrize("form", ["array", "lines", "array.gz", "Parquet"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, form: str) -> None:
    path, number = tmp_path / "large", 20_000
    one = record(sequence="ACGT" * 500, seq_len=2000)  # 45 MB of records
    text = json.dumps(one).encode()
    if form == "Parquet":
        table = pa.Table.from_pylist([one])
        with pq.ParquetWriter(path, table.schema, use_dictionary=False) as writer:
            for _ in range(number // 500):
                writer.write_table(pa.concat_tables([table] * 500))
    else:
        separator, ends = (b"\n", (b"", b"")) if form == "lines" else (b",", (b"[", b"]"))
        with gzip.open(path, "wb", compresslevel=1) if form == "array.gz" else path.open("wb") as stream:
            stream.write(ends[0] + text)
            for _ in range(number - 1):
                stream.write(separator + text)
            stream.write(ends[1])
    before = pa.total_allocated_bytes()
    most_arrow = 0
    tracemalloc.start()
    try:
        seen = 0
        for seen, _window in enumerate(read_windows(path), start=1):
            if seen % 1000 == 0:
                most_arrow = max(most_arrow, pa.total_allocated_bytes() - before)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert seen == number
    assert most < 12e6
    assert most_arrow < 12e6
