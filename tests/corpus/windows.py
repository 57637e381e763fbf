"""Training records: JSON, JSON Lines and Parquet, gzipped or not."""

import gzip
import json
from typing import Any

from corpus.case import looks, read, refused
from corpus.valid import SEQUENCE, array, parquet, window, windows

_FIRST = ("chr7:100-900_window_0_32", SEQUENCE, ((3, 9),), ((103, 109),))
_SECOND = ("chr7:100-900_window_1_33", SEQUENCE, (), ())
_BOTH = [_FIRST, _SECOND]
_R = windows(window()).strip()


def _region(**changes: Any) -> bytes:
    return windows(window(), window(eclip_regions=[{"peak_start": 3, "peak_end": 9, **changes}]))


def _other(**changes: Any) -> bytes:
    return windows(window(), window(**changes))


def _deep(depth: int) -> bytes:
    return (
        b'[{"sequence": "A", "seq_id": "' + b"[" * 500 + b'", "eclip_regions": ' + b"[" * depth + b"]" * depth + b"}]"
    )


def _timestamps() -> bytes:
    import pyarrow as pa

    kinds = [
        ("sequence", pa.string()),
        ("seq_id", pa.string()),
        ("made", pa.timestamp("ns")),
        ("eclip_regions", pa.list_(pa.struct([("peak_start", pa.int64()), ("peak_end", pa.int64())]))),
    ]
    return parquet(
        [{"sequence": "ACGT", "seq_id": "a", "made": 2**62 + 1, "eclip_regions": []}], schema=pa.schema(kinds)
    )


CASES = [
    *looks("training records", windows(), _BOTH),
    *read(
        "training records",
        {
            "an array": (array(), _BOTH),
            "an indented array with CRLF": (
                json.dumps([window(), window(1, eclip_regions=[])], indent=1).replace("\n", "\r\n"),
                _BOTH,
            ),
            "an array after blanks and a mark": (b"\xef\xbb\xbf" + array(), _BOTH),
            "a gzipped array": (gzip.compress(array()), _BOTH),
            "blank lines between": (windows().replace(b"\n", b"\n\n \n"), _BOTH),
            "10,000 blank lines first": (b"\n" * 10_000 + windows(), _BOTH),
            "Parquet": (lambda: parquet([window(), window(0)]), [_FIRST, _FIRST]),
            "gzipped Parquet": (lambda: gzip.compress(parquet([window()])), [_FIRST]),
            "Parquet with times that Python has not": (_timestamps, [("a", "ACGT", (), ())]),
            "an empty array": (b" [ ] ", []),
            "lower case and runs of N": (
                windows(window(sequence="acgtNNNN", seq_len=8, eclip_regions=[])),
                [(_FIRST[0], "acgtNNNN", (), ())],
            ),
            "no length": (windows(window(seq_len=None)), [_FIRST]),
            "floats for positions": (
                _region(peak_start=3.0)[len(_R) + 1 :],
                [(_FIRST[0], SEQUENCE, ((3, 9),), (None,))],
            ),
            "a peak beyond the window": (
                _region(peak_start=-3, peak_end=900)[len(_R) + 1 :],
                [(_FIRST[0], SEQUENCE, ((-3, 900),), (None,))],
            ),
            "brackets in a name": (
                b"[" + windows(window(seq_id="[" * 500 + '"\\')).strip() + b"]",
                [("[" * 500 + '"\\', *_FIRST[1:])],
            ),
            "the same record twice": (windows(window(), window()), [_FIRST, _FIRST]),
        },
    ),
    *refused(
        "training records",
        {
            "missing": (None, ": cannot be read: .*No such file"),
            "empty": (b"", ": expected a JSON array, JSON Lines or Parquet, found nothing"),
            "only blank lines": (b" \n" * 9000, ": expected .* found nothing"),
            "an empty gzip": (gzip.compress(b""), ": expected .* found nothing"),
            "other bytes": (bytes(range(255, 0, -1)), ": expected a JSON array, JSON Lines or Parquet"),
            "vertical tab": (b"\v[" + _R + b"]", r": expected a JSON array, JSON Lines or Parquet, found '\\x0b\["),
            "FASTA": (b">chr1\nACGT\n", ": expected a JSON array, JSON Lines or Parquet, found '>chr1"),
            "an array cut in a record": (b"[" + _R + b"," + _R[:40], ": record 2: not JSON"),
            "an array cut after a comma": (b"[" + _R + b",", ": record 2: not JSON"),
            "an array without its end": (b"[" + _R, ": record 2: not JSON"),
            "more after an array": (b"[" + _R + b"] x", ": record 2: not JSON"),
            "a number in an array": (b"[" + _R + b", 5]", ": record 2: expected an object"),
            "null in an array": (b"[null]", ": record 1: expected an object"),
            "a list in lines": (_R + b"\n[1, 2]\n", ":2: expected an object"),
            "a cut line": (_R + b"\n\n" + _R[:40] + b"\n" + _R, ":3: not JSON"),
            "two on a line": (_R + b" " + _R, ":1: not JSON: Extra data"),
            "an object that wraps the array": (b'{"data": [' + _R + b"]}", ":1: sequence must be text"),
            "no UTF-8 in lines": (_R + b"\n" + _R.replace(b"chr7", b"chr\xff"), ":2: not JSON"),
            "no UTF-8 in an array": (b"[" + _R.replace(b"chr7", b"chr\xff") + b"]", ": record 1: not JSON"),
            "half a surrogate pair": (_R.replace(b"chr7", b"chr\\ud800"), ":1: "),
            "a number of 5000 digits": (
                _region() + _R.replace(b'"peak_end": 9', b'"peak_end": ' + b"1" * 5000),
                ":3: not JSON",
            ),
            "a number of 5000 digits in an array": (
                b"[" + _R.replace(b'"peak_end": 9', b'"peak_end": ' + b"1" * 5000) + b"]",
                ": record 1: ",
            ),
            "a number beyond 64 bits": (_region(peak_start=-(10**30)), ":2: peak_start must fit into 64 bits"),
            "a huge float": (_region(peak_end=1e300), ":2: peak_end must fit into 64 bits"),
            "an infinite number": (
                _R.replace(b'"peak_end": 9', b'"peak_end": 1e400'),
                ":1: peak_end must be a whole number",
            ),
            "NaN": (_R.replace(b'"peak_end": 9', b'"peak_end": NaN'), ":1: peak_end must be a whole number"),
            "half a position": (_region(peak_end=8.5), ":2: peak_end must be a whole number, found 8.5"),
            "text for a position": (_region(peak_start="3"), ":2: peak_start must be a whole number, found '3'"),
            "true for a position": (_region(peak_start=True), ":2: peak_start must be a whole number, found True"),
            "an end before the start": (_region(peak_end=2), ":2: peak_end 2 is less than peak_start 3"),
            "a newline in a sequence": (_other(sequence="ACGT\nACG"), r":2: sequence: '\\n' at letter 5, expected A-Z"),
            "a blank at the end of a sequence": (_other(sequence="ACGT "), ":2: sequence: ' ' at letter 5"),
            "a carriage return in a sequence of an array": (
                lambda: array(window(), window(sequence="ACG\r\nT")),
                r": record 2: sequence: '\\r' at letter 4",
            ),
            "a tab in a sequence of Parquet": (
                lambda: parquet([window(sequence="AC\tGT")]),
                r": record 1: sequence: '\\t' at letter 3",
            ),
            "a gap in a sequence": (_other(sequence="AC-GT"), ":2: sequence: '-' at letter 3"),
            "a stop at the end of a sequence": (_other(sequence="MKT*"), r":2: sequence: '\*' at letter 4"),
            "a byte order mark in a sequence": (_other(sequence="\ufeffACGT"), r":2: sequence: '\\ufeff' at letter 1"),
            "a digit in a sequence": (_other(sequence="ACG5"), ":2: sequence: '5' at letter 4"),
            "a letter of another script in a sequence": (_other(sequence="\u0410CGT"), ":2: sequence: .* at letter 1"),
            "a sequence of blanks": (_other(sequence="   "), ":2: sequence: ' ' at letter 1"),
            "no sequence": (_other(sequence=None), ":2: sequence must be text"),
            "another length": (_other(seq_len=31), ":2: seq_len is 31, but the sequence has 32 letters"),
            "no regions": (_other(eclip_regions=None), ":2: eclip_regions must be a list"),
            "100,000 brackets in an array": (b"[" * 100_000, ": record 1: not JSON: more than 100 brackets are open"),
            "100,000 brackets in a record of an array": (
                _deep(100_000),
                ": record 1: not JSON: more than 100 brackets",
            ),
            "100,000 objects in each other": (b'[{"a":' * 50_000, ": record 1: not JSON: more than 100 brackets"),
            "100,000 brackets in a line": (b'{"a":' + b"[" * 100_000, ":1: not JSON"),
            "brackets beside each other in a line": (b'{"a":' + b"[]," * 9, ":1: not JSON"),
            "a text of 8 million letters in an array": (
                lambda: b'[{"sequence": "' + b"A" * 8_500_000,
                ": record 1: not JSON: a record of more than 8,388,608 bytes",
            ),
            "a line of 17 million letters": (
                lambda: _R + b'\n{"sequence": "' + b"A" * 17_000_000,
                ":2: a line of more than 16,777,216 bytes",
            ),
            "gzip of a text without end": (
                lambda: gzip.compress(b'[{"sequence": "' + b"A" * 8_500_000, 1),
                ": record 1: not JSON: a record of more",
            ),
            "gzip cut short": (gzip.compress(windows() * 50)[:-30], ": gzip data is damaged or cut short"),
            "a gzipped array cut short": (gzip.compress(array() * 50)[:-30], ": "),
            "a gzip header alone": (b"\x1f\x8b\x08\x00", ": gzip data is damaged or cut short"),
            "the first bytes of Parquet": (b"PAR1" + b"x" * 100, ": cannot be read"),
            "Parquet cut short": (lambda: parquet()[:-50], ": cannot be read"),
            "Parquet with a footer of 4 GB": (lambda: parquet()[:-8] + b"\xff\xff\xff\x7fPAR1", ": cannot be read"),
            "Parquet with a flipped byte": (
                lambda: (lambda whole: whole[:60] + bytes(byte ^ 0xFF for byte in whole[60:90]) + whole[90:])(
                    parquet()
                ),
                ": ",
            ),
            "Parquet of other columns": (lambda: parquet([{"x": 1}]), ": record 1: sequence must be text"),
            "Parquet with numbers for sequences": (
                lambda: parquet([window(sequence=5)]),
                ": record 1: sequence must be text",
            ),
        },
    ),
]
