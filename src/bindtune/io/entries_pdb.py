"""Read entries in the PDB format, version 3.3 (https://www.wwpdb.org/documentation/file-format)."""

import io
import re
import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np
from biotite.structure.io.pdb import PDBFile
from numpy.typing import NDArray

from bindtune.io.assemblies import pdb_copies
from bindtune.io.components import UNKNOWN_LETTER, has_parent, is_amino_acid, is_nucleotide, residue_letter
from bindtune.io.elements import atom_elements
from bindtune.io.entries import Atoms, Entry, Ints, Polymer, Text
from bindtune.io.residue_positions import place_residues

_ATOMS = ("ATOM  ", "HETATM")
_RESOLUTION = re.compile(r"REMARK   2 RESOLUTION\. +([0-9.]+) +ANGSTROM")
_RESIDUE_NUMBER = re.compile(r"-?[0-9]+|[A-Z][A-Z0-9]{3}|[a-z][a-z0-9]{3}")
"""Numbers above 9999 are in hybrid-36: https://cci.lbl.gov/hybrid_36/."""
_DECIMALS = 3
"""Of coordinates. biotite keeps them with 32 bits, which moves some contacts at the cutoff to its other side."""


class _Residue(NamedTuple):
    """A residue with coordinates, before its position in the sequence is found."""

    code: str
    number: str
    atoms: NDArray[np.int64]


def pdb_entry(name: str, lines: Sequence[str], *, assembly: str | None) -> Entry:
    """The entry of a file.

    Args:
        name: name of the structure.
        lines: lines of the file.
        assembly: number of the biomolecule, or None.

    Raises:
        ValueError: values are malformed, or residues differ from SEQRES.
        biotite.file.InvalidFileError: there is no atom.
    """
    models = sum(line.startswith("MODEL ") for line in lines)
    first_model = _first_model(lines)
    parsed, polymeric = _atoms(first_model)
    chain = np.asarray(parsed.chain_id)
    number = np.char.add(parsed.res_id.astype(str), np.asarray(parsed.ins_code))
    component = np.asarray(parsed.res_name)
    modified = _modified(lines)
    polymers, polymer, position = _polymers(
        _sequences(lines), chain=chain, number=number, component=component, polymeric=polymeric, modified=modified
    )
    # Alternate ions of two elements may have one number, and are two ions; two residues at one place are one residue.
    kind = np.where(polymer < 0, component, "")
    changes = (chain[1:] != chain[:-1]) | (number[1:] != number[:-1]) | (kind[1:] != kind[:-1])
    residue = np.cumsum(np.append(True, changes)) - 1
    symbols = np.array([line[76:78].strip() for line in first_model if line.startswith(_ATOMS)], dtype=np.str_)
    element = atom_elements(symbols, np.asarray(parsed.atom_name), component)
    atoms = Atoms(
        xyz=np.asarray(parsed.coord, np.float64).round(_DECIMALS),
        element=element,
        name=np.asarray(parsed.atom_name),
        component=component,
        alternate=np.char.strip(np.where(parsed.altloc_id == ".", "", parsed.altloc_id)),
        occupancy=np.asarray(parsed.occupancy, np.float64),
        unit=chain,
        chain=chain,
        number=number,
        residue=residue.astype(np.int64),
        polymer=polymer,
        position=position,
    )
    return Entry(
        name=name,
        methods=tuple(
            method.strip() for line in lines if line.startswith("EXPDTA") for method in line[10:79].split(";")
            if method.strip()
        ),
        resolution=next((float(match[1]) for line in lines if (match := _RESOLUTION.match(line))), None),
        models=max(models, 1),
        polymers=polymers,
        atoms=atoms.take((element != "H") & (element != "D")),
        copies=() if assembly is None else pdb_copies(lines, assembly),
    )  # fmt: skip


def pdb_assembly(name: str, lines: Sequence[str]) -> Entry:
    """The entry of a file whose models are the copies of a biological assembly, as in `1abc.pdb1`.

    Args:
        name: name of the structure.
        lines: lines of the file.

    Raises:
        ValueError: as in `pdb_entry`.
        biotite.file.InvalidFileError: a model has no atom.
    """
    starts = [number for number, line in enumerate(lines) if line.startswith("MODEL ")]
    header, bounds = lines[: (starts or [len(lines)])[0]], [*starts, len(lines)]
    copies = [pdb_entry(name, [*header, *lines[start:end]], assembly=None) for start, end in pairwise(bounds)]
    if not copies:
        return pdb_entry(name, lines, assembly=None)
    before = list(accumulate((len(copy.polymers) for copy in copies), initial=0))
    residues = list(accumulate((int(copy.atoms.residue.max(initial=-1)) + 1 for copy in copies), initial=0))
    moved = [
        replace(
            copy.atoms,
            unit=np.char.add(copy.atoms.unit, f".{number}"),
            residue=copy.atoms.residue + residues[number],
            polymer=np.where(copy.atoms.polymer < 0, -1, copy.atoms.polymer + before[number]),
        )
        for number, copy in enumerate(copies)
    ]
    atoms = Atoms(**{column: np.concatenate([vars(each)[column] for each in moved]) for column in vars(moved[0])})
    return replace(copies[0], polymers=tuple(polymer for copy in copies for polymer in copy.polymers), atoms=atoms)


def _first_model(lines: Sequence[str]) -> Sequence[str]:
    """The lines up to the end of the first model.

    Raises:
        ValueError: atoms follow the end of the file.
    """
    begun = ended = 0
    for number, line in enumerate(lines, start=1):
        if line.startswith("ENDMDL") or (begun and line.startswith("MODEL ")):
            return lines[: number - 1]
        if line.startswith("MODEL "):
            begun = number
        elif line.rstrip() == "END":
            ended = ended or number
        elif ended and line.startswith(_ATOMS):
            raise ValueError(f"line {number} is an atom after END in line {ended}, expected one structure in a file")
    return lines


def _atoms(lines: Sequence[str]) -> tuple[Any, NDArray[np.bool_]]:
    """The atoms of a model, read by biotite, and a mask of those before the end (TER) of their chain."""
    file = PDBFile.read(io.StringIO("\n".join(map(_completed, lines))))
    with warnings.catch_warnings():
        # biotite warns when it takes the element from the atom's name, which is right here.
        warnings.simplefilter("ignore")
        parsed = file.get_structure(model=1, altloc="all", extra_fields=["occupancy"])
    if not np.isfinite(parsed.coord).all():
        raise ValueError("a coordinate is not finite")
    polymeric = _before_end(lines)
    if len(polymeric) != len(parsed):
        raise ValueError(f"expected {len(polymeric)} atoms in the first model, found {len(parsed)}")
    return parsed, polymeric


def _before_end(lines: Sequence[str]) -> NDArray[np.bool_]:
    """(A,) atoms that a chain has before its end, where its ligands begin.

    The end is the TER record after the last ATOM record; gaps of a chain may have TER records too. In a chain without
    TER, a HETATM record is a residue if ATOM records follow, or if the component is made of another amino acid.
    """
    end: dict[str, int] = {}
    last_atom: dict[str, int] = {}
    has_atom: dict[str, bool] = {}
    chain = ""
    for number, line in enumerate(lines):
        if line.startswith(_ATOMS):
            chain = line[21:22]
            if line.startswith("ATOM"):
                has_atom[chain], last_atom[chain] = True, number
        elif line.startswith("TER"):
            named = line[21:22] if line[21:22].strip() else chain
            if has_atom.pop(named, False) or named not in end:
                end[named] = number
    return np.array(
        [
            number <= max(end.get(line[21:22], -1), last_atom.get(line[21:22], -1))
            or (line[21:22] not in end and _is_modified(line[17:20].strip()))
            for number, line in enumerate(lines)
            if line.startswith(_ATOMS)
        ],
        bool,
    )


def _is_modified(code: str) -> bool:
    return is_amino_acid(code) and has_parent(code)


def _completed(line: str) -> str:
    """Add to an atom's line what programs leave out: occupancy and B-factor.

    Raises:
        ValueError: the residue number is malformed; biotite would read it as hybrid-36.
    """
    if not line.startswith(_ATOMS):
        return line
    if not _RESIDUE_NUMBER.fullmatch(line[22:26].strip()):
        raise ValueError(f"expected a residue number in columns 23-26, found {line[22:26].strip()!r}")
    occupancy, factor = (
        text if text.strip() else f"{value:6.2f}" for text, value in ((line[54:60], 1), (line[60:66], 0))
    )
    return f"{line[:54]:54}{occupancy:>6}{factor:>6}{line[66:]}"


def _sequences(lines: Sequence[str]) -> dict[str, list[str]]:
    """The components of SEQRES by chain."""
    sequences: dict[str, list[str]] = defaultdict(list)
    for line in lines:
        if line.startswith("SEQRES"):
            sequences[line[11:12].strip()] += line[19:70].split()
    return dict(sequences)


def _modified(lines: Sequence[str]) -> dict[str, str]:
    """Parents of modified residues, from MODRES."""
    records = (line for line in lines if line.startswith("MODRES"))
    return {line[12:15].strip(): line[24:27].strip() for line in records if line[24:27].strip()}


def _letter(code: str, modified: dict[str, str]) -> str:
    letter = residue_letter(code)
    return (
        residue_letter(modified[code])
        if letter == UNKNOWN_LETTER and code in modified and not has_parent(code)
        else letter
    )


def _polymers(
    sequences: dict[str, list[str]],
    *,
    chain: Text,
    number: Text,
    component: Text,
    polymeric: NDArray[np.bool_],
    modified: dict[str, str],
) -> tuple[tuple[Polymer, ...], Ints, Ints]:
    """The chains of amino acids; for each atom, its chain's index and its position in the sequence."""
    polymer, position = np.full((2, len(chain)), -1, np.int64)
    polymers: list[Polymer] = []
    for name in dict.fromkeys([*sequences, *chain.tolist()]):
        codes = sequences.get(name)
        inside = (chain == name) & polymeric
        residues = _residues(np.flatnonzero(inside), number, component)
        listed = codes if codes is not None else [residue.code for residue in residues]
        amino_acids = {code for code in listed if code in modified or is_amino_acid(code)}
        if sum(code in amino_acids for code in listed) <= sum(map(is_nucleotide, listed)):
            continue
        # A chain without TER holds its ligands and water too.
        possible = amino_acids | set(codes or ())
        residues = [each for each in residues if each.code in possible or is_amino_acid(each.code)]
        if codes is None:
            listed, indices = [each.code for each in residues], np.arange(len(residues))
        else:
            indices = place_residues(codes, [each.code for each in residues], [each.number for each in residues])
        letters = "".join(_letter(code, modified) for code in listed)
        for residue, index in zip(residues, indices.tolist(), strict=True):
            if index >= 0:
                polymer[residue.atoms], position[residue.atoms] = len(polymers), index
        polymers.append(Polymer(name, letters, from_atoms=codes is None))
    return tuple(polymers), polymer, position


def _residues(atoms: NDArray[np.int64], number: Text, component: Text) -> list[_Residue]:
    """Residues in the order of the file; if a residue has two components (alternates), the first one counts."""
    grouped: dict[str, list[int]] = {}
    for atom in atoms.tolist():
        grouped.setdefault(str(number[atom]), []).append(atom)
    return [_Residue(str(component[own[0]]), name, np.array(own)) for name, own in grouped.items()]
