import re
from pathlib import Path

import pytest
from tests.prediction_folder import SEQUENCE, helix

from bindtune.errors import InputError
from bindtune.io.chain_atoms import chain_atoms
from bindtune.io.structure import read_structure
from bindtune.io.structure_files import best_chain


def atoms(path: Path, sequence: str, detailed: set[int]) -> list[tuple[str, str, str, int]]:
    """(record, atom, chain, residue number) of each line."""
    structure = read_structure(path)
    chain, mapped = best_chain(structure, sequence, None, name="p")
    text = chain_atoms(structure, chain, mapped, detailed=detailed).text
    assert text.endswith("END\n")
    return [(line[:6].strip(), line[12:16].strip(), line[21], int(line[22:26])) for line in text.splitlines()[:-1]]


def test_positions_are_those_of_the_protein_and_names_those_of_the_file(tmp_path: Path) -> None:
    path = helix(tmp_path / "p.pdb", SEQUENCE[3:], first=101)
    structure = read_structure(path)
    chain, mapped = best_chain(structure, SEQUENCE, None, name="p")
    shown = chain_atoms(structure, chain, mapped, detailed=())
    assert shown.names[4] == "A:101"
    assert set(shown.names) == set(range(4, len(SEQUENCE) + 1))
    lines = [line for line in shown.text.splitlines() if line.startswith("ATOM")]
    assert [line[22:26].strip() for line in lines if line[12:16] == " CA "] == [str(n) for n in shown.names]
    before = [line for line in path.read_text().splitlines() if line.startswith("ATOM") and line[12:16] == " CA "]
    after = [line for line in lines if line[12:16] == " CA "]
    for old, new in zip(before, after, strict=True):
        for column in (slice(30, 38), slice(38, 46), slice(46, 54)):
            assert float(new[column]) == pytest.approx(float(old[column]), abs=0.0051)


def test_side_chains_of_chosen_residues_alone_and_ions_without_water(tmp_path: Path) -> None:
    rows = atoms(helix(tmp_path / "p.pdb", SEQUENCE), SEQUENCE, {4, 6})
    assert [number for _, atom, chain, number in rows if atom == "CB" and chain == "A"] == [4, 6]
    assert [(record, atom) for record, atom, chain, _ in rows if chain == "Z"] == [("HETATM", "ZN")]


def test_the_first_model_alone(tmp_path: Path) -> None:
    path = helix(tmp_path / "p.pdb", SEQUENCE)
    one = path.read_text().replace("END\n", "")
    path.write_text(f"MODEL 1\n{one}ENDMDL\nMODEL 2\n{one}ENDMDL\nEND\n")
    assert atoms(path, SEQUENCE, set()) == atoms(helix(tmp_path / "q.pdb", SEQUENCE), SEQUENCE, set())


def test_names_of_atoms_are_letters_and_digits(tmp_path: Path) -> None:
    path = helix(tmp_path / "p.pdb", SEQUENCE)
    path.write_text(path.read_text().replace(" CB  HIS", "<\\`; HIS"))
    structure = read_structure(path)
    chain, mapped = best_chain(structure, SEQUENCE, None, name="p")
    text = chain_atoms(structure, chain, mapped, detailed=range(1, 30)).text
    assert re.fullmatch(r"[A-Z0-9 .\n-]+", text)


def test_an_atom_without_coordinates_is_refused(tmp_path: Path) -> None:
    path = helix(tmp_path / "p.pdb", SEQUENCE)
    lines = path.read_text().splitlines()
    lines[2] = lines[2][:30] + "   *****" + lines[2][38:]
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match=r"an atom of chain A has no coordinates"):
        atoms(path, SEQUENCE, set())
