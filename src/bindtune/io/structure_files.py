"""Structures of proteins: the files of a folder, and the chain that is a protein's."""

from dataclasses import dataclass
from pathlib import Path

from bindtune.errors import InputError
from bindtune.io.structure import Mapped, Structure, map_residues, structure_name
from bindtune.wrong_files import refuse_wrong_file

LEAST_IDENTITY, LEAST_COVERAGE = 0.9, 0.5


@dataclass(frozen=True)
class StructureFiles:
    """Structures that the command was given.

    Args:
        by_protein: file of each protein.
        unreadable: names of files of a folder that are neither PDB nor mmCIF.
    """

    by_protein: dict[str, Path]
    unreadable: tuple[str, ...] = ()


def structure_files(folder: Path) -> StructureFiles:
    """The structures of a folder, or a structure file alone; each file has the name of its protein.

    Raises:
        InputError: there is no such file or folder, or it holds no structure, or two of one protein.
    """
    if not folder.exists():
        raise InputError(folder, None, "no such file or folder")
    if folder.is_file():
        return StructureFiles({file_protein(folder): folder})
    structures: dict[str, Path] = {}
    unreadable = []
    for path in sorted(folder.iterdir()):
        protein = structure_name(path)
        if protein is None:
            unreadable.append(path.name)
        elif structures.setdefault(protein, path) != path:
            first = structures[protein].name
            raise InputError(path, None, f"is a second structure of protein {protein!r}, beside {first}")
    if not structures:
        raise InputError(folder, None, "holds no PDB or mmCIF file")
    return StructureFiles(structures, tuple(name for name in unreadable if not name.startswith(".")))


def file_protein(path: Path) -> str:
    """The protein that a structure file is called after.

    Raises:
        InputError: it is not called like a structure file.
    """
    name = structure_name(path)
    if name is None:
        refuse_wrong_file(path)
        raise InputError(path, None, "expected a name that ends in .pdb, .cif or either and .gz")
    return name


def best_chain(structure: Structure, sequence: str, chain: str | None, *, name: str) -> tuple[str, Mapped]:
    """The chain that is asked for, or the one most like the protein.

    Args:
        structure: with all of its chains.
        sequence: of the protein.
        chain: the chain that is asked for.
        name: of the protein, for messages.

    Raises:
        InputError: there is no such chain, or the chain is of another protein.
    """
    if chain is not None and chain not in structure.names:
        chains = ", ".join(structure.names)
        raise InputError(structure.path, None, f"has no chain '{chain}' of amino acids, it has {chains}")
    candidates = [chain] if chain is not None else list(structure.names)
    try:
        mapped = {each: map_residues(structure.letters[each], sequence) for each in candidates}
    except ValueError as error:
        raise InputError(structure.path, None, f"{name}: {error}") from error
    best = max(mapped, key=lambda each: _likeness(mapped[each]))
    identity, coverage = mapped[best].identity, mapped[best].coverage
    if not is_chain_of(mapped[best]):
        likeness = (
            f"{coverage:.0%} of chain {best} can be aligned with protein '{name}', {identity:.0%} of it identical"
        )
        expected = f"expected at least {LEAST_COVERAGE:.0%} and {LEAST_IDENTITY:.0%}"
        raise InputError(structure.path, None, f"{likeness}, {expected}")
    return best, mapped[best]


def is_chain_of(mapped: Mapped) -> bool:
    """Whether a chain is that of the protein that it was aligned with."""
    return mapped.identity >= LEAST_IDENTITY and mapped.coverage >= LEAST_COVERAGE


def _likeness(mapped: Mapped) -> tuple[bool, int]:
    """A chain that is long and the protein's goes before one that is short and more exactly so."""
    return is_chain_of(mapped), int((mapped.places >= 0).sum())
