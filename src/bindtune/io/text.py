"""Lines of plain or gzipped text, numbered, with every way of not being readable said in one line."""

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from bindtune.errors import InputError

_GZIP_MAGIC = b"\x1f\x8b"


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


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (1-based number, line without its ending); endings may be LF or CRLF, a byte order mark is removed.

    Raises:
        InputError: the file is missing, is not text, or is gzip that is damaged or cut short.
    """
    number = 0
    with open_bytes(path) as handle, io.TextIOWrapper(handle, encoding="utf-8-sig", newline="\n") as lines:
        try:
            for number, line in enumerate(lines, start=1):
                yield number, line.rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise InputError(path, number + 1, "not text (UTF-8)") from error
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(path, number + 1, f"gzip data is damaged or cut short: {error}") from error
        except OSError as error:
            raise InputError(path, number + 1, f"cannot be read: {error.strerror or error}") from error
