"""Peaks, regions, genes, genomes and the names of chromosomes."""

import gzip
import math
import struct

from corpus.case import looks, read, refused, wrecks
from corpus.readers import GENOME
from corpus.valid import (
    ALIASES,
    BED12,
    BROAD,
    ECLIP,
    GFF3,
    GTF,
    INDEX,
    NARROW,
    PEAKS,
    REGION_FASTA,
    REGIONS,
    TWO_BIT,
    bgzip,
    two_bit,
)

_ROWS = [("chr1", 10, 20, 1, 1), ("chr2", 0, 8, -1, 2), ("chr1", 5, 9, 0, 3)]
_PEAKS = (_ROWS, {"score": [3.5, -1000.0, 0.0]})
_HEADED = [(*row[:-1], row[-1] + 4) for row in _ROWS]
IDR = (
    b"chr1\t10\t20\t.\t540\t.\t4.5\t-1\t1.5\t5\t1.20\t2.31\t11\t20\t4.5\t15\t10\t19\t5.5\t14\n"
    b"chr2\t0\t8\t.\t1000\t+\t7.0\t3.0\t-1\t4\tinf\t5.00\t0\t8\t7.0\t4\t0\t7\t6.5\t3.25\n"
)
_ONE = ([("chr1", 1, 9, 0, 1)], {})
_GENES = [("chr1", 10, 20, 1, 2), ("chr2", 0, 8, -1, 4)]
_REGIONS = [("chr1", 0, 20, 1, 1), ("chr2", 1, 7, -1, 2)]
_LETTERS = {"chr1": "ACGTACGTACACGTACGTACACGTA", "chr2": "GGGGCCCC"}
_HUGE = 10**18

PEAK_CASES = [
    *looks("peaks", PEAKS, _PEAKS),
    *wrecks("peaks", PEAKS, empty="", binary=":3: not text", cut=r":\d+: gzip data is damaged or cut short"),
    *read(
        "peaks",
        {
            "headers and comments": (
                b"track name=x type=bed\nbrowser position chr1:1-2\n# a comment\n\n" + PEAKS,
                (_HEADED, _PEAKS[1]),
            ),
            "a tab after track": (b"track\tname=x\n#\n#\n#\n" + PEAKS, (_HEADED, _PEAKS[1])),
            "a header in the middle": (
                b"chr1\t1\t9\ntrack name=y\nchr1\t2\t8\n",
                ([("chr1", 1, 9, 0, 1), ("chr1", 2, 8, 0, 3)], {}),
            ),
            "a chromosome called track": (b"track\t1\t9\n", ([("track", 1, 9, 0, 1)], {})),
            "blanks for tabs": (PEAKS.replace(b"\t", b"  "), _PEAKS),
            "blanks in a name": (b"chr1\t10\t20\ta b\t1\t+\n", ([("chr1", 10, 20, 1, 1)], {"score": [1.0]})),
            "three columns": (b"chr1\t1\t9\n", _ONE),
            "no score": (b"chr1\t1\t9\tn\t.\t+\n", ([("chr1", 1, 9, 1, 1)], {"score": [math.nan]})),
            "scores as floats": (
                b"chr1\t1\t9\tn\t1e-5\t+\nchr1\t1\t9\tn\t.5\t+\n",
                ([("chr1", 1, 9, 1, 1), ("chr1", 1, 9, 1, 2)], {"score": [1e-5, 0.5]}),
            ),
            "BED12": (BED12, ([("chr1", 100, 200, -1, 1)], {"score": [7.5]})),
            "ten columns are narrowPeak": (
                NARROW,
                (
                    [*_ROWS[:1], ("chr2", 0, 8, 0, 2)],
                    {"score": [1000.0, 0.0], "enrichment": [4.5, 1.5], "p_value": [3.1, 2.0], "q_value": [-1.0, 0.5]},
                ),
            ),
            "nine columns with numbers are broadPeak": (
                BROAD,
                (_ROWS[:1], {"score": [100.0], "enrichment": [4.5], "p_value": [3.1], "q_value": [-1.0]}),
            ),
            "twenty columns are IDR's narrowPeak": (
                IDR,
                (
                    [("chr1", 10, 20, 0, 1), ("chr2", 0, 8, 1, 2)],
                    {
                        "score": [540.0, 1000.0],
                        "enrichment": [4.5, 7.0],
                        "p_value": [-1.0, 3.0],
                        "q_value": [1.5, -1.0],
                    },
                ),
            ),
            "seventeen columns are IDR's broadPeak": (
                b"chr1\t10\t20\t.\t540\t.\t4.5\t3.1\t1.5\t1.2\t2.3\t11\t20\t4.5\t10\t19\t5.5\n",
                (
                    [("chr1", 10, 20, 0, 1)],
                    {"score": [540.0], "enrichment": [4.5], "p_value": [3.1], "q_value": [1.5]},
                ),
            ),
            "leading zeros": (b"chr1\t0001\t0009\n", _ONE),
            "the last position": (f"chr1\t1\t{10**12}\n", ([("chr1", 1, 10**12, 0, 1)], {})),
            "the same line twice": (b"chr1\t1\t9\nchr1\t1\t9\n", ([("chr1", 1, 9, 0, 1), ("chr1", 1, 9, 0, 2)], {})),
            "only comments": (b"# nothing\n", ([], {})),
            "empty": (b"", ([], {})),
            "only blank lines": (b"\n \n\n", ([], {})),
            "lone carriage returns in a comment": (b"# a\rb\nchr1\t1\t9\n", ([("chr1", 1, 9, 0, 2)], {})),
        },
    ),
    *refused(
        "peaks",
        {
            "negative start": (PEAKS + b"chr1\t-5\t5\tp\t1\t+\n", ":4: start -5 is negative"),
            "negative end": (b"chr1\t5\t-9\n", ":1: end -9 is negative"),
            "end before start": (PEAKS + b"chr1\t1250\t1200\tp\t1\t+\n", ":4: end 1200 is not greater than start 1250"),
            "empty peak": (b"chr1\t5\t5\n", ":1: end 5 is not greater than start 5"),
            "a start beyond every chromosome": (
                f"chr1\t{_HUGE}\t{_HUGE + 1}\n",
                f":1: start {_HUGE} is greater than 1,000,000,000,000",
            ),
            "an end of thirty digits": (b"chr1\t5\t" + b"9" * 30 + b"\n", r":1: end 9{30} is greater than"),
            "an end of 5000 digits": (b"chr1\t5\t" + b"9" * 5000 + b"\n", r":1: end 9{30} is greater than"),
            "a float for a position": (PEAKS + b"chr1\t1e3\t2000\tp\t1\t+\n", ":4: start is not a whole number: '1e3'"),
            "a hexadecimal position": (b"chr1\t0x10\t0x20\n", ":1: start is not a whole number: '0x10'"),
            "a blank before a position": (b"chr1\t 10\t20\n", ":1: start is not a whole number: ' 10'"),
            "digits of another script": ("chr1\t\u0661\t\u0669\n", ":1: start is not a whole number"),
            "minus zero": (b"chr1\t-0\t9\n", ":1: start -0 is negative"),
            "a header without #": (
                b"chrom\tstart\tend\n" + PEAKS,
                ":1: start is not a whole number: 'start'; a header line must begin with '#'",
            ),
            "two columns": (b"# x\nchr1\t5\n", ":2: expected at least 3 columns .* found 2"),
            "thirteen columns": (
                b"chr1\t5\t9" + b"\t0" * 10,
                ":1: BED has at most 12 columns, found 13; .* --peak-format",
            ),
            "a line with fewer columns": (PEAKS + b"chr1\t5\t9\n", ":4: 3 columns, where the first line has 6"),
            "IDR's columns with a word": (IDR.replace(b"7.0", b"high"), ":2: column 7 is not a number: 'high'"),
            "IDR's columns cut in a line": (IDR[:-6], ":2: 19 columns, where the first line has 20"),
            "a line with more columns": (b"chr1\t5\t9\nchr1\t5\t9\tn\n", ":2: 4 columns, where the first line has 3"),
            "a cut last line": (PEAKS[:-5], ":3: 4 columns, where the first line has 6"),
            "commas for tabs": (b"chr1,10,20\n", ":1: expected at least 3 columns .* found 1"),
            "unknown strand": (PEAKS + b"chr1\t5\t9\tp\t1\t*\n", r":4: strand is '\*', expected"),
            "a score that is a word": (PEAKS + b"chr1\t5\t9\tp\thigh\t+\n", ":4: column 5 is not a number: 'high'"),
            "an infinite score": (b"chr1\t5\t9\tp\tinf\t+\n", ":1: column 5 is not a number: 'inf'"),
            "a score with an underscore": (b"chr1\t5\t9\tp\t1_0\t+\n", ":1: column 5 is not a number: '1_0'"),
            "no chromosome": (PEAKS + b"\t5\t9\tp\t1\t+\n", ":4: the chromosome name is empty"),
            "a UCSC table with a bin column": (
                b"#bin\tchrom\tchromStart\tchromEnd\n585\tchr1\t10\t20\tx\t0\t+\n",
                ":2: a table of UCSC's browser with a bin column in front, .* `cut -f 2-` removes it",
            ),
            "a bin column and three others": (
                b"585\tchr1\t10\t20\n",
                ":1: a table of UCSC's browser with a bin column",
            ),
            "genes with a bin column": (
                b"585\tNR_046018\tchr1\t+\t11873\t14409\t14409\t14409\t3\t1,2,3,\t4,5,6,\t0\tDDX\tunk\tunk\t-1,\n",
                ":1: a table of UCSC's browser with a bin column",
            ),
            "lone carriage returns": (PEAKS.replace(b"\n", b"\r"), ":1: "),
            "a line of 17 million letters": (
                lambda: b"chr1\t1\t9\t" + b"A" * 17_000_000,
                ":1: a line of more than 16,777,216 bytes",
            ),
            "gzip of a line without end": (
                lambda: gzip.compress(b"chr1\t1\t9\n" + bytes(17_000_000), 1),
                ":2: a line of more than",
            ),
            "NUL bytes": (b"chr1\0\t1\t2\0\n", ":1: end is not a whole number"),
        },
    ),
    *refused("peaks", {"cut narrowPeak": (NARROW[:30], ":1: narrowPeak has 10 columns, found 9")}, file="p.narrowPeak"),
    *refused(
        "peaks",
        {"a word as p value": (NARROW.replace(b"3.1", b"low"), ":1: column 8 is not a number: 'low'")},
        file="p.narrowPeak.gz",
    ),
    *refused(
        "peaks",
        {"eight columns": (b"chr1\t1\t9\tn\t0\t.\t1\t2\n", ":1: broadPeak has 9 columns, found 8")},
        file="p.broadPeak",
    ),
]
_ECLIP_ROWS = [("chr1", 10, 20, 1, 1), ("chr2", 0, 8, -1, 2)]
_FOLDS = [3.5, -0.001]

ECLIP_CASES = [
    *looks("peaks of eCLIP", ECLIP, (_ECLIP_ROWS, {"score": _FOLDS, "p_value": [400.0, 2.75], "enrichment": _FOLDS})),
    *read(
        "peaks of eCLIP",
        {
            "columns that narrowPeak has elsewhere": (
                b"chr1\t10\t20\t5.5\t100\t+\t4.5\t3.1\t-1\t4\n",
                (_ROWS[:1], {"score": [100.0], "enrichment": [100.0], "p_value": [5.5], "q_value": [-1.0]}),
            ),
            "a value that is missing": (
                b"chr1\t10\t20\t.\t1\t+\n",
                (_ROWS[:1], {"score": [1.0], "p_value": [math.nan], "enrichment": [1.0]}),
            ),
        },
    ),
    *refused(
        "peaks of eCLIP",
        {
            "names for p values": (PEAKS, ":1: column 4 is not a number: 'p1'; --p-value-column says that the p_value"),
            "a name in the last line": (
                ECLIP + b"chr1\t5\t9\tx\t0\t.\n",
                ":3: column 4 is not a number: 'x'; --p-value-column says",
            ),
            "an empty name": (ECLIP + b"chr1\t5\t9\t\t0\t.\n", ":3: column 4 is not a number: ''; --p-value-column"),
            "a name of 1,000 letters": (
                b"chr1\t5\t9\t" + b"A" * 1000 + b"\t0\t.\n",
                r":1: column 4 is not a number: 'A{50}'; --p-value-column",
            ),
            "an infinite p value": (ECLIP.replace(b"400.0", b"inf"), ":1: column 4 is not a number: 'inf'; --p-value"),
            "a word for the fold change": (ECLIP.replace(b"3.5", b"high"), ":1: column 5 is not a number: 'high'"),
            "four columns": (
                b"chr1\t5\t9\t3\n",
                ":1: found 4 columns, expected the enrichment in column 5: see --enrichment-column",
            ),
        },
    ),
]
# Peaks may be missing here (the command says so); an empty table is a value, and stands above.
PEAK_CASES = [case for case in PEAK_CASES if case.problem != ""]

REGION_CASES = [
    *looks("regions BED", REGIONS, _REGIONS),
    *read(
        "regions BED",
        {
            "words in column 5": (b"chr1\t1\t2\tE\tlncRNA\t-\n", [("chr1", 1, 2, -1, 1)]),
            "nine columns": (b"chr1\t1\t9\t.\t0\t.\t4.5\t6.0\t2.5\n", [("chr1", 1, 9, 0, 1)]),
            "ten columns": (b"chr1\t1\t9\t.\t0\t.\t4.5\t6.0\t2.5\t3\n", [("chr1", 1, 9, 0, 1)]),
        },
    ),
    *refused(
        "regions BED",
        {
            "empty region": (REGIONS + b"chr1\t7\t7\tn\t0\t+\n", ":3: end 7 is not greater than start 7"),
            "unknown strand": (b"chr1\t1\t2\tE\t\tplus\n", ":1: strand is 'plus'"),
            "a start beyond every chromosome": (
                f"chr1\t{_HUGE}\t{_HUGE + 9}\n",
                ":1: start 1000000000000000000 is greater",
            ),
        },
    ),
]


def _gene(**changes: str) -> bytes:
    fields = {
        "chrom": "chr1",
        "source": "x",
        "feature": "gene",
        "first": "11",
        "last": "20",
        "score": ".",
        "strand": "+",
        "frame": ".",
        "attributes": 'gene_id "G";',
        **changes,
    }
    return ("\t".join(fields.values()) + "\n").encode()


GENE_CASES = [
    *looks("genes", GTF, _GENES),
    *wrecks(
        "genes",
        GTF,
        empty=": holds no annotation lines",
        binary=":4: not text",
        cut=r":\d+: gzip data is damaged or cut short",
    ),
    *read(
        "genes",
        {
            "blank lines between": (
                b"\n" + GTF.replace(b"\n", b"\n\n"),
                [("chr1", 10, 20, 1, 4), ("chr2", 0, 8, -1, 8)],
            ),
            "one letter": (_gene(first="5", last="5"), [("chr1", 4, 5, 1, 1)]),
            "no strand": (_gene(strand="?"), [("chr1", 10, 20, 0, 1)]),
            "sequences after ##FASTA": (_gene() + b"##FASTA\n>chr1\nACGT\n", [("chr1", 10, 20, 1, 1)]),
            "### between genes": (_gene() + b"###\n" + _gene(), [("chr1", 10, 20, 1, 1), ("chr1", 10, 20, 1, 3)]),
            "no attributes": (_gene(attributes=""), [("chr1", 10, 20, 1, 1)]),
        },
    ),
    *refused(
        "genes",
        {
            "blanks for tabs": (GTF.replace(b"\t", b" "), ":2: expected 9 columns separated by tabs, found 1"),
            "a tab too many": (_gene(attributes="a\tb"), ":1: expected 9 columns separated by tabs, found 10"),
            "from zero": (b"#!x\n" + _gene(first="0"), ":2: start 0 is less than 1"),
            "backwards": (_gene(last="9"), ":1: end 9 is less than start 11"),
            "a word for an end": (_gene(last="x"), ":1: end is not a whole number: 'x'"),
            "a negative start": (_gene(first="-3"), ":1: start is not a whole number: '-3'"),
            "an end of 10 to the 18": (
                _gene(last=str(_HUGE)),
                ":1: end 1000000000000000000 is greater than 1,000,000,000,000",
            ),
            "an end of thirty digits": (_gene(last="9" * 30), r":1: end 9{30} is greater than"),
            "an unknown strand": (_gene(strand="f"), ":1: strand is 'f'"),
            "no genes": (GTF.replace(b"\tgene\t", b"\tmRNA\t"), ": no line is a gene .*there are mRNA, exon"),
            "a BED file": (PEAKS, ":1: expected 9 columns separated by tabs, found 6"),
            "a cut last line": (GTF[:-60], ":4: expected 9 columns"),
            "a comment without end": (lambda: b"#" + b"x" * 17_000_000, ":1: a line of more than"),
        },
    ),
    *looks("genes of a type", GFF3, [("chr1", 10, 20, 1, 2), ("chr2", 0, 8, 0, 3)]),
    *refused(
        "genes of a type",
        {
            "no such type": (GTF.replace(b"lncRNA", b"snRNA"), ": no gene is of type lncRNA; there are snRNA, miRNA"),
            "no types": (_gene(attributes="ID=x"), r": no gene is of type lncRNA; there are \(none\)"),
        },
    ),
    *read(
        "genes of a type",
        {
            "a type with a semicolon beside it": (
                _gene(attributes='gene_name "a; b"; gene_type "lncRNA";'),
                [("chr1", 10, 20, 1, 1)],
            ),
            "escaped GFF3": (_gene(attributes="Name=a%3Bb;biotype=lnc%52NA"), [("chr1", 10, 20, 1, 1)]),
            "the type of RefSeq": (_gene(attributes="gene_biotype=lncRNA;gene_biotype=x"), [("chr1", 10, 20, 1, 1)]),
        },
    ),
]

_FETCHED = (
    [("chr1", 10, 16, 0, 1), ("chrX_alt", 0, 4, -1, 5), ("HLA-A*01", 5, 7, 1, 7)],
    ["ACGTNN", "GGTT", "GT"],
)
REGION_FASTA_CASES = [
    *refused(
        "region FASTA",
        {"lone carriage returns": (b">chr1:0-4\rACGT\r", ":1: lines end in carriage returns alone, expected LF")},
    ),
    *looks("region FASTA", REGION_FASTA.replace(b"\r\n", b"\n"), _FETCHED),
    *wrecks(
        "region FASTA",
        REGION_FASTA,
        empty=":1: holds no FASTA records",
        binary=":8: not text",
        cut=r":\d+: gzip data is damaged or cut short",
    ),
    *read(
        "region FASTA",
        {
            "runs of N": (b">a:0-6\nNNNNNN\n", ([("a", 0, 6, 0, 1)], ["NNNNNN"])),
            "tabs in a header": (b">a:0-4\tmore:1-2 x\nACGT\n", ([("a", 0, 4, 0, 1)], ["ACGT"])),
            "one letter a line": (b">a:7-10(-)\na\nc\ng\n", ([("a", 7, 10, -1, 1)], ["CGT"])),
            "the same region twice": (b">a:0-1\nA\n>a:0-1\nA\n", ([("a", 0, 1, 0, 1), ("a", 0, 1, 0, 3)], ["A", "A"])),
        },
    ),
    *refused(
        "region FASTA",
        {
            "no positions": (
                b">chr1:0-4\nACGT\n>gene7\nACGT\n",
                ":3: expected a header like 'chr7:100-612', found 'gene7'",
            ),
            "an empty header": (b">chr1:0-4\nACGT\n>\nACGT\n", ":3: expected a header"),
            "an empty region": (b">chr1:4-4\nACGT\n", ":1: end 4 is not greater than start 4"),
            "backwards": (b">chr1:9-4\nACGT\n", ":1: end 4 is not greater than start 9"),
            "too few letters": (
                b">chr1:0-4\nACGT\n>chr1:0-5\nACG\n",
                ":3: the header says 5 letters, the sequence has 3",
            ),
            "counting from 1": (
                b">chr1:1-4\nACGT\n",
                ":1: the header says 3 letters, the sequence has 4; .* counting from 1",
            ),
            "letters before the first header": (b"ACGT\n", ":1: not FASTA: expected '>', found 'ACGT'"),
            "a letter that is none": (b">chr1:0-4\nAC*G\n", r": chr1:0-4, position 3: '\*' is not a nucleotide"),
            "a blank in the letters": (b">chr1:0-5\nAC GT\n", r": chr1:0-5, position 3: ' ' is not"),
            "an end beyond every chromosome": (
                f">chr1:0-{_HUGE}\nACGT\n",
                ":1: end 1000000000000000000 is greater than",
            ),
            "an end of 5000 digits": (b">chr1:0-" + b"9" * 5000 + b"\nA\n", r":1: end 9{30} is greater than"),
            "letters of another script": (">chr1:0-2\n\u0410\u0421\n", r": chr1:0-2, position 1: '\?' is not"),
        },
    ),
]

GENOME_CASES = [
    *looks("genome FASTA", GENOME, _LETTERS, mark=False, blank=False),
    *read(
        "genome FASTA",
        {
            "lower case, U and runs of N": (b">a\nacgu\nNNNN\n", {"a": "ACGTNNNN"}),
            "ambiguity letters": (b">a\nRYKMSWBDHVN\n", {"a": "RYKMSWBDHVN"}),
            "blank lines before": (b"\n\n>a\nACGT\n", {"a": "ACGT"}),
            "everything on one line": (b">a\n" + b"ACGT" * 500 + b"\n>b\nA\n", {"a": "ACGT" * 500, "b": "A"}),
            "a tab in the header": (b">a\tx y\nACGT\n", {"a": "ACGT"}),
        },
    ),
    *refused(
        "genome FASTA",
        {
            "missing": (None, ": cannot be read: No such file"),
            "empty": (b"", ":1: holds no FASTA records"),
            "only blank lines": (b"\n\n", ":1: holds no FASTA records"),
            "no header": (b"ACGT\n", ":1: not FASTA or 2bit: expected '>', found 'ACGT'"),
            "a byte order mark": (b"\xef\xbb\xbf" + GENOME, ":1: not FASTA or 2bit"),
            "lines of different length": (b">chr1\nACGT\nAC\nACGT\nAC\n", r":\d: not indexable FASTA"),
            "line endings of both kinds": (b">chr1\nACGT\r\nACGT\nACGT\n", r"(:\d)?: not indexable FASTA"),
            "one name twice": (GENOME + b">chr1\nACGT\n", r"(:\d+)?: not indexable FASTA.*chr1"),
            "blank lines at the end": (GENOME + b"\n\n", ": not indexable FASTA: lines of different length in chr2"),
            "a gap": (
                GENOME.replace(b"ACGTACGTAC", b"ACGT-CGTAC", 1),
                ": chr1, position 5: '-' is not a nucleotide letter",
            ),
            "amino acids": (b">p\nMKTAYIAKQR\n", ": p, position 6: 'I' is not"),
            "gzip cut short": (gzip.compress(GENOME)[:-9], ": gzip data is damaged or cut short"),
            "bgzip cut in a block": (bgzip(GENOME)[:-15], ": gzip data is damaged or cut short"),
            "bytes of another kind": (bytes(range(1, 256)), ":1: not FASTA or 2bit"),
            "no newline in 2 MB": (lambda: b"ACGT" * 500_000, ":1: not FASTA or 2bit"),
            "lone carriage returns": (
                GENOME.replace(b"\n", b"\r"),
                ":1: lines end in carriage returns alone, expected LF",
            ),
            "lone carriage returns in gzip": (
                gzip.compress(GENOME.replace(b"\n", b"\r")),
                ":1: lines end in carriage returns alone, expected LF",
            ),
            "lone carriage returns behind blank lines": (
                b"\n\n>a\rACGT\r",
                ":3: lines end in carriage returns alone, expected LF",
            ),
            "lone carriage returns from the second record on": (
                GENOME + b">chr3\rACGT\r",
                ": chr3: lines end in carriage returns alone, expected LF",
            ),
            "lone carriage returns in 9,000 letters": (
                GENOME + b">chr3\r" + b"ACGTACGT\r" * 1000 + b">chr4\rACGT\r",
                ": chr3: lines end in carriage returns alone, expected LF",
            ),
            "a lone carriage return in the letters": (
                GENOME.replace(b"ACGTACGTAC\nA", b"ACGTACGTAC\rA", 1),
                r"(:\d)?: not indexable FASTA",
            ),
        },
    ),
    *read(
        "FASTA index",
        {
            "as samtools writes it": (INDEX, _LETTERS),
            "CRLF": (INDEX.replace(b"\n", b"\r\n"), _LETTERS),
            "no last newline": (INDEX.rstrip(), _LETTERS),
            "one line that ends with the file": (INDEX.replace(b"\t8\t9\n", b"\t8\t8\n"), _LETTERS),
        },
    ),
    *refused(
        "FASTA index",
        {
            "lines twice as long": (
                INDEX.replace(b"\t10\t11", b"\t20\t21"),
                ":1: does not fit genome.fa: delete it",
            ),
            "lines half as long": (INDEX.replace(b"25\t6\t10\t11", b"21\t6\t5\t6"), ":1: does not fit genome.fa"),
            "lines of one letter less": (
                INDEX.replace(b"25\t6\t10\t11", b"25\t6\t9\t10"),
                "(:1)?: does not fit genome.fa",
            ),
            "line ends in the right number at wrong places": (
                INDEX.replace(b"25\t6\t10\t11", b"25\t6\t11\t12"),
                ": does not fit genome.fa in chr1: delete it, or index the file again",
            ),
            "line ends of two bytes": (
                INDEX.replace(b"25\t6\t10\t11", b"25\t6\t9\t11"),
                "(:1)?: does not fit genome.fa",
            ),
            "a shorter sequence": (INDEX.replace(b"chr1\t25", b"chr1\t20"), ":1: does not fit genome.fa"),
            "one letter less": (INDEX.replace(b"chr1\t25", b"chr1\t24"), ":1: does not fit genome.fa"),
            "no letters": (INDEX.replace(b"chr1\t25", b"chr1\t0"), ":1: does not fit genome.fa"),
            "a sequence less": (INDEX[:16], ": lacks 'chr2' of genome.fa: delete it, or index the file again"),
            "the first sequence less": (INDEX[16:], ": lacks 'chr1' of genome.fa"),
            "blanks for tabs": (b"chr1 25 6 10 11\n", ":1: not a FASTA index: expected a name and four whole numbers"),
            "four columns": (b"chr1\t25\t6\t10\n", ":1: not a FASTA index"),
            "a negative offset": (INDEX.replace(b"\t6\t", b"\t-6\t"), ":1: not a FASTA index"),
            "no letters in a line": (
                INDEX.replace(b"\t8\t9\n", b"\t0\t1\n"),
                ":2: not a FASTA index: 0 letters in a line of 1",
            ),
            "more letters than bytes": (
                INDEX.replace(b"\t10\t11", b"\t11\t10"),
                ":1: not a FASTA index: 11 letters in a line of 10",
            ),
            "another file's": (INDEX.replace(b"\t45\t", b"\t44\t"), ":2: does not fit genome.fa"),
            "a name of another file": (INDEX.replace(b"chr2", b"chr3"), ":2: does not fit genome.fa"),
            "beyond the end": (INDEX.replace(b"chr2\t8\t", b"chr2\t80\t"), ":2: does not fit genome.fa"),
            "one sequence twice": (INDEX + INDEX[:16] + b"\n", ":3: "),
            "an offset of 10 to the 18": (
                f"chr1\t25\t{_HUGE}\t10\t11\n",
                ":1: offset 1000000000000000000 is greater than",
            ),
            "an offset of 5000 digits": (b"chr1\t25\t" + b"9" * 5000 + b"\t10\t11\n", ":1: offset 9+ is greater than"),
            "digits of another script": ("chr1\t\u0662\u0665\t6\t10\t11\n", ":1: not a FASTA index"),
        },
    ),
]

_SOUND = two_bit(*TWO_BIT)


def _words_at(offset: int, *values: int) -> bytes:
    return _SOUND[:offset] + struct.pack(f"<{len(values)}I", *values) + _SOUND[offset + 4 * len(values) :]


def _many_that_are_one(count: int) -> bytes:
    """Sequences that all lead to the same 1000 runs of N."""
    index = 16 + 10 * count
    names = b"".join(b"\5%05d" % number + struct.pack("<I", index) for number in range(count))
    starts, sizes = range(0, 2000, 2), [1] * 1000
    record = struct.pack("<II2000III", 2000, 1000, *starts, *sizes, 0, 0) + bytes(500)
    return struct.pack("<IIII", 0x1A412743, 0, count, 0) + names + record


TWO_BIT_CASES = [
    *read(
        "2bit",
        {
            "masked, with a run of N": (_SOUND, {name: letters.upper() for name, letters in TWO_BIT}),
            "one letter": (two_bit(("a", "T")), {"a": "T"}),
            "all N": (two_bit(("a", "NNNNN"), ("b", "ACGTA")), {"a": "NNNNN", "b": "ACGTA"}),
        },
    ),
    *refused(
        "2bit",
        {
            "no sequence": (two_bit(), ": damaged 2bit file: it is of 16 bytes and holds 0 sequences"),
            "only the first bytes": (_SOUND[:7], ": damaged 2bit file: it ends too early"),
            "cut in the index": (_SOUND[:20], ": damaged 2bit file"),
            "cut in the letters": (_SOUND[:-1], ": damaged 2bit file: chr2 does not fit"),
            "four billion sequences": (
                _words_at(8, 0xFFFFFFFF),
                ": damaged 2bit file: it is of .* bytes and holds 4,294,967,295 sequences",
            ),
            "a thousand sequences in one place": (
                lambda: _many_that_are_one(1000),
                ": damaged 2bit file: of 18,532 bytes, 00002 and those before need more",
            ),
            "three sequences, not two": (_words_at(8, 3), ": damaged 2bit file"),
            "64-bit offsets": (
                _words_at(4, 1),
                ": 2bit that is of version 1; little-endian .* version 0 .* `twoBitToFa`",
            ),
            "big-endian": (
                _SOUND[3::-1] + _SOUND[4:],
                ": 2bit that is big-endian; little-endian .* `twoBitToFa` makes",
            ),
            "big-endian and of version 1": (
                struct.pack(">IIII", 0x1A412743, 1, 1, 0) + _SOUND[16:],
                ": 2bit that is big-endian;",
            ),
            "an offset out of the file": (_words_at(21, 0x7FFFFFFF), ": damaged 2bit file: it ends too early"),
            "two billion letters": (_words_at(34, 0x7FFFFFFF), ": damaged 2bit file: chr1 does not fit"),
            "four billion runs of N": (_words_at(34, 28, 0xFFFFFFFF), ": damaged 2bit file: it ends too early"),
            "a run of N beyond the end": (_words_at(46, 4000), ": damaged 2bit file: chr1 does not fit"),
            "one name twice": (_SOUND.replace(b"chr2", b"chr1"), ": damaged 2bit file: 'chr1' comes twice"),
            "a name with a NUL": (_SOUND.replace(b"chr2", b"ch\x002"), ": damaged 2bit file: 'ch.x002'"),
        },
    ),
]

ALIAS_CASES = [
    *looks("chromosome aliases", ALIASES, {"ENSEMBL1": "chr1", "CM2.1": "chr2", "RefSeq2": "chr2", "MT": "chrM"}),
    *read(
        "chromosome aliases",
        {
            "blanks for tabs": (b"1 chr1\n2   chr2\n", {"1": "chr1", "2": "chr2"}),
            "rows of other chromosomes": (b"9\tchr9\n1\tchr1\n", {"1": "chr1"}),
            "a word that would stand for two": (b"1\tchr1\tucsc\n2\tchr2\tucsc\n", {"1": "chr1", "2": "chr2"}),
            "a row of two chromosomes": (b"x\tchr1\tchr2\n", {}),
            "empty fields": (b"1\t\tchr1\t\n", {"1": "chr1"}),
            "empty": (b"", {}),
        },
    ),
    *refused(
        "chromosome aliases",
        {
            "missing": (None, ": cannot be read: No such file"),
            "no UTF-8": (ALIASES + b"\xff\n", ":5: not text"),
            "gzip cut short": (gzip.compress(ALIASES)[:-9], r":\d+: gzip data is damaged or cut short"),
        },
    ),
]

CASES = [
    *PEAK_CASES,
    *ECLIP_CASES,
    *REGION_CASES,
    *GENE_CASES,
    *REGION_FASTA_CASES,
    *GENOME_CASES,
    *TWO_BIT_CASES,
    *ALIAS_CASES,
]
