"""What `bindtune probe` reads: bound and unbound windows, peaks with summits, the files of its folder."""

from corpus.case import Case, read, refused
from corpus.readers import METRICS
from corpus.valid import BOUND, PROBE_SUMMARY, SUMMITS, array_file, fold_in_training

_NEGATIVE = ("n", "ACGTACGT")
_SECTIONS = ["Conclusions", "Data set d", "Windows and arms", "Leaks", "Inputs and versions", "Settings"]
_PLAIN = [*_SECTIONS[:2], "Windows", *_SECTIONS[3:]]
_DELETE = ".* delete it, and run the same probe again"

CASES: list[Case] = [
    *read(
        "bound windows",
        {
            "places that not all headers have": (
                BOUND,
                (["chr1:2-10(+)", "chr2:0-4(-)", "n"], ["ACGTACGT", "ACGT", "ACGTACGT"], [True, True, False], None, {}),
            ),
            "the name of a negative": (
                b">n\nACGTT\n",
                (["positives/n", "negatives/n"], ["ACGTT", "ACGTACGT"], [True, False], None, {}),
            ),
            "too many N": (
                b">a\nACGTT\n>b\nANNN\n",
                (["a", "n"], ["ACGTT", "ACGTACGT"], [True, False], None, {"too_many_n": 1}),
            ),
        },
    ),
    *refused(
        "bound windows",
        {
            "missing": (None, ": cannot be read: .*No such file"),
            "empty": (b"", ":?"),
            "all N": (b">a\nNNNN\n", ": no window is left of 1: all have too many letters N"),
            "a letter that is none": (b">a\nACGT\n>b\nACJT\n", r":3: b, position 3: 'J' is not a nucleotide letter"),
            "a name twice": (b">a\nACGT\n>a\nACGT\n", ":3: "),
            "a place that ends before it starts": (b">chr1:9-4(+)\nACGTA\n", ":1: end 4 is not greater than start 9"),
        },
    ),
    *read(
        "peaks of a probe",
        {
            # The two overlap: the stronger one's summit is the centre.
            "joined peaks": (SUMMITS, ([3], ["TACGTACACG"], {"merged_into_another": 1})),
            "a window past the end": (
                SUMMITS + b"chr2\t0\t8\tr\t0\t-\t1\t2\t3\t1\n",
                ([3], ["TACGTACACG"], {"merged_into_another": 1, "past_chromosome_end": 1}),
            ),
        },
    ),
    *refused(
        "peaks of a probe",
        {
            "a summit outside": (
                SUMMITS.replace(b"\t4\n", b"\t12\n"),
                ":1: the summit 12 lies outside of the peak, which has 12",
            ),
            "no window left": (
                b"chr2\t0\t8\tr\t0\t-\t1\t2\t3\t1\n",
                r": none of 1 peaks of p gives a window \(1 past_chromosome_end\)",
            ),
            "another genome": (SUMMITS.replace(b"chr1", b"chr7"), ":1: no peak lies on a chromosome of "),
        },
    ),
    *read(
        "figures of a probe",
        {
            "two models": (METRICS, _PLAIN),
            "a text for a number": (METRICS.replace(b"0.75", b"good"), _PLAIN),  # is shown as missing
        },
    ),
    *refused(
        "figures of a probe",
        {
            "a column less": (METRICS.replace(b",against", b",other", 1), ":1?:? ?"),
        },
    ),
    *read("summary of a probe", {"one arm": (PROBE_SUMMARY, _SECTIONS)}),
    *refused(
        "summary of a probe",
        {"a list": (b"[1, 2]\n", ""), "no YAML": (b"windows: [\n", "")},
    ),
    *read("scores of a probe", {"two": (lambda: array_file([0.5, -1.0]), [0.5, -1.0])}),
    *refused(
        "scores of a probe",
        {
            "one too many": (lambda: array_file([0.5, 1.0, 2.0]), ""),
            "cut short": (lambda: array_file([0.5, -1.0])[:-3], ""),
            "not finite": (lambda: array_file([0.5, float("nan")]), ""),
            "text": (b"not an array", ": is no array of numbers "),
            "words": (lambda: array_file(["a", "b"]), ": does not hold 2 floating-point numbers: delete it"),
            "a header that does not end": (
                lambda: array_file([0.5, -1.0]).replace(b"(2,)", b"(2, "),
                ": is no array of numbers .*: delete it",
            ),
            "a header of a large array": (
                lambda: array_file([0.5, -1.0]).replace(b"(2,), }      ", b"(9999999,), }"),
                ": is no array of numbers .*: delete it",
            ),
        },
    ),
    *read(
        "fold in training",
        {
            "one that is done": (fold_in_training, ([0.5, -1.0], None)),
            "another stage": (lambda: fold_in_training({"stage": "new"}), (None, None)),
        },
    ),
    *refused(
        "fold in training",
        {
            "empty": (b"", ": is no file of a fold in training " + _DELETE),
            "text": (b"weights", ": is no file of a fold in training " + _DELETE),
            "cut short": (lambda: fold_in_training()[:-8], ": is no file of a fold in training " + _DELETE),
            "facts in a list": (lambda: fold_in_training([1]), ": is no file of a fold in training " + _DELETE),
            "scores of other windows": (
                lambda: fold_in_training(scores=(0.5, 1.0, 2.0)),
                ": is no file of a fold in training .*it has no 2 scores" + _DELETE,
            ),
            "not finite": (
                lambda: fold_in_training(scores=(0.5, float("nan"))),
                ": is no file of a fold in training .*not finite" + _DELETE,
            ),
            "an epoch without its state": (
                lambda: fold_in_training({"stage": "training", "done": 1}),
                ": is no file of a fold in training " + _DELETE,
            ),
        },
    ),
]
