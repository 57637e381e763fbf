"""Formats, labels and alignments of generated families, and that no family stands on both sides."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from tests.context_specs import context_spec

from bindtune.data.protein.contexts import draw_context, read_homologs
from bindtune.demo.families import IONS, Family, FamilyFiles, Member, alignment, labels, write_families
from bindtune.io.a3m import match_columns, read_a3m, residues

Records = dict[str, tuple[str, str]]
# What the labelled letters of one site look like, read off the sequence with everything else blanked out.
SITES = {
    "ZN": r"C\.\.C\.\.\.\.H\.\.\.H",
    "CA": r"D\.D\.D\.\.\.\.\.\.E",
    "MG": r"N\.D\.\.D|D\.D\.\.T",
}


def read_labelled(path: Path) -> Records:
    lines = path.read_text().splitlines()
    assert len(lines) % 3 == 0
    records = {}
    for header, sequence, marks in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
        assert header.startswith(">")
        assert len(sequence) == len(marks)
        assert re.fullmatch("[ACDEFGHIKLMNPQRSTVWY]+", sequence)
        assert re.fullmatch("[01]+", marks)
        assert header[1:] not in records
        records[header[1:]] = (sequence, marks)
    return records


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> FamilyFiles:
    return write_families(tmp_path_factory.mktemp("families"), families=14, members=3, seed=1)


@pytest.fixture(scope="module")
def labelled(files: FamilyFiles) -> dict[str, Records]:
    return {f"{part}/{ion}": read_labelled(getattr(files, part)[ion]) for part in ("train", "test") for ion in IONS}


@pytest.fixture(scope="module")
def groups(files: FamilyFiles) -> dict[str, str]:
    with files.groups.open() as stream:
        return {row["protein"]: row["group"] for row in csv.DictReader(stream)}


def in_part(labelled: dict[str, Records], part: str) -> set[str]:
    return {name for key, records in labelled.items() if key.startswith(part) for name in records}


def test_a_seed_decides_every_byte(files: FamilyFiles, tmp_path: Path) -> None:
    same = write_families(tmp_path / "same", families=14, members=3, seed=1)
    other = write_families(tmp_path / "other", families=14, members=3, seed=2)
    folder = files.groups.parent
    written = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert written == sorted(
        path.relative_to(same.groups.parent) for path in same.groups.parent.rglob("*") if path.is_file()
    )
    for name in written:
        assert (same.groups.parent / name).read_bytes() == (folder / name).read_bytes()
    assert other.train["ZN"].read_text() != files.train["ZN"].read_text()


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("ion", IONS)
def test_labels_are_the_letters_of_one_motif(labelled: dict[str, Records], part: str, ion: str) -> None:
    records = labelled[f"{part}/{ion}"]
    binding = [(sequence, marks) for sequence, marks in records.values() if "1" in marks]
    assert binding
    assert len(binding) < len(records)
    for sequence, marks in binding:
        shown = "".join(letter if mark == "1" else "." for letter, mark in zip(sequence, marks, strict=True))
        assert re.fullmatch(SITES[ion], shown.strip("."))


def test_letters_that_bind_stand_unbound_more_often(labelled: dict[str, Records]) -> None:
    for ion, letters in {"ZN": "CH", "CA": "DE", "MG": "D"}.items():
        pairs = [pair for protein in labelled[f"train/{ion}"].values() for pair in zip(*protein, strict=True)]
        for letter in letters:
            marks = [mark for letter_of, mark in pairs if letter_of == letter]
            assert marks.count("0") > marks.count("1") > 0


def test_some_proteins_are_known_for_several_ions_and_some_not(labelled: dict[str, Records]) -> None:
    names = in_part(labelled, "train")
    label_counts = [sum(name in labelled[f"train/{ion}"] for ion in IONS) for name in names]
    assert len(names) == 14 * 3
    assert set(label_counts) == {1, 2, 3}
    several = [name for name in names if sum("1" in labelled[f"train/{ion}"].get(name, "  ")[1] for ion in IONS) > 1]
    assert several
    for name in names:
        assert len({labelled[f"train/{ion}"][name][0] for ion in IONS if name in labelled[f"train/{ion}"]}) == 1


def test_no_family_stands_in_two_parts(
    files: FamilyFiles, labelled: dict[str, Records], groups: dict[str, str]
) -> None:
    lines = files.unlabelled.read_text().splitlines()
    parts = [in_part(labelled, "train"), in_part(labelled, "test"), {line[1:] for line in lines[::2]}]
    families = [{groups[name] for name in part} for part in parts]
    assert [len(part) for part in families] == [14, 7, 7]
    assert len(set.union(*families)) == 28
    assert set(groups) == set.union(*parts)
    assert all(re.fullmatch("[A-Z]+", line) for line in lines[1::2])


def test_alignments_belong_to_labelled_proteins_and_hold_their_family(
    files: FamilyFiles, labelled: dict[str, Records], groups: dict[str, str]
) -> None:
    sequences = {name: record[0] for records in labelled.values() for name, record in records.items()}
    assert {path.stem for path in files.alignments.iterdir()} == set(sequences)
    for name, sequence in sequences.items():
        path = files.alignments / f"{name}.a3m"
        rows = list(read_a3m(path))
        assert rows[0].name == name
        assert rows[0].sequence.decode() == sequence
        assert 20 <= len(rows) <= 60
        members = {row.name: row for row in rows}
        assert len(members) == len(rows)
        assert {member for member in groups if groups[member] == groups[name]} < set(members)
        assert all(member.startswith(groups[name]) for member in members)
        for row in rows:
            match_columns(row, query=sequence.encode(), path=path)
            if row.name in sequences:
                assert residues(row).decode() == sequences[row.name]


def test_bound_columns_are_conserved_in_alignments_and_most_others_are_not(
    files: FamilyFiles, labelled: dict[str, Records]
) -> None:
    conserved = {"0": [], "1": []}
    for name, (sequence, marks) in labelled["train/CA"].items():
        path = files.alignments / f"{name}.a3m"
        rows = [match_columns(row, query=sequence.encode(), path=path) for row in read_a3m(path)]
        for column, mark in enumerate(marks):
            conserved[mark].append(len({row[column] for row in rows}) == 1)
    assert all(conserved["1"])
    assert 0.1 < np.mean(conserved["0"]) < 0.3


def test_contexts_can_be_drawn(files: FamilyFiles, labelled: dict[str, Records]) -> None:
    name = next(iter(labelled["test/MG"]))
    homologs = read_homologs(files.alignments / f"{name}.a3m", neighbor_similarity_lower_bound=0.8)
    context = draw_context(homologs, context_spec(max_num_samples=4, exclude_query=True, seed=3))
    assert len(context.names) == 4
    assert name not in context.names
    assert [homologs.residues(homologs.names.index(row)) for row in context.names] == context.sequences


def test_insertions_and_losses_keep_columns_and_labels_right() -> None:
    nothing = np.zeros(4, dtype=np.bool_)
    family = Family("f", "ACDE", ("", "ZN", "", "CA"), nothing, nothing)
    query = Member("f_1", (("", "A"), ("GG", "C"), ("", ""), ("", "E")))
    other = Member("f_2", (("K", "A"), ("W", "C"), ("", "D"), ("", "")))
    assert query.sequence == "AGGCE"
    assert labels(family, query, "ZN") == "00010"
    assert labels(family, query, "CA") == "00001"
    assert labels(family, other, "ZN") == "00010"
    assert alignment(query, [other, query]) == ">f_1\nAGGCE\n>f_2\nkA--wCd-\n"
    assert alignment(other, [query]) == ">f_2\nKAWCD\n>f_1\n-A-ggC-e\n"
