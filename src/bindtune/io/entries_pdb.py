"""Read entries in the PDB format, version 3.3 (https://www.wwpdb.org/documentation/file-format)."""

import io
import re
import warnings
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from biotite.structure.io.pdb import PDBFile
from numpy.typing import NDArray

from bindtune.io.assemblies import pdb_copies
from bindtune.io.components import UNKNOWN_LETTER, has_parent, is_amino_acid, residue_letter
from bindtune.io.entries import Atoms, Entry, Ints, Polymer, Text

_ATOMS = ("ATOM  ", "HETATM")
_RESOLUTION = re.compile(r"REMARK   2 RESOLUTION\. +([0-9.]+) +ANGSTROM")
_RESIDUE_NUMBER = re.compile(r"-?[0-9]+|[A-Z][A-Z0-9]{3}|[a-z][a-z0-9]{3}")
"""Numbers above 9999 are in hybrid-36: https://cci.lbl.gov/hybrid_36/."""
_NUMBER = re.compile(r"(-?[0-9]+)(.?)")
_MATCH, _MISMATCH, _IN_PLACE, _JUMP, _NO_JUMP, _STRAY = 4, -6, 3, 2, 1, 8
_MOST_CELLS = 100_000_000
"""Most cells of the table that places residues in a sequence; a cell has four bytes."""


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
    parsed, polymeric = _atoms(lines)
    chain = np.asarray(parsed.chain_id)
    number = np.char.add(parsed.res_id.astype(str), np.asarray(parsed.ins_code))
    component = np.asarray(parsed.res_name)
    residue = np.cumsum(np.append(True, (chain[1:] != chain[:-1]) | (number[1:] != number[:-1]))) - 1
    modified = _modified(lines)
    polymers, polymer, position = _polymers(
        _sequences(lines), chain=chain, number=number, component=component, polymeric=polymeric, modified=modified
    )
    element = np.char.upper(np.asarray(parsed.element))
    atoms = Atoms(
        xyz=np.asarray(parsed.coord, np.float64),
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


def _atoms(lines: Sequence[str]) -> tuple[Any, NDArray[np.bool_]]:
    """The atoms of the first model, read by biotite, and a mask of those before the end (TER) of their chain."""
    file = PDBFile.read(io.StringIO("\n".join(map(_completed, lines))))
    with warnings.catch_warnings():
        # biotite warns when it takes the element from the atom's name, which is right here.
        warnings.simplefilter("ignore")
        parsed = file.get_structure(model=1, altloc="all", extra_fields=["occupancy"])
    if not np.isfinite(parsed.coord).all():
        raise ValueError("a coordinate is not finite")
    end = next((number for number, line in enumerate(lines) if line.startswith("ENDMDL")), len(lines))
    ended: set[str] = set()
    before: list[bool] = []
    has_end = any(line.startswith("TER") for line in lines[:end])
    last = ""
    for line in lines[:end]:
        if line.startswith(_ATOMS):
            last = line[21:22]
            # Without TER records, ATOM and HETATM decide; SEQRES finds modified residues such as MSE.
            before.append(last not in ended if has_end else line.startswith("ATOM"))
        elif line.startswith("TER"):
            ended.add(line[21:22] if line[21:22].strip() else last)
    if len(before) != len(parsed):
        raise ValueError(f"expected {len(before)} atoms in the first model, found {len(parsed)}")
    return parsed, np.array(before, bool)


def _completed(line: str) -> str:
    """Add the occupancy and the B-factor to an atom's line if a program left them out.

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
    # Without SEQRES, the component says whether a HETATM record (such as MSE) is a residue.
    modified_codes = [code for code in np.unique(component).tolist() if is_amino_acid(code) and has_parent(code)]
    for name in dict.fromkeys([*sequences, *chain.tolist()]):
        codes = sequences.get(name)
        inside = (chain == name) & (polymeric | np.isin(component, codes or modified_codes))
        residues = _residues(np.flatnonzero(inside), number, component)
        listed = codes if codes is not None else [residue.code for residue in residues]
        if 2 * sum(code in modified or is_amino_acid(code) for code in listed) <= len(listed):
            continue
        if codes is None:
            residues = [each for each in residues if each.code in modified or is_amino_acid(each.code)]
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


def place_residues(sequence: Sequence[str], codes: Sequence[str], numbers: Sequence[str]) -> Ints:
    """Find the positions of residues with coordinates in the whole sequence, by order, component and number.

    A gap in the numbers means missing residues. If numbers and components contradict each other, components win. A
    residue without a position, such as an amino acid bound as a ligand, gets -1.

    Args:
        sequence: L components, from SEQRES.
        codes: N components with coordinates, in order.
        numbers: N residue numbers of the author, such as 27 or 27A.

    Returns:
        (N,) 0-based positions.

    Raises:
        ValueError: chain and sequence are too long to be compared.

    Examples:
        >>> place_residues(["GLY", "ALA", "GLY", "SER"], ["GLY", "SER"], ["3", "4"])
        array([2, 3])
    """
    shown = np.array([int(match[1]) if (match := _NUMBER.fullmatch(text)) else 0 for text in numbers], np.int64)
    inserted = np.array([bool((match := _NUMBER.fullmatch(text)) and match[2]) for text in numbers], bool)
    listed, own = np.array(sequence, dtype=np.str_), np.array(codes, dtype=np.str_)
    if not len(own):
        return np.empty(0, np.int64)
    if not np.isin(own, listed).any():
        return np.full(len(own), -1, np.int64)
    offset = _offset(listed, own, shown)
    simple = shown - offset
    fits = (simple >= 0) & (simple < len(listed)) & (np.diff(simple, prepend=-1) > 0)
    if fits.all() and (listed[simple] == own).all():
        return simple
    return _aligned(listed, own, shown, inserted, offset)


def _offset(listed: Text, own: Text, shown: Ints) -> int:
    """The residue number of position 0 for which most residues fit the sequence."""
    votes: dict[int, int] = defaultdict(int)
    positions: dict[str, Ints] = {code: np.flatnonzero(listed == code) for code in np.unique(own).tolist()}
    for code, number in zip(own.tolist(), shown.tolist(), strict=True):
        for position in positions[code].tolist():
            votes[number - position] += 1
    return max(votes, key=lambda each: (votes[each], -abs(each))) if votes else 0


def _aligned(listed: Text, own: Text, shown: Ints, inserted: NDArray[np.bool_], offset: int) -> Ints:
    """Find positions by dynamic programming: gaps are free where numbers jump, stray residues cost."""
    length, count = len(listed), len(own)
    if length * count > _MOST_CELLS:
        raise ValueError(f"{count} residues cannot be placed in a sequence of {length}: too many")
    low = -(1 << 28)
    before = np.zeros(length + 1, np.int32)  # best score with the last residue before position j
    came = np.empty((count, length), np.int32)  # position of the residue before, -1 for none, -2 for a stray
    for row in range(count):
        score = np.where(listed == own[row], _MATCH, _MISMATCH).astype(np.int32)
        expected = shown[row] - offset
        if 0 <= expected < length and not inserted[row]:
            score[expected] += _IN_PLACE
        follows = row > 0 and (shown[row] - shown[row - 1] <= 1)
        # before[j] is the best end at position j - 1. A jump comes from an earlier position; it costs if numbers go on.
        best = np.maximum.accumulate(before)[:-2]
        origin = np.maximum.accumulate(np.where(before[:-2] == best, np.arange(length - 1), 0))
        jump = np.append(low, best - (_JUMP if follows else 0))
        direct = before[:-1] - (0 if follows or not row else _NO_JUMP)
        came[row] = np.where(direct >= jump, np.arange(length), np.append(0, origin))
        placed = np.maximum(direct, jump) + score
        stray = before - _STRAY
        after = np.concatenate([[np.int32(low)], placed]).astype(np.int32)
        came[row] = np.where(after[1:] >= stray[1:], came[row], -2)
        after[1:] = np.maximum(after[1:], stray[1:])
        after[0] = before[0] - _STRAY
        before = after
    positions = np.full(count, -1, np.int64)
    end = int(np.argmax(before))
    for row in range(count - 1, -1, -1):
        if end == 0:
            break
        origin_position = int(came[row, end - 1])
        if origin_position == -2:
            continue
        positions[row] = end - 1
        end = origin_position
    wrong = np.array(
        [position >= 0 and listed[position] != code for position, code in zip(positions, own, strict=True)]
    )
    positions[wrong & (np.array([positions[i] != shown[i] - offset for i in range(count)]))] = -1
    return positions
