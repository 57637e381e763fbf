"""Files that colour a structure in ChimeraX and PyMOL.

Both programs run what such a file says. So names of a file's author enter one only from an alphabet in which no command
can be written; `unsafe_names` says which names are not.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from bindtune.io.structure import ResidueName
from bindtune.runs.writing import write_text

_NAME = re.compile(r"[A-Za-z0-9_]*")
_FILE = re.compile(r"\w[\w .+-]*")
_OTHER = re.compile(r"[^A-Za-z0-9_]")


def unsafe_names(residues: Iterable[ResidueName], *, file: str = "") -> list[str]:
    """Names that ChimeraX or PyMOL may take for more than a name.

    Chains and insertion codes may have letters, digits and underscores, file names also blanks, dots, hyphens and plus
    signs.

    Args:
        residues: that the files would name.
        file: the name of the structure file, for PyMOL.

    Example:
        >>> unsafe_names([ResidueName("A", 10, "B"), ResidueName("A; quit", 11, "")])
        ['A; quit']
        >>> unsafe_names([], file="1abc.pdb")
        []
    """
    names = dict.fromkeys(name for residue in residues for name in (residue.chain, residue.insertion))
    unsafe = [name for name in names if not _NAME.fullmatch(name)]
    return unsafe if not file or _FILE.fullmatch(file) else [*unsafe, file]


def write_attributes(path: Path, attributes: Mapping[str, Mapping[ResidueName, float]]) -> None:
    """Write numbers as a ChimeraX attribute file (`open FILE.defattr`), a residue attribute each.

    Args:
        path: file to write.
        attributes: by name; what ChimeraX takes for no name becomes an underscore, and equal names get numbers.

    Raises:
        ValueError: a residue's name is unsafe.
    """
    _refuse(unsafe_names(key for values in attributes.values() for key in values))
    lines: list[str] = []
    names: set[str] = set()
    for name, values in attributes.items():
        lines += [f"attribute: {_unique(_OTHER.sub('_', name), names)}", "match mode: 1-to-1", "recipient: residues"]
        lines += [f"\t{_chimerax(key)}\t{value:.6g}" for key, value in values.items()]
    write_text(path, "\n".join([*lines, ""]))


def write_pymol(path: Path, structure: Path, *, chain: str, sites: Iterable[ResidueName]) -> None:
    """Write a PyMOL script that colours a chain by its B-factors, from 0 to 1, and shows sites as sticks.

    Args:
        path: file to write, beside the structure.
        structure: what `write_b_factors` wrote.
        chain: the chain with numbers.
        sites: residues to show.

    Raises:
        ValueError: the name of the file, the chain or a residue is unsafe.
    """
    residues = list(sites)
    _refuse(unsafe_names([ResidueName(chain, 0, ""), *residues], file=structure.name))
    name = _OTHER.sub("_", structure.stem)
    whole = f"{name} and chain {chain or _NO_CHAIN} and polymer"
    numbers = "+".join(f"{key.number}{key.insertion}".replace("-", "\\-") for key in residues)
    lines = [
        f"load {structure.name}, {name}",
        f"hide everything, {name}",
        f"show cartoon, {name}",
        f"color grey80, {name}",
        f"spectrum b, grey80 yellow red, {whole}, minimum=0, maximum=1",
        *([f"select {name}_sites, {whole} and resi {numbers}", f"show sticks, {name}_sites"] if numbers else []),
        f"orient {name}",
    ]
    write_text(path, "\n".join([*lines, ""]))


_NO_CHAIN = "''"
"""What PyMOL calls a chain without a name."""


def _chimerax(residue: ResidueName) -> str:
    chain = f"/{residue.chain}" if residue.chain else ""
    return f"{chain}:{residue.number}{residue.insertion}"


def _unique(name: str, names: set[str]) -> str:
    """A name that is not among `names` yet; it is added there."""
    number, unique = 1, name
    while unique in names:
        number += 1
        unique = f"{name}_{number}"
    names.add(unique)
    return unique


def _refuse(names: list[str]) -> None:
    if names:
        raise ValueError(f"{names[0]!r} must not stand in a file that ChimeraX or PyMOL runs")
