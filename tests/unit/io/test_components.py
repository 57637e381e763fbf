"""The component dictionary: ions by element, letters of residues, radii."""

import pytest

from bindtune.io import components


def test_an_element_has_all_its_codes() -> None:
    codes = components.ion_codes()
    assert {"FE", "FE2"} <= set(codes["FE"]) and {"MN", "MN3"} <= set(codes["MN"])
    assert {"CU", "CU1", "CU3"} <= set(codes["CU"]) and {"ZN", "ZN2", "ZNO"} <= set(codes["ZN"])
    lanthanides = {"LA": "LA", "CE": "CE", "PR": "PR", "ND": "ND", "SM": "SM", "EU": "EU3", "GD": "GD3", "TB": "TB",
                   "DY": "DY", "HO": "HO3", "ER": "ER3", "YB": "YB", "LU": "LU", "Y": "YT3"}  # fmt: skip
    assert all(code in codes[element] for element, code in lanthanides.items())
    every = [code for of_element in codes.values() for code in of_element]
    assert len(every) == len(set(every))
    # Clusters, hems, oxides and water are no ions.
    assert not set(every) & {"HEM", "SF4", "FES", "CUA", "2MO", "MH2", "HOH", "UNX", "D8U", "CL"}
    assert set(codes) <= components.METALS and not components.METALS & components.NON_METALS


@pytest.mark.parametrize(
    ("code", "letter"),
    {"ALA": "A", "MSE": "M", "CSO": "C", "TPO": "T", "KCX": "K", "DAL": "A", "SEC": "U", "PYL": "O", "CRO": "X",
     "UNK": "X", "ACE": "X", "NOT A CODE": "X"}.items(),
)  # fmt: skip
def test_letters(code: str, letter: str) -> None:
    assert components.residue_letter(code) == letter


def test_amino_acids_are_told_from_nucleotides_and_ligands() -> None:
    codes = ("ALA", "MSE", "UNK", "DAL", "DA", "U", "HOH", "ZN", "HEM", "nothing")
    assert [components.is_amino_acid(code) for code in codes] == [True] * 4 + [False] * 6


def test_radii() -> None:
    assert components.van_der_waals_radius("ZN") == 2.1 and components.van_der_waals_radius("LA") == 2.98
    assert components.van_der_waals_radius("PM") is None
