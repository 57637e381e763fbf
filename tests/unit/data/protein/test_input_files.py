"""Where the alignment of a protein is looked for."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bindtune.data.protein.input_files import alignment_files, alignment_stem, find_alignment, unmatched
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
    paths, without = alignment_files(tmp_path / "msa", looked_for=looked_for, groups=REE)
    assert paths == {"a": flat, "b": nested, "c": heavy}
    assert without == ("d", "e")
    paths, without = alignment_files(str(tmp_path / "msa/{ION}"), looked_for=looked_for, groups=REE)
    assert paths == {"b": nested, "c": heavy}
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
        ("p", ["p.a2m"], "p.a2m"),
        ("p", ["p.a2m.gz", "p.a3m.gz"], "p.a3m.gz"),
        ("p", ["p.sto", "p.fasta", "p.a3m.txt"], None),
        ("p", ["p/p.a3m"], "p/p.a3m"),
        ("sp|P00918|CAH2_HUMAN", ["P00918/msa.a3m", "P00918/hits.sto"], "P00918/msa.a3m"),
        ("p", ["p/uniref.a3m", "p.a3m"], "p.a3m"),
        ("p", ["p/q/p.a3m", "p/notes.txt"], None),
    ],
)
def test_names_that_programs_shorten(
    write: Write, tmp_path: Path, name: str, files: list[str], expected: str | None
) -> None:
    for file in files:
        write(f"msa/{file}", "")
    assert find_alignment(name, [tmp_path / "msa"]) == (None if expected is None else tmp_path / "msa" / expected)


@pytest.mark.parametrize("name", ["../secret", "a/b", "/etc/x", "..", ".", "a\\b", "..."])
def test_a_name_cannot_lead_out_of_the_alignments(write: Write, tmp_path: Path, name: str) -> None:
    for stray in ("secret.a3m", "etc/x.a3m", "msa/a/b.a3m", "msa/other.a3m"):
        write(stray, "")
    assert alignment_files(tmp_path / "msa", looked_for={name: ("ZN",)}, groups={}) == ({}, (name,))
    own = tmp_path / "msa" / f"{alignment_stem(name)}.a3m"
    own.write_text("")
    assert own.parent == tmp_path / "msa"
    assert alignment_files(tmp_path / "msa", looked_for={name: ("ZN",)}, groups={}) == ({name: own}, ())


def test_names_of_alignments_differ_where_ids_do() -> None:
    names = ["a", "a/b", "a%2Fb", "a%b", "..", "%2E%2E", "sp|P00918|X", "é" * 300, "é" * 301, "x" * 248, "x" * 249]
    stems = [alignment_stem(name) for name in names]
    assert len(set(stems)) == len(names)
    assert all(len(f"{stem}.a3m.gz".encode()) <= 255 and "/" not in stem for stem in stems)


@pytest.mark.parametrize("where", ["none", "none/{ION}"])
def test_alignments_without_a_folder(tmp_path: Path, where: str) -> None:
    with pytest.raises(InputError, match="is no folder"):
        alignment_files(tmp_path / where, looked_for={"a": ("ZN",)}, groups={})


def test_two_alignments_of_one_protein_are_refused(write: Write, tmp_path: Path) -> None:
    write("msa/p/bfd.a3m", "")
    write("msa/p/uniref.a3m.gz", "")
    with pytest.raises(InputError, match=r"msa/p: holds 2 alignments of one protein, expected one: bfd\.a3m, uniref"):
        find_alignment("p", [tmp_path / "msa"])


@pytest.mark.parametrize("header", ["P1 more", "sp|P1|X", "q"])
def test_files_that_are_named_by_number_are_told_by_their_first_row(write: Write, tmp_path: Path, header: str) -> None:
    write("msa/0.a3m", f">ss_pred\nHH\n>{header}\nMK\n")
    said = unmatched(tmp_path / "msa", ["sp|P1|X", "q"])
    assert said.endswith(
        f"; the folder holds '0.a3m', which begins with {header.split()[0]!r}: name files after their proteins"
    )
    write("msa/0.a3m", ">else\nMK\n")
    assert unmatched(tmp_path / "msa", ["sp|P1|X", "q"]).endswith("; the folder holds '0.a3m'")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "; the folder is empty"),
        (["a.txt", "0.a3m"], "; the folder holds '0.a3m'"),
        (["p.sto"], "; the folder holds 'p.sto': Stockholm is not read, write it as A2M (esl-reformat a2m)"),
    ],
)
def test_what_is_said_where_none_matches(write: Write, tmp_path: Path, files: list[str], message: str) -> None:
    (tmp_path / "msa").mkdir()
    for file in files:
        write(f"msa/{file}", "")
    said = unmatched(tmp_path / "msa", ["sp|P1|X", "q"])
    assert said == (
        f"{tmp_path / 'msa'}: none of 2 proteins has an alignment, all are read alone: looked for sp|P1|X.a3m or "
        f"P1.a3m or sp_P1_X.a3m and the like{message}"
    )
