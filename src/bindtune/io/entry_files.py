"""Files of structures: their names, and the reader for their content."""

import re
import struct
from dataclasses import replace
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from typing import Any

from biotite.file import DeserializationError, InvalidFileError
from biotite.structure import BadStructureError
from biotite.structure.io.pdbx import CIFFile

from bindtune.errors import InputError, library_text
from bindtune.io.binary_cif import unpacked_cif
from bindtune.io.entries import Entry
from bindtune.io.entries_cif import atom_block, cif_entry
from bindtune.io.entries_pdb import pdb_assembly, pdb_entry
from bindtune.io.text import line_blocks, name_problem, open_bytes

_NAME = re.compile(r"(.+)\.(cif|mmcif|bcif|ent|pdb([0-9]*))(?:\.gz)?", re.IGNORECASE | re.DOTALL)
_PDB_ID = re.compile(r"(?:pdb)?([0-9][a-z0-9]{3}|pdb_[0-9]{4}[a-z0-9]{4})", re.IGNORECASE)
_BINARY, _BLOCK = 1 << 29, 1 << 20
"""Bytes: most of an unpacked BinaryCIF file, and what is read of it at a time."""
_MALFORMED = (
    LookupError, ValueError, TypeError, AttributeError, RuntimeError, ArithmeticError, AssertionError,
    struct.error, DeserializationError, InvalidFileError, BadStructureError,
)  # fmt: skip
"""What libraries raise where a file is not what it should be."""


def entry_name(path: Path) -> str | None:
    """The name of the structure in a file, or None where the file is called otherwise.

    Names like those of the PDB are written in lower case, without `pdb` before them.

    Examples:
        >>> entry_name(Path("pdb1OI0.ent.gz")), entry_name(Path("1gl4.bcif")), entry_name(Path("My-Model.pdb"))
        ('1oi0', '1gl4', 'My-Model')
        >>> entry_name(Path("README.md"))
    """
    name = _NAME.fullmatch(path.name)
    if name is None:
        return None
    match = _PDB_ID.fullmatch(name[1])
    return match[1].lower() if match else name[1]


def read_entry(path: Path, *, assembly: str | None = None) -> Entry:
    """Read a structure in mmCIF, BinaryCIF or PDB format, gzipped or not; the content tells which.

    Args:
        path: the file.
        assembly: name of the biological assembly whose copies are wanted, or None. A file such as `1abc.pdb1` is an
            assembly; its models are the copies.

    Raises:
        InputError: it is missing or malformed.
    """
    name, named = entry_name(path) or path.name, _NAME.fullmatch(path.name)
    if problem := name_problem(name):
        raise InputError(path, None, problem)
    try:
        if named and named[2].lower() == "bcif":
            return cif_entry(name, atom_block(_binary(path)), assembly=assembly)
        lines = [line for _, block in line_blocks(path) for line in block]
        if _is_cif(lines):
            return _text_cif(name, "\n".join([*lines, ""]), assembly=assembly)
        if not any(line.startswith(("ATOM  ", "HETATM")) for line in lines):
            raise ValueError("there is no atom, expected mmCIF, BinaryCIF or PDB format")
        if named and named[3] and assembly is not None:
            return pdb_assembly(name, lines)
        return pdb_entry(name, lines, assembly=assembly)
    except _MALFORMED as error:
        text = library_text(error)
        raise InputError(path, None, f"no structure: {text}") from error


def _text_cif(name: str, text: str, *, assembly: str | None) -> Entry:
    """An entry in mmCIF; what biotite cannot read is written anew by gemmi, where that is installed and can."""
    try:
        return cif_entry(name, atom_block(CIFFile.deserialize(text)), assembly=assembly)
    except _MALFORMED:
        rewritten = _rewritten(text)
        if rewritten is None:
            raise
        try:
            entry = cif_entry(name, atom_block(CIFFile.deserialize(rewritten)), assembly=assembly)
        except _MALFORMED:
            rewritten = None
        if rewritten is None:
            raise
        return replace(entry, reader="gemmi")


def _rewritten(text: str) -> str | None:
    """The same CIF in the layout of the Protein Data Bank, or None; the layout of a CIF is free."""
    if find_spec("gemmi") is None:
        return None
    from gemmi import cif

    try:
        return str(cif.read_string(text).as_string())
    except _MALFORMED:
        return None


def _is_cif(lines: list[str]) -> bool:
    first = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    return first.strip().lower().startswith("data_")


def _binary(path: Path) -> Any:
    """What biotite makes of a BinaryCIF file.

    Raises:
        InputError: it cannot be read, or is too large.
    """
    try:
        with open_bytes(path) as stream:
            blocks = (stream.read(_BLOCK) for _ in range(_BINARY // _BLOCK + 1))
            content = b"".join(takewhile(bool, blocks))
    except (OSError, EOFError) as error:
        raise InputError(path, None, f"cannot be read: {error}") from error
    if len(content) > _BINARY:
        raise InputError(path, None, f"holds more than {_BINARY:,} bytes")
    return unpacked_cif(content)
