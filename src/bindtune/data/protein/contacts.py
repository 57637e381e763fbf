"""Residues near metal ions in a structure, with its assembly.

An ion of one copy of the assembly is looked at in the frame of each other copy, so that the atoms are indexed once
however many copies there are.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from bindtune.io.components import METALS, is_listed, van_der_waals_radius
from bindtune.io.entries import Atoms, Copy, Entry

FEW_RESIDUES, NO_PROTEIN, LOW_OCCUPANCY, OTHER_LOCATION = (
    "held by fewer residues than --min-residues",
    "no protein chain in the structure",
    "occupancy below --min-occupancy",
    "another alternate location",
)
_EXTRA = 0.5
"""Angstroms that the rule of BioLiP adds to the radii: Yang, Roy, Zhang 2013, Nucleic Acids Research 41, D1096."""
_DONORS = frozenset(("N", "O", "S", "SE", "F", "CL", "BR", "I"))
_BATCH = 4096
_LARGEST_RADIUS = 3.6


@dataclass(frozen=True, kw_only=True)
class ContactRule:
    """Which atoms count, and how near.

    Args:
        cutoff: angstroms from the ion's centre; None for the rule of BioLiP: the sum of both van der Waals radii + 0.5.
        min_residues: that hold an ion, for it to count.
        min_occupancy: of atoms and ions.
    """

    cutoff: float | None
    min_residues: int
    min_occupancy: float


class Contact(NamedTuple):
    """A residue that an ion is bound by.

    Args:
        polymer: index of the chain.
        position: 0-based.
        number: the author's residue number.
        atom: the nearest one.
        distance: of it in angstroms.
        occupancy: of it.
    """

    polymer: int
    position: int
    number: str
    atom: str
    distance: float
    occupancy: float


class BoundIon(NamedTuple):
    """An ion and what holds it.

    Args:
        element: upper case.
        component: its code.
        chain: the author's.
        number: the author's residue number.
        contacts: the residues, each once; none where the ion does not count.
        coordination: atoms of N, O, S, Se and halogens as near as contacts, of anything.
        dropped: why the ion does not count, or None.
    """

    element: str
    component: str
    chain: str
    number: str
    contacts: tuple[Contact, ...]
    coordination: int
    dropped: str | None


def ion_elements(codes: Mapping[str, Collection[str]], elements: Collection[str]) -> dict[str, str]:
    """The element of each component code of some elements."""
    return {code: element for element in elements for code in codes.get(element, ())}


def bound_ions(entry: Entry, *, elements: Mapping[str, str], rule: ContactRule) -> list[BoundIon]:
    """The ions of a structure that are asked for, each with the residues that hold it.

    Each ion is looked at among the deposited coordinates and, where the entry has copies of an assembly, in each copy.
    Residues of all its surroundings count together; an ion counts if any one of its surroundings holds it.

    Args:
        entry: the structure.
        elements: component code -> element, of the ions that are asked for.
        rule: what is near.
    """
    atoms = entry.atoms
    located = chosen_locations(atoms)
    ions = _ion_atoms(atoms, elements)
    present = located & (atoms.occupancy >= rule.min_occupancy)
    surroundings = atoms.take(present & ~np.isin(atoms.element, list(METALS)))
    has_protein = bool((atoms.polymer >= 0).any())
    search = _Search(surroundings, rule) if len(surroundings) else None
    found: list[BoundIon] = []
    for place, element in ions:
        reason = None
        if not located[place]:
            reason = OTHER_LOCATION
        elif not present[place]:
            reason = LOW_OCCUPANCY
        elif not has_protein or search is None:
            reason = NO_PROTEIN
        contacts: tuple[Contact, ...] = ()
        coordination = 0
        if reason is None and search is not None:
            contacts, coordination, held = search.around(
                atoms.xyz[place], str(atoms.unit[place]), element, copies=entry.copies
            )
            if not held:
                reason, contacts = FEW_RESIDUES, ()
        found.append(
            BoundIon(
                element, str(atoms.component[place]), str(atoms.chain[place]), str(atoms.number[place]), contacts,
                coordination, reason,
            )
        )  # fmt: skip
    return found


def chosen_locations(atoms: Atoms) -> NDArray[np.bool_]:
    """(A,) which atoms stay where residues have alternate locations: those of the location with most occupancy.

    The sum over the residue's atoms decides, then the first letter. Atoms without a letter stay.
    """
    lettered = atoms.alternate != ""
    chosen: NDArray[np.bool_] = ~lettered
    if not lettered.any():
        return chosen
    keys, group = np.unique(
        np.char.add(np.char.add(atoms.residue[lettered].astype(str), "|"), atoms.alternate[lettered]),
        return_inverse=True,
    )
    sums = np.bincount(group, weights=atoms.occupancy[lettered], minlength=len(keys))
    best: dict[str, tuple[float, str]] = {}
    for key, total in zip(keys.tolist(), sums.tolist(), strict=True):
        residue, _, letter = key.partition("|")
        rank = (-round(total, 6), letter)
        best[residue] = min(best.get(residue, rank), rank)
    kept = {f"{residue}|{letter}" for residue, (_, letter) in best.items()}
    chosen[lettered] = np.array([key in kept for key in keys.tolist()])[group]
    return chosen


def _ion_atoms(atoms: Atoms, elements: Mapping[str, str]) -> list[tuple[int, str]]:
    """Places of ion atoms, and their elements; single atoms of components that the dictionary lacks are ions too."""
    wanted = frozenset(elements.values())
    free = atoms.polymer < 0
    sizes = np.bincount(atoms.residue, minlength=1)
    found = []
    for place in np.flatnonzero(free & np.isin(atoms.element, list(wanted))).tolist():
        code, element = str(atoms.component[place]), str(atoms.element[place])
        alone = sizes[atoms.residue[place]] == 1 and not is_listed(code)
        if elements.get(code) == element or (code not in elements and alone):
            found.append((place, element))
    return found


def observed(entry: Entry, rule: ContactRule) -> list[NDArray[np.bool_]]:
    """For each polymer (L,) which residues have an atom with coordinates."""
    seen = [np.zeros(len(polymer.letters), bool) for polymer in entry.polymers]
    atoms = entry.atoms
    present = (atoms.polymer >= 0) & (atoms.occupancy >= rule.min_occupancy)
    for index in np.unique(atoms.polymer[present]).tolist():
        seen[index][atoms.position[present & (atoms.polymer == index)]] = True
    return seen


class _Search:
    """Atoms that can be near an ion.

    Args:
        atoms: heavy ones, of one alternate location each.
        rule: what is near.
    """

    def __init__(self, atoms: Atoms, rule: ContactRule) -> None:
        self._atoms, self._rule = atoms, rule
        self._tree = cKDTree(atoms.xyz)
        self._donor = np.isin(atoms.element, list(_DONORS))
        self._radii = np.zeros(len(atoms))
        if rule.cutoff is None:
            radii = {element: _radius(element) for element in np.unique(atoms.element).tolist()}
            self._radii = np.array([radii[element] for element in atoms.element.tolist()])

    def around(
        self, xyz: NDArray[np.float64], unit: str, element: str, *, copies: tuple[Copy, ...]
    ) -> tuple[tuple[Contact, ...], int, bool]:
        """Contacts of an ion in all its surroundings, its coordination, and whether any surroundings hold it."""
        nearest: dict[tuple[int, int], Contact] = {}
        coordination, held = 0, False
        for points, frames in _surroundings(xyz, unit, copies):
            residues: set[tuple[int, int, int]] = set()
            donors = 0
            for frame, near, distances in self._near(points, element):
                inside = frames[frame]
                for atom, distance in zip(near, distances, strict=True):
                    if inside is not None and str(self._atoms.unit[atom]) not in inside:
                        continue
                    donors += bool(self._donor[atom])
                    polymer, position = int(self._atoms.polymer[atom]), int(self._atoms.position[atom])
                    if polymer < 0:
                        continue
                    residues.add((frame, polymer, position))
                    first = nearest.get((polymer, position))
                    if first is None or distance < first.distance - 1e-6:
                        nearest[polymer, position] = self._contact(atom, distance)
            if len(residues) >= self._rule.min_residues:
                held = True
            coordination = max(coordination, donors)
        return tuple(nearest[key] for key in sorted(nearest)), coordination, held

    def _near(self, points: NDArray[np.float64], element: str) -> Iterator[tuple[int, list[int], list[float]]]:
        """For each point the atoms near it, with their distances."""
        radius = 0.0 if self._rule.cutoff is not None else _radius(element)
        reach = self._rule.cutoff if self._rule.cutoff is not None else radius + _LARGEST_RADIUS + _EXTRA
        for start in range(0, len(points), _BATCH):
            batch = points[start : start + _BATCH]
            for number, near in enumerate(self._tree.query_ball_point(batch, reach + 1e-3)):
                if not near:
                    continue
                places = np.array(sorted(near))
                distances = np.linalg.norm(self._atoms.xyz[places] - batch[number], axis=1)
                limit = reach if self._rule.cutoff is not None else radius + self._radii[places] + _EXTRA
                close = distances <= limit + 1e-6
                yield start + number, places[close].tolist(), distances[close].tolist()

    def _contact(self, atom: int, distance: float) -> Contact:
        atoms = self._atoms
        return Contact(
            int(atoms.polymer[atom]), int(atoms.position[atom]), str(atoms.number[atom]), str(atoms.name[atom]),
            float(distance), float(atoms.occupancy[atom]),
        )  # fmt: skip


def _surroundings(
    xyz: NDArray[np.float64], unit: str, copies: tuple[Copy, ...]
) -> Iterator[tuple[NDArray[np.float64], list[frozenset[str] | None]]]:
    """Where the ion lies in the frame of each copy, and which units the copy has; None for all of them.

    First the deposited coordinates, then each copy of the ion.
    """
    yield xyz[None], [None]
    rotations = np.array([copy.rotation for copy in copies]).reshape(-1, 3, 3)
    shifts = np.array([copy.shift for copy in copies]).reshape(-1, 3)
    frames: list[frozenset[str] | None] = [copy.units for copy in copies]
    for copy in copies:
        if unit in copy.units:
            moved = copy.rotation @ xyz + copy.shift
            yield np.einsum("cji,cj->ci", rotations, moved - shifts), frames


def _radius(element: str) -> float:
    """An element whose radius is not known adds nothing; those of ions are checked before."""
    return van_der_waals_radius(element) or 0.0
