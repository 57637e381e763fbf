"""Protein structures: numbers for residues into the B-factors of PDB and mmCIF files, ChimeraX and PyMOL files.

A residue is named as the files' authors did: chain, number, insertion code.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from biotite.file import DeserializationError, InvalidFileError
from biotite.sequence import ProteinSequence
from biotite.sequence.align import SubstitutionMatrix, align_optimal
from biotite.structure.info import amino_acid_names, one_letter_code
from biotite.structure.io.pdbx import CIFColumn, CIFFile
from numpy.typing import NDArray

from bindtune.errors import InputError
from bindtune.io.text import numbered_lines
from bindtune.runs import atomic_path, write_text

SUFFIXES = (".pdb", ".ent", ".cif", ".mmcif")
_ATOMS = ("ATOM  ", "HETATM")
_B_FACTOR = slice(60, 66)
_UNKNOWN = "X"
_GAP_PENALTY = (-11, -1)
_MOST_CELLS = 200_000_000
"""Cells of an alignment, of some bytes each."""
_MISSING = ("?", ".")


class ResidueName(NamedTuple):
    """A residue as the structure names it."""

    chain: str
    number: int
    insertion: str


@dataclass(frozen=True, eq=False)
class Structure:
    """A structure file.

    Args:
        path: where it was read.
        names: amino acids of each chain, in the order of the file.
        letters: one-letter codes of the same, X where there is none; modified ones have their parent's.
        content: lines of a PDB file, or the file that biotite read.
        owners: the residue of each atom line or row; None where it is no amino acid.
    """

    path: Path
    names: dict[str, list[ResidueName]]
    letters: dict[str, str]
    content: Any
    owners: list[ResidueName | None]

    @property
    def suffix(self) -> str:
        """The suffix of a copy."""
        return ".pdb" if isinstance(self.content, list) else ".cif"


class Mapped(NamedTuple):
    """Where the residues of a chain lie in a protein.

    Args:
        places: (residues,) 0-based position in the protein, -1 where there is none.
        identity: share of the aligned residues that stand opposite the same letter; X is left out.
        coverage: share of the chain's residues that are aligned; what a tag has no part in.
    """

    places: NDArray[np.int64]
    identity: float
    coverage: float


def structure_name(path: Path) -> str | None:
    """The name of a structure file without its suffixes, or None where it is none."""
    plain = path.name.removesuffix(".gz")
    suffix = next((suffix for suffix in SUFFIXES if plain.lower().endswith(suffix)), None)
    return plain[: -len(suffix)] if suffix else None


def read_structure(path: Path) -> Structure:
    """Read a PDB or mmCIF file, gzipped or not; the content tells which, whatever the file is called.

    Raises:
        InputError: it is missing or malformed, or holds no amino acid.
    """
    lines = [line for _, line in numbered_lines(path)]
    content, atoms = _cif(path, lines) if _is_cif(path, lines) else _pdb(path, lines)
    names: dict[str, list[ResidueName]] = {}
    letters: dict[str, list[str]] = {}
    seen: set[ResidueName] = set()
    owners: list[ResidueName | None] = []
    for atom in atoms:
        if atom is None or not _is_amino_acid(atom[1]):
            owners.append(None)
            continue
        name, kind = atom
        owners.append(name)
        if name not in seen:
            seen.add(name)
            names.setdefault(name.chain, []).append(name)
            letters.setdefault(name.chain, []).append(one_letter_code(kind) or _UNKNOWN)
    if not names:
        raise InputError(path, None, "holds no atom of an amino acid")
    return Structure(path, names, {chain: "".join(found) for chain, found in letters.items()}, content, owners)


def map_residues(letters: str, sequence: str) -> Mapped:
    """Find the residues of a chain, some of which may be missing or mutated, in the whole protein.

    Raises:
        ValueError: both are too long to be aligned.
    """
    start = sequence.find(letters)
    if start >= 0 and sequence.find(letters, start + 1) < 0:
        return Mapped(np.arange(start, start + len(letters)), 1.0, 1.0)
    if len(letters) * len(sequence) > _MOST_CELLS:
        raise ValueError(f"{len(letters)} and {len(sequence)} residues are too many to be aligned")
    matrix = SubstitutionMatrix.std_protein_matrix()
    sequences = [ProteinSequence(_standard(text)) for text in (letters, sequence)]
    best = align_optimal(*sequences, matrix, gap_penalty=_GAP_PENALTY, terminal_penalty=False, max_number=1)[0]
    both = best.trace[(best.trace >= 0).all(axis=1)]
    places = np.full(len(letters), -1, np.int64)
    places[both[:, 0]] = both[:, 1]
    known = [(letters[own], sequence[other]) for own, other in both.tolist() if letters[own] != _UNKNOWN]
    same = sum(one == other for one, other in known)
    return Mapped(places, same / max(len(known), 1), len(both) / len(letters))


def write_b_factors(path: Path, structure: Structure, values: Mapping[ResidueName, float]) -> None:
    """Copy a structure with these numbers as B-factors; residues without one and everything else stay as they are.

    Args:
        path: PDB or mmCIF file, as the structure was.
        structure: what is copied.
        values: at least -99 and below 1000; three decimals are kept.
    """
    numbers = [values.get(owner) if owner is not None else None for owner in structure.owners]
    if isinstance(structure.content, list):
        lines = [
            line if number is None else f"{line[: _B_FACTOR.start]:60}{number:6.3f}{line[_B_FACTOR.stop :]}"
            for line, number in zip(structure.content, numbers, strict=True)
        ]
        write_text(path, "\n".join([*lines, ""]))
        return
    sites = structure.content.block["atom_site"]
    before = sites["B_iso_or_equiv"].as_array(str)
    after = [old if number is None else f"{number:.3f}" for old, number in zip(before, numbers, strict=True)]
    sites["B_iso_or_equiv"] = CIFColumn(np.array(after))
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as text:
        structure.content.write(text)
    sites["B_iso_or_equiv"] = CIFColumn(before)


def write_attributes(path: Path, attributes: Mapping[str, Mapping[ResidueName, float]]) -> None:
    """Write numbers as a ChimeraX attribute file (`open FILE.defattr`), a residue attribute each.

    Args:
        path: file to write.
        attributes: by name; what ChimeraX takes for no name becomes an underscore.
    """
    lines = []
    for name, values in attributes.items():
        lines += [f"attribute: {re.sub(r'[^A-Za-z0-9_]', '_', name)}", "match mode: 1-to-1", "recipient: residues"]
        lines += [f"\t/{key.chain}:{key.number}{key.insertion}\t{value:.6g}" for key, value in values.items()]
    write_text(path, "\n".join([*lines, ""]))


def write_pymol(path: Path, structure: Path, *, chain: str, sites: Iterable[ResidueName]) -> None:
    """Write a PyMOL script that colours a chain by its B-factors, from 0 to 1, and shows sites as sticks.

    Args:
        path: file to write, beside the structure.
        structure: what `write_b_factors` wrote.
        chain: the chain with numbers.
        sites: residues to show.
    """
    name = re.sub(r"[^A-Za-z0-9_]", "_", structure.stem)
    whole = f"{name} and chain {chain} and polymer"
    numbers = "+".join(f"{key.number}{key.insertion}".replace("-", "\\-") for key in sites)
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


def _is_cif(path: Path, lines: Sequence[str]) -> bool:
    """Whether the first line that is no comment begins a data block; else what the name says, if no line is an atom."""
    first = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    if first.strip().lower().startswith("data_"):
        return True
    named = path.name.removesuffix(".gz").lower().endswith((".cif", ".mmcif"))
    return named and not any(line.startswith(_ATOMS) for line in lines)


def _pdb(path: Path, lines: Sequence[str]) -> tuple[list[str], list[tuple[ResidueName, str] | None]]:
    """The lines, and residue and kind of each that is an atom."""
    atoms: list[tuple[ResidueName, str] | None] = []
    for number, line in enumerate(lines, start=1):
        if not line.startswith(_ATOMS):
            atoms.append(None)
            continue
        try:
            name = ResidueName(line[21:22].strip(), _residue_number(line[22:26]), line[26:27].strip())
        except ValueError as error:
            found = line[22:26].strip()
            raise InputError(path, number, f"expected a residue number in columns 23-26, found {found!r}") from error
        atoms.append((name, line[17:20].strip()))
    return list(lines), atoms


def _residue_number(text: str) -> int:
    if "_" in text:  # Python reads 1_0 as 10
        raise ValueError(text)
    return int(text)


def _cif(path: Path, lines: Sequence[str]) -> tuple[Any, list[tuple[ResidueName, str] | None]]:
    """What biotite read, and residue and kind of each atom."""
    try:
        content = CIFFile.deserialize("\n".join([*lines, ""]))
        sites = content.block["atom_site"]
        sizes = {name: len(column.as_array(str)) for name, column in sites.items()}
        if len(set(sizes.values())) > 1:  # a column that comes twice has twice as many
            raise ValueError(f"columns of atom_site have different lengths: {sizes}")
        chains, numbers, insertions, kinds = (
            next(sites[name].as_array(str).tolist() for name in names if name in sites)
            for names in (
                ("auth_asym_id", "label_asym_id"),
                ("auth_seq_id", "label_seq_id"),
                ("pdbx_PDB_ins_code", "group_PDB"),
                ("label_comp_id",),
            )
        )
        factors = sites["B_iso_or_equiv"].as_array(str)
        rows = list(zip(chains, numbers, insertions, kinds, factors, strict=True))
        has_insertions = "pdbx_PDB_ins_code" in sites
    except (LookupError, ValueError, TypeError, RuntimeError, DeserializationError, InvalidFileError) as error:
        raise InputError(path, None, f"no structure in mmCIF: {' '.join(str(error).split())[:200]}") from error
    atoms: list[tuple[ResidueName, str] | None] = []
    for chain, number, insertion, kind, _ in rows:
        if not re.fullmatch(r"-?[0-9]{1,9}", number):
            atoms.append(None)  # no residue of a chain
            continue
        code = insertion if has_insertions and insertion not in _MISSING else ""
        atoms.append((ResidueName(chain, int(number), code), kind))
    return content, atoms


@cache
def _is_amino_acid(kind: str) -> bool:
    return kind in _amino_acids() or kind == "UNK"


@cache
def _amino_acids() -> frozenset[str]:
    return frozenset(amino_acid_names())


def _standard(text: str) -> str:
    """Letters that BLOSUM62 knows."""
    return re.sub("[^ACDEFGHIKLMNPQRSTVWYBZX]", _UNKNOWN, text.translate(str.maketrans("UOJ", "CKL")))
