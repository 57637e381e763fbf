"""Contacts of ions: rules, occupancy, alternate locations, copies of the assembly."""

from typing import Any

import numpy as np
import pytest

from bindtune.data.protein import ion_contacts
from bindtune.data.protein.ion_contacts import (
    FEW_RESIDUES,
    LOW_OCCUPANCY,
    NO_PROTEIN,
    NO_RADIUS,
    OTHER_LOCATION,
    ContactRule,
    bound_ions,
    chosen_locations,
    observed,
)
from bindtune.io.entries import Atoms, Copy, Entry, Polymer

RULE = ContactRule(cutoff=3.0, min_residues=2, min_occupancy=0.0)
ZINC = {"ZN": "ZN"}


def entry(*rows: tuple[Any, ...], copies: tuple[Copy, ...] = (), polymers: int = 2) -> Entry:
    """Rows: x, element, component, unit, residue, place in the chain or None, alternate, occupancy."""
    rows = tuple((*row, *("", 1.0)[len(row) - 6 :]) for row in rows)
    x, element, component, unit, residue, position, alternate, occupancy = (
        list(column) for column in zip(*rows, strict=True)
    )
    xyz = np.zeros((len(rows), 3))
    xyz[:, 0] = x
    chains = [ord(name) - ord("A") if where is not None else -1 for name, where in zip(unit, position, strict=True)]
    atoms = Atoms(
        xyz=xyz, element=np.array(element), name=np.array([f"{one}1" for one in element]),
        component=np.array(component), alternate=np.array(alternate, dtype="U1"), occupancy=np.array(occupancy, float),
        unit=np.array(unit), chain=np.array(unit), number=np.array([str(one) for one in residue]),
        residue=np.array(residue), polymer=np.array(chains),
        position=np.array([-1 if where is None else where for where in position]),
    )  # fmt: skip
    chains_of = tuple(Polymer("AB"[n], "HHHHH") for n in range(polymers))
    return Entry("x", (), None, 1, chains_of, atoms, copies)


ION = (0.0, "ZN", "ZN", "Z", 900, None)


def residues(bound: Any) -> list[tuple[int, int]]:
    return [(contact.polymer, contact.position) for contact in bound.contacts]


def test_a_residue_is_near_or_not() -> None:
    structure = entry(
        ION, (2.0, "N", "HIS", "A", 1, 0), (2.5, "C", "HIS", "A", 1, 0), (3.0, "C", "ASP", "B", 2, 3),
        (3.1, "O", "ASP", "A", 3, 2), (-2.2, "O", "HOH", "W", 950, None), (-2.1, "N", "DG", "N", 951, None),
    )  # fmt: skip
    (bound,) = bound_ions(structure, elements=ZINC, rule=RULE)
    assert residues(bound) == [(0, 0), (1, 3)]
    assert [(contact.atom, contact.distance) for contact in bound.contacts] == [("N1", 2.0), ("C1", 3.0)]
    assert (bound.coordination, bound.dropped, bound.component, bound.number) == (3, None, "ZN", "900")
    (alone,) = bound_ions(structure, elements=ZINC, rule=ContactRule(cutoff=2.2, min_residues=2, min_occupancy=0))
    assert (alone.dropped, alone.contacts) == (FEW_RESIDUES, ())


def test_the_rule_of_biolip_adds_radii() -> None:
    # Zn 2.1 + N 1.55 + 0.5 = 4.15; Zn 2.1 + C 1.7 + 0.5 = 4.3.
    rows = [ION, (4.14, "N", "HIS", "A", 1, 0), (4.16, "N", "HIS", "A", 2, 1), (4.29, "C", "HIS", "B", 3, 2)]
    rule = ContactRule(cutoff=None, min_residues=1, min_occupancy=0)
    (bound,) = bound_ions(entry(*rows), elements=ZINC, rule=rule)
    assert residues(bound) == [(0, 0), (1, 2)]
    unknown = (0.0, "PM", "PM", "Z", 900, None)
    (bound,) = bound_ions(entry(unknown, *rows[1:]), elements={"PM": "PM"}, rule=rule)
    assert (bound.dropped, bound.contacts) == (NO_RADIUS, ())


def test_metals_and_other_components_are_no_ions_that_were_asked_for() -> None:
    rows = [(2.0, "N", "HIS", "A", 1, 0), (2.0, "O", "ASP", "A", 2, 1)]
    for code, expected in {"ZN": 1, "HEM": 0, "CLUSTER": 1}.items():
        ions = bound_ions(entry((0.0, "ZN", code, "Z", 9, None), *rows), elements=ZINC, rule=RULE)
        assert len(ions) == expected, code  # a component of one atom that the dictionary lacks is an ion
    several = [(0.0, "ZN", "NEWLIG", "Z", 9, None), (1.0, "O", "NEWLIG", "Z", 9, None)]
    assert bound_ions(entry(*several, *rows), elements=ZINC, rule=RULE) == []
    (lone,) = bound_ions(entry(ION, (2.0, "O", "HOH", "W", 3, None)), elements=ZINC, rule=RULE)
    assert lone.dropped == NO_PROTEIN


def test_occupancy() -> None:
    rows = [ION, (2.0, "N", "HIS", "A", 1, 0, "", 0.4), (2.1, "O", "ASP", "A", 2, 1), (2.2, "O", "ASP", "A", 3, 2)]
    strict = ContactRule(cutoff=3.0, min_residues=2, min_occupancy=0.5)
    (bound,) = bound_ions(entry(*rows), elements=ZINC, rule=strict)
    assert residues(bound) == [(0, 1), (0, 2)]
    assert observed(entry(*rows), strict)[0].tolist() == [False, True, True, False, False]
    assert observed(entry(*rows), RULE)[0].tolist() == [True, True, True, False, False]
    (dropped,) = bound_ions(entry((*ION, "", 0.3), *rows[1:]), elements=ZINC, rule=strict)
    assert dropped.dropped == LOW_OCCUPANCY


def test_the_alternate_location_with_most_occupancy_counts() -> None:
    structure = entry(
        ION, (2.0, "N", "HIS", "A", 1, 0, "A", 0.4), (9.0, "N", "HIS", "A", 1, 0, "B", 0.6),
        (9.0, "O", "ASP", "A", 2, 1, "A", 0.5), (2.0, "O", "ASP", "A", 2, 1, "B", 0.5), (2.0, "O", "ASP", "A", 3, 2),
        (2.0, "O", "ASP", "A", 4, 3), (0.1, "ZN", "ZN", "Z", 901, None, "A", 0.3),
        (0.1, "ZN", "ZN", "Z", 901, None, "B", 0.7),
    )  # fmt: skip
    assert chosen_locations(structure.atoms).tolist() == [True, False, True, True, False, True, True, False, True]
    bound = bound_ions(structure, elements=ZINC, rule=RULE)
    assert [each.dropped for each in bound] == [None, OTHER_LOCATION, None]
    assert residues(bound[0]) == [(0, 2), (0, 3)]


def test_a_location_with_more_atoms_has_no_more_occupancy() -> None:
    """Serine with 0.6 and histidine with 0.4 at one place."""
    histidine = [(9.0 + n, "C", "HIS", "A", 1, 0, "B", 0.4) for n in range(9)]
    structure = entry(ION, (2.0, "O", "SER", "A", 1, 0, "A", 0.6), *histidine, (2.0, "O", "ASP", "A", 2, 1))
    (bound,) = bound_ions(structure, elements=ZINC, rule=RULE)
    assert residues(bound) == [(0, 0), (0, 1)]


def _copy(shift: float, units: str, *, turned: bool = False) -> Copy:
    rotation = np.diag([-1.0, -1.0, 1.0]) if turned else np.eye(3)
    return Copy(rotation, np.array([shift, 0, 0]), frozenset(units))


def test_copies_bring_partners() -> None:
    # The ion has one partner; a copy of chain B, moved by 10, lies on its other side.
    rows = [ION, (2.0, "N", "HIS", "A", 1, 0), (-12.0, "O", "ASP", "B", 2, 4)]
    (alone,) = bound_ions(entry(*rows), elements=ZINC, rule=RULE)
    assert alone.dropped == FEW_RESIDUES
    copies = (_copy(0, "ABZ"), _copy(10, "ABZ"))
    (bound,) = bound_ions(entry(*rows, copies=copies), elements=ZINC, rule=RULE)
    assert residues(bound) == [(0, 0), (1, 4)]
    (without,) = bound_ions(entry(*rows, copies=(_copy(0, "ABZ"), _copy(10, "A"))), elements=ZINC, rule=RULE)
    assert without.dropped == FEW_RESIDUES  # chain B is not moved there


def test_an_ion_on_an_axis_is_held_by_the_same_residue_twice() -> None:
    rows = [ION, (2.0, "N", "HIS", "A", 1, 0)]
    copies = (_copy(0, "AZ"), _copy(0, "AZ", turned=True))
    (bound,) = bound_ions(entry(*rows, copies=copies), elements=ZINC, rule=RULE)
    assert (residues(bound), bound.coordination, bound.dropped) == ([(0, 0)], 2, None)


def test_a_water_on_the_axis_is_one_donor() -> None:
    rows = [ION, (2.0, "N", "HIS", "A", 1, 0), (0.1, "O", "HOH", "A", 2, None)]
    copies = (_copy(0, "AZ"), _copy(0, "AZ", turned=True), _copy(0, "AZ"))  # one copy is listed twice
    (bound,) = bound_ions(entry(*rows, copies=copies), elements=ZINC, rule=RULE)
    assert (residues(bound), bound.coordination) == ([(0, 0)], 3)
    three = ContactRule(cutoff=3.0, min_residues=3, min_occupancy=0)
    assert bound_ions(entry(*rows, copies=copies), elements=ZINC, rule=three)[0].dropped == FEW_RESIDUES


def test_a_large_assembly_is_searched_near_its_ions(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [ION, (2.0, "N", "HIS", "A", 1, 0), (-48.0, "O", "ASP", "B", 2, 4)]
    copies = tuple(_copy(50.0 * number, "ABZ") for number in range(300))
    points = []
    near = ion_contacts._Search._near

    def counted(search: Any, where: Any, element: str) -> Any:
        points.append(len(where))
        return near(search, where, element)

    monkeypatch.setattr(ion_contacts._Search, "_near", counted)
    (bound,) = bound_ions(entry(*rows, copies=copies), elements=ZINC, rule=RULE)
    assert residues(bound) == [(0, 0), (1, 4)]
    assert len(points) == 301 and max(points) <= 4


@pytest.mark.parametrize("seed", range(5))
def test_copies_are_what_moving_every_atom_gives(seed: int) -> None:
    generator = np.random.default_rng(seed)
    rows = [(0.0, "O", "ASP", "A", n, n % 5) for n in range(60)] + [
        (0.0, "ZN", "ZN", "Z", 100 + n, None) for n in range(4)
    ]
    structure = entry(*rows)
    structure.atoms.xyz[:] = generator.uniform(-8, 8, structure.atoms.xyz.shape)
    copies = []
    for _ in range(3):
        rotation = np.linalg.qr(generator.normal(size=(3, 3)))[0]
        copies.append(Copy(rotation * np.sign(np.linalg.det(rotation)), generator.uniform(-6, 6, 3), frozenset("AZ")))
    moved = entry(*rows, copies=tuple(copies))
    moved.atoms.xyz[:] = structure.atoms.xyz
    bound = bound_ions(moved, elements=ZINC, rule=ContactRule(cutoff=3.0, min_residues=1, min_occupancy=0))
    oxygen = structure.atoms.xyz[:60]
    everywhere = np.concatenate([oxygen @ copy.rotation.T + copy.shift for copy in copies])
    for number, ion in enumerate(bound):
        position = structure.atoms.xyz[60 + number]
        near = set(np.flatnonzero(np.linalg.norm(oxygen - position, axis=1) <= 3) % 5)
        for copy in copies:
            distances = np.linalg.norm(everywhere - (copy.rotation @ position + copy.shift), axis=1)
            near |= set(np.flatnonzero(distances <= 3) % 60 % 5)
        assert {contact.position for contact in ion.contacts} == near
