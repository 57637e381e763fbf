"""Contacts of residues from a structure: distances, numbering, and files that are not of the protein."""

from pathlib import Path

import numpy as np
import pytest

from bindtune.data.protein.residue_contacts import read_contacts, read_linking
from bindtune.data.protein.site_rules import SiteRules
from bindtune.errors import InputError

ATOM = (
    "ATOM  {serial:5d} {name:<4s} {residue:3s} {chain}{number:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00 10.00           C\n"
)
CODES = {"M": "MET", "C": "CYS", "H": "HIS", "G": "GLY", "A": "ALA", "W": "TRP"}


def write(path: Path, chains: dict[str, tuple[str, list[float]]], *, first: int = 7) -> Path:
    """Chains of residues with one atom each, on a line, at these places."""
    lines, serial = [], 0
    for chain, (letters, places) in chains.items():
        for number, (letter, place) in enumerate(zip(letters, places, strict=True), start=first):
            serial += 1
            lines.append(ATOM.format(serial=serial, name=" CA", residue=CODES[letter], chain=chain, number=number,
                                     x=place, y=0.0, z=0.0))  # fmt: skip
    path.write_text("".join(lines) + "END\n")
    return path


def test_residues_within_the_distance_are_in_contact(tmp_path: Path) -> None:
    chains = {"A": ("MCHGA", [0.0, 30.0, 4.0, 60.0, 64.5]), "B": ("WWWWW", [0.0, 1.0, 2.0, 3.0, 4.0])}
    contacts = read_contacts(write(tmp_path / "p.pdb", chains), "GMCHGAG", name="p", distance=4.2)
    assert list(zip(contacts.first.tolist(), contacts.second.tolist(), strict=True)) == [(1, 3)]
    assert contacts.placed.tolist() == [False, True, True, True, True, True, False]
    wider = read_contacts(tmp_path / "p.pdb", "GMCHGAG", name="p", distance=5.0)
    assert set(zip(wider.first.tolist(), wider.second.tolist(), strict=True)) == {(1, 3), (4, 5)}


def test_atoms_of_one_residue_are_no_contact(tmp_path: Path) -> None:
    one = {"serial": 1, "residue": "CYS", "chain": "A", "number": 7, "y": 0.0, "z": 0.0}
    path = tmp_path / "p.pdb"
    path.write_text(
        ATOM.format(name=" CA", x=0.0, **one) + ATOM.format(name=" CB", x=1.5, **one | {"serial": 2}) + "END\n"
    )
    contacts = read_contacts(path, "C", name="p", distance=4.2)
    assert (contacts.first.tolist(), contacts.placed.tolist()) == ([], [True])


def test_a_folder_has_some_of_the_proteins(tmp_path: Path) -> None:
    write(tmp_path / "p.pdb", {"A": ("MCHGA", [0.0, 10.0, 4.0, 20.0, 30.0])})
    linking = read_linking(SiteRules(9, 4.5, tmp_path), {"p": "MCHGA", "q": "CC"})
    assert linking.contacts.keys() == {"p"} and linking.gap == 9
    np.testing.assert_array_equal(linking.contacts["p"].second, [2])
    assert read_linking(SiteRules(9), {"p": "MCHGA"}).contacts == {}
    with pytest.raises(InputError, match=r"has a structure of none of the 1 proteins; it has p"):
        read_linking(SiteRules(9, 4.5, tmp_path), {"q": "CC"})
    with pytest.raises(InputError, match="is no folder, expected one with structures named after the proteins"):
        read_linking(SiteRules(9, 4.5, tmp_path / "p.pdb"), {"p": "MCHGA"})
    with pytest.raises(InputError, match=r"p\.pdb: 20% of chain A can be aligned with protein 'p', 0% of it identical"):
        read_linking(SiteRules(9, 4.5, tmp_path), {"p": "WWWWWWWWWWWWWW"})
