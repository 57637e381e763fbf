"""Plain FASTA of proteins, from files and from standard input."""

import gzip
import io
import sys
from pathlib import Path

import pytest

from bindtune.errors import InputError
from bindtune.io.proteins import Protein, read_proteins

CONTENT = "\ufeff>a first\r\nMk\r\nT\r\n\r\nAC*\r\n>b\r\nXU".encode()
EXPECTED = [Protein("a", "MKTAC", 1), Protein("b", "XU", 6)]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("piped", [False, True])
def test_records_are_read_however_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool, piped: bool
) -> None:
    content = gzip.compress(CONTENT) if packed else CONTENT
    path = tmp_path / "p.fa"
    path.write_bytes(content)
    stream = io.TextIOWrapper(io.BytesIO(content))
    monkeypatch.setattr(sys, "stdin", stream)
    assert list(read_proteins(Path("-") if piped else path)) == EXPECTED
    assert not stream.closed


def test_proteins_come_before_the_file_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "p.fa"
    path.write_text(">a\nMK\n>b\nM1\n>c\nMK\n")
    proteins = read_proteins(path)
    assert next(proteins) == Protein("a", "MK", 1)
    with pytest.raises(InputError, match=r"p\.fa:4: 'b': '1' at residue 2, expected A-Z"):
        next(proteins)


def test_all_problems_are_said_at_once(tmp_path: Path) -> None:
    path = tmp_path / "p.fa"
    path.write_text(">a\nM1\n>a\nM-\n>\n")
    with pytest.raises(InputError) as caught:
        list(read_proteins(path))
    assert [line.removeprefix(f"{path}:") for line in str(caught.value).splitlines()] == [
        " 5 problems",
        "2: 'a': '1' at residue 2, expected A-Z",
        "3: 'a' comes twice, first in line 1",
        "4: 'a': '-' at residue 2, expected A-Z",
        "5: the header holds no name",
        "5: '' has no sequence",
    ]


def test_damage_in_standard_input_has_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    cut = gzip.compress(CONTENT * 50)[:-9]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(cut)))
    with pytest.raises(InputError, match=r"^-: gzip data is damaged or cut short"):
        list(read_proteins(Path("-")))
