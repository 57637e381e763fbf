"""What a case says: a file, and the message or the values that it must give."""

import gzip
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus.readers import READERS, Reader
from corpus.valid import bgzip

Content = bytes | str | Callable[[], bytes]


@dataclass(frozen=True)
class Case:
    """One file.

    Args:
        format: its kind, as in READERS.
        name: what is odd about it.
        content: of the file; None where there is none.
        problem: a pattern that the message has after the name of the file, such as ``:3: end 5 is not``; None where the
            file is sound.
        value: what reading gives, where it is sound.
        file: another name than the reader's.
        at: the file that the message names, where it is another one; "" for the folder.
    """

    format: str
    name: str
    content: Content | None
    problem: str | None = None
    value: Any = None
    file: str | None = None
    at: str | None = None

    @property
    def reader(self) -> Reader:
        """How the file is read."""
        return READERS[self.format]

    def write(self, folder: Path) -> Path:
        """Write the file, and what lies beside it."""
        for name, content in self.reader.beside.items():
            (folder / name).write_bytes(content)
        path = folder / (self.file or self.reader.file)
        if self.content is not None:
            path.write_bytes(_bytes(self.content))
        return path


def refused(format: str, cases: Mapping[str, tuple[Content | None, str]], **more: Any) -> Iterator[Case]:
    """Broken files: name -> (content, problem)."""
    return (Case(format, name, content, problem, **more) for name, (content, problem) in cases.items())


def read(format: str, cases: Mapping[str, tuple[Content, Any]], **more: Any) -> Iterator[Case]:
    """Odd files that are sound: name -> (content, value)."""
    return (Case(format, name, content, value=value, **more) for name, (content, value) in cases.items())


def looks(
    format: str, content: bytes, value: Any, *, mark: bool = True, packed: bool = True, blank: bool = True
) -> Iterator[Case]:
    """A text file as editors and programs leave it: all of it is read, and the same.

    Args:
        format: its kind.
        content: with LF and a last newline.
        value: what it gives.
        mark: whether a byte order mark may stand before it.
        packed: whether it may be gzipped.
        blank: whether blank lines may stand at its end.
    """
    lines = content.replace(b"\n", b"\r\n")
    forms = {"as it is": content, "CRLF": lines, "no last newline": content.rstrip(b"\r\n")}
    if blank:
        forms["blank lines at the end"] = content + b"\n\n"
    if mark:
        forms |= {"byte order mark": b"\xef\xbb\xbf" + content, "byte order mark and CRLF": b"\xef\xbb\xbf" + lines}
    if packed:
        forms |= {"gzip": gzip.compress(content), "gzip of CRLF": gzip.compress(lines), "bgzip": bgzip(content)}
    return read(format, {name: (form, value) for name, form in forms.items()})


def wrecks(
    format: str, content: bytes, *, empty: str, only_blank: str | None = None, binary: str, cut: str | None
) -> Iterator[Case]:
    """A text file that is not there, empty, of other bytes, or cut.

    Args:
        format: its kind.
        content: a sound one, of at least two lines.
        empty: what is said of an empty file.
        only_blank: what is said of blank lines; the same by default.
        binary: what is said of bytes that are no UTF-8, in the last line.
        cut: what is said of gzip that is cut short; None where the format is never gzipped.
    """
    cases: dict[str, tuple[Content | None, str]] = {
        "missing": (None, ": cannot be read: .*(No such file|not found)"),
        "empty": (b"", empty),
        "only blank lines": (b"\n \n\n", empty if only_blank is None else only_blank),
        "no UTF-8": (content.rstrip(b"\n") + b"\xff\xfe\n", binary),
        "part of a byte order mark": (b"\xef\xbb", ":1: (not text|expected '>')"),
    }
    if cut is not None:
        packed = gzip.compress(content * 50)
        broken = bytearray(packed)
        broken[len(broken) // 2] ^= 0xFF
        cases |= {
            "gzip cut short": (packed[: len(packed) // 2], cut),
            "gzip without its checksum": (packed[:-8], cut),
            "gzip with a flipped byte": (bytes(broken), r"(:\d+)?: "),
        }
    return refused(format, cases)


def counts(cases: Iterable[Case]) -> dict[str, tuple[int, int]]:
    """Broken and sound cases of each format."""
    counts_of: dict[str, tuple[int, int]] = {}
    for case in cases:
        broken, sound = counts_of.get(case.format, (0, 0))
        counts_of[case.format] = (broken + (case.problem is not None), sound + (case.problem is None))
    return counts_of


def _bytes(content: Content) -> bytes:
    content = content() if callable(content) else content
    return content.encode() if isinstance(content, str) else content
