"""Biological assemblies: the moved copies of chains, from mmCIF's categories and PDB's REMARK 350."""

import re
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from bindtune.io.entries import Copy, Floats

_MOST_COPIES = 20_000
"""Of units; the largest virus capsids have some hundreds."""
_GROUP = re.compile(r"\(([^()]*)\)|([^(),\s]+)")
_RANGE = re.compile(r"([0-9]{1,6})-([0-9]{1,6})")
_BIOMT = re.compile(r"REMARK 350 +BIOMT([123]) +([0-9]+) +(\S+) +(\S+) +(\S+) +(\S+)")
_CHAINS = re.compile(r"REMARK 350 +(?:APPLY THE FOLLOWING TO|AND) CHAINS:(.*)")


def operations(expression: str) -> list[tuple[str, ...]]:
    """The products of operations that an expression of `_pdbx_struct_assembly_gen` names.

    Raises:
        ValueError: it is malformed, or names too many.

    Examples:
        >>> operations("1,2")
        [('1',), ('2',)]
        >>> operations("(X0)(1-2)")
        [('X0', '1'), ('X0', '2')]
    """
    text = expression.strip()
    if not text:
        raise ValueError("oper_expression is empty")
    if "(" not in text:
        text = f"({text})"
    groups = [inside or name for inside, name in _GROUP.findall(text)]
    if not groups or re.sub(_GROUP, "", text).strip():
        raise ValueError(f"oper_expression {expression[:40]!r} is malformed")
    factors = [_names(group) for group in groups]
    if np.prod([float(len(factor)) for factor in factors]) > _MOST_COPIES:
        raise ValueError(f"oper_expression {expression[:40]!r} names more than {_MOST_COPIES:,} copies")
    return list(product(*factors))


def _names(group: str) -> list[str]:
    names: list[str] = []
    for part in (part.strip() for part in group.split(",")):
        bounds = _RANGE.fullmatch(part)
        if bounds is None:
            if not part:
                raise ValueError(f"oper_expression holds an empty name in {group[:40]!r}")
            names.append(part)
            continue
        first, last = int(bounds[1]), int(bounds[2])
        if not first <= last < first + _MOST_COPIES:
            raise ValueError(f"oper_expression has the range {part}")
        names += map(str, range(first, last + 1))
    return names


def cif_copies(block: Any, assembly: str) -> tuple[Copy, ...]:
    """The copies of an assembly of mmCIF; none where the file does not have it.

    Raises:
        ValueError: the categories are malformed.
        LookupError: they lack a column, or an operation that is named.
    """
    if "pdbx_struct_assembly_gen" not in block or "pdbx_struct_oper_list" not in block:
        return ()
    generated = {name: block["pdbx_struct_assembly_gen"][name].as_array(str).tolist()
                 for name in ("assembly_id", "oper_expression", "asym_id_list")}  # fmt: skip
    matrices = _matrices(block["pdbx_struct_oper_list"])
    copies: list[Copy] = []
    for name, expression, units in zip(*generated.values(), strict=True):
        if name != assembly:
            continue
        moved = frozenset(unit.strip() for unit in units.split(","))
        for factors in operations(expression):
            rotation, shift = np.eye(3), np.zeros(3)
            for factor in reversed(factors):  # the last is applied first
                if factor not in matrices:
                    raise ValueError(f"assembly {assembly} names the operation {factor!r}, which is not listed")
                turn, move = matrices[factor]
                rotation, shift = turn @ rotation, turn @ shift + move
            copies.append(_checked(rotation, shift, moved))
    return _bounded(copies)


def _matrices(listed: Any) -> dict[str, tuple[Floats, Floats]]:
    names = listed["id"].as_array(str).tolist()
    rotation = np.stack(
        [[listed[f"matrix[{i}][{j}]"].as_array(float) for j in (1, 2, 3)] for i in (1, 2, 3)]
    ).transpose(2, 0, 1)
    shift = np.stack([listed[f"vector[{i}]"].as_array(float) for i in (1, 2, 3)], axis=-1)
    return {name: (rotation[index], shift[index]) for index, name in enumerate(names)}


def pdb_copies(lines: Sequence[str], assembly: str) -> tuple[Copy, ...]:
    """The copies of a biomolecule of REMARK 350; none where the file does not have it.

    Raises:
        ValueError: the remark is malformed.
    """
    copies: list[Copy] = []
    current, chains = "", set[str]()
    rows: dict[int, list[float]] = {}
    for line in lines:
        if not line.startswith("REMARK 350"):
            continue
        if "BIOMOLECULE:" in line:
            current, chains = line.partition("BIOMOLECULE:")[2].strip(), set()
        elif (named := _CHAINS.match(line)) is not None:
            if "APPLY" in line:
                chains = set()
            chains |= {chain.strip() for chain in named[1].split(",") if chain.strip()}
        elif (row := _BIOMT.match(line)) is not None and assembly in (part.strip() for part in current.split(",")):
            rows[int(row[1])] = [float(row[number]) for number in (3, 4, 5, 6)]
            if int(row[1]) == 3:
                copies.append(_from_rows(rows, chains))
                rows = {}
    return _bounded(copies)


def _from_rows(rows: Mapping[int, list[float]], chains: set[str]) -> Copy:
    if sorted(rows) != [1, 2, 3]:
        raise ValueError("REMARK 350 lacks a row BIOMT of an operation")
    matrix = np.array([rows[number] for number in (1, 2, 3)])
    return _checked(matrix[:, :3], matrix[:, 3], frozenset(chains))


def _checked(rotation: Floats, shift: Floats, units: frozenset[str]) -> Copy:
    """A rigid motion; other matrices would stretch distances.

    Raises:
        ValueError: it is none.
    """
    if not (np.isfinite(rotation).all() and np.isfinite(shift).all() and abs(shift).max() < 1e6):
        raise ValueError("an operation of the assembly is not finite")
    if abs(rotation @ rotation.T - np.eye(3)).max() > 0.01:
        raise ValueError("an operation of the assembly is no rotation")
    return Copy(rotation, shift, units)


def _bounded(copies: list[Copy]) -> tuple[Copy, ...]:
    if len(copies) > _MOST_COPIES:
        raise ValueError(f"the assembly has {len(copies):,} copies, more than {_MOST_COPIES:,}")
    return tuple(copies)
