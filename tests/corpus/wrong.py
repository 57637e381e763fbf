"""Files of another kind altogether, given to every reader of text, of genomes and of documents."""

import gzip

from corpus.case import Case

READ_AS_TEXT = (
    "peaks",
    "peaks of eCLIP",
    "regions BED",
    "genes",
    "region FASTA",
    "genome FASTA",
    "chromosome aliases",
    "training records",
    "protein FASTA",
    "label FASTA",
    "A3M",
    "VCF",
    "variant table",
    "cluster table",
    "folds",
    "PDB",
    "mmCIF",
    "entry in PDB",
    "entry in mmCIF",
    "BioLiP",
    "UniProt text",
    "table of a tool",
    "LMetalSite",
    "training proteins of a tool",
    "settings of windows",
    "settings of train",
    "run JSON",
    "run YAML",
)
_TEXT = "chr1\t1\t9\n" * 9
_KINDS: dict[str, tuple[bytes, str]] = {
    "bigBed": (b"\xeb\xf2\x89\x87\x04\x00" + bytes(90), ": is a bigBed file: `bigBedToBed` makes BED of it"),
    "bigBed of the other byte order": (b"\x87\x89\xf2\xeb\x00\x04" + bytes(90), ": is a bigBed file"),
    "bigWig": (b"\x26\xfc\x8f\x88\x04\x00" + bytes(90), ": is a bigWig file"),
    "UTF-16": (_TEXT.encode("utf-16"), ": is text in UTF-16, expected UTF-8: `iconv"),
    "UTF-16 without a mark": (_TEXT.encode("utf-16-le"), ": is text in UTF-16"),
    "UTF-16, big-endian": (b"\xfe\xff" + _TEXT.encode("utf-16-be"), ": is text in UTF-16"),
    "a page": (b"<!DOCTYPE html>\n<html><body>404</body></html>\n", ": is a page of HTML or XML, as a server sends"),
    "a page after blank lines": (b"\n\n  <HTML lang=en>\n<head>", ": is a page of HTML or XML"),
    "an error in XML": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", ": is a page of HTML or XML"),
    "a pointer of Git LFS": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n",
        ": is a pointer of Git LFS, not the file: `git lfs pull`",
    ),
    "BinaryCIF": (
        b"\x83\xa7encoder\xb6mol*/ciftools cif2bcif\xa7version\xa50.3.0\xaadataBlocks\x91",
        ": is BinaryCIF, expected text: .*mmCIF",
    ),
    "a spreadsheet": (b"PK\x03\x04\x14\x00" + bytes(90), ": is a zip archive"),
    "xz": (b"\xfd7zXZ\x00\x00\x04" + bytes(90), ": is packed by xz, expected text or gzip"),
    "bzip2": (b"BZh91AY&SY" + bytes(90), ": is packed by bzip2"),
}
_PACKED = {
    "gzip of a page": (gzip.compress(_KINDS["a page"][0]), ": is a page of HTML or XML"),
    "BAM": (gzip.compress(b"BAM\x01" + bytes(90)), ": is a BAM file, expected text"),
}
_POINTER = "a pointer of Git LFS"
CASES = [
    *(Case(format, _POINTER, *_KINDS[_POINTER]) for format in ("out-of-fold table", "record losses", "predictions")),
    *(
        Case(format, name, content, problem)
        for format in READ_AS_TEXT
        for name, (content, problem) in (_KINDS | _PACKED).items()
        # Documents are never packed.
        if name not in _PACKED or not format.startswith(("settings", "run"))
    ),
]
