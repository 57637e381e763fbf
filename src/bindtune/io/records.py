"""Training files: windows with their peaks, as a JSON array, JSON Lines or Parquet, plain or gzipped.

Every reader streams: memory does not grow with the file. What a file holds is recognised by its first bytes.
"""

import codecs
import gzip
import json
import math
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, TypeGuard, cast

import ijson
import pyarrow as pa

from bindtune.errors import InputError, library_text
from bindtune.io.shallow_json import ShallowJson
from bindtune.io.text import ODD_LETTER, is_gzipped, limited_lines, open_bytes
from bindtune.runs.parquet import small_batches
from bindtune.wrong_files import refuse_wrong_file

_BOM = codecs.BOM_UTF8
_SPACE = b" \t\r\n"  # of JSON
_FIELDS = ("sequence", "seq_id", "seq_len", "eclip_regions")


@dataclass(frozen=True, slots=True)
class Window:
    """One record of a training file.

    Args:
        seq_id: its name, such as "chr7:8212822-8218663_window_3584_4096".
        sequence: its letters A-Z, in either case, as they stand in the file.
        peaks: (start, end) of each peak, 0-based and half-open on the window; they may reach beyond it.
        genomic: (start, end) of the same peaks on the genome, or None where the file does not say; never checked.
    """

    seq_id: str
    sequence: str
    peaks: tuple[tuple[int, int], ...]
    genomic: tuple[tuple[int, int] | None, ...]


def read_windows(path: Path) -> Iterator[Window]:
    """Read a training file, one record after the other.

    Raises:
        InputError: names the file and the record (or line, in JSON Lines) that is not as expected.
    """
    for number, unit, fields in _raw(path):
        try:
            yield _window(fields)
        except ValueError as error:
            raise InputError(path, number, str(error), unit=unit) from error


def _raw(path: Path) -> Iterator[tuple[int, str, Any]]:
    """Every record as the file has it, with its 1-based number and what that counts."""
    refuse_wrong_file(path)
    try:
        zipped = is_gzipped(path)
        with open_bytes(path) as stream:
            head = stream.read(4096)
            body = len(_BOM) if head.startswith(_BOM) else 0
            text = head[body:].lstrip(_SPACE)
            while not text and (more := stream.read(1 << 16)):
                text = more.lstrip(_SPACE)
            stream.seek(body)
            yield from _recognised(text, stream, path, zipped)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(path, None, f"gzip data is damaged or cut short: {error}") from error
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise InputError(path, None, f"cannot be read: {error}") from error


def _recognised(head: bytes, stream: IO[bytes], path: Path, zipped: bool) -> Iterator[tuple[int, str, Any]]:
    if head.startswith(b"PAR1"):
        with _seekable(stream, zipped) as table:
            yield from _parquet(table, path)
    elif head.startswith(b"["):
        yield from _array(stream, path)
    elif head.startswith(b"{"):
        yield from _lines(stream, path)
    else:
        beginning = repr(head[:20].decode("ascii", "replace")) if head else "nothing"
        raise InputError(path, None, f"expected a JSON array, JSON Lines or Parquet, found {beginning}")


def _array(stream: IO[bytes], path: Path) -> Iterator[tuple[int, str, Any]]:
    number = 0
    try:
        for number, fields in enumerate(ijson.items(ShallowJson(stream), "item", use_float=True), start=1):
            yield number, "record", fields
    except (ijson.JSONError, ValueError) as error:  # ValueError also for a number of thousands of digits
        raise InputError(path, number + 1, f"not JSON: {library_text(error)}", unit="record") from error


def _lines(stream: IO[bytes], path: Path) -> Iterator[tuple[int, str, Any]]:
    for number, line in enumerate(limited_lines(cast(BinaryIO, stream), path), start=1):
        if not line.strip():
            continue
        try:
            yield number, "", json.loads(line)
        except (ValueError, RecursionError) as error:  # ValueError also for a number of thousands of digits
            raise InputError(path, number, f"not JSON: {library_text(error)}") from error


def _parquet(stream: IO[bytes], path: Path) -> Iterator[tuple[int, str, Any]]:
    number = 0
    for batch in small_batches(stream, path, columns=_FIELDS, rows=256):
        for number, fields in enumerate(batch.to_pylist(), start=number + 1):  # noqa: B020 (goes on counting)
            yield number, "record", fields


@contextmanager
def _seekable(stream: IO[bytes], zipped: bool) -> Iterator[IO[bytes]]:
    """Parquet is read from its end: a gzipped file is unpacked to a temporary one first."""
    if not zipped:
        yield stream
        return
    with tempfile.TemporaryFile() as unpacked:
        shutil.copyfileobj(stream, unpacked)
        unpacked.seek(0)
        yield unpacked


def _window(fields: Any) -> Window:
    if not isinstance(fields, dict):
        raise ValueError(f"expected an object with sequence, seq_id and eclip_regions, found {_shown(fields)}")
    sequence, seq_id = _text(fields, "sequence"), _text(fields, "seq_id")
    odd = ODD_LETTER.search(sequence)
    if odd is not None:
        raise ValueError(f"sequence: {odd.group()!r} at letter {odd.start() + 1}, expected A-Z")
    length = fields.get("seq_len")
    if length is not None and _whole(length, "seq_len") != len(sequence):
        raise ValueError(f"seq_len is {length}, but the sequence has {len(sequence)} letters")
    regions = fields.get("eclip_regions")
    if not isinstance(regions, list):
        raise ValueError(f"eclip_regions must be a list (empty where there is no peak), found {_shown(regions)}")
    return Window(
        seq_id=seq_id,
        sequence=sequence,
        peaks=tuple(_interval(region, "peak") for region in regions),
        genomic=tuple(_genomic(region) for region in regions),
    )


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} must be text that is not empty, found {_shown(value)}")
    value.encode()  # half of a surrogate pair is no text: UnicodeEncodeError is a ValueError
    return value


def _interval(region: Any, name: str) -> tuple[int, int]:
    if not isinstance(region, dict):
        raise ValueError(f"a region must hold peak_start and peak_end, found {_shown(region)}")
    start, end = (_whole(region.get(f"{name}_{side}"), f"{name}_{side}") for side in ("start", "end"))
    if end < start:
        raise ValueError(f"{name}_end {end} is less than {name}_start {start}")
    return start, end


def _genomic(region: dict[str, Any]) -> tuple[int, int] | None:
    """Nothing is checked here, so nothing can be refused: what is no pair of numbers is left out."""
    start, end = region.get("genomic_start"), region.get("genomic_end")
    return (int(start), int(end)) if _finite(start) and _finite(end) else None


def _finite(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))


def _whole(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        raise ValueError(f"{name} must be a whole number, found {_shown(value)}")
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"{name} must fit into 64 bits, found {_shown(value)}")
    return int(value)


def _shown(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
