"""Variants of DNA: VCF and tables."""

from corpus.case import looks, read, refused, wrecks
from corpus.valid import VARIANT_TABLE, VCF

_RECORDS = [(4, "chr1", 5, "A", ("C", "G")), (5, "chr1", 7, "acg", ("A", "*", "<DEL>")), (6, "chr2", 0, "N", (".",))]
_HEAD = VCF[: VCF.index(b"chr1")]


def _row(names: bytes) -> bytes:
    """A VCF of one record with these first five columns."""
    return _HEAD + names + b"\t.\t.\t.\t.\t.\n"


_TABLE = [(2, "chr1", 5, "A", ("C",)), (3, "chr2", 9, "GT", ("G", "GTA"))]
_CUT = r":\d+: gzip data is damaged"
CASES = [
    *looks("VCF", VCF, _RECORDS),
    *wrecks(
        "VCF", VCF, empty=": not VCF: it has no header", only_blank=":1: not VCF: expected ##fileformat=VCF",
        binary=":6: not text", cut=_CUT,
    ),
    *read(
        "VCF",
        {
            "no records": (_HEAD, []),
            "no genotypes": (
                b"##fileformat=VCFv4.5\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\nx:1\t1\t.\tA\tC\t.\t.\t.\n",
                [(3, "x:1", 1, "A", ("C",))],
            ),
            "a breakend": (_row(b"chr1\t5\t.\tA\tA]chr2:9]"), [(4, "chr1", 5, "A", ("A]chr2:9]",))]),
            "letters of several nucleotides": (_row(b"chr1\t5\t.\tR\tY"), [(4, "chr1", 5, "R", ("Y",))]),
        },
    ),
    *refused(
        "VCF",
        {
            "BED": (b"chr1\t1\t9\n", ":1: not VCF: expected ##fileformat=VCF, found 'chr1"),
            "no header": (b"##fileformat=VCFv4.2\nchr1\t5\t.\tA\tC\t.\t.\t.\n", ":2: a record before the header"),
            "a header of blanks": (VCF.replace(b"#CHROM\tPOS", b"#CHROM POS"), ":3: expected the columns #CHROM POS"),
            "carriage returns alone": (VCF.replace(b"\n", b"\r"), ":1: lines end in carriage returns alone"),
            "a column less": (_row(b"chr1\t5\t.\tA"), r":4: 9 columns, where the header \(#CHROM\) has 10"),
            "a position of 5000 digits": (_row(b"chr1\t" + b"9" * 5000 + b"\t.\tA\tC"), ":4: POS 9+ is gr"),
            "a position before 0": (_row(b"chr1\t-5\t.\tA\tC"), ":4: POS is not a whole number: '-5'"),
            "no REF": (_row(b"chr1\t5\t.\t\tC"), ":4: REF is '', expected letters"),
            "a dash for REF": (_row(b"chr1\t5\t.\t-\tC"), ":4: REF is '-', expected letters"),
            "a dash for ALT": (_row(b"chr1\t5\t.\tC\t-"), ":4: ALT is '-', expected letters"),
            "an empty ALT": (_row(b"chr1\t5\t.\tC\tA,,G"), ":4: ALT is '', expected letters"),
            "letters of a protein": (_row(b"chr1\t5\t.\tQ\tL"), ":4: REF is 'Q', expected letters"),
            "an escape in a name": (_row(b"chr\x1b1\t5\t.\tA\tC"), ":4: .*control character"),
            "an escape in ALT": (_row(b"chr1\t5\t.\tA\t<\x1b>"), ":4: ALT is "),
        },
    ),
    *looks("variant table", VARIANT_TABLE, _TABLE),
    *wrecks("variant table", VARIANT_TABLE, empty=": holds no variant", binary=":3: not text", cut=_CUT),
    *read(
        "variant table",
        {
            "no header": (b"chr1\t5\tA\tC\n", [(1, "chr1", 5, "A", ("C",))]),
            "blanks": (b"chr1 5 A C\n", [(1, "chr1", 5, "A", ("C",))]),
            "a formula for a name": (b"chrom\tpos\tref\talt\n'=1\t5\tA\tC\n", [(2, "=1", 5, "A", ("C",))]),
        },
    ),
    *refused(
        "variant table",
        {
            "three columns": (b"chr1\t5\tA\n", ":1: .* separated by tabs or blanks, found 3 columns"),
            "commas": (b"chrom,pos,ref,alt\nchr1,5,A,C\n", ":1: .* separated by tabs or blanks, found 1"),
            "a header without alt": (b"chrom\tpos\tref\n", ":1: the header has no column alt"),
            "a column twice": (b"chrom\tpos\tref\talt\tpos\n", ":1: the header has two columns pos"),
            "a position with a comma": (b"chr1\t5,000\tA\tC\n", ":1: pos is not a whole number: '5,000'"),
            "another alphabet": (b"chr1\t5\tA\tE\n", ":1: ALT is 'E', expected letters"),
        },
    ),
]  # fmt: skip
