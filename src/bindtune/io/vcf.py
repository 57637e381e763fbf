"""VCF (plain, gzip, bgzip): the first five columns of each record, and a copy of a file with one more INFO field.

Format: https://samtools.github.io/hts-specs/VCFv4.5.pdf. Only what names a variant is looked at; the other columns are
passed on as they are.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from bindtune.errors import InputError
from bindtune.io.intervals import read_position
from bindtune.io.text import check_header_end, line_blocks, name_problem

ALLELE = re.compile(r"[ACGTURYKMSWBDHVNacgturykmswbdhvn]+")
"""Letters of nucleotides, those of ambiguous ones included (IUPAC)."""
_COLUMNS = ("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO")
_LONGEST_LINE = 1 << 28
"""Bytes of a line: the genotypes of a million samples have room."""
_SHOWN = 30
_INFO_NAME = re.compile(r"##INFO=<(?:.*,)?ID=([^,>]+)")
_FIELD_NAME = re.compile(r"[A-Za-z_][0-9A-Za-z_.]*")


class VariantRecord(NamedTuple):
    """A record of a file of variants.

    Args:
        line: 1-based.
        chrom: name of the sequence.
        position: 1-based, of the first letter of `ref`; VCF allows 0 for a telomere.
        ref: the letters that the sequence has there, as they stand in the file.
        alts: other alleles, as they stand in the file: letters, or a mark such as `*` or `<DEL>`.
    """

    line: int
    chrom: str
    position: int
    ref: str
    alts: tuple[str, ...]


def unwritten(alt: str) -> str | None:
    """Why an ALT allele has no letters of its own; None where it is written in letters.

    Examples:
        >>> [unwritten(alt) for alt in ("ACG", ".", "*", "<DEL>", "G]17:198982]")]
        [None, 'no_alternative', 'spanning_deletion', 'symbolic', 'breakend']
    """
    if alt == ".":
        return "no_alternative"
    if alt == "*":
        return "spanning_deletion"
    if alt.startswith("<") and alt.endswith(">") and len(alt) > 2:
        return "symbolic"
    if "[" in alt or "]" in alt or (len(alt) > 1 and (alt[0] == "." or alt[-1] == ".")):
        return "breakend"
    return None


def check_alleles(path: Path, line: int, *, ref: str, alts: tuple[str, ...]) -> None:
    """Refuse alleles that are neither letters nor, in ALT, one of the marks of VCF.

    Raises:
        InputError: names the line and the allele.
    """
    if not ALLELE.fullmatch(ref):
        raise InputError(path, line, f"REF is {ref[:_SHOWN]!r}, expected letters of nucleotides")
    for alt in alts:
        if not ALLELE.fullmatch(alt) and (unwritten(alt) is None or name_problem(alt)):
            raise InputError(
                path, line, f"ALT is {alt[:_SHOWN]!r}, expected letters of nucleotides, '.', '*', <NAME> or a breakend"
            )


def read_vcf(path: Path) -> Iterator[VariantRecord]:
    """Read the records of a VCF one by one.

    Raises:
        InputError: names the first line that is not what the format says.
    """
    for line, text in _lines(path):
        if not text.startswith("#"):
            yield _record(path, line, text)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (1-based line, text) of every line; the header and the number of columns are checked."""
    width: int | None = None
    for first, lines in line_blocks(path, longest=_LONGEST_LINE):
        for line, text in enumerate(lines, start=first):
            if line == 1 and not text.startswith(("##fileformat=VCF", _COLUMNS[0])):
                raise InputError(path, 1, f"not VCF: expected ##fileformat=VCF, found {text[:_SHOWN]!r}")
            if text.startswith("#"):
                check_header_end(path, line, text)
                if width is not None:
                    raise InputError(path, line, "a header line behind the records' header (#CHROM)")
                if not text.startswith("##"):
                    width = _header_width(path, line, text)
            elif text:
                if width is None:
                    raise InputError(path, line, "a record before the header of the columns (#CHROM)")
                columns = text.count("\t") + 1
                if columns != width:
                    raise InputError(path, line, f"{columns} columns, where the header (#CHROM) has {width}")
            else:
                continue
            yield line, text
    if width is None:
        raise InputError(path, None, "not VCF: it has no header of the columns (#CHROM)")


def _header_width(path: Path, line: int, text: str) -> int:
    columns = text.split("\t")
    if tuple(columns[: len(_COLUMNS)]) != _COLUMNS:
        expected = " ".join(_COLUMNS)
        raise InputError(path, line, f"expected the columns {expected}, separated by tabs, found {text[:60]!r}")
    return len(columns)


def _record(path: Path, line: int, text: str) -> VariantRecord:
    chrom, position, _, ref, alt, _ = text.split("\t", 5)
    if not chrom or chrom.isspace():
        raise InputError(path, line, "CHROM is empty")
    if problem := name_problem(chrom):
        raise InputError(path, line, problem)
    number = read_position(path, line, name="POS", text=position)
    alts = tuple(alt.split(","))
    check_alleles(path, line, ref=ref, alts=alts)
    return VariantRecord(line, chrom, number, ref, alts)


def check_info_name(path: Path, name: str) -> None:
    """Refuse an INFO field that a VCF already has, in its header or in a record alone.

    Raises:
        InputError: it has; the first line is named.
    """
    if not _FIELD_NAME.fullmatch(name):
        raise InputError(path, None, f"'{name}' is no name of an INFO field, expected letters, digits, '_' and '.'")
    for line, text in _lines(path):
        if text.startswith("##"):
            field = _INFO_NAME.match(text)
            present = field is not None and field[1] == name
        else:
            present = name in text and not text.startswith("#") and name in _info_names(text)
        if present:
            raise InputError(path, line, f"has an INFO field {name} already: choose another name with --info-field")


def _info_names(record: str) -> set[str]:
    return {field.partition("=")[0] for field in record.split("\t", 8)[7].split(";")}


class _Target(Protocol):
    def write(self, content: bytes, /) -> object: ...


def annotate(path: Path, target: _Target, *, name: str, description: str, values: Iterator[list[str]]) -> None:
    """Copy a VCF with one more INFO field, a number for each ALT allele.

    Args:
        path: the VCF.
        target: where the copy goes.
        name: of the field.
        description: of the field, for its header line.
        values: for each record the text of each ALT allele's number, "." where there is none.
    """
    quoted = description.replace("\\", "\\\\").replace('"', '\\"')
    header = f'##INFO=<ID={name},Number=A,Type=Float,Description="{quoted}">\n'
    for _, text in _lines(path):
        if text.startswith("##"):
            target.write(f"{text}\n".encode())
        elif text.startswith("#"):
            target.write(f"{header}{text}\n".encode())
        else:
            columns = text.split("\t", 8)
            numbers = next(values)
            entry = f"{name}={','.join(numbers)}"
            info = columns[7]
            columns[7] = entry if info in (".", "") else f"{info.removesuffix(';')};{entry}"
            target.write(("\t".join(columns) + "\n").encode())


class BgzipWriter:
    """Writes bgzip: gzip in blocks of at most 64 KiB, which tabix can index.

    Format: section 4.1 of https://samtools.github.io/hts-specs/SAMv1.pdf.

    Args:
        target: an open file.
    """

    _BLOCK = 0xFF00
    _END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")

    def __init__(self, target: BinaryIO) -> None:
        self._target, self._waiting = target, bytearray()

    def write(self, content: bytes) -> int:
        """Write some bytes."""
        self._waiting += content
        while len(self._waiting) >= self._BLOCK:
            self._write_block(bytes(self._waiting[: self._BLOCK]))
            del self._waiting[: self._BLOCK]
        return len(content)

    def close(self) -> None:
        """Write what is left and the mark of the end; the file below stays open."""
        if self._waiting:
            self._write_block(bytes(self._waiting))
            self._waiting.clear()
        self._target.write(self._END)

    def _write_block(self, content: bytes) -> None:
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        packed = packer.compress(content) + packer.flush()
        head = struct.pack("<4BI2BH2B2H", 0x1F, 0x8B, 8, 4, 0, 0, 0xFF, 6, 0x42, 0x43, 2, len(packed) + 25)
        self._target.write(head + packed + struct.pack("<2I", zlib.crc32(content), len(content)))
