"""Read numbered lines of plain or gzipped text; every error is one line."""

import gzip
import io
import re
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO, cast

from bindtune.errors import InputError
from bindtune.printable import CONTROL
from bindtune.regions import LONGEST_SEQUENCE
from bindtune.wrong_files import refuse_wrong_file

_GZIP_MAGIC = b"\x1f\x8b"
_BLOCK_LETTERS = 1 << 19
_BLOCK_BYTES = 1 << 16
STANDARD_INPUT = Path("-")
ODD_LETTER = re.compile(r"[^A-Za-z]")
"""What no sequence holds, of nucleotides or residues: blanks, digits, gaps, letters of other scripts."""
LONGEST_LINE = LONGEST_SEQUENCE
"""Bytes that a line may have, and a record that is held whole: a small gzip file may hold endless ones."""


def is_gzipped(path: Path) -> bool:
    """Whether the content is gzip (bgzip included), whatever the file is called."""
    try:
        with path.open("rb") as handle:
            return handle.read(2) == _GZIP_MAGIC
    except OSError as error:
        raise InputError(path, None, f"cannot be read: {error.strerror or error}") from error


class BoundedGzip(gzip.GzipFile):
    """What a gzipped file holds, as long as it does not unpack to far more than its size.

    Genomes unpack to 3 or 4 times their size, alignments and labels to less than 50 times; gzip allows 1000 times.

    Args:
        packed: the file, at its start; it is closed with this one.
        path: the file, for messages.
    """

    _ALWAYS = 1 << 26  # bytes that any file may unpack to
    _BYTES_A_BYTE = 200

    def __init__(self, packed: BinaryIO, path: Path) -> None:
        super().__init__(fileobj=packed, mode="rb")
        self._packed, self._path = packed, path

    def read(self, size: int | None = -1) -> bytes:
        """Read some bytes.

        Raises:
            InputError: they are far more than the file can hold.
        """
        content = super().read(size)
        unpacked, packed = self.tell(), self._packed.tell()
        if unpacked > max(self._ALWAYS, self._BYTES_A_BYTE * packed):
            raise InputError(
                self._path,
                None,
                f"cannot be read: {packed:,} bytes of gzip unpack to {unpacked:,}, more than {self._BYTES_A_BYTE} "
                "times as much; unpack it yourself if you trust it",
            )
        return content

    def close(self) -> None:
        """Close the file too."""
        super().close()
        self._packed.close()


def open_bytes(path: Path) -> BinaryIO:
    """The content of a plain or gzipped file."""
    return cast(BinaryIO, BoundedGzip(path.open("rb"), path)) if is_gzipped(path) else path.open("rb")


class LimitedLines(io.RawIOBase):
    """The bytes of a stream, as long as none of its lines is too long to be held in memory.

    Args:
        stream: at the start of a line; it is closed with this one.
        path: the file, for messages.
        longest: bytes that a line may have.
    """

    def __init__(self, stream: BinaryIO, path: Path | str, *, longest: int = LONGEST_LINE) -> None:
        self._stream, self._path, self._longest = stream, path, longest
        self._line, self._size = 1, 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        """Read some bytes.

        Raises:
            InputError: they belong to a line that is too long.
        """
        content = self._stream.read(len(buffer))
        buffer[: len(content)] = content
        last = content.rfind(b"\n")
        self._line += content.count(b"\n")
        self._size = len(content) - last - 1 if last >= 0 else self._size + len(content)
        if self._size > self._longest:
            raise InputError(self._path, self._line, f"a line of more than {self._longest:,} bytes")
        return len(content)

    def close(self) -> None:
        """Close the stream too."""
        self._stream.close()
        super().close()


def limited_lines(stream: BinaryIO, path: Path | str, *, longest: int = LONGEST_LINE) -> BinaryIO:
    """A stream to take lines from, none of which is longer than what fits well into memory."""
    return io.BufferedReader(LimitedLines(stream, path, longest=longest), _BLOCK_BYTES)


@contextmanager
def rereadable(path: Path) -> Iterator[Path]:
    """A file that can be read several times: the path itself, or a temporary copy of what comes through a pipe.

    Args:
        path: a file; `-` is standard input.
    """
    if path != STANDARD_INPUT and (path.is_file() or path.is_dir() or not path.exists()):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="bindtune-pipe-") as folder:
        copy = Path(folder) / ("stdin" if path == STANDARD_INPUT else path.name)
        with (
            nullcontext(sys.stdin.buffer) if path == STANDARD_INPUT else path.open("rb") as pipe,
            copy.open("wb") as file,
        ):
            shutil.copyfileobj(pipe, file)
        yield copy


def line_blocks(path: Path, *, longest: int = LONGEST_LINE) -> Iterator[tuple[int, list[str]]]:
    """Yield (1-based number of the first line, lines without their endings), some thousand lines at a time.

    Endings may be LF or CRLF; a byte order mark is removed. The path `-` is standard input, gzipped or not.

    Args:
        path: the file.
        longest: bytes that a line may have.

    Raises:
        InputError: the file is missing, is not text, holds a line that is too long, or is gzip that is damaged or cut
            short.
    """
    number = 1
    with (
        _opened(path) as handle,
        limited_lines(handle, path, longest=longest) as limited,
        io.TextIOWrapper(limited, encoding="utf-8", newline="\n") as text,
    ):
        try:
            while block := text.read(_BLOCK_LETTERS):
                block = (block + text.readline()).removesuffix("\n")
                if number == 1:  # not by the codec utf-8-sig: it takes part of a mark for an empty file
                    block = block.removeprefix("\ufeff")
                lines = block.split("\n")
                yield number, [line.rstrip("\r") for line in lines] if "\r" in block else lines
                number += len(lines)
        except UnicodeDecodeError as error:
            raise InputError(path, _first_unreadable(path), "not text (UTF-8)") from error
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(path, _first_unreadable(path), f"gzip data is damaged or cut short: {error}") from error
        except OSError as error:
            raise InputError(path, None, f"cannot be read: {error.strerror or error}") from error


LONE_RETURNS = "lines end in carriage returns alone, expected LF or CRLF: write it anew with tr '\\r' '\\n'"
"""What is said of files of early Macintosh computers."""


def check_header_end(path: Path | str, number: int, header: str) -> None:
    """Refuse a header or comment of FASTA that goes on behind a carriage return: the whole file is then one line.

    Raises:
        InputError: it does.
    """
    if "\r" in header.rstrip("\r\n"):
        raise InputError(path, number, LONE_RETURNS)


def name_problem(name: str) -> str | None:
    """What is wrong with the name of a sequence, which enters tables, pages and terminals; None where nothing is."""
    return f"{name!r} holds a control character, expected a name that can be printed" if CONTROL.search(name) else None


def numbered_lines(path: Path, *, longest: int = LONGEST_LINE) -> Iterator[tuple[int, str]]:
    """Yield (1-based number, line) as `line_blocks` does, one by one."""
    for first, lines in line_blocks(path, longest=longest):
        yield from enumerate(lines, start=first)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    if path != STANDARD_INPUT:
        refuse_wrong_file(path)
        with open_bytes(path) as handle:
            yield handle
        return
    with io.BufferedReader(_Borrowed(sys.stdin.buffer)) as handle:
        packed = handle.peek(2).startswith(_GZIP_MAGIC)
        yield cast(BinaryIO, BoundedGzip(handle, STANDARD_INPUT) if packed else handle)


class _Borrowed(io.RawIOBase):
    """A stream that stays open when its reader is closed."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._size = stream, 0

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._size

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        read = self._stream.read(len(buffer))
        buffer[: len(read)] = read
        self._size += len(read)
        return len(read)


def _first_unreadable(path: Path) -> int | None:
    """Number of the line in which reading or decoding fails; None for standard input, which is read once."""
    if path == STANDARD_INPUT:
        return None
    number = 0
    try:
        with open_bytes(path) as handle, limited_lines(handle, path) as lines:
            for line in lines:
                line.decode("utf-8")
                number += 1
    except (EOFError, OSError, zlib.error, UnicodeDecodeError, InputError):
        pass
    return number + 1
