"""Elements of atoms: what files say, and what follows from names where they do not say it."""

import re

import numpy as np
from biotite.structure import infer_elements

from bindtune.io.components import METALS, NON_METALS, element_of_ion, is_amino_acid
from bindtune.io.entries import Text

_KNOWN = METALS | NON_METALS
_CHARGED = re.compile(r"([A-Z]{1,2})(?:[0-9]*[+-]?|[+-][0-9]*)")
_HYDROGEN = re.compile(r"[0-9]*[HD]")


def atom_elements(symbols: Text, names: Text, components: Text) -> Text:
    """Symbols of elements in upper case.

    A symbol may have a charge, as in Zn2+. Where a file gives no symbol, the component of an ion decides, then the
    name of the atom.

    Args:
        symbols: (A,) as the file has them.
        names: (A,) names of the atoms.
        components: (A,) codes of their components.

    Examples:
        >>> atom_elements(np.array(["Zn2+", "", "", ""]), np.array(["ZN", "CA", "CA", "DE2"]),
        ...               np.array(["ZN", "CA", "HIS", "HIS"])).tolist()
        ['ZN', 'CA', 'C', 'H']
    """
    elements: Text = np.char.upper(symbols)
    odd = ~np.isin(elements, list(_KNOWN))
    if odd.any():
        cases = list(zip(elements[odd].tolist(), names[odd].tolist(), components[odd].tolist(), strict=True))
        element_of = {case: _element(*case) for case in set(cases)}
        elements = elements.astype(object)
        elements[odd] = [element_of[case] for case in cases]
    return elements.astype(str)


def _element(symbol: str, name: str, component: str) -> str:
    charged = _CHARGED.fullmatch(symbol)
    if charged is not None and charged[1] in _KNOWN:
        return charged[1]
    metal = element_of_ion(component)
    if metal and name.upper().startswith(metal):
        return metal
    if is_amino_acid(component) and _HYDROGEN.match(name):
        return "H"
    inferred: str = infer_elements([name])[0]
    return inferred.upper()
