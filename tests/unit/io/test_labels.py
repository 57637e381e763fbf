"""Labelled FASTA: what is read, and that every malformed record is named by file and line."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from bindtune.errors import InputError
from bindtune.io.labels import read_labels


@pytest.mark.parametrize("packed", [False, True])
def test_records_are_read_however_they_are_written(tmp_path: Path, packed: bool) -> None:
    content = "\ufeff>a first\r\nMkT\r\n010\r\n\r\n\r\n>b|1\tmore\r\nXU\r\n11".encode()
    path = tmp_path / "l.fa"
    path.write_bytes(gzip.compress(content) if packed else content)
    first, second = read_labels(path)
    assert (first.name, first.sequence, first.line) == ("a", "MKT", 1)
    assert first.labels.tolist() == [0, 1, 0]
    assert first.labels.dtype == np.int8
    assert (second.name, second.sequence, second.labels.tolist(), second.line) == ("b|1", "XU", [1, 1], 6)


def test_all_problems_of_a_file_are_said_at_once(tmp_path: Path) -> None:
    path = tmp_path / "l.fa"
    path.write_text(">a\nMK\n>b\nMK\n0x\n>c\nMK\n01\n>c\nMR\n01\n>d\nMK1\n01\n")
    with pytest.raises(InputError) as caught:
        read_labels(path)
    assert str(caught.value).splitlines() == [
        f"{path}: 5 problems",
        f"{path}:1: 'a': the label line is missing, found the next header in line 3",
        f"{path}:5: 'b': label 2 is 'x', expected 0, 1 or ?",
        f"{path}:9: 'c' comes again, with another sequence; first in line 6",
        f"{path}:13: 'd': residue 3 is '1', expected A-Z",
        f"{path}:14: 'd': 2 labels for 3 residues",
    ]


def test_a_long_list_is_cut_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "l.fa"
    path.write_text("".join(f">p{number}\nMK\n0-\n" for number in range(33)))
    with pytest.raises(InputError) as caught:
        read_labels(path)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{path}: 33 problems"
    assert lines[20] == f"{path}:60: 'p19': label 2 is '-', expected 0, 1 or ?"
    assert lines[21:] == ["and 13 more"]


def test_real_files(shared: Path) -> None:
    proteins = read_labels(shared / "data/metal_ions/CA_train.fa")
    assert len(proteins) == 1554
    assert proteins[0].name == "4iu2_B"
    assert sum(int(protein.labels.sum()) for protein in proteins) == 8442
    assert [protein.name for protein in read_labels(shared / "data/rare_earth/LREE_uniprot.fa")] == ["C5B164", "C5B120"]
