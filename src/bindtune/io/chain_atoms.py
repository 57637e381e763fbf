"""Atoms of one chain as a small PDB text whose residue numbers are positions in the protein.

A page shows this text. It has the backbone, the side chains of some residues, and ions and ligands near the chain.
Names of atoms and residues are cut to letters and digits.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from biotite.structure.info import amino_acid_names
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from bindtune.errors import InputError
from bindtune.io.structure import Mapped, ResidueName, Structure, atom_sites

CHAIN, OTHERS = "A", "Z"
"""Chains of the text: the protein, and ions and ligands."""
_BACKBONE = ("N", "CA", "C", "O")
_WATERS = ("HOH", "DOD", "WAT")
_NEAR = 4.5  # ångström between an ion or a ligand and an atom of the chain
_LAST_RESIDUE, _LAST_ATOM = 9999, 99_999  # that columns of a PDB file hold
_MOST_OTHERS = 500


@dataclass(frozen=True)
class ChainAtoms:
    """What a page shows of a structure.

    Args:
        text: in PDB format, 1-based positions in the protein as residue numbers.
        names: what the structure calls the residue of each position, such as "A:94" or "A:94B".
    """

    text: str
    names: dict[int, str]


@dataclass(frozen=True)
class _Rows:
    """Atoms (N) of the first model: what each is called, and where it is."""

    atoms: list[str]
    kinds: list[str]
    elements: list[str]
    places: NDArray[np.float64]
    owners: list[ResidueName | None]


def chain_atoms(structure: Structure, chain: str, mapped: Mapped, *, detailed: Collection[int]) -> ChainAtoms:
    """Take what a page shows of a chain.

    Args:
        structure: that has the chain.
        chain: its name.
        mapped: where its residues lie in the protein.
        detailed: 1-based positions whose side chains are shown.

    Raises:
        InputError: an atom of the chain has no coordinates.
    """
    rows = _first_model(structure)
    positions = {
        name: int(index) + 1
        for name, index in zip(structure.names[chain], mapped.places, strict=True)
        if 0 <= index < _LAST_RESIDUE
    }
    chosen, drawn = [], set()
    for index, owner in enumerate(rows.owners):
        position = positions.get(owner) if owner is not None else None
        if position is None or (position, rows.atoms[index]) in drawn:  # a second place of the same atom
            continue
        if rows.atoms[index] in _BACKBONE or (position in detailed and rows.elements[index] not in ("H", "D")):
            drawn.add((position, rows.atoms[index]))
            chosen.append((index, position))
    if not np.isfinite(rows.places[[index for index, _ in chosen]]).all():
        raise InputError(structure.path, None, f"an atom of chain {chain} has no coordinates")
    lines = [_line("ATOM", n, rows, index, CHAIN, position) for n, (index, position) in enumerate(chosen[:_LAST_ATOM])]
    near = _near(rows, [index for index, _ in chosen])
    lines += [_line("HETATM", len(lines) + n, rows, index, OTHERS, n + 1) for n, index in enumerate(near)]
    names = {position: f"{name.chain}:{name.number}{name.insertion}" for name, position in positions.items()}
    return ChainAtoms("\n".join([*lines, "END", ""]), names)


def _near(rows: _Rows, chosen: Sequence[int]) -> list[int]:
    """Atoms of ions and ligands that are near the chosen atoms."""
    amino_acids = set(amino_acid_names())
    others = [
        index
        for index, (owner, kind) in enumerate(zip(rows.owners, rows.kinds, strict=True))
        if (owner is None or kind not in amino_acids)
        and kind not in _WATERS
        and kind != "UNK"
        and rows.elements[index] not in ("", "H", "D")
        and np.isfinite(rows.places[index]).all()
    ]
    if not others or not chosen:
        return []
    distances, _ = cKDTree(rows.places[list(chosen)]).query(rows.places[others], distance_upper_bound=_NEAR)
    return [index for index, distance in zip(others, distances, strict=True) if np.isfinite(distance)][:_MOST_OTHERS]


def _first_model(structure: Structure) -> _Rows:
    """The atoms of the first model."""
    rows, owners, seen_models = [], [], set()
    for site, owner in zip(atom_sites(structure), structure.owners, strict=True):
        if site is None:
            continue
        seen_models.add(site.model)
        if len(seen_models) > 1:
            break
        rows.append(site)
        owners.append(owner)
    return _Rows(
        [site.atom for site in rows],
        [site.kind for site in rows],
        [site.element for site in rows],
        np.array([site.coordinates for site in rows], np.float64).reshape(-1, 3),
        owners,
    )


def _line(record: str, serial: int, rows: _Rows, index: int, chain: str, number: int) -> str:
    """A line of a PDB file; two decimals are enough for a drawing, and pack better."""
    x, y, z = rows.places[index]
    atom, kind, element = (_plain(text, size) for text, size in
                           ((rows.atoms[index], 4), (rows.kinds[index], 3), (rows.elements[index], 2)))  # fmt: skip
    coordinates = f"{x:8.2f}{y:8.2f}{z:8.2f}  1.00  0.00"
    name = atom if len(atom) == 4 or len(element) == 2 else f" {atom}"
    head = f"{record:<6}{(serial + 1) % 100_000:>5} {name:<4} {kind:>3} {chain}{number:>4}"
    return f"{head}    {coordinates}          {element:>2}"


def _plain(text: str, size: int) -> str:
    return re.sub("[^A-Za-z0-9'*]", "", text)[:size].upper()
