"""Entries of the Protein Data Bank, whole: polymers with their full sequence, atoms, assemblies, method, resolution.

`io.structure` reads models to colour them. Here everything counts that an experiment says. The syntax is in
`entries_cif` and `entries_pdb`.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Text = NDArray[np.str_]


class Polymer(NamedTuple):
    """A chain of amino acids.

    Args:
        chain: the author's name of it.
        letters: L one-letter codes of the whole sequence, modified residues by their parent.
        from_atoms: the file does not say the sequence: it is that of the residues with coordinates.
    """

    chain: str
    letters: str
    from_atoms: bool = False


@dataclass(frozen=True, eq=False)
class Atoms:
    """A atoms of the first model, hydrogens left out.

    Args:
        xyz: (A, 3) in angstroms.
        element: (A,) upper case.
        name: (A,) such as NE2.
        component: (A,) such as HIS.
        alternate: (A,) letter of the alternate location, "" where there is one alone.
        occupancy: (A,).
        unit: (A,) what assemblies move: the chain of mmCIF's labels, the author's chain in PDB files.
        chain: (A,) the author's chain.
        number: (A,) the author's residue number, with the insertion code.
        residue: (A,) number of the residue, water or ion.
        polymer: (A,) index of the polymer, -1 where it is no residue of a protein.
        position: (A,) 0-based place in the polymer's sequence, -1 elsewhere.
    """

    xyz: Floats
    element: Text
    name: Text
    component: Text
    alternate: Text
    occupancy: Floats
    unit: Text
    chain: Text
    number: Text
    residue: Ints
    polymer: Ints
    position: Ints

    def __len__(self) -> int:
        return len(self.xyz)

    def take(self, chosen: NDArray[np.bool_]) -> "Atoms":
        """Some of the atoms, by mask."""
        return Atoms(**{name: values[chosen] for name, values in vars(self).items()})


class Copy(NamedTuple):
    """Units of a structure, moved: x becomes rotation x + shift.

    Args:
        rotation: (3, 3).
        shift: (3,) in angstroms.
        units: names, as in `Atoms.unit`.
    """

    rotation: Floats
    shift: Floats
    units: frozenset[str]


@dataclass(frozen=True, eq=False)
class Entry:
    """A structure file.

    Args:
        name: of the structure.
        methods: such as X-RAY DIFFRACTION; none where the file does not say.
        resolution: in angstroms, or None.
        models: how many the file has; the first is read.
        polymers: P chains of amino acids, those without coordinates included.
        atoms: of everything.
        copies: of the assembly that was asked for; none where the file does not have it.
        reader: the library that read the syntax.
    """

    name: str
    methods: tuple[str, ...]
    resolution: float | None
    models: int
    polymers: tuple[Polymer, ...]
    atoms: Atoms
    copies: tuple[Copy, ...]
    reader: str = "biotite"
