"""Find the residues of a protein that are close in space, from its structure."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from bindtune.data.protein.site_rules import SiteRules
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
    from bindtune.io.structure_files import structure_files  # here, because the import of biotite takes half a second

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
    """Contacts of a protein within the chain of a structure that is most similar to it.

    Args:
        path: PDB or mmCIF file.
        sequence: L letters of the protein.
        name: of the protein, for messages.
        distance: in angstroms, between atoms other than hydrogen.

    Raises:
        InputError: the file is malformed, or no chain is of the protein.
    """
    from bindtune.io.entry_files import read_entry
    from bindtune.io.structure_files import most_similar_chain

    entry = read_entry(path)
    chains = [(polymer.chain, polymer.letters) for polymer in entry.polymers]
    best, mapped = most_similar_chain(chains, sequence, path=path, name=name)
    atoms = entry.atoms.take(entry.atoms.polymer == best)
    position = mapped.places[atoms.position]
    atoms, position = atoms.take(position >= 0), position[position >= 0]
    placed = np.zeros(len(sequence), bool)
    placed[position] = True
    if not len(position):
        return Contacts(np.empty(0, np.int64), np.empty(0, np.int64), placed)
    pairs = position[cKDTree(atoms.xyz).query_pairs(distance, output_type="ndarray")].reshape(-1, 2)
    pairs = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1), axis=0)
    return Contacts(pairs[:, 0], pairs[:, 1], placed)
