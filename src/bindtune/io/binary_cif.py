"""BinaryCIF, a map of MessagePack (https://github.com/molstar/BinaryCIF): bounds on what its columns unpack to.

A run of equal numbers and a long text that is shared take a few bytes in a file, and any number in memory.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgpack
import numpy as np
from biotite.structure.io import pdbx

_MOST_ROWS = 50_000_000
_MOST_LETTERS = 1 << 28
"""Letters of a column of texts, each as wide as the longest."""
_KINDS: Mapping[str, Any] = {
    "ByteArray": pdbx.ByteArrayEncoding,
    "Delta": pdbx.DeltaEncoding,
    "IntegerPacking": pdbx.IntegerPackingEncoding,
    "RunLength": pdbx.RunLengthEncoding,
}
"""The encodings that offsets of texts may have."""
_SIZED = {"IntegerPacking": 2, "RunLength": 1}
"""The encodings that say what they unpack to, and how often the rows that may be: runs are pairs of numbers."""


def unpacked_cif(content: bytes) -> Any:
    """What biotite makes of a BinaryCIF file, after its sizes are checked.

    Raises:
        ValueError: it is no MessagePack, or a column unpacks to more than its category has rows for.
        LookupError: it lacks a part.
        TypeError: a part is of another type.
    """
    file = msgpack.unpackb(content, use_list=True, raw=False)
    for block in file["dataBlocks"]:
        for category in block["categories"]:
            rows = category["rowCount"]
            if not isinstance(rows, int) or not 0 <= rows <= _MOST_ROWS:
                raise ValueError(f"{category['name']} says {rows!r} rows, expected at most {_MOST_ROWS:,}")
            for column in category["columns"]:
                for data in (column["data"], column["mask"]):
                    if data is not None:
                        _check(data["encoding"], rows, f"{category['name']}.{column['name']}")
    return pdbx.BinaryCIFFile.deserialize(file)


def _check(encodings: Any, rows: int, name: str) -> None:
    for encoding in _all(encodings):
        if encoding["kind"] in _SIZED:
            size = encoding.get("srcSize")
            most = _SIZED[encoding["kind"]] * (rows + 1)  # texts have one offset more than there are
            if not isinstance(size, int) or not 0 <= size <= most:
                raise ValueError(f"{name} unpacks to {size!r} values, expected at most {most:,}")
        if encoding["kind"] == "StringArray" and len(encoding["stringData"]) * rows > _MOST_LETTERS:
            longest = _longest(encoding)
            if longest * rows > _MOST_LETTERS:
                raise ValueError(f"{name} has {rows:,} texts of up to {longest:,} letters")


def _all(encodings: Any) -> Iterator[Any]:
    """The encodings of a column, those within texts included."""
    for encoding in encodings:
        yield encoding
        if encoding["kind"] == "StringArray":
            yield from (*encoding["dataEncoding"], *encoding["offsetEncoding"])


def _longest(encoding: Any) -> int:
    """Letters of the longest text."""
    values = encoding["offsets"]
    for step in reversed(encoding["offsetEncoding"]):
        if step["kind"] not in _KINDS:
            raise ValueError(f"offsets of texts are encoded by {step['kind']!r}, expected {', '.join(_KINDS)}")
        values = _KINDS[step["kind"]].deserialize(step).decode(values)
    return int(np.diff(values).max(initial=0))
