"""Find the residues near metal ions in a structure and its assembly.

The deposited atoms are indexed once. Each ion is moved into the frame of every copy of the assembly.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from bindtune.io.components import METALS, is_listed, van_der_waals_radius
from bindtune.io.entries import Atoms, Copy, Entry

FEW_RESIDUES, NO_PROTEIN, LOW_OCCUPANCY, OTHER_LOCATION, NO_RADIUS = (
    "held by fewer residues than --min-residues",
    "no protein chain in the structure",
    "occupancy below --min-occupancy",
    "another alternate location",
    "no van der Waals radius of the element is known",
)
_EXTRA = 0.5
"""Angstroms that the rule of BioLiP adds to the radii: Yang, Roy, Zhang 2013, Nucleic Acids Research 41, D1096."""
_DONORS = frozenset(("N", "O", "S", "SE", "F", "CL", "BR", "I"))
_BATCH = 4096
_LARGEST_RADIUS = 3.6
_SAME_PLACE = 0.5
"""Angstroms between copies of one atom, such as a water on an axis of symmetry, that are one atom."""


@dataclass(frozen=True, kw_only=True)
class ContactRule:
    """The rule that says which atoms are contacts of an ion.

    Args:
        cutoff: angstroms from the ion's centre; None for the rule of BioLiP: the sum of both van der Waals radii + 0.5.
        min_residues: fewest residues that must hold an ion.
        min_occupancy: lowest occupancy of atoms and ions.
    """

    cutoff: float | None
    min_residues: int
    min_occupancy: float


class Contact(NamedTuple):
    """A residue that binds an ion.

    Args:
        polymer: index of the chain.
        position: 0-based.
        number: the author's residue number.
        atom: the residue's nearest atom.
        distance: distance of that atom in angstroms.
        occupancy: occupancy of that atom.
    """

    polymer: int
    position: int
    number: str
    atom: str
    distance: float
    occupancy: float


class BoundIon(NamedTuple):
    """An ion and the residues that hold it.

    Args:
        element: symbol in upper case.
        component: code of the chemical component.
        chain: the author's chain name.
        number: the author's residue number.
        contacts: the residues, each once; none if the ion does not count.
        coordination: number of N, O, S, Se and halogen atoms of any molecule that are as near as contacts.
        dropped: the reason why the ion does not count, or None.
    """

    element: str
    component: str
    chain: str
    number: str
    contacts: tuple[Contact, ...]
    coordination: int
    dropped: str | None


def ion_elements(codes: Mapping[str, Collection[str]], elements: Collection[str]) -> dict[str, str]:
    """The element of each component code of the given elements."""
    return {code: element for element in elements for code in codes.get(element, ())}


def bound_ions(entry: Entry, *, elements: Mapping[str, str], rule: ContactRule) -> list[BoundIon]:
    """The requested ions of a structure, each with the residues that hold it.

    An ion has several surroundings: the deposited coordinates and each copy of the assembly. Its contacts are the
    residues of all surroundings. An ion counts if at least one of its surroundings holds it.

    Args:
        entry: the structure.
        elements: component code -> element of the requested ions.
        rule: which atoms are contacts.
    """
    atoms = entry.atoms
    located = chosen_locations(atoms)
    ions = _ion_atoms(atoms, elements)
    present = located & (atoms.occupancy >= rule.min_occupancy)
    surroundings = atoms.take(present & ~np.isin(atoms.element, list(METALS)))
    has_protein = bool((atoms.polymer >= 0).any())
    search = _Search(surroundings, rule, entry.copies) if len(surroundings) else None
    bound: list[BoundIon] = []
    for atom, element in ions:
        reason = None
        if not located[atom]:
            reason = OTHER_LOCATION
        elif not present[atom]:
            reason = LOW_OCCUPANCY
        elif not has_protein or search is None:
            reason = NO_PROTEIN
        elif rule.cutoff is None and van_der_waals_radius(element) is None:
            reason = NO_RADIUS
        contacts: tuple[Contact, ...] = ()
        coordination = 0
        if reason is None and search is not None:
            contacts, coordination, held = search.around(atoms.xyz[atom], str(atoms.unit[atom]), element)
            if not held:
                reason, contacts = FEW_RESIDUES, ()
        bound.append(
            BoundIon(
                element, str(atoms.component[atom]), str(atoms.chain[atom]), str(atoms.number[atom]), contacts,
                coordination, reason,
            )
        )  # fmt: skip
    return bound


def chosen_locations(atoms: Atoms) -> NDArray[np.bool_]:
    """(A,) mask of the atoms to use: of alternate locations, each residue keeps the one with the highest occupancy.

    The mean of the location's atoms decides, then the first letter. Atoms without a letter are always used.
    """
    lettered = atoms.alternate != ""
    chosen: NDArray[np.bool_] = ~lettered
    if not lettered.any():
        return chosen
    keys, group = np.unique(
        np.char.add(np.char.add(atoms.residue[lettered].astype(str), "|"), atoms.alternate[lettered]),
        return_inverse=True,
    )
    means = np.bincount(group, weights=atoms.occupancy[lettered], minlength=len(keys)) / np.bincount(group)
    best: dict[str, tuple[float, str]] = {}
    for key, mean in zip(keys.tolist(), means.tolist(), strict=True):
        residue, _, letter = key.partition("|")
        rank = (-round(mean, 6), letter)
        best[residue] = min(best.get(residue, rank), rank)
    best_keys = {f"{residue}|{letter}" for residue, (_, letter) in best.items()}
    chosen[lettered] = np.array([key in best_keys for key in keys.tolist()])[group]
    return chosen


def _ion_atoms(atoms: Atoms, elements: Mapping[str, str]) -> list[tuple[int, str]]:
    """Indices and elements of ion atoms; a single atom of a component that the dictionary lacks is an ion too."""
    symbols = frozenset(elements.values())
    free = atoms.polymer < 0
    sizes = np.bincount(atoms.residue, minlength=1)
    ions = []
    for atom in np.flatnonzero(free & np.isin(atoms.element, list(symbols))).tolist():
        code, element = str(atoms.component[atom]), str(atoms.element[atom])
        alone = sizes[atoms.residue[atom]] == 1 and not is_listed(code)
        if elements.get(code) == element or (code not in elements and alone):
            ions.append((atom, element))
    return ions


def observed(entry: Entry, rule: ContactRule) -> list[NDArray[np.bool_]]:
    """For each polymer, (L,) mask of the residues that have an atom with coordinates."""
    seen = [np.zeros(len(polymer.letters), bool) for polymer in entry.polymers]
    atoms = entry.atoms
    present = (atoms.polymer >= 0) & (atoms.occupancy >= rule.min_occupancy)
    for index in np.unique(atoms.polymer[present]).tolist():
        seen[index][atoms.position[present & (atoms.polymer == index)]] = True
    return seen


class _Search:
    """An index of the atoms that may be contacts of ions.

    Args:
        atoms: heavy atoms, one alternate location each.
        rule: which atoms are contacts.
        copies: of the assembly.
    """

    def __init__(self, atoms: Atoms, rule: ContactRule, copies: Sequence[Copy]) -> None:
        self._atoms, self._rule, self._copies = atoms, rule, copies
        self._tree = cKDTree(atoms.xyz)
        self._centre = atoms.xyz.mean(axis=0)
        self._extent = float(np.linalg.norm(atoms.xyz - self._centre, axis=1).max())
        self._rotations = np.array([copy.rotation for copy in copies]).reshape(-1, 3, 3)
        self._shifts = np.array([copy.shift for copy in copies]).reshape(-1, 3)
        self._copy_tree = cKDTree(self._rotations @ self._centre + self._shifts) if copies else None
        self._donor = np.isin(atoms.element, list(_DONORS))
        self._radii = np.zeros(len(atoms))
        if rule.cutoff is None:
            radii = {element: _radius(element) for element in np.unique(atoms.element).tolist()}
            self._radii = np.array([radii[element] for element in atoms.element.tolist()])

    def around(self, xyz: NDArray[np.float64], unit: str, element: str) -> tuple[tuple[Contact, ...], int, bool]:
        """Contacts of an ion in all its surroundings, its coordination, and whether any surroundings hold it."""
        nearest: dict[tuple[int, int], Contact] = {}
        coordination, held = 0, False
        for points, frames in self._surroundings(xyz, unit, reach=self._reach(element)):
            residues: set[tuple[int, int, int]] = set()
            places: dict[int, list[NDArray[np.float64]]] = {}
            donors = 0
            for frame, near, distances in self._near(points, element):
                inside = None if frames is None else frames[frame].units
                rotation = np.eye(3) if frames is None else frames[frame].rotation
                for atom, distance in zip(near, distances, strict=True):
                    if inside is not None and str(self._atoms.unit[atom]) not in inside:
                        continue
                    offset = rotation @ (self._atoms.xyz[atom] - points[frame])
                    if any(abs(offset - before).max() < _SAME_PLACE for before in places.get(atom, ())):
                        continue
                    places.setdefault(atom, []).append(offset)
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

    def _surroundings(
        self, xyz: NDArray[np.float64], unit: str, *, reach: float
    ) -> Iterator[tuple[NDArray[np.float64], list[Copy] | None]]:
        """Positions of the ion in the frames of the copies around it, and these copies; None for all as deposited.

        The deposited coordinates come first, then each copy of the ion.
        """
        yield xyz[None], None
        for copy in self._copies:
            if self._copy_tree is not None and unit in copy.units:
                moved = copy.rotation @ xyz + copy.shift
                # An operation may stretch distances by up to 1 %, as its matrix is written with few digits.
                near = sorted(self._copy_tree.query_ball_point(moved, 1.02 * self._extent + reach))
                points = np.einsum("cji,cj->ci", self._rotations[near], moved - self._shifts[near])
                yield points, [self._copies[index] for index in near]

    def _reach(self, element: str) -> float:
        """Angstroms from an ion within which all of its contacts lie."""
        return self._rule.cutoff or _radius(element) + _LARGEST_RADIUS + _EXTRA

    def _near(self, points: NDArray[np.float64], element: str) -> Iterator[tuple[int, list[int], list[float]]]:
        """For each point, the atoms near it and their distances."""
        reach = self._reach(element)
        for start in range(0, len(points), _BATCH):
            batch = points[start : start + _BATCH]
            for number, near in enumerate(self._tree.query_ball_point(batch, reach + 1e-3)):
                if not near:
                    continue
                atoms = np.array(sorted(near))
                distances = np.linalg.norm(self._atoms.xyz[atoms] - batch[number], axis=1)
                limit = self._rule.cutoff or _radius(element) + self._radii[atoms] + _EXTRA
                close = distances <= limit + 1e-6
                yield start + number, atoms[close].tolist(), distances[close].tolist()

    def _contact(self, atom: int, distance: float) -> Contact:
        atoms = self._atoms
        return Contact(
            int(atoms.polymer[atom]), int(atoms.position[atom]), str(atoms.number[atom]), str(atoms.name[atom]),
            float(distance), float(atoms.occupancy[atom]),
        )  # fmt: skip


def _radius(element: str) -> float:
    """Radius of an element in angstroms; 0 if it is unknown. The radii of ions are checked before."""
    return van_der_waals_radius(element) or 0.0
