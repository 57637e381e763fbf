"""What a BinaryCIF file unpacks to is bounded by its rows, before any of it is unpacked."""

import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest

from bindtune.errors import InputError
from bindtune.io.entry_files import read_entry
from corpus.structures import binary_cif


def _column(content: Any, name: str) -> Any:
    (sites,) = (part for part in content["dataBlocks"][0]["categories"] if part["name"] == "_atom_site")
    return sites, next(column for column in sites["columns"] if column["name"] == name)


def _run(content: Any, size: object, *, mask: bool = False) -> None:
    """One coordinate, repeated."""
    sites, column = _column(content, "Cartn_x")
    encoding = [{"kind": "RunLength", "srcType": 3, "srcSize": size}, {"kind": "ByteArray", "type": 3}]
    column["mask" if mask else "data"] = {"data": struct.pack("<ii", 1, sites["rowCount"]), "encoding": encoding}


def _long_text(content: Any, letters: int) -> None:
    """A text for 100,000 rows."""
    sites, column = _column(content, "label_atom_id")
    sites["rowCount"] = 100_000
    one = {"kind": "ByteArray", "type": 3}
    text = {"kind": "StringArray", "stringData": "A" * letters, "offsets": struct.pack("<ii", 0, letters)}
    text |= {"dataEncoding": [{"kind": "ByteArray", "type": 1}], "offsetEncoding": [one]}
    column["data"] = {"data": bytes(100_000), "encoding": [text]}


def _many_rows(content: Any) -> None:
    _column(content, "id")[0]["rowCount"] = 10**9


def _write(path: Path, change: Callable[[Any], object]) -> Path:
    content = msgpack.unpackb(binary_cif(), raw=False)
    change(content)
    path.write_bytes(msgpack.packb(content))
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda content: _run(content, 2**31 - 1),
            "Cartn_x unpacks to 2147483647 values, expected at most 9",
        ),
        (lambda content: _run(content, 2**31 - 1, mask=True), "_atom_site.Cartn_x unpacks to 2147483647 values"),
        (lambda content: _run(content, None), "_atom_site.Cartn_x unpacks to None values"),
        (lambda content: _run(content, -1), "_atom_site.Cartn_x unpacks to -1 values"),
        (lambda content: _long_text(content, 100_000), "label_atom_id has 100,000 texts of up to 100,000 letters"),
        (_many_rows, "_atom_site says 1000000000 rows, expected at most 50,000,000"),
    ],
)
def test_a_column_that_unpacks_to_more_than_its_rows(
    tmp_path: Path, change: Callable[[Any], object], message: str
) -> None:
    path = _write(tmp_path / "a.bcif", change)
    tracemalloc.start()
    with pytest.raises(InputError) as failure:
        read_entry(path)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert message in str(failure.value)
    assert most < 20e6


def test_a_run_as_long_as_the_rows_is_read(tmp_path: Path) -> None:
    entry = read_entry(_write(tmp_path / "a.bcif", lambda content: _run(content, 8)))
    assert entry.atoms.xyz[:, 0].tolist() == [1.0] * 8
