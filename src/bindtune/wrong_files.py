"""Files that are taken for data by mistake, known by how they begin: every reader says what they are."""

import gzip
import re
import zlib
from pathlib import Path

from bindtune.errors import InputError

_HEAD = 512
_GZIP = b"\x1f\x8b"
_BINARY: tuple[tuple[bytes, str], ...] = (
    (b"\xeb\xf2\x89\x87", "is a bigBed file: `bigBedToBed` makes BED of it"),
    (b"\x87\x89\xf2\xeb", "is a bigBed file: `bigBedToBed` makes BED of it"),
    (b"\x26\xfc\x8f\x88", "is a bigWig file, which holds a signal and no intervals or sequences"),
    (b"\x88\x8f\xfc\x26", "is a bigWig file, which holds a signal and no intervals or sequences"),
    (
        b"version https://git-lfs.github.com/spec/",
        "is a pointer of Git LFS, not the file: `git lfs pull` gets that",
    ),
    (b"BAM\x01", "is a BAM file, expected text"),
    (b"PK\x03\x04", "is a zip archive (a spreadsheet is one, too), expected text or gzip"),
    (b"\xfd7zXZ\x00", "is packed by xz, expected text or gzip: `xz -d` unpacks it"),
    (b"BZh", "is packed by bzip2, expected text or gzip: `bzip2 -d` unpacks it"),
    (b"\x28\xb5\x2f\xfd", "is packed by zstd, expected text or gzip: `zstd -d` unpacks it"),
    (b"%PDF-", "is a PDF, expected text"),
)
# A map of MessagePack with the keys of https://github.com/molstar/BinaryCIF, in any order.
_BINARY_CIF = re.compile(rb"[\x81-\x8f]\xa7(?:encoder|version)|[\x81-\x8f]\xaadataBlocks")
_PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype\s|html[\s>]|head[\s>]|\?xml\s)", re.IGNORECASE)
_UTF_16 = re.compile(rb"(?:\xff\xfe|\xfe\xff)?(?:(?:[^\0]\0){3}|(?:\0[^\0]){3})")
# bin chrom start end, or bin name chrom strand start end: the tables of UCSC's browser as they are dumped.
_BIN = re.compile(r"\d+\t(?:(?=\S*[^\d\s])\S+\t\d+\t\d+(?:\t|$)|\S+\t(?=\S*[^\d\s])\S+\t[-+]\t\d+\t\d+\t)")


def refuse_wrong_file(path: Path) -> None:
    """Look at the first bytes, of gzip at those of its content.

    A file that cannot be opened, or is damaged, passes: its reader says so.

    Raises:
        InputError: the file is a folder, or known to be of another kind.
    """
    try:
        if path.is_dir():
            raise InputError(path, None, "is a folder, expected a file")
        with path.open("rb") as handle:
            head = handle.read(_HEAD)
        if head.startswith(_GZIP):
            with gzip.open(path, "rb") as unpacked:
                head = unpacked.read(_HEAD)
    except (OSError, EOFError, zlib.error):
        return
    for start, problem in _BINARY:
        if head.startswith(start):
            raise InputError(path, None, problem)
    if _BINARY_CIF.match(head):
        raise InputError(path, None, "is BinaryCIF, expected text: the same databases have mmCIF (.cif) and PDB files")
    if _UTF_16.match(head):
        raise InputError(path, None, "is text in UTF-16, expected UTF-8: `iconv -f UTF-16 -t UTF-8` writes it anew")
    if _PAGE.match(head):
        raise InputError(path, None, "is a page of HTML or XML, as a server sends where it has no file: fetch it again")


def refuse_bin_column(path: Path, line: int, text: str) -> None:
    """Refuse a line of a table of UCSC's browser that begins with the number of a bin.

    Raises:
        InputError: it is one.
    """
    if _BIN.match(text):
        problem = "a table of UCSC's browser with a bin column in front, expected the chromosome there"
        raise InputError(path, line, f"{problem}: `cut -f 2-` removes it")
