"""Structures of a page: packed atoms of each protein's chain, as many as the page has room for.

Functions import the readers of structures, because biotite takes half a second and most pages have no structure.
"""

import base64
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindtune.errors import InputError
from bindtune.reports.molstar import Viewer, installed_viewer

MOST_BYTES = 1_000_000
"""Most bytes of all packed structures of a page."""
_STEPS = 10  # colours between 0 and 1


@dataclass(frozen=True)
class ProteinStructure:
    """The structure file of a protein; with `chain` None, the chain most similar to the protein is taken."""

    path: Path
    chain: str | None = None


@dataclass(frozen=True)
class PageProtein:
    """A protein of a page that may have a structure.

    Args:
        index: its row in the page's table.
        name: its name.
        sequence: its residues, L.
        detailed: (L,) residues whose side chains are shown.
    """

    index: int
    name: str
    sequence: str
    detailed: NDArray[np.bool_]


@dataclass(frozen=True)
class StructureViews:
    """Structures of a page.

    Args:
        data: data for `templates/structure.js`.
        count: number of structures in the page.
        left_out: number of structures without room in the page.
        viewer: None if it is not installed.
    """

    data: Mapping[str, Any]
    count: int
    left_out: int
    viewer: Viewer | None

    @property
    def size(self) -> int:
        """Letters that they and the viewer add to a page."""
        return len(json.dumps(self.data)) + (0 if self.viewer is None else self.viewer.size)


def find_structures(source: Path, names: Sequence[str]) -> dict[str, ProteinStructure]:
    """The structures of a file or folder by protein.

    A file has the name of its protein, or of the entry of the protein's chain: 1abc.cif for 1abc_A.

    Raises:
        InputError: there is no structure, or none of the proteins has one.
    """
    from bindtune.io.structure_files import structure_files

    files = structure_files(source).by_protein
    by_protein = {}
    for name in names:
        entry, _, chain = name.rpartition("_")
        if name in files:
            by_protein[name] = ProteinStructure(files[name])
        elif entry and chain and entry in files:
            by_protein[name] = ProteinStructure(files[entry], chain)
    if not by_protein:
        raise InputError(
            source, None, f"no structure is called like a protein of the run, such as {', '.join(names[:3])}"
        )
    return by_protein


def structure_views(
    proteins: Iterable[PageProtein], structures: Mapping[str, ProteinStructure], *, room: int = MOST_BYTES
) -> StructureViews | None:
    """Pack the structures of a page in the order of its table; None where there is none.

    Args:
        proteins: of the table.
        structures: by name of the protein.
        room: letters that the packed structures may take.

    Raises:
        InputError: a structure is damaged, or of another protein.
    """
    entries: dict[str, dict[str, str]] = {}
    size = left_out = 0
    for protein in proteins:
        if protein.name not in structures:
            continue
        if left_out:  # no structure follows the first one without room, so that a reader knows which are shown
            left_out += 1
            continue
        entry = _entry(protein, structures[protein.name])
        if size + len(entry["atoms"]) > room:
            left_out += 1
            continue
        size += len(entry["atoms"])
        entries[str(protein.index)] = entry
    if not entries and not left_out:
        return None
    from bindtune.io.chain_atoms import CHAIN, OTHERS
    from bindtune.io.molviewspec import step_colour

    colours = [step_colour(step / _STEPS) for step in range(_STEPS + 1)]
    data = {"chain": CHAIN, "others": OTHERS, "colours": colours, "entries": entries}
    return StructureViews(data, len(entries), left_out, installed_viewer() if entries else None)


def _entry(protein: PageProtein, source: ProteinStructure) -> dict[str, str]:
    from bindtune.io.chain_atoms import chain_atoms
    from bindtune.io.structure import read_structure
    from bindtune.io.structure_files import best_chain

    structure = read_structure(source.path)
    chain, mapped = best_chain(structure, protein.sequence, source.chain, name=protein.name)
    detailed = set((np.flatnonzero(protein.detailed) + 1).tolist())
    atoms = chain_atoms(structure, chain, mapped, detailed=detailed)
    text = json.dumps(atoms.names, separators=(",", ":")) + "\n" + atoms.text
    packed = base64.b64encode(zlib.compress(text.encode(), 9)).decode("ascii")
    return {"file": source.path.name, "chain": chain, "atoms": packed}
