"""What a run leaves in its folder: tables, settings, notes."""

import gzip
from typing import Any

from corpus.case import Case, Content, read, refused
from corpus.readers import RUN
from corpus.valid import OUT_OF_FOLD, PREDICTIONS, RECORD_LOSSES, RUN_FILES, parquet, predictions


def _rows(records: list[dict[str, Any]], row_number: int, /, **changes: Any) -> list[dict[str, Any]]:
    return [{**row, **(changes if number == row_number else {})} for number, row in enumerate(records)]


def _without(records: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != name} for row in records]


def _tables(records: list[dict[str, Any]], unreadable: str) -> dict[str, tuple[Content | None, str]]:
    return {
        "empty": (b"", unreadable),
        "text": (b"protein\tposition\n", unreadable),
        "cut short": (lambda: parquet(records)[:-40], unreadable),
        "gzip": (lambda: gzip.compress(parquet(records)), unreadable),
        "a footer of 2 GB": (lambda: parquet(records)[:-8] + b"\xff\xff\xff\x7fPAR1", unreadable),
    }


def _in_other_bytes(records: list[dict[str, Any]], text: bytes) -> bytes:
    """A table whose bytes are no UTF-8 wherever a text stands; nothing in it is packed."""
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    sink, table = io.BytesIO(), pa.Table.from_pylist(records)
    pq.write_table(table, sink, compression="none", use_dictionary=False, write_statistics=False)
    assert text in sink.getvalue()
    return sink.getvalue().replace(text, b"\xff" * len(text))


_NO_TABLE = ": no table of predictions: "
_READ = [("a", "MKT", "ZN", [0.25] * 3, [0] * 3), ("b", "HC", "ZN", [0.25] * 2, [0] * 2)]
_OOF = [
    (["a", "a", "a", "b", "b"], ["ZN"] * 5, ["M", "K", "T", "H", "C"]),
    [1, 2, 3, 1, 2],
    [0, 0, 0, 1, 1],
    [0.25] * 5,
    [1, 1, 1, 2, 2],
]
_LOSSES = [[0, 1], [7, 7], [[3, 1, 2]] * 2, [[6.0, 2.0, 4.0]] * 2]

CASES: list[Case] = [
    *read(
        "predictions",
        {
            "two proteins": (predictions, _READ),
            "no calls": (
                lambda: predictions([{**row, "call": None} for row in PREDICTIONS]),
                [(*row[:4], None) for row in _READ],
            ),
            "no protein": (lambda: predictions([]), []),
            "a protein of one residue": (lambda: predictions(PREDICTIONS[:1]), [("a", "M", "ZN", [0.25], [0])]),
        },
    ),
    *refused(
        "predictions",
        {
            **_tables(PREDICTIONS, _NO_TABLE),
            "missing": (None, _NO_TABLE + ".*No such file"),
            "other columns": (lambda: parquet([{"x": 1}]), _NO_TABLE + "expected the columns protein, position"),
            "other kinds of numbers": (lambda: parquet(PREDICTIONS), _NO_TABLE + "expected the columns"),
            "a column less": (lambda: parquet(_without(PREDICTIONS, "spread")), _NO_TABLE + "expected the columns"),
            "an empty name": (
                lambda: predictions(_rows(PREDICTIONS, 1, protein=None)),
                _NO_TABLE + "empty fields in protein",
            ),
            "an empty probability": (
                lambda: predictions(_rows(PREDICTIONS, 1, probability=None)),
                _NO_TABLE + "empty fields in probability",
            ),
            "a residue that is left out": (
                lambda: predictions(PREDICTIONS[:1] + PREDICTIONS[2:]),
                _NO_TABLE + "positions and residues",
            ),
            "a protein that begins at 2": (lambda: predictions(PREDICTIONS[1:]), _NO_TABLE + "positions and residues"),
            "two letters for a residue": (
                lambda: predictions(_rows(PREDICTIONS, 0, residue="MK")),
                _NO_TABLE + "positions and residues",
            ),
        },
    ),
    *read(
        "out-of-fold table",
        {
            "two proteins": (lambda: parquet(OUT_OF_FOLD), _OOF),
            "columns in another order, and more": (
                lambda: parquet([{"x": 1, **dict(reversed(row.items()))} for row in OUT_OF_FOLD]),
                _OOF,
            ),
        },
    ),
    *refused(
        "out-of-fold table",
        {
            **_tables(OUT_OF_FOLD, ": is not a readable Parquet file"),
            "a column less": (lambda: parquet(_without(OUT_OF_FOLD, "label")), ": lacks the columns label"),
            "text for labels": (
                lambda: parquet([{**row, "label": "x"} for row in OUT_OF_FOLD]),
                ": a column has the wrong type",
            ),
            "an empty field": (lambda: parquet(_rows(OUT_OF_FOLD, 1, residue=None)), ": has empty fields in residue"),
            "a name that is no UTF-8": (
                lambda: _in_other_bytes([{**row, "protein": "some-name"} for row in OUT_OF_FOLD], b"some-name"),
                ": is not a readable Parquet file",
            ),
            "a label of 2": (lambda: parquet(_rows(OUT_OF_FOLD, 1, label=2)), ": has labels that are neither 0 nor 1"),
            "a label of 1000": (lambda: parquet(_rows(OUT_OF_FOLD, 1, label=1000)), ": a column has the wrong type"),
            "a position beyond all proteins": (
                lambda: parquet(_rows(OUT_OF_FOLD, 1, position=2**40)),
                ": position: expected numbers from 1 to 16,777,216, found 1099511627776",
            ),
            "a position below 1": (lambda: parquet(_rows(OUT_OF_FOLD, 1, position=0)), ": position: expected numbers"),
            "a fold beyond all folds": (
                lambda: parquet(_rows(OUT_OF_FOLD, 1, fold=1001)),
                ": fold: expected numbers from 0 to 1,000, found 1001",
            ),
            "a probability above 1": (
                lambda: parquet(_rows(OUT_OF_FOLD, 1, probability=1.5)),
                ": has probabilities outside 0 to 1",
            ),
            "NaN for a probability": (
                lambda: parquet(_rows(OUT_OF_FOLD, 1, probability=float("nan"))),
                ": has probabilities outside 0 to 1",
            ),
            "two letters for a residue": (
                lambda: parquet(_rows(OUT_OF_FOLD, 1, residue="MK")),
                ": has 'MK' in the place of a residue's letter",
            ),
        },
    ),
    *read("record losses", {"two windows": (lambda: parquet(RECORD_LOSSES), _LOSSES)}),
    *refused(
        "record losses",
        {
            **_tables(RECORD_LOSSES, ": is not a readable Parquet file"),
            "missing": (None, ": is not a readable Parquet file"),
            "a column less": (lambda: parquet(_without(RECORD_LOSSES, "loss")), ": lacks the columns loss"),
            "text for numbers": (
                lambda: parquet([{**row, "loss": "x"} for row in RECORD_LOSSES]),
                ": a column has the wrong type",
            ),
            "an empty field": (lambda: parquet(_rows(RECORD_LOSSES, 0, loss=None)), ": has empty fields"),
            "a column whose name is no UTF-8": (
                lambda: _in_other_bytes(RECORD_LOSSES, b"flank_loss"),
                ": is not a readable Parquet file",
            ),
            "counts that do not add up": (
                lambda: parquet(_rows(RECORD_LOSSES, 0, masked=9)),
                ": holds counts that do not add up",
            ),
            "NaN for a loss": (
                lambda: parquet(_rows(RECORD_LOSSES, 0, loss=float("nan"))),
                ": holds counts that do not add up, or losses",
            ),
        },
    ),
    *read(
        "run JSON",
        {
            "as it is": (RUN_FILES["run JSON"], {"pairs_compared": 10, "leaks": []}),
            "a byte order mark and CRLF": (b'\xef\xbb\xbf{\r\n"a": 1}\r\n', {"a": 1}),
            "no number": (b'{"a": NaN}', {"a": float("nan")}),
        },
    ),
    *refused(
        "run JSON",
        {
            "empty": (b"", ":1: not JSON"),
            "a list": (b"[1]", ": expected names and values, found list"),
            "cut short": (b'{"a": 1,\n"b"', ":2: not JSON"),
            "no UTF-8": (b'{"a":\n"\xff"}', ":2: cannot be read: not text"),
            "a name twice": (b'{"a": 1, "b": {"c": 1, "c": 2}}', ": not JSON: 'c' comes twice"),
            "6 million values": (lambda: b"[" + b"[]," * 3_000_000 + b"[]]", ": cannot be read: more than 5,000,000"),
            "100,000 brackets": (b"[" * 100_000, ": not JSON: too many brackets are open"),
            "a number of 5000 digits": (b'{"a": ' + b"9" * 5000 + b"}", ": not JSON: Exceeds the limit"),
            "gzip": (gzip.compress(b"{}"), ":1: cannot be read: not text"),
        },
    ),
    *read(
        "run YAML",
        {"as it is": (RUN_FILES["run YAML"], {"training": {"ions": ["ZN"], "epochs": 2}, "data": {"fasta_path": "x"}})},
    ),
    *refused(
        "run YAML",
        {
            "empty": (b"", ": expected names and values, found NoneType"),
            "a list": (b"- a\n", ": expected names and values, found list"),
            "a setting twice": (b"a: 1\nb: 2\na: 3\n", ":3: not YAML: 'a' comes twice"),
            "a bracket left open": (b"a: 1\nb: [\n", r":\d: not YAML"),
            "a date that is none": (b"a: !!timestamp 2001-99-99\n", ": not YAML: month must be"),
            "a Python object": (b"a: !!python/object/apply:os.getcwd []\n", ":1: not YAML: could not determine"),
        },
    ),
    *read(
        "run CSV",
        {
            "as it is": (
                RUN_FILES["run CSV"],
                [{"protein": "a", "fold": "1", "group": "g"}, {"protein": "b,c", "fold": "2", "group": "g"}],
            ),
            "CRLF": (b"protein,fold\r\na,1\r\n", [{"protein": "a", "fold": "1"}]),
            "a byte order mark": (b"\xef\xbb\xbfprotein,fold\na,1\n", [{"protein": "a", "fold": "1"}]),
        },
    ),
    *refused(
        "run CSV",
        {
            "empty": (b"", ":1: the header lacks protein, fold"),
            "another header": (b"x,fold\n", ":1: the header lacks protein"),
            "a short row": (b"protein,fold\na\n", ":2: has not 2 fields"),
            "a long row": (b"protein,fold\na,1\na,1,2\n", ":3: has not 2 fields"),
            "a quote left open": (b'protein,fold\n"a,1\n', r":\d: is not CSV"),
            "a header of 200,000 letters": (b"x" * 200_000 + b",fold\n", r":\d: is not CSV: field larger"),
            "no UTF-8": (b"protein,fold\n\xff,1\n", ":2: cannot be read: not text"),
        },
    ),
]

_NO_THRESHOLDS = ": no thresholds of a run: "
_FOLDER_PROBLEMS: dict[str, tuple[Content | None, str]] = {
    "a list": (b"- a\n", "/config.yaml: expected names and values, found list"),
    "a bracket left open": (b"a: 1\nb: [\n", r"/config.yaml:\d: not YAML"),
    "a setting twice": (RUN + b"data: {}\n", "/config.yaml:4: not YAML: 'data' comes twice"),
    "no UTF-8": (RUN + b"# \xff\n", "/config.yaml:4: cannot be read: not text"),
}
CASES += [
    *read(
        "run folder of predict",
        {
            "a threshold": (b"thresholds: {ZN: {threshold: 0.25}}\n", (["ZN"], {"ZN": 0.25})),
            "a threshold with an exponent": (b"thresholds: {ZN: {threshold: 1e-4}}\n", (["ZN"], {"ZN": 0.0001})),
            "no threshold": (b"thresholds: {ZN: {threshold: null}}\n", (["ZN"], {})),
            "thresholds of other ions": (b"thresholds: {CA: {threshold: 0.5}}\n", (["ZN"], {})),
        },
    ),
    *refused(
        "run folder of predict",
        {
            "empty": (b"", _NO_THRESHOLDS),
            "a list": (b"- 1\n", _NO_THRESHOLDS),
            **{
                f"a threshold of {value.decode()[:20]}": (
                    b"thresholds: {ZN: {threshold: %s}}\n" % value,
                    ": thresholds.ZN.threshold: expected a number from 0 to 1, found ",
                )
                for value in (
                    b"high",
                    b"9" * 400,
                    b"[1]",
                    b".nan",
                    b"-.inf",
                    b"-5",
                    b"1.0e+9",
                    b"'0.5'",
                    b"true",
                    b"1.0e+999",
                )
            },
            "a figure beyond its range": (
                b"thresholds: {ZN: {threshold: 0.5, f1: 1.5}}\n",
                ": thresholds.ZN.f1: expected a number from 0 to 1, found 1.5",
            ),
            "a cross-fitted figure that is no number": (
                b"thresholds: {ZN: {threshold: 0.5, cross_fitted: {mcc: .nan}}}\n",
                ": thresholds.ZN.cross_fitted.mcc: expected a number from -1 to 1, found nan",
            ),
            "a number for an ion": (b"thresholds: {ZN: 0.5}\n", _NO_THRESHOLDS),
            "a threshold twice": (
                b"thresholds: {ZN: {threshold: 1, threshold: 2}}\n",
                r":1: not YAML: 'threshold' comes",
            ),
        },
    ),
    *read("run folder of report", {"a binding run": (RUN, ["ZN"])}),
    *refused("run folder of report", _FOLDER_PROBLEMS, at=""),
    *refused(
        "run folder of report",
        {
            "no settings": (None, ": holds no config.yaml, so it is not the folder of a run"),
            "settings of something else": (b"a: 1\n", "/config.yaml: these are not the settings of a"),
        },
        at="",
    ),
    *read("run folder of compare", {"two binding runs": (RUN, (["A", "B"], "binding"))}),
    *refused("run folder of compare", _FOLDER_PROBLEMS, at=""),
    *refused("run folder of compare", {"no settings": (None, ": holds no config.yaml")}, at=""),
    *refused("run folder of merge", _FOLDER_PROBLEMS, at=""),
    *refused(
        "run folder of merge",
        {
            "no settings": (None, ": holds no config.yaml, so it is not the folder of a run"),
            "no fold done": (RUN, ": folds that are not done: fold_1, fold_2"),
            "an unknown setting": (RUN + b"x: 1\n", "/config.yaml: unknown setting 'x'"),
            "more folds than can be": (
                RUN.replace(b"folds: 2", b"folds: 29999999999999999999"),
                "/config.yaml: training.num_folds: .*less than or equal to 1000",
            ),
        },
        at="",
    ),
]
