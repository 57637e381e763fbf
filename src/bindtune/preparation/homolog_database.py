"""A database of proteins for MMseqs2, made once from a FASTA file and named by the content of this file."""

import json
import re
from pathlib import Path

from bindtune.data.protein.mmseqs import run_mmseqs
from bindtune.errors import InputError
from bindtune.io.text import line_blocks
from bindtune.outputs import output_folder
from bindtune.runs.provenance import sha256
from bindtune.runs.writing import atomic_folder, sweep
from bindtune.wrong_files import refuse_wrong_file

_TYPE = ".dbtype"
_NAME = "proteins"
_KEPT = ".mmseqs"
_ODD = re.compile(r"[^A-Za-z*\-.\s]")
_NUCLEOTIDES = re.compile(r"[ACGTUN\s]+", re.IGNORECASE)
_LOOKED_AT = 1000
LESS_MEMORY = "give it more, or lower --batch-proteins and --max-sequences"


def homolog_database(source: Path, folder: Path | None) -> tuple[Path, str, bool]:
    """The database of MMseqs2 for a path; it is made if a FASTA file has none yet.

    Args:
        source: a FASTA file, or a database of MMseqs2.
        folder: folder of the databases; by default a folder beside the file, named after it.

    Returns:
        Its path, the hash of the source, and whether it was made now.

    Raises:
        InputError: the file cannot be read or is no FASTA of proteins.
        ConfigError: MMseqs2 fails.
    """
    if source.with_name(source.name + _TYPE).is_file():
        return source, sha256(source), False
    refuse_wrong_file(source)
    content = sha256(source)
    folder = output_folder(folder or source.with_name(source.name + _KEPT))
    database = folder / content[:32]
    if database.is_dir():
        return database / _NAME, content, False
    sweep(folder)
    count = _check_proteins(source)
    with atomic_folder(database) as made:
        run_mmseqs("createdb", source, made / _NAME, "--dbtype", "1", "-v", "1", less_memory=LESS_MEMORY)
        about = {"source": str(source.absolute()), "sha256": content, "proteins": count}
        (made / "source.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return database / _NAME, content, True


def _check_proteins(source: Path) -> int:
    """The number of records of a FASTA file. MMseqs2 would read a broken FASTA file, or another file, without an error.

    Raises:
        InputError: a line stands before the first header, holds no residues, or the records are nucleotides.
    """
    count, nucleotides = 0, True
    for first, lines in line_blocks(source):
        for number, line in enumerate(lines, start=first):
            if line.startswith(">"):
                count += 1
                continue
            if not count and line.strip():
                raise InputError(source, number, f"expected '>' and a header, found {line.strip()[:20]!r}")
            if odd := _ODD.search(line):
                raise InputError(source, number, f"{odd[0]!r} at column {odd.start() + 1}, expected residues A-Z")
            if count <= _LOOKED_AT and nucleotides and line.strip():
                nucleotides = _NUCLEOTIDES.fullmatch(line) is not None
    if not count:
        raise InputError(source, None, "holds no sequence")
    if nucleotides:
        raise InputError(source, None, "holds nucleotides alone, expected proteins")
    return count
