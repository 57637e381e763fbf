"""Which residues of a protein are close in space, from a structure of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from bindtune.errors import InputError

Ints = NDArray[np.int64]


class Contacts(NamedTuple):
    """Residues of a protein of L letters that are close in space.

    Args:
        first: (E,) position of a residue, from 0.
        second: (E,) position of a residue that is close to it.
        placed: (L,) whether the structure has coordinates of the residue.
    """

    first: Ints
    second: Ints
    placed: NDArray[np.bool_]


class SiteRules(NamedTuple):
    """How residues are linked into sites, as the settings have it.

    Args:
        gap: positions that neighbours of a site may be apart in the sequence.
        distance: angstroms between the closest atoms of neighbours, where the structure is known.
        structures: folder of structures, named after the proteins; None for none.
    """

    gap: int = 15
    distance: float = 5.0
    structures: Path | None = None


STANDARD_RULES = SiteRules()
"""The rules without settings."""


class Linking(NamedTuple):
    """How residues of some proteins are linked into sites.

    Args:
        gap: as in `SiteRules`.
        distance: as in `SiteRules`.
        contacts: by protein, for those whose structure is known.
    """

    gap: int
    distance: float
    contacts: Mapping[str, Contacts]


def read_linking(rules: SiteRules, proteins: Mapping[str, str]) -> Linking:
    """Read the structures of proteins, as far as the folder has them.

    Args:
        rules: of the settings.
        proteins: sequence by name.

    Raises:
        InputError: the folder holds no structure of these proteins, or one of another protein.
    """
    folder = rules.structures
    if folder is None:
        return Linking(rules.gap, rules.distance, {})
    from bindtune.io.structure_files import structure_files  # here: biotite takes half a second

    if not folder.is_dir():
        raise InputError(folder, None, "is no folder, expected one with structures named after the proteins")
    files = structure_files(folder).by_protein
    contacts = {
        name: read_contacts(files[name], sequence, name=name, distance=rules.distance)
        for name, sequence in proteins.items()
        if name in files
    }
    if not contacts:
        names = ", ".join(sorted(files)[:3])
        raise InputError(folder, None, f"has a structure of none of the {len(proteins):,} proteins; it has {names}")
    return Linking(rules.gap, rules.distance, contacts)


def read_contacts(path: Path, sequence: str, *, name: str, distance: float) -> Contacts:
    """Contacts of a protein within one chain of a structure, the one that is most like the protein.

    Args:
        path: PDB or mmCIF file.
        sequence: L letters of the protein.
        name: of the protein, for messages.
        distance: in angstroms, between atoms other than hydrogen.

    Raises:
        InputError: the file is malformed, or no chain is of the protein.
    """
    from bindtune.io.entry_files import read_entry
    from bindtune.io.structure import map_residues
    from bindtune.io.structure_files import LEAST_COVERAGE, LEAST_IDENTITY, is_chain_of

    entry = read_entry(path)
    try:
        mapped = [map_residues(polymer.letters, sequence) for polymer in entry.polymers]
    except ValueError as error:
        raise InputError(path, None, f"{name}: {error}") from error
    alike = [number for number, each in enumerate(mapped) if is_chain_of(each)]
    if not alike:
        raise InputError(
            path,
            None,
            f"has no chain of protein {name!r}, expected one with at least {LEAST_COVERAGE:.0%} of its residues "
            f"aligned and {LEAST_IDENTITY:.0%} of these identical",
        )
    best = max(alike, key=lambda number: int((mapped[number].places >= 0).sum()))
    atoms = entry.atoms.take(entry.atoms.polymer == best)
    position = mapped[best].places[atoms.position]
    atoms, position = atoms.take(position >= 0), position[position >= 0]
    placed = np.zeros(len(sequence), bool)
    placed[position] = True
    if not len(position):
        return Contacts(np.empty(0, np.int64), np.empty(0, np.int64), placed)
    pairs = position[cKDTree(atoms.xyz).query_pairs(distance, output_type="ndarray")].reshape(-1, 2)
    pairs = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1), axis=0)
    return Contacts(pairs[:, 0], pairs[:, 1], placed)
