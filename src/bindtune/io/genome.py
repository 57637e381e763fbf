"""Read stretches of a genome from FASTA (plain, gzip, bgzip) or 2bit, as upper-case A, C, G, T and ambiguity letters.

pyfaidx reads FASTA with a .fai index. If the file has no usable index, one is built in a temporary folder. It is
written beside the user's file only on request. A compressed FASTA is unpacked into the temporary folder first.
"""

import errno
import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol

import numpy as np
import py2bit
from numpy.typing import NDArray
from pyfaidx import Faidx, FastaIndexingError

from bindtune.errors import InputError
from bindtune.io.fasta_index import Lines, check_index, header_line, lines_fit
from bindtune.io.text import LONE_RETURNS, check_header_end, is_gzipped, open_bytes
from bindtune.runs.writing import atomic_path
from bindtune.wrong_files import refuse_wrong_file

# Upper case, and T for the U of RNA. Other characters than IUPAC nucleotides become '!', which is then an error.
_LETTERS = b"ACGTRYKMSWBDHVN"
_COMPLEMENTS = b"TGCAYRMKSWVHDBN"
_PURIFY = bytes(
    (b"T" if chr(code) in "Uu" else chr(code).upper().encode() if chr(code).upper().encode() in _LETTERS else b"!")[0]
    if code < 128 and chr(code).isalpha()
    else ord("!")
    for code in range(256)
)
_COMPLEMENT = bytes.maketrans(_LETTERS, _COMPLEMENTS)
_TWO_BIT_MAGIC = (b"\x1a\x41\x27\x43", b"\x43\x27\x41\x1a")
_TWO_BIT_NUMBER = 0x1A412743
_LEAST_ENTRY = 6  # bytes of a sequence with a name of one letter in the index of a 2bit file
_UNPACK_BLOCK = 1 << 20


def purify(letters: bytes, *, path: Path, name: str, start: int) -> bytes:
    """Upper-case letters with T for U.

    Args:
        letters: letters of the file; line endings are removed.
        path: the file, for messages.
        name: the sequence, for messages.
        start: 0-based position of the first letter, for messages.

    Raises:
        InputError: a character is not a nucleotide letter.
    """
    pure = letters.translate(_PURIFY, b"\r\n")
    bad = pure.find(b"!")
    if bad >= 0:
        letter = letters.translate(None, b"\r\n")[bad : bad + 1].decode("latin-1")
        raise InputError(path, None, f"{name}, position {start + bad + 1}: {letter!r} is not a nucleotide letter")
    return pure


def reverse_complement(letters: bytes) -> bytes:
    """The other strand in its own direction; ambiguity letters are complemented after IUPAC."""
    # numpy reverses bytes faster than a slice does.
    return np.frombuffer(letters.translate(_COMPLEMENT), np.uint8)[::-1].tobytes()


class Genome(Protocol):
    """Named sequences that can be read in part."""

    sizes: dict[str, int]

    def fetch(self, name: str, *, start: int, end: int) -> bytes:
        """Upper-case plus-strand letters of [start, end), which must lie in the sequence and not be empty."""

    def close(self) -> None:
        """Close the file."""


class TwoBitGenome:
    """A genome in UCSC's 2bit format."""

    def __init__(self, path: Path) -> None:
        _check_two_bit(path)  # py2bit does not check the file
        try:
            self._file = py2bit.open(str(path))
        except RuntimeError as error:
            raise InputError(path, None, f"damaged 2bit file: {error}") from error
        self.path = path
        self.sizes: dict[str, int] = dict(self._file.chroms())

    def fetch(self, name: str, *, start: int, end: int) -> bytes:
        """Upper-case plus-strand letters of [start, end)."""
        try:
            letters = self._file.sequence(name, start, end).encode()
        except RuntimeError as error:
            raise InputError(self.path, None, f"damaged 2bit file: {name}:{start}-{end}: {error}") from error
        return purify(letters, path=self.path, name=name, start=start)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _check_two_bit(path: Path) -> None:
    """Refuse a 2bit file with positions outside the file, or with a repeated name.

    Format: https://genome.ucsc.edu/FAQ/FAQformat.html#format7.
    """
    size = path.stat().st_size
    with path.open("rb") as handle:
        magic, version, count, _ = _words(path, handle, 4).tolist()
        if magic != _TWO_BIT_NUMBER or version:
            kind = "is big-endian" if magic != _TWO_BIT_NUMBER else f"is of version {version}"
            advice = "`twoBitToFa` makes a FASTA of it"
            raise InputError(path, None, f"2bit that {kind}; little-endian files of version 0 are read, {advice}")
        if not count or count * _LEAST_ENTRY > size:
            raise InputError(path, None, f"damaged 2bit file: it is of {size:,} bytes and holds {count:,} sequences")
        offsets: dict[str, int] = {}
        for _ in range(count):
            name = handle.read(handle.read(1)[0] if handle.tell() < size else 0).decode("latin-1")
            if not (name.isascii() and name.isprintable() and name) or name in offsets:
                raise InputError(path, None, f"damaged 2bit file: {name!r} comes twice or is no name of a sequence")
            (offsets[name],) = _words(path, handle, 1).tolist()
        described = 0
        for name, offset in offsets.items():
            handle.seek(offset)
            length, unknown = _words(path, handle, 2).tolist()
            starts, sizes = _words(path, handle, 2 * unknown).astype(np.int64).reshape(2, unknown)
            (masked,) = _words(path, handle, 1).tolist()
            handle.seek(8 * masked, os.SEEK_CUR)
            _words(path, handle, 1)
            ends = starts + sizes
            if handle.tell() + (length + 3) // 4 > size or (ends > length).any() or (starts[1:] < ends[:-1]).any():
                raise InputError(path, None, f"damaged 2bit file: {name} does not fit into it")
            described += 8 * (unknown + masked) + (length + 3) // 4
            if described > size:  # many entries could share one large sequence
                raise InputError(path, None, f"damaged 2bit file: of {size:,} bytes, {name} and those before need more")


def _words(path: Path, handle: BinaryIO, count: int) -> NDArray[np.uint32]:
    """The next numbers of a 2bit file."""
    size = 4 * count
    if handle.tell() + size > path.stat().st_size:
        raise InputError(path, None, "damaged 2bit file: it ends too early")
    return np.frombuffer(handle.read(size), "<u4")


class FastaGenome:
    """A genome in FASTA with an index; a stretch is read where the index says its lines lie.

    Args:
        path: what the user gave, for messages.
        fasta: the plain FASTA, which differs from `path` where that one is compressed.
        index: its .fai, built where it is missing.
    """

    def __init__(self, path: Path, *, fasta: Path, index: Path) -> None:
        built_before = index.exists()
        try:
            with Faidx(str(fasta), indexname=str(index), rebuild=False, build_index=True) as faidx:
                records = dict(faidx.index)
        except (FastaIndexingError, ValueError, LookupError, RuntimeError) as error:
            line = re.search(r"at line (\d+)", str(error))
            ragged = re.search(r"Unhandled exception during fasta indexing at entry (.*)Please report", str(error))
            reason = f"lines of different length in {ragged.group(1)}" if ragged else str(error)
            problem = " ".join(reason.replace(str(fasta), path.name).split())
            where = index if built_before else path
            raise InputError(where, int(line.group(1)) if line else None, f"not indexable FASTA: {problem}") from error
        self.path = path
        self.sizes = {name: record.rlen for name, record in records.items()}
        self._lines = {name: Lines(each.offset, each.rlen, each.lenc, each.lenb) for name, each in records.items()}
        self._handle = fasta.open("rb")
        for name, lines in self._lines.items():
            if not lines.letters and b"\r" in header_line(self._handle, lines.offset).rstrip(
                b"\r\n"
            ):  # the sequence is taken for its header
                self._handle.close()
                raise InputError(path, None, f"{name}: {LONE_RETURNS}")
        self._index = index if built_before else path
        self._misfit = "not indexable FASTA: lines of different length in {name}"
        if built_before:
            self._misfit = f"does not fit {path.name} in {{name}}: delete it, or index the file again"
        self._checked: set[str] = set()

    def fetch(self, name: str, *, start: int, end: int) -> bytes:
        """Upper-case plus-strand letters of [start, end); the first read of a sequence checks its lines.

        Raises:
            InputError: the sequence's lines differ from the index, or a character is not a nucleotide letter.
        """
        lines = self._lines[name]
        if name not in self._checked:
            if not lines_fit(self._handle, lines):
                raise InputError(self._index, None, self._misfit.format(name=name))
            self._checked.add(name)
        first, last = lines.byte(start), lines.byte(end - 1) + 1
        self._handle.seek(first)
        letters = purify(self._handle.read(last - first), path=self.path, name=name, start=start)
        if len(letters) != end - start:
            raise InputError(self.path, None, f"{name}:{start}-{end} has {len(letters)} letters: it changed meanwhile")
        return letters

    def close(self) -> None:
        """Close the file."""
        self._handle.close()


class GenomeFile:
    """Open a genome of any format for a `with` block.

    Args:
        path: FASTA (plain, gzip or bgzip) or 2bit.
        write_index: write a new FASTA index beside the file, as samtools does.
        notify: gets one sentence about each slow step and each written file.
    """

    def __init__(self, path: Path, *, write_index: bool, notify: Callable[[str], None]) -> None:
        self._path, self._write_index, self._notify = path, write_index, notify

    def __enter__(self) -> Genome:
        # The unpacked file is deleted while its handle stays open, so a killed run leaves no file.
        with tempfile.TemporaryDirectory(prefix="bindtune-genome-") as folder:
            self._folder = Path(folder)
            self._genome = self._open()
        return self._genome

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._genome.close()

    def _open(self) -> Genome:
        refuse_wrong_file(self._path)
        compressed = is_gzipped(self._path)
        with self._path.open("rb") as handle:
            start = handle.read(4)
        if start in _TWO_BIT_MAGIC:
            return TwoBitGenome(self._path)
        fasta = self._unpacked() if compressed else self._path
        _check_first_line(self._path, fasta)
        beside = self._path.with_name(self._path.name + ".fai")
        indexed = _modified(beside)
        if not compressed and indexed is not None and indexed >= fasta.stat().st_mtime:
            check_index(beside, fasta)
            return FastaGenome(self._path, fasta=fasta, index=beside)
        if self._write_index and not compressed:
            self._notify(f"writing the index {beside}")
            return self._with_new_index(fasta, keep=beside)
        why = "is older than the file" if indexed is not None and not compressed else "is missing"
        if not compressed:
            self._notify(f"{beside.name} {why}: building a temporary index (--write-index keeps one beside the genome)")
        return self._with_new_index(fasta, keep=None)

    def _with_new_index(self, fasta: Path, *, keep: Path | None) -> Genome:
        index = self._folder / "genome.fa.fai"
        genome = FastaGenome(self._path, fasta=fasta, index=index)
        if keep is not None:
            try:
                with atomic_path(keep) as temporary:
                    shutil.copyfile(index, temporary)
            except OSError as error:
                raise InputError(keep, None, f"cannot be written: {error.strerror or error}") from error
        return genome

    def _unpacked(self) -> Path:
        """Unpack a compressed FASTA; bgzip is a kind of gzip and needs no own case."""
        plain = self._folder / "genome.fa"
        self._notify(f"unpacking {self._path} into {self._folder} for this run (a plain FASTA or a 2bit is faster)")
        try:
            with open_bytes(self._path) as source, plain.open("wb") as target:
                shutil.copyfileobj(source, target, _UNPACK_BLOCK)
        except (EOFError, zlib.error) as error:
            raise InputError(self._path, None, f"gzip data is damaged or cut short: {error}") from error
        except OSError as error:
            raise InputError(self._path, None, f"cannot be unpacked into {self._folder}: {error}") from error
        return plain


def _modified(path: Path) -> float | None:
    """Time of the last change of a file; None if it is missing, or its name is too long."""
    try:
        return path.stat().st_mtime
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENAMETOOLONG):
            raise
        return None


def _check_first_line(path: Path, fasta: Path) -> None:
    with fasta.open("rb") as handle:
        for number in range(1, 1001):
            line = handle.readline(_UNPACK_BLOCK)
            if line.strip():
                if not line.startswith(b">"):
                    beginning = line[:20].decode("latin-1").rstrip()
                    raise InputError(path, number, f"not FASTA or 2bit: expected '>', found {beginning!r}")
                check_header_end(path, number, line.decode("latin-1"))
                return
    raise InputError(path, 1, "holds no FASTA records")
