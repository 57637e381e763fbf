"""Gzip: members in a row are read, and what unpacks to far more than its size is refused early."""

import gzip
import io
import sys
import tracemalloc
from pathlib import Path

import pytest

from bindtune.data.protein import contexts
from bindtune.errors import InputError
from bindtune.io.genome import GenomeFile
from bindtune.io.proteins import read_proteins
from bindtune.io.records import read_windows
from bindtune.io.text import numbered_lines, open_bytes
from corpus.valid import bgzip

_BOMB = r"cannot be read: [\d,]+ bytes of gzip unpack to [\d,]+, more than 200 times as much"
_MEGABYTES = 70


def _bomb(path: Path, first: bytes, line: bytes) -> Path:
    block = gzip.compress(line * (1_000_000 // len(line)))
    path.write_bytes(gzip.compress(first) + block * _MEGABYTES)
    assert path.stat().st_size < 1e6
    return path


def test_a_genome_is_unpacked_only_as_far_as_it_is_believable(tmp_path: Path) -> None:
    path = _bomb(tmp_path / "g.fa.gz", b">chr1\n", b"ACGT" * 15 + b"\n")
    with pytest.raises(InputError, match=_BOMB), GenomeFile(path, write_index=False, notify=lambda _: None):
        pass


@pytest.mark.parametrize(
    ("first", "line", "read"),
    [
        (b"", b"#" * 999 + b"\n", lambda path: sum(1 for _ in numbered_lines(path))),
        (b">a\n", b" " * 999 + b"\n", lambda path: list(read_proteins(path))),
        (b"{", b" " * 999 + b"\n", lambda path: list(read_windows(path))),
        (b"[", b" " * 999 + b"\n", lambda path: list(read_windows(path))),
        (b" ", b" " * 999 + b"\n", lambda path: list(read_windows(path))),
    ],
    ids=["lines", "proteins", "JSON Lines", "JSON", "blanks"],
)
def test_text_that_unpacks_without_end_is_refused_in_little_memory(
    tmp_path: Path, first: bytes, line: bytes, read: object
) -> None:
    path = _bomb(tmp_path / "x.gz", first, line)
    tracemalloc.start()
    with pytest.raises(InputError, match=rf"{_BOMB}|not JSON|no sequence"):
        read(path)  # type: ignore[operator]
    assert tracemalloc.get_traced_memory()[1] < 60e6
    tracemalloc.stop()


def test_standard_input_is_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = _bomb(tmp_path / "x.gz", b"", b"#" * 999 + b"\n").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    with pytest.raises(InputError, match=_BOMB):
        sum(1 for _ in numbered_lines(Path("-")))


def test_members_in_a_row_and_dense_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(bgzip(b"ACGT\n" * 1000) + gzip.compress(b"end\n"))
    assert sum(1 for _ in numbered_lines(path)) == 1001
    path.write_bytes(gzip.compress(b"N" * 60_000_000))  # 1000 times, but not much
    with open_bytes(path) as handle:
        assert sum(len(part) for part in iter(lambda: handle.read(1 << 20), b"")) == 60_000_000
    with pytest.raises(InputError, match="gzip data is damaged or cut short"):
        path.write_bytes(gzip.compress(b"ACGT\n" * 1000)[:-9])
        list(numbered_lines(path))


def test_an_alignment_of_too_many_rows_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contexts, "_MOST_ROWS", 3)
    path = tmp_path / "q.a3m"
    path.write_bytes(b">q\nMK\n" + b">x\nMR\n" * 2)
    assert len(contexts.read_homologs(path, neighbor_similarity_lower_bound=0.8).names) == 3
    path.write_bytes(b">q\nMK\n" + b">x\nMR\n" * 3)
    with pytest.raises(InputError, match=r"q\.a3m:7: more than 3 rows"):
        contexts.read_homologs(path, neighbor_similarity_lower_bound=0.8)
