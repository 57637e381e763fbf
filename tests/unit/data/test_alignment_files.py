"""Where the alignment of a protein is looked for."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bindtune.data.alignment_files import alignment_files, find_alignment
from bindtune.errors import InputError

REE = {"REE": ["LREE", "HREE"]}
Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


def test_alignments_are_found_flat_by_ion_and_by_pattern(write: Write, tmp_path: Path) -> None:
    flat = write("msa/a.a3m", "")
    nested = write("msa/ZN/b.a3m.gz", "")
    heavy = write("msa/HREE/c.a3m", "")
    write("msa/CA/d.a3m", "")
    looked_for = {"a": ("ZN",), "b": ("CA", "ZN"), "c": ("REE",), "d": ("ZN",), "e": ("CA",)}
    found, without = alignment_files(tmp_path / "msa", looked_for=looked_for, groups=REE)
    assert found == {"a": flat, "b": nested, "c": heavy}
    assert without == ("d", "e")
    found, without = alignment_files(str(tmp_path / "msa/{ION}"), looked_for=looked_for, groups=REE)
    assert found == {"b": nested, "c": heavy}
    assert without == ("a", "d", "e")
    assert alignment_files(None, looked_for=looked_for, groups=REE) == ({}, tuple(looked_for))


@pytest.mark.parametrize(
    ("name", "files", "expected"),
    [
        ("sp|P00918|CAH2_HUMAN", ["P00918.a3m"], "P00918.a3m"),
        ("tr|A0A024|A0A024_HUMAN", ["A0A024.a3m.gz"], "A0A024.a3m.gz"),
        ("sp|P00918-2|CAH2_HUMAN", ["P00918-2.a3m", "P00918.a3m"], "P00918-2.a3m"),
        ("sp|P00918|CAH2_HUMAN", ["sp_P00918_CAH2_HUMAN.a3m"], "sp_P00918_CAH2_HUMAN.a3m"),
        ("sp|P00918|CAH2_HUMAN", ["P00918.a3m", "sp|P00918|CAH2_HUMAN.a3m"], "sp|P00918|CAH2_HUMAN.a3m"),
        ("1abc:A", ["1abc_A.a3m"], "1abc_A.a3m"),
        ("P00918", ["sp|P00918|CAH2_HUMAN.a3m"], None),
        ("my|P00918|x", ["P00918.a3m"], None),
    ],
)
def test_names_that_programs_shorten(
    write: Write, tmp_path: Path, name: str, files: list[str], expected: str | None
) -> None:
    for file in files:
        write(f"msa/{file}", "")
    assert find_alignment(name, [tmp_path / "msa"]) == (None if expected is None else tmp_path / "msa" / expected)


@pytest.mark.parametrize("name", ["../secret", "a/b", "/etc/x", "..", "a\\b"])
def test_a_name_cannot_lead_out_of_the_alignments(write: Write, tmp_path: Path, name: str) -> None:
    write("secret.a3m", "")
    write("msa/a.a3m", "")
    with pytest.raises(InputError, match="an id with a path in it"):
        alignment_files(tmp_path / "msa", looked_for={name: ("ZN",)}, groups={})


@pytest.mark.parametrize("where", ["none", "none/{ION}"])
def test_alignments_without_a_folder(tmp_path: Path, where: str) -> None:
    with pytest.raises(InputError, match="is no folder"):
        alignment_files(tmp_path / where, looked_for={"a": ("ZN",)}, groups={})
