"""Generated structures with ions, and a database of relatives: something to begin with from coordinates.

Nothing here is biology. Residues stand on a line, and an atom of each binding residue stands 2.2 angstroms from an ion.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bindtune.demo.families import Family, Member, draw_families, labels
from bindtune.runs.writing import write_text

COMPONENTS: Mapping[str, Sequence[str]] = {"ZN": ("ZN",), "CA": ("CA",), "MG": ("MG",)}
"""The codes of the ions of each motif."""
RARE_EARTHS: Mapping[str, Sequence[str]] = {"ZN": ("ZN",), "CA": ("EU3", "LA", "SM"), "MG": ("YB", "TB", "GD3")}
"""The same, with light rare earths in the motifs of calcium, and heavy ones in those of magnesium."""

_NAMES = {
    "A": "ALA", "C": "CYS", "D": "ASP", "E": "GLU", "F": "PHE", "G": "GLY", "H": "HIS", "I": "ILE", "K": "LYS",
    "L": "LEU", "M": "MET", "N": "ASN", "P": "PRO", "Q": "GLN", "R": "ARG", "S": "SER", "T": "THR", "V": "VAL",
    "W": "TRP", "Y": "TYR",
}  # fmt: skip
_BINDING_ATOMS = {"C": "SG", "H": "NE2", "D": "OD1", "E": "OE1", "N": "OD1", "T": "OG1"}
_DIRECTIONS = ((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1))
_BOND, _STEP, _AWAY = 2.2, 3.8, 40.0
_RESIDUES_A_LINE = 13
_ENTRIES = "structures"
"""Folder of the PDB files."""
_HIDDEN = 2
"""Residues at the beginning that every third structure has no coordinates of."""


class StructureFiles(NamedTuple):
    """What `write_structures` leaves in a folder.

    Args:
        structures: folder of PDB files.
        database: FASTA of the proteins of the structures and of more members of their families.
        unlabelled: FASTA of a member of each family that stands in no structure.
    """

    structures: Path
    database: Path
    unlabelled: Path


def write_structures(
    folder: Path,
    *,
    families: int,
    members: int,
    seed: int,
    relatives: int = 6,
    components: Mapping[str, Sequence[str]] = COMPONENTS,
) -> StructureFiles:
    """Generate structures of protein families, one chain each.

    Args:
        folder: where the files go.
        families: of seven kinds in turn; those of the seventh bind nothing.
        members: structures of each family.
        seed: of everything.
        relatives: proteins of a family that stand in the database alone.
        components: codes of the ions of each motif; families take them in turn.
    """
    database, unlabelled = list[str](), list[str]()
    for number, (family, proteins) in enumerate(
        draw_families(families=families, members=members + relatives + 1, seed=seed)
    ):
        for index, protein in enumerate(proteins[:members]):
            codes = {ion: choices[number % len(choices)] for ion, choices in components.items()}
            hidden = _HIDDEN if index % 3 == 2 else 0
            write_text(folder / _ENTRIES / f"{protein.name}.pdb", structure(family, protein, codes, hidden=hidden))
        database += [f">{protein.name} generated\n{protein.sequence}\n" for protein in proteins[:-1]]
        unlabelled.append(f">{proteins[-1].name}\n{proteins[-1].sequence}\n")
    write_text(folder / "database.fa", "".join(database))
    write_text(folder / "unlabelled.fa", "".join(unlabelled))
    return StructureFiles(folder / _ENTRIES, folder / "database.fa", folder / "unlabelled.fa")


def structure(family: Family, member: Member, components: Mapping[str, str], *, hidden: int = 0) -> str:
    """A protein as a PDB file.

    Args:
        family: of the protein.
        member: the protein.
        components: code of the ion of each motif.
        hidden: residues at the beginning without coordinates.
    """
    sequence = member.sequence
    lines = [*_sequence_records(sequence)]
    atoms = list[str]()
    ions = [ion for ion in components if ion in family.bound]
    held = {ion: [at for at, mark in enumerate(labels(family, member, ion)) if mark == "1"] for ion in ions}
    binding = {at: (ion, index) for ion, residues in held.items() for index, at in enumerate(residues)}
    for at, letter in enumerate(sequence):
        if at < hidden:
            continue
        atoms.append(_atom(len(atoms) + 1, "ATOM", "CA", _NAMES[letter], at + 1, (at * _STEP, 0.0, 0.0), "C"))
        if at in binding:
            ion, index = binding[at]
            x, y, z = _centre(ions.index(ion))
            dx, dy, dz = (part * _BOND for part in _DIRECTIONS[index % len(_DIRECTIONS)])
            name = _BINDING_ATOMS[letter]
            atoms.append(_atom(len(atoms) + 1, "ATOM", name, _NAMES[letter], at + 1, (x + dx, y + dy, z + dz), name[0]))
    for ion in ions:
        number, code = len(sequence) + 1 + ions.index(ion), components[ion]
        atoms.append(_atom(len(atoms) + 1, "HETATM", code[:2], code, number, _centre(ions.index(ion)), code[:2]))
    return "\n".join([*lines, *atoms, "END"]) + "\n"


def _centre(index: int) -> tuple[float, float, float]:
    return 0.0, _AWAY * (index + 1), _AWAY


def _sequence_records(sequence: str) -> Iterator[str]:
    for line, start in enumerate(range(0, len(sequence), _RESIDUES_A_LINE), start=1):
        names = " ".join(_NAMES[letter] for letter in sequence[start : start + _RESIDUES_A_LINE])
        yield f"SEQRES {line:3} A {len(sequence):4}  {names}"


def _atom(
    serial: int, record: str, name: str, residue: str, number: int, at: tuple[float, float, float], element: str
) -> str:
    """A line by the columns of the PDB format (version 3.3)."""
    padded = f"{name:<4}" if len(element) == 2 else f" {name:<3}"
    x, y, z = at
    return (
        f"{record:<6}{serial:5} {padded} {residue:>3} A{number:4}    {x:8.3f}{y:8.3f}{z:8.3f}{1:6.2f}{20:6.2f}"
        f"          {element:>2}"
    )
