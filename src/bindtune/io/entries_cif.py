"""Entries in mmCIF and BinaryCIF: categories as the PDBx dictionary has them (https://mmcif.wwpdb.org)."""

import re
from collections import defaultdict
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bindtune.io.assemblies import cif_copies
from bindtune.io.components import has_parent, is_amino_acid, is_nucleotide, residue_code, residue_letter
from bindtune.io.elements import atom_elements
from bindtune.io.entries import Atoms, Entry, Ints, Polymer, Text
from bindtune.io.residue_positions import place_residues

_NOTHING = ("", "?", ".")
_MOST_ATOMS = 50_000_000
_MOST_RESIDUES = 1_000_000
_PEPTIDE = re.compile(r"peptide(?! nucleic)", re.IGNORECASE)
_RESOLUTIONS = (("refine", "ls_d_res_high"), ("em_3d_reconstruction", "resolution"), ("reflns", "d_resolution_high"))
_ONE_LETTER = ("pdbx_seq_one_letter_code", "pdbx_seq_one_letter_code_can")
_LETTERS = re.compile(r"\s*(?:\(([^()]+)\)|([A-Za-z]))")
_CARTESIAN = ("Cartn_x", "Cartn_y", "Cartn_z")


def atom_block(content: Any) -> Any:
    """The data block with atoms; dictionaries of ligands may stand beside it.

    Raises:
        ValueError: there is none, or there are several.
    """
    blocks = [name for name in content if "atom_site" in content[name]]
    if not blocks:
        raise ValueError("there is no atom_site")
    if len(blocks) > 1:
        raise ValueError(f"the data blocks {blocks[0]} and {blocks[1]} have atoms, expected one structure in a file")
    return content[blocks[0]]


def cif_entry(name: str, block: Any, *, assembly: str | None) -> Entry:
    """The entry of a data block.

    Args:
        name: of the structure.
        block: as biotite has it, of text or binary files.
        assembly: name of the assembly, or None.

    Raises:
        LookupError: a column is missing.
        ValueError: values are not what they should be.
    """
    sites = block["atom_site"]
    count = int(sites.row_count)
    if count > _MOST_ATOMS:
        raise ValueError(f"{count:,} atoms are more than {_MOST_ATOMS:,}")
    model = _text(sites, "pdbx_PDB_model_num", count, absent="1")
    first = np.flatnonzero(model == model[0])
    unit = _text(sites, "label_asym_id", count)[first]
    sequence = _text(sites, "label_seq_id", count, absent="")[first]
    entity = _text(sites, "label_entity_id", count, absent="")[first]
    component = _text(sites, "label_comp_id", count)[first]
    chain = _text(sites, "auth_asym_id", count, absent="")[first]
    chain = np.where(chain == "", unit, chain)
    number = _text(sites, "auth_seq_id", count, absent="")[first]
    number = np.where(number == "", sequence, number)
    number = np.char.add(number, _text(sites, "pdbx_PDB_ins_code", count, absent="")[first])
    atom_name = _text(sites, "label_atom_id", count, absent="")[first]
    element = atom_elements(_text(sites, "type_symbol", count, absent="")[first], atom_name, component)
    is_atom = _text(sites, "group_PDB", count, absent="ATOM")[first] == "ATOM"
    residues = _Residues(unit, entity, component, number, is_atom, _positions(sequence))
    polymers, polymer, position = _polymers(block, residues, chain)
    keys = np.char.add(np.char.add(unit, "|"), number)
    atoms = Atoms(
        xyz=np.stack([_numbers(sites, axis, count)[first] for axis in _CARTESIAN], axis=-1),
        element=element,
        name=atom_name,
        component=component,
        alternate=_text(sites, "label_alt_id", count, absent="")[first],
        occupancy=_numbers(sites, "occupancy", count, absent=1.0)[first],
        unit=unit,
        chain=chain,
        number=number,
        residue=np.unique(keys, return_inverse=True)[1].astype(np.int64),
        polymer=polymer,
        position=position,
    )
    return Entry(
        name=name,
        methods=_methods(block),
        resolution=_resolution(block),
        models=len(np.unique(model)),
        polymers=polymers,
        atoms=atoms.take((element != "H") & (element != "D")),
        copies=() if assembly is None else cif_copies(block, assembly),
    )


def _text(category: Any, name: str, count: int, *, absent: str | None = None) -> Text:
    """A column as text, "" where a value is missing.

    Raises:
        ValueError: there is no such column, and it may not be absent; or it has another length than the others.
    """
    if name not in category and absent is not None:
        return np.full(count, absent)
    values: Text = np.asarray(_column(category, name, count).as_array(str))
    return np.where(np.isin(values, _NOTHING), "", values)


def _numbers(category: Any, name: str, count: int, *, absent: float | None = None) -> Any:
    if name not in category and absent is not None:
        return np.full(count, absent)
    column = _column(category, name, count)
    values = np.asarray(column.as_array(float, masked_value=np.nan if absent is None else absent))
    if not np.isfinite(values).all() or (len(values) and abs(values).max() > 1e6):
        raise ValueError(f"{name} holds a value that is no coordinate or occupancy")
    return values.astype(np.float64)


def _column(category: Any, name: str, count: int) -> Any:
    if name not in category:
        raise ValueError(f"there is no column {name}")
    column = category[name]
    if len(column) != count:
        raise ValueError(f"{name} has {len(column)} values for {count} rows")
    return column


def _positions(sequence: Text) -> Ints:
    """0-based places in the sequence that `label_seq_id` names, -1 where there is none."""
    position = np.full(len(sequence), -1, np.int64)
    numbered = sequence != ""
    position[numbered] = sequence[numbered].astype(np.int64) - 1
    return position


class _Residues(NamedTuple):
    """Columns of (A,) atoms that say which residue each atom belongs to; `position` is that of `label_seq_id`."""

    unit: Text
    entity: Text
    component: Text
    number: Text
    is_atom: NDArray[np.bool_]
    position: Ints

    def take(self, indices: NDArray[np.int64]) -> "_Residues":
        """Some of the atoms."""
        return _Residues(
            self.unit[indices], self.entity[indices], self.component[indices], self.number[indices],
            self.is_atom[indices], self.position[indices],
        )  # fmt: skip

    def without_ligands(self) -> NDArray[np.bool_]:
        """(A,) atoms of amino acids, without free ones that a chain has as ligands."""
        amino = np.array([is_amino_acid(code) for code in self.component.tolist()], bool)
        modified = np.array([has_parent(code) for code in self.component.tolist()], bool)
        ordinary = np.flatnonzero(amino & self.is_atom)
        inside = np.zeros(len(amino), bool)
        if len(ordinary):
            inside[ordinary[0] : ordinary[-1]] = True
        mask: NDArray[np.bool_] = amino & (self.is_atom | modified | inside)
        return mask


def _polymers(block: Any, atoms: _Residues, chain: Text) -> tuple[tuple[Polymer, ...], Ints, Ints]:
    """The chains of amino acids; for each atom, its chain's index and its position in the sequence."""
    sequences = _sequences(block)
    proteins = _protein_entities(block, sequences)
    entity_of = _unit_entities(block, atoms, proteins)
    author_of = dict(zip(atoms.unit.tolist(), chain.tolist(), strict=True))
    units = list(dict.fromkeys(atoms.unit.tolist()))
    for label, author in _all_units(block, proteins, entity_of):
        author_of.setdefault(label, author)
        units += [] if label in units else [label]
    polymers: list[Polymer] = []
    polymer, position = np.full((2, len(atoms.unit)), -1, np.int64)
    for label in units:
        entity = entity_of[label]
        own = np.flatnonzero((atoms.unit == label) & np.isin(atoms.entity, ["", entity]))
        residues = atoms.take(own)
        from_atoms = not sequences or not entity
        if entity in proteins:
            codes = sequences[entity]
            places = _listed_places(residues, codes)
        elif from_atoms:
            codes, places = _places_from_atoms(residues)
        else:
            continue
        if not codes:
            continue
        position[own] = places
        polymer[own[places >= 0]] = len(polymers)
        letters = "".join(map(residue_letter, codes))
        polymers.append(Polymer(author_of[label], letters, from_atoms=from_atoms))
    return tuple(polymers), polymer, position


def _unit_entities(block: Any, atoms: _Residues, proteins: frozenset[str]) -> dict[str, str]:
    """The entity of each unit, "" if the file does not say it.

    Some programs name an ion's unit after the protein beside it. Then the protein is the entity of the unit.
    """
    listed: dict[str, str] = {}
    if "struct_asym" in block and {"id", "entity_id"} <= set(block["struct_asym"]):
        labels, entities = (block["struct_asym"][name].as_array(str).tolist() for name in ("id", "entity_id"))
        listed = dict(zip(labels, entities, strict=True))
    entity_of: dict[str, str] = {}
    for label, entity in dict.fromkeys(zip(atoms.unit.tolist(), atoms.entity.tolist(), strict=True)):
        if entity_of.get(label, "") == "" or (entity_of[label] not in proteins and entity in proteins):
            entity_of[label] = entity
    return {label: entity or listed.get(label, "") for label, entity in entity_of.items()}


def _listed_places(atoms: _Residues, codes: list[str]) -> Ints:
    """(A,) positions of a unit's atoms in its sequence: those of the file, or found if the file numbers no residue.

    Raises:
        ValueError: `label_seq_id` does not fit the sequence.
    """
    numbered = atoms.position[atoms.position != -1]
    if not len(numbered):
        inside = atoms.without_ligands()
        own, index = _in_file_order(atoms.number[inside])
        places = place_residues(codes, atoms.component[inside][own].tolist(), atoms.number[inside][own].tolist())
        position = np.full(len(inside), -1, np.int64)
        position[inside] = places[index]
        return position
    if (numbered < 0).any():
        raise ValueError("label_seq_id is not counted from 1")
    if (numbered >= len(codes)).any():
        raise ValueError("label_seq_id lies behind the end of entity_poly_seq")
    pairs = {*zip(numbered.tolist(), atoms.component[atoms.position >= 0].tolist(), strict=True)}
    if 2 * sum(residue_letter(codes[at]) == residue_letter(code) for at, code in pairs) < len(pairs):
        raise ValueError("label_seq_id names other residues than entity_poly_seq")
    return atoms.position


def _places_from_atoms(atoms: _Residues) -> tuple[list[str], Ints]:
    """The residues with coordinates as a sequence, and (A,) positions of the atoms in it."""
    inside = atoms.without_ligands()
    position = np.full(len(inside), -1, np.int64)
    nucleotides = sum(is_nucleotide(code) for code in atoms.component.tolist())
    if inside.sum() <= nucleotides:
        return [], position
    own, position[inside] = _in_file_order(atoms.number[inside])
    if len(own) > _MOST_RESIDUES:
        raise ValueError(f"a chain has {len(own):,} residues, more than {_MOST_RESIDUES:,}")
    return atoms.component[inside][own].tolist(), position


def _in_file_order(numbers: Text) -> tuple[Ints, Ints]:
    """The first atom of each residue, in the order of the file, and (A,) which residue each atom belongs to."""
    _, first, index = np.unique(numbers, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return first[order].astype(np.int64), rank[index]


def _sequences(block: Any) -> dict[str, list[str]]:
    """The components of each polymer entity, from `entity_poly_seq`, else from the letters of `entity_poly`."""
    return _from_letters(block) | _numbered_sequences(block)


def _from_letters(block: Any) -> dict[str, list[str]]:
    """Peptides of `entity_poly`; a component in brackets is one residue."""
    if "entity_poly" not in block or not {"entity_id", "type"} <= set(block["entity_poly"]):
        return {}
    category = block["entity_poly"]
    columns = [category[name].as_array(str).tolist() for name in _ONE_LETTER if name in category]
    names, kinds = (category[name].as_array(str).tolist() for name in ("entity_id", "type"))
    sequences = {}
    for name, kind, *texts in zip(names, kinds, *columns, strict=True):
        text = next((each for each in texts if each not in _NOTHING), "")
        if text and _PEPTIDE.search(kind):
            if odd := _LETTERS.sub("", text).strip():
                raise ValueError(f"entity_poly has the sequence of entity {name!r} with {odd[:20]!r} in it")
            sequences[name] = [code or residue_code(letter) for code, letter in _LETTERS.findall(text)]
            if len(sequences[name]) > _MOST_RESIDUES:
                raise ValueError(f"entity_poly has a sequence of more than {_MOST_RESIDUES:,} residues")
    return sequences


def _numbered_sequences(block: Any) -> dict[str, list[str]]:
    """`entity_poly_seq`; of several components at one place the first counts."""
    if "entity_poly_seq" not in block:
        return {}
    category = block["entity_poly_seq"]
    count = int(category.row_count)
    if count > _MOST_RESIDUES:
        raise ValueError(f"entity_poly_seq has {count:,} rows, more than {_MOST_RESIDUES:,}")
    columns = [_text(category, name, count).tolist() for name in ("entity_id", "num", "mon_id")]
    numbered: dict[str, dict[int, str]] = defaultdict(dict)
    for name, number, code in zip(*columns, strict=True):
        numbered[name].setdefault(int(number), code)
    for name, codes in numbered.items():
        if sorted(codes) != list(range(1, len(codes) + 1)):
            raise ValueError(f"entity_poly_seq does not number entity {name!r} from 1 without a gap")
    return {name: [codes[number] for number in sorted(codes)] for name, codes in numbered.items()}


def _protein_entities(block: Any, sequences: dict[str, list[str]]) -> frozenset[str]:
    if "entity_poly" in block and "type" in block["entity_poly"] and "entity_id" in block["entity_poly"]:
        names, kinds = (block["entity_poly"][name].as_array(str).tolist() for name in ("entity_id", "type"))
        listed = {name: bool(_PEPTIDE.search(kind)) for name, kind in zip(names, kinds, strict=True)}
    else:
        listed = {}
    return frozenset(
        name for name, codes in sequences.items() if listed.get(name, name not in listed and _mostly_amino_acids(codes))
    )


def _all_units(block: Any, proteins: frozenset[str], entity_of: dict[str, str]) -> list[tuple[str, str]]:
    """Chains of proteins without any coordinates: their label, and the author's name where the file has it."""
    if "struct_asym" not in block or not {"id", "entity_id"} <= set(block["struct_asym"]):
        return []
    labels, entities = (block["struct_asym"][name].as_array(str).tolist() for name in ("id", "entity_id"))
    missing = {label: entity for label, entity in zip(labels, entities, strict=True)
               if label not in entity_of and entity in proteins}  # fmt: skip
    entity_of |= missing
    authors: dict[str, str] = {}
    if missing and "pdbx_poly_seq_scheme" in block:
        scheme = block["pdbx_poly_seq_scheme"]
        if {"asym_id", "pdb_strand_id"} <= set(scheme):
            names = (scheme[name].as_array(str).tolist() for name in ("asym_id", "pdb_strand_id"))
            authors = dict(zip(*names, strict=True))
    return [(label, authors.get(label, label)) for label in missing]


def _mostly_amino_acids(codes: list[str]) -> bool:
    return 2 * sum(map(is_amino_acid, codes)) > len(codes)


def _methods(block: Any) -> tuple[str, ...]:
    if "exptl" not in block or "method" not in block["exptl"]:
        return ()
    methods = block["exptl"]["method"].as_array(str).tolist()
    return tuple(method.upper() for method in methods if method not in _NOTHING)


def _resolution(block: Any) -> float | None:
    """The highest resolution that the first category with one gives."""
    for category, name in _RESOLUTIONS:
        if category in block and name in block[category]:
            values = [value for value in block[category][name].as_array(str).tolist() if value not in _NOTHING]
            if values:
                return min(map(float, values))
    return None
