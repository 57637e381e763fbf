"""Read protein structures, and write numbers of residues as B-factors of PDB and mmCIF files.

A residue is named as the files' authors did: chain, number, insertion code. Only atoms of amino acids have to be sound;
what a file says about waters, ions and ligands is copied as it is.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from biotite.file import DeserializationError, InvalidFileError
from biotite.sequence import ProteinSequence
from biotite.sequence.align import SubstitutionMatrix, align_optimal
from biotite.structure.info import amino_acid_names, one_letter_code
from biotite.structure.io.pdb.hybrid36 import decode_hybrid36
from biotite.structure.io.pdbx import CIFBlock, CIFColumn, CIFFile
from numpy.typing import NDArray

from bindtune.errors import InputError, library_text
from bindtune.io.text import numbered_lines
from bindtune.runs.writing import atomic_path, write_text

SUFFIXES = (".pdb", ".ent", ".cif", ".mmcif")
_ATOMS = ("ATOM  ", "HETATM")
_B_FACTOR = slice(60, 66)
_UNKNOWN = "X"
_GAP_PENALTY = (-11, -1)
_MOST_CELLS = 200_000_000
"""Cells of an alignment, of some bytes each."""
_MISSING = ("?", ".")
_B_COLUMN = "B_iso_or_equiv"
_CONFIDENCES = "ma_qa_metric"
"""Categories of mmCIF with a model's confidence begin so: viewers colour by them instead of B-factors."""
_NUMBER = re.compile(r"-?[0-9]+")
_HYBRID_36 = re.compile(r"[A-Z][A-Z0-9]{3}|[a-z][a-z0-9]{3}")
"""Residue numbers above 9999 in the four columns that PDB files have: https://cci.lbl.gov/hybrid_36/"""


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


class AtomSite(NamedTuple):
    """What a line or row says of an atom; what is missing is an empty text, and nan where it is a number."""

    atom: str
    kind: str
    element: str
    coordinates: tuple[float, float, float]
    model: str


def atom_sites(structure: Structure) -> list[AtomSite | None]:
    """Each atom line or row of a structure, beside its `owners`; None for a line of a PDB file that is no atom.

    Coordinates are in ångström.
    """
    if not isinstance(structure.content, list):
        sites = _atom_block(structure.content)["atom_site"]
        count = len(structure.owners)
        names = ("label_atom_id", "label_comp_id", "type_symbol", "Cartn_x", "Cartn_y", "Cartn_z", "pdbx_PDB_model_num")
        columns = [sites[name].as_array(str).tolist() if name in sites else [""] * count for name in names]
        return [
            AtomSite(atom, kind, element, (_number(x), _number(y), _number(z)), model)
            for atom, kind, element, x, y, z, model in zip(*columns, strict=True)
        ]
    rows: list[AtomSite | None] = []
    model = 0
    for line in structure.content:
        model += line.startswith("ENDMDL")
        if not line.startswith(_ATOMS):
            rows.append(None)
            continue
        atom = line[12:16]
        element = line[76:78].strip() or atom[:2].strip(" 0123456789")  # older files have no column of elements
        coordinates = (_number(line[30:38]), _number(line[38:46]), _number(line[46:54]))
        rows.append(AtomSite(atom.strip(), line[17:20].strip(), element.upper(), coordinates, str(model)))
    return rows


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


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
    return Structure(path, names, {chain: "".join(residues) for chain, residues in letters.items()}, content, owners)


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
    positions = np.full(len(letters), -1, np.int64)
    positions[both[:, 0]] = both[:, 1]
    letter_pairs = [(letters[row], sequence[column]) for row, column in both.tolist() if letters[row] != _UNKNOWN]
    same = sum(own == listed for own, listed in letter_pairs)
    return Mapped(positions, same / max(len(letter_pairs), 1), len(both) / len(letters))


def write_b_factors(path: Path, structure: Structure, values: Mapping[ResidueName, float]) -> None:
    """Copy a structure with these numbers as B-factors; residues without one and everything else stay as they are.

    A copy in mmCIF lacks the categories `_ma_qa_metric*`, the confidences of a predicted model: viewers colour by them,
    whatever the B-factors say.

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
    block = _atom_block(structure.content)
    sites = block["atom_site"]
    before = _b_factors(sites, len(numbers))
    after = [old if number is None else f"{number:.3f}" for old, number in zip(before, numbers, strict=True)]
    confidences = {name: block[name] for name in block if name.startswith(_CONFIDENCES)}
    for name in confidences:
        del block[name]
    sites[_B_COLUMN] = CIFColumn(np.array(after))
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as text:
        structure.content.write(text)
    sites[_B_COLUMN] = CIFColumn(before)
    for name, category in confidences.items():
        block[name] = category


def _is_cif(path: Path, lines: Sequence[str]) -> bool:
    """Whether the first line that is no comment begins a data block; else what the name says, if no line is an atom."""
    first = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    if first.strip().lower().startswith("data_"):
        return True
    named = path.name.removesuffix(".gz").lower().endswith((".cif", ".mmcif"))
    return named and not any(line.startswith(_ATOMS) for line in lines)


def _pdb(path: Path, lines: Sequence[str]) -> tuple[list[str], list[tuple[ResidueName, str] | None]]:
    """The lines, and residue and kind of each that is an atom of an amino acid."""
    atoms: list[tuple[ResidueName, str] | None] = []
    for number, line in enumerate(lines, start=1):
        kind = line[17:20].strip()
        if not line.startswith(_ATOMS) or not _is_amino_acid(kind):
            atoms.append(None)
            continue
        residue = _residue_number(line[22:26].strip())
        if residue is None:
            column_text = line[22:26].strip()
            raise InputError(path, number, f"expected a residue number in columns 23-26, found {column_text!r}")
        atoms.append((ResidueName(line[21:22].strip(), residue, line[26:27].strip()), kind))
    return list(lines), atoms


def _residue_number(text: str) -> int | None:
    """A number of four columns, in hybrid-36 above 9999; None where it is none."""
    if _HYBRID_36.fullmatch(text):
        return int(decode_hybrid36(text))
    return int(text) if _NUMBER.fullmatch(text) else None


def _cif(path: Path, lines: Sequence[str]) -> tuple[Any, list[tuple[ResidueName, str] | None]]:
    """What biotite read, and residue and kind of each atom."""
    try:
        content = CIFFile.deserialize("\n".join([*lines, ""]))
        sites = _atom_block(content)["atom_site"]
        sizes = {name: len(column.as_array(str)) for name, column in sites.items()}
        if len(set(sizes.values())) > 1:  # a column that comes twice has twice as many
            raise ValueError(f"columns of atom_site have different lengths: {sizes}")
        chains, numbers, kinds = (
            next(sites[name].as_array(str).tolist() for name in names if name in sites)
            for names in (("auth_asym_id", "label_asym_id"), ("auth_seq_id", "label_seq_id"), ("label_comp_id",))
        )
        insertions = ["?"] * len(kinds)
        if "pdbx_PDB_ins_code" in sites:
            insertions = sites["pdbx_PDB_ins_code"].as_array(str).tolist()
        rows = list(zip(chains, numbers, insertions, kinds, strict=True))
    except (LookupError, ValueError, TypeError, RuntimeError, DeserializationError, InvalidFileError) as error:
        raise InputError(path, None, f"no structure in mmCIF: {library_text(error)}") from error
    atoms: list[tuple[ResidueName, str] | None] = []
    for chain, number, insertion, kind in rows:
        if not re.fullmatch(r"-?[0-9]{1,9}", number):
            atoms.append(None)  # no residue of a chain
            continue
        atoms.append((ResidueName(chain, int(number), "" if insertion in _MISSING else insertion), kind))
    return content, atoms


def _atom_block(content: CIFFile) -> CIFBlock:
    """The first data block with atoms; dictionaries of ligands may stand beside it.

    Raises:
        KeyError: there is none.
    """
    name = next((name for name in content if "atom_site" in content[name]), None)
    if name is None:
        raise KeyError("there is no atom_site")
    return content[name]


def _b_factors(sites: Any, count: int) -> NDArray[np.str_]:
    """B-factors as they stand in the file, unknown ones where it has no column of them."""
    if _B_COLUMN not in sites:
        return np.full(count, "?")
    factors: NDArray[np.str_] = sites[_B_COLUMN].as_array(str)
    return factors


@cache
def _is_amino_acid(kind: str) -> bool:
    return kind in _amino_acids() or kind == "UNK"


@cache
def _amino_acids() -> frozenset[str]:
    return frozenset(amino_acid_names())


def _standard(text: str) -> str:
    """Letters that BLOSUM62 knows."""
    return re.sub("[^ACDEFGHIKLMNPQRSTVWYBZX]", _UNKNOWN, text.translate(str.maketrans("UOJ", "CKL")))
