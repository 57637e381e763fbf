"""What `bindtune explain` reads: sequences, regions of a genome, trained heads of a probe."""

import numpy as np

from corpus.case import Case, read, refused
from corpus.valid import EXPLAINED, trained_heads

_NO_HEADS = ": is no file of trained heads "
_DELETE = ".* delete it, and run the same probe again"

CASES: list[Case] = [
    *read(
        "sequences to explain",
        {
            "headers with places and without": (
                EXPLAINED,
                [
                    ("a", "ACGT", None),
                    ("chr1:3-7(-)", "ACGTN", None),  # five letters do not fit the place
                    ("chr2:0-4(+)", "GGGG", ("chr2", 0, 4, 1)),
                ],
            ),
            "RNA in lower case": (b">a\nacgu\n", [("a", "ACGT", None)]),
            "one letter": (b">a\nA\n", [("a", "A", None)]),
        },
    ),
    *refused(
        "sequences to explain",
        {
            "missing": (None, ": cannot be read: .*No such file"),
            "empty": (b"", ":?"),
            "a letter that is none": (b">a\nACGT\n>b\nACJT\n", r":3: b, position 3: 'J' is not a nucleotide letter"),
            "a protein": (b">p\nMKTAYIAKQR\n", r":1: p, position \d+: '.' is not a nucleotide letter"),
            "too many letters": (b">a\n" + b"ACGT" * 2501 + b"\n", ":1: a has 10,004 letters, and 10,000 can be"),
            "a name twice": (b">a\nACGT\n>a\nACGT\n", ":3: "),
        },
    ),
    *read(
        "regions to explain",
        {
            "both strands": (
                b"chr1\t0\t4\tx\t0\t-\nchr2\t6\t8\ty\t0\t.\n",
                [("chr1:0-4(-)", "ACGT", ("chr1", 0, 4, -1)), ("chr2:6-8(.)", "CC", ("chr2", 6, 8, 0))],
            ),
            "a whole chromosome": (b"chr2\t0\t8\n", [("chr2:0-8(.)", "GGGGCCCC", ("chr2", 0, 8, 0))]),
        },
    ),
    *refused(
        "regions to explain",
        {
            "missing": (None, ": cannot be read: .*No such file"),
            "empty": (b"", ": holds no regions"),
            "past the end": (b"chr1\t0\t4\nchr2\t6\t9\n", ":2: chr2:6-9 ends past chr2, which has 8 nucleotides"),
            "another chromosome": (b"chr1\t0\t4\nchr9\t6\t9\n", ":2: the chromosome is not in .*genome.fa"),
            "a chromosome without chr": (b"1\t0\t4\n", ":1: chromosome '1' is not in .*, which has 'chr1'"),
            "backwards": (b"chr1\t9\t4\n", ":1: end 4 is not greater than start 9"),
        },
    ),
    *read("trained heads", {"of a regression": (trained_heads, ("composition", [1, 2]))}),
    *refused(
        "trained heads",
        {
            "missing": (None, ":? ?"),
            "empty": (b"", _NO_HEADS + _DELETE),
            "text": (b"weights of a model", _NO_HEADS + _DELETE),
            "cut short": (lambda: trained_heads()[:-8], _NO_HEADS + _DELETE),
            "no facts": (lambda: trained_heads({}), _NO_HEADS + _DELETE),
            "an unknown model": (
                lambda: trained_heads({"features": "stars", "folds": [1, 2]}),
                ": does not say what its model reads, but 'stars'" + _DELETE,
            ),
            "features in a list": (
                lambda: trained_heads({"features": ["letters"], "folds": [1, 2]}),
                ": does not say what its model reads",
            ),
            "no key": (
                lambda: trained_heads({"features": "letters", "folds": [1, 2], "length": 5}),
                ": lacks the number or the text 'key'" + _DELETE,
            ),
            "a length that is a text": (
                lambda: trained_heads({"features": "letters", "folds": [1, 2], "key": 1, "length": "5"}),
                ": lacks the number or the text 'length'" + _DELETE,
            ),
            "a fold without a head": (
                lambda: trained_heads({"features": "composition", "folds": [1, 2, 3]}),
                ": holds no heads" + _DELETE,
            ),
            "not finite": (lambda: trained_heads(mean=np.full(2, np.nan)), ": holds values that are not finite"),
            "parts of two lengths": (lambda: trained_heads(mean=np.ones(3)), ": holds no regression: expected mean,"),
            "a part less": (lambda: trained_heads(scale=None), ": holds no regression: expected mean,"),
        },
    ),
]
