"""What holds for every file whatever is in it, and ways to change a file; for hypothesis and for atheris."""

import gzip
import json
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from hypothesis import strategies as st

from bindtune.errors import BindtuneError
from corpus.mutations import structured
from corpus.readers import Reader
from corpus.valid import seeds

SECONDS = 10
_LONGEST_LINE = 1000
_PEAKS = ("peaks", "peaks of eCLIP")
"""Formats that give intervals and their values."""
_PLAIN_TEXT = frozenset(
    {
        "peaks",
        "peaks of eCLIP",
        "regions BED",
        "genes",
        "genes of a type",
        "region FASTA",
        "genome FASTA",
        "chromosome aliases",
        "training records",
        "protein FASTA",
        "label FASTA",
        "A3M",
        "VCF",
        "variant table",
        "cluster table",
        "folds",
        "PDB",
        "mmCIF",
        "entry in PDB",
        "entry in mmCIF",
        "BioLiP",
        "UniProt text",
        "UniProt table",
        "table of a tool",
        "LMetalSite",
        "GPSite",
        "training proteins of a tool",
    }
)
"""Formats that may be gzipped."""
_TOKENS = (
    b"\t",
    b">ss_pred\n",
    b"_consensus",
    b"\n",
    b"\r",
    b"\r\n",
    b"\0",
    b" ",
    b",",
    b";",
    b"=",
    b":",
    b"-",
    b".",
    b">",
    b"#",
    b"*",
    b'"',
    b"'",
    b"\\",
    b"[",
    b"]",
    b"{",
    b"}",
    b"_",
    b"-1",
    b"0",
    b"1e400",
    b"NaN",
    b"inf",
    b"null",
    b"true",
    b"9" * 19,
    b"9" * 30,
    b"9" * 5000,
    b"0x10",
    b"1_0",
    b"A000",
    b"*****",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\xc2\xa0",
    b"\xd9\xa3",
    b"\xe2\x80\xa8",
    b"\x1f\x8b",
    b"chr1\t1\t2\n",
    b">a\n",
    b"MK\n",
    b"track\n",
    b"[" * 200,
    b'{"a":' * 200,
    b"&a [*a]",
    b"!!python/name:os",
    b"---\n",
    b"\x00\x00\x00\x00",
    b"\xff\xff\xff\xff",
    b"\x01\x00\x00\x00",
    b"data_x\n",
    b"loop_\n",
    b"PAR1",
    b"<<: ",
    b"2001-99-99",
)


class Finding(NamedTuple):
    """Something that must not be.

    Args:
        key: what tells it from other findings.
        told: the whole story.
    """

    key: str
    told: str


class _Hang(BaseException):
    """A reader took too long."""


@contextmanager
def _time_limit(seconds: int) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise _Hang

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def check(reader: Reader, content: bytes, folder: Path, *, seconds: int = SECONDS) -> Finding | None:
    """Read a file and look at what came of it.

    A reader returns, or raises one of bindtune's errors that names the file in one line or in a list of short lines. It
    leaves no file behind. What it returns is the same when the file is gzipped, where the format may be, and holds as
    many records as the file, where they can be counted.

    Args:
        reader: how.
        content: of the file.
        folder: where it is written; what lies there already is kept.
        seconds: after which reading counts as hung.
    """
    before = {*_names(folder), reader.file}
    try:
        with _time_limit(seconds):
            finding = _outcome(reader, content, folder)
            if not isinstance(finding, Finding):
                finding = _more_than_read(reader, content, folder, finding)
    except _Hang:
        return Finding("hang", f"reading takes more than {seconds} s")
    if finding is None and (left := _names(folder) - before):
        return Finding("left behind", f"reading leaves {sorted(left)}")
    return finding


def _names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def _outcome(reader: Reader, content: bytes, folder: Path) -> Any:
    """(value, "") or (None, message), or a finding."""
    path = folder / reader.file
    path.write_bytes(content)
    try:
        return reader.read(path), ""
    except BindtuneError as error:
        message = str(error)
        if str(path.parent) not in message:
            return Finding(
                f"unnamed: {' '.join(message.split())[:40]}", f"the message does not name the file: {message}"
            )
        first, *listing = message.splitlines()
        if (listing and not first.endswith(" problems")) or max(map(len, message.splitlines())) > _LONGEST_LINE:
            return Finding(
                f"not a short line: {first[-40:]}", f"expected a short line, or a list of problems: {message}"
            )
        return None, message.replace(str(path), "FILE")
    except (Exception, SystemExit) as error:  # noqa: BLE001 (what is looked for)
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/bindtune/" in frame.filename]
        origin = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
        return Finding(f"{type(error).__name__} at {origin}", "".join(traceback.format_exception(error))[-3000:])


def _more_than_read(reader: Reader, content: bytes, folder: Path, finding: Any) -> Finding | None:
    value, message = finding
    if reader.format in _PLAIN_TEXT and not content.startswith(b"\x1f\x8b") and len(content) < 20_000:
        packed = _outcome(reader, gzip.compress(content, compresslevel=1, mtime=0), folder)
        if isinstance(packed, Finding):
            return packed
        if (value is None) != (packed[0] is None) or not _same(value, packed[0]):
            return Finding("gzip differs", f"plain: {value} {message}\ngzipped: {packed[0]} {packed[1]}")
    if value is None:
        return None
    counted = _count(reader.format, content)
    if counted is not None and counted != (number := _records(reader.format, value)):
        return Finding("records lost", f"{number} records were read, the file has {counted}: {value}")
    if reader.format in (*_PEAKS, "regions BED"):
        # A comment before the first line sends the file down another path: line by line.
        slow = _outcome(reader, b"#\n" + content.removeprefix(b"\xef\xbb\xbf"), folder)
        moved = None if isinstance(slow, Finding) or slow[0] is None else _earlier(reader.format, slow[0])
        if not _same(moved, value):
            return Finding("two paths differ", f"at once: {value}\nline by line: {slow}")
    return None


def _same(first: Any, second: Any) -> bool:
    return repr(first) == repr(second)  # nan is nan


def _earlier(format: str, value: Any) -> Any:
    """Intervals with line numbers that are one less."""
    moved = [(*row[:-1], row[-1] - 1) for row in (value[0] if format in _PEAKS else value)]
    return (moved, value[1]) if format in _PEAKS else moved


def _records(format: str, value: Any) -> int:
    return len(value[0] if format in (*_PEAKS, "region FASTA") else value)


def _count(format: str, content: bytes) -> int | None:
    """How many records a file has, counted in another way than readers do; None where that is not known."""
    counter = _COUNTERS.get(format)
    if counter is None or content.startswith(b"\x1f\x8b"):
        return None
    return counter(content.removeprefix(b"\xef\xbb\xbf"))


def _count_intervals(content: bytes) -> int | None:
    if b"track" in content or b"browser" in content:
        return None
    return sum(bool(line.decode().strip()) and not line.startswith(b"#") for line in content.split(b"\n"))


def _count_headers(content: bytes) -> int:
    return sum(line.decode().strip().startswith(">") for line in content.split(b"\n"))


def _count_rows(content: bytes) -> int | None:
    # Rows that annotate or are a consensus are left out, and so are alignments of other queries after NUL.
    if any(mark in content for mark in (b"_pred", b"_conf", b"_dssp", b">ss_", b">sa_", b">aa_", b"onsensus", b"\0")):
        return None
    return sum(line.startswith(b">") for line in content.split(b"\n"))


def _count_windows(content: bytes) -> int | None:
    if content.lstrip()[:1] == b"[":
        try:
            return len(json.loads(content))
        except ValueError:  # ijson takes a vertical tab between two records for a space
            return None
    return sum(bool(line.strip()) for line in content.split(b"\n")) if content.lstrip()[:1] == b"{" else None


_COUNTERS: dict[str, Callable[[bytes], int | None]] = {
    **dict.fromkeys(_PEAKS, _count_intervals),
    "regions BED": _count_intervals,
    "protein FASTA": _count_headers,
    "label FASTA": _count_headers,
    "region FASTA": lambda content: sum(line.startswith(b">") for line in content.split(b"\n")),
    "A3M": _count_rows,
    "training records": _count_windows,
}


def files(format: str) -> st.SearchStrategy[bytes]:
    """Files of a format that are changed: their bytes or, where its files say values, these."""
    values = structured(format)
    return changed(seeds(format)) if values is None else changed(seeds(format)) | values


def changed(files: tuple[bytes, ...]) -> st.SearchStrategy[bytes]:
    """Files that are changed in a few places: bytes drawn, words put in, stretches cut out, doubled or exchanged."""

    @st.composite
    def draw_file(draw: st.DrawFn) -> bytes:
        content = bytearray(draw(st.sampled_from(files)))
        for _ in range(draw(st.integers(1, 6))):
            size = len(content)
            start = draw(st.integers(0, size))
            end = min(size, start + draw(st.sampled_from((0, 0, 1, 1, 2, 4, 8, 30, 200))))
            kind = draw(st.integers(0, 5))
            if kind == 0:
                content[start:end] = draw(st.binary(min_size=1, max_size=8))
            elif kind == 1:
                content[start:end] = draw(st.sampled_from(_TOKENS))
            elif kind == 2:
                del content[start:end]
            elif kind == 3:
                content[start:start] = content[start:end] * draw(st.integers(1, 3))
            elif kind == 4:
                other = draw(st.sampled_from(files))
                content[start:] = other[draw(st.integers(0, len(other))) :]
            else:
                del content[start:]
        return bytes(content)

    return draw_file()
