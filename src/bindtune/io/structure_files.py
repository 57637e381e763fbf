"""Find the structure files of proteins in a folder, and the chain of a protein in a structure."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bindtune.errors import InputError
from bindtune.io.structure import Mapped, Structure, map_residues, structure_name
from bindtune.wrong_files import refuse_wrong_file

_IDENTITY, _COVERAGE = 0.9, 0.5
"""Lowest identity and coverage of a chain that is of a protein."""


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
    """The requested chain, or the chain most similar to the protein.

    Args:
        structure: with all of its chains.
        sequence: letters of the protein.
        chain: name of the requested chain, or None.
        name: of the protein, for messages.

    Raises:
        InputError: there is no such chain, or it is of another protein.
    """
    if chain is not None and chain not in structure.names:
        chains = ", ".join(structure.names)
        raise InputError(structure.path, None, f"has no chain '{chain}' of amino acids, it has {chains}")
    names = [chain] if chain is not None else list(structure.names)
    candidates = [(each, structure.letters[each]) for each in names]
    best, mapped = most_similar_chain(candidates, sequence, path=structure.path, name=name)
    return names[best], mapped


def most_similar_chain(
    chains: Sequence[tuple[str, str]], sequence: str, *, path: Path, name: str
) -> tuple[int, Mapped]:
    """The chain of a structure that is most similar to a protein.

    A chain that passes both limits goes before one that does not, then one with more aligned residues, then the first.

    Args:
        chains: name and letters of each chain.
        sequence: letters of the protein.
        path: the structure file, for messages.
        name: of the protein, for messages.

    Returns:
        The index of the chain, and where its residues lie in the protein.

    Raises:
        InputError: there is no chain, or the most similar one is of another protein.
    """
    if not chains:
        raise InputError(path, None, f"has no chain of amino acids, expected one of protein '{name}'")
    try:
        mapped = [map_residues(letters, sequence) for _, letters in chains]
    except ValueError as error:
        raise InputError(path, None, f"{name}: {error}") from error
    best = max(range(len(mapped)), key=lambda index: _similarity(mapped[index]))
    if not _is_of_protein(mapped[best]):
        similarity = (
            f"{mapped[best].coverage:.0%} of chain {chains[best][0]} can be aligned with protein '{name}', "
            f"{mapped[best].identity:.0%} of it identical"
        )
        raise InputError(path, None, f"{similarity}, expected at least {_COVERAGE:.0%} and {_IDENTITY:.0%}")
    return best, mapped[best]


def _is_of_protein(mapped: Mapped) -> bool:
    return mapped.identity >= _IDENTITY and mapped.coverage >= _COVERAGE


def _similarity(mapped: Mapped) -> tuple[bool, int]:
    return _is_of_protein(mapped), int((mapped.places >= 0).sum())
