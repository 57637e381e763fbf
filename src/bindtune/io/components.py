"""Facts of the Chemical Component Dictionary of the PDB: the components that are metal ions, and the letters of
residues.

The dictionary comes with biotite (https://www.wwpdb.org/data/ccd).
"""

import re
from functools import cache
from typing import Any

from biotite.sequence import ProteinSequence
from biotite.structure.info import get_ccd, vdw_radius_single

NON_METALS = frozenset(
    ("H", "D", "B", "C", "N", "O", "F", "SI", "P", "S", "CL", "GE", "AS", "SE", "BR", "SB", "TE", "I", "AT", "HE",
     "NE", "AR", "KR", "XE", "RN", "X")
)  # fmt: skip
METALS = frozenset(
    ("LI", "BE", "NA", "MG", "AL", "K", "CA", "SC", "TI", "V", "CR", "MN", "FE", "CO", "NI", "CU", "ZN", "GA", "RB",
     "SR", "Y", "ZR", "NB", "MO", "TC", "RU", "RH", "PD", "AG", "CD", "IN", "SN", "CS", "BA", "LA", "CE", "PR", "ND",
     "PM", "SM", "EU", "GD", "TB", "DY", "HO", "ER", "TM", "YB", "LU", "HF", "TA", "W", "RE", "OS", "IR", "PT", "AU",
     "HG", "TL", "PB", "BI", "PO", "RA", "AC", "TH", "PA", "U", "NP", "PU", "AM", "CM", "BK", "CF")
)  # fmt: skip
"""Symbols of the elements that can be asked for as ions."""
UNKNOWN_LETTER = "X"
_PART = re.compile(r"([A-Z][a-z]?)([0-9]*)(?:\s|$)")
_MOST_PARENTS = 4
_OF_FORCE_FIELDS = {"HIE": "H", "HID": "H", "HSD": "H", "HSP": "H", "CYX": "C", "ASH": "D", "ARN": "R", "TYM": "Y"}
"""Residues as Amber and CHARMM name their protonation; the dictionary has rare ligands of these names."""
_STANDARD = frozenset("ACDEFGHIKLMNPQRSTVWY")
_RARE = {"U": "SEC", "O": "PYL"}

_RADII = {
    "SC": 2.58, "TI": 2.46, "V": 2.42, "CR": 2.45, "Y": 2.75, "ZR": 2.52, "NB": 2.56, "TC": 2.44, "RH": 2.44,
    "PD": 2.15, "AG": 2.53, "CD": 2.49, "LA": 2.98, "CE": 2.88, "PR": 2.92, "ND": 2.95, "SM": 2.90, "EU": 2.87,
    "GD": 2.83, "TB": 2.79, "DY": 2.87, "HO": 2.81, "ER": 2.83, "TM": 2.79, "YB": 2.80, "LU": 2.74, "HF": 2.63,
    "TA": 2.53, "RE": 2.49, "OS": 2.48, "IR": 2.41, "HG": 2.45, "AC": 2.80, "TH": 2.93, "PA": 2.88, "U": 2.71,
    "NP": 2.82, "PU": 2.81, "AM": 2.83, "CM": 3.05, "BK": 3.40, "CF": 3.05,
}  # fmt: skip
"""Van der Waals radii of metals that biotite's table lacks: Alvarez 2013, Dalton Transactions 42, 8617, compared with
the tables of mendeleev 1.3.0 and ASE 3.29.0. That paper has no radius of promethium."""


@cache
def ion_codes() -> dict[str, tuple[str, ...]]:
    """The components that are one metal ion, by element; some old ones hold the waters around it too.

    >>> ion_codes()["EU"], ion_codes()["FE"][:2]
    (('EU', 'EU3'), ('2OF', '3OF'))
    """
    codes: dict[str, list[str]] = {}
    for code, formula in zip(_column("id"), _column("formula"), strict=True):
        counts = {symbol.upper(): int(count or 1) for symbol, count in _PART.findall(formula)}
        metals = [symbol for symbol in counts if symbol in METALS]
        if len(metals) == 1 and counts.pop(metals[0]) == 1 and _is_water(counts):
            codes.setdefault(metals[0], []).append(code)
    return {element: tuple(sorted(of_element)) for element, of_element in codes.items()}


@cache
def _elements_of_ions() -> dict[str, str]:
    return {code: element for element, codes in ion_codes().items() for code in codes}


def element_of_ion(code: str) -> str:
    """The element of a component that is one metal ion, "" for other components.

    >>> element_of_ion("FE2"), element_of_ion("HEM")
    ('FE', '')
    """
    return _elements_of_ions().get(code, "")


def _is_water(counts: dict[str, int]) -> bool:
    return not counts or (counts.keys() == {"H", "O"} and counts["H"] == 2 * counts["O"])


@cache
def is_listed(code: str) -> bool:
    """Whether the dictionary has a component."""
    return code in _entries()


@cache
def is_amino_acid(code: str) -> bool:
    """Whether a component is a residue of proteins, modified ones and UNK included."""
    return "PEPTIDE" in _entries().get(code, ("", "", ""))[0].upper() and not _is_peptide_like(code)


@cache
def is_nucleotide(code: str) -> bool:
    """Whether a component is a residue of DNA or RNA.

    >>> is_nucleotide("DA"), is_nucleotide("PSU"), is_nucleotide("HOH"), is_nucleotide("ALA")
    (True, True, False, False)
    """
    kind = _entries().get(code, ("", "", ""))[0].upper()
    return "DNA" in kind or "RNA" in kind


@cache
def residue_letter(code: str) -> str:
    """One-letter code of a residue; that of its parent where it is modified, X where it has none or several.

    >>> residue_letter("HIS"), residue_letter("MSE"), residue_letter("KCX"), residue_letter("CRO")
    ('H', 'M', 'K', 'X')
    """
    for _ in range(_MOST_PARENTS):
        _, letter, parent = _entries().get(code, ("", "", ""))
        if len(letter) == 1 and letter.isascii() and letter.isalpha() and letter.upper() != UNKNOWN_LETTER:
            return letter.upper()
        if parent not in _entries():
            break
        code = parent
    return UNKNOWN_LETTER


@cache
def residue_code(letter: str) -> str:
    """The component of a one-letter code, UNK where a letter stands for no or for several residues.

    >>> residue_code("H"), residue_code("U"), residue_code("B")
    ('HIS', 'SEC', 'UNK')
    """
    named = _RARE.get(letter.upper())
    if named is not None:
        return named
    code: str = ProteinSequence.convert_letter_1to3(letter.upper()) if letter.upper() in _STANDARD else "UNK"
    return code


@cache
def has_parent(code: str) -> bool:
    """Whether the dictionary names what a residue was made of."""
    return _entries().get(code, ("", "", ""))[2] not in ("", "?", ".")


@cache
def van_der_waals_radius(element: str) -> float | None:
    """Radius in angstroms, or None where it is not known.

    biotite's table: Mantina et al. 2009 for the main group; its transition metals agree with Batsanov 2001 (doi
    10.1023/A:1011625728803). For other metals Alvarez 2013.
    """
    radius = vdw_radius_single(element)
    return _RADII.get(element) if radius is None else float(radius)


def _is_peptide_like(code: str) -> bool:
    return _entries()[code][0].upper() == "PEPTIDE-LIKE"


@cache
def _entries() -> dict[str, tuple[str, str, str]]:
    """Type, letter and parent of each component."""
    names = ("type", "one_letter_code", "mon_nstd_parent_comp_id")
    kinds, letters, parents = (_column(name) for name in names)
    listed = dict(zip(_column("id"), zip(kinds, letters, parents, strict=True), strict=True))
    return listed | {code: ("L-PEPTIDE LINKING", letter, "") for code, letter in _OF_FORCE_FIELDS.items()}


def _column(name: str) -> list[str]:
    component: Any = get_ccd()["chem_comp"]
    values: list[str] = component[name].as_array(str).tolist()
    return values
