"""Lines of plain or gzipped text, numbered, with every way of not being readable said in one line."""

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from bindtune.errors import InputError

_GZIP_MAGIC = b"\x1f\x8b"
_BLOCK_LETTERS = 1 << 19
STANDARD_INPUT = Path("-")


def is_gzipped(path: Path) -> bool:
    """Whether the content is gzip (bgzip included), whatever the file is called."""
    try:
        with path.open("rb") as handle:
            return handle.read(2) == _GZIP_MAGIC
    except OSError as error:
        raise InputError(path, None, f"cannot be read: {error.strerror or error}") from error


def open_bytes(path: Path) -> BinaryIO:
    """The content of a plain or gzipped file."""
    return cast(BinaryIO, gzip.open(path, "rb")) if is_gzipped(path) else path.open("rb")


def line_blocks(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (1-based number of the first line, lines without their endings), some thousand lines at a time.

    Endings may be LF or CRLF; a byte order mark is removed. The path `-` is standard input, gzipped or not.

    Raises:
        InputError: the file is missing, is not text, or is gzip that is damaged or cut short.
    """
    number = 1
    with _opened(path) as handle, io.TextIOWrapper(handle, encoding="utf-8-sig", newline="\n") as text:
        try:
            while block := text.read(_BLOCK_LETTERS):
                block = (block + text.readline()).removesuffix("\n")
                lines = block.split("\n")
                yield number, [line.rstrip("\r") for line in lines] if "\r" in block else lines
                number += len(lines)
        except UnicodeDecodeError as error:
            raise InputError(path, _first_unreadable(path), "not text (UTF-8)") from error
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(path, _first_unreadable(path), f"gzip data is damaged or cut short: {error}") from error
        except OSError as error:
            raise InputError(path, None, f"cannot be read: {error.strerror or error}") from error


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (1-based number, line) as `line_blocks` does, one by one."""
    for first, lines in line_blocks(path):
        yield from enumerate(lines, start=first)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    if path != STANDARD_INPUT:
        with open_bytes(path) as handle:
            yield handle
        return
    with io.BufferedReader(_Borrowed(sys.stdin.buffer)) as handle:
        packed = handle.peek(2).startswith(_GZIP_MAGIC)
        yield cast(BinaryIO, gzip.GzipFile(fileobj=handle) if packed else handle)


class _Borrowed(io.RawIOBase):
    """A stream that stays open when its reader is closed."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        read = self._stream.read(len(buffer))
        buffer[: len(read)] = read
        return len(read)


def _first_unreadable(path: Path) -> int | None:
    """Number of the line in which reading or decoding fails; None for standard input, which is read once."""
    if path == STANDARD_INPUT:
        return None
    number = 0
    try:
        with open_bytes(path) as handle:
            for line in handle:
                line.decode("utf-8")
                number += 1
    except (EOFError, OSError, zlib.error, UnicodeDecodeError):
        pass
    return number + 1
