"""A3M files as they are found in the wild."""

import gzip
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bindtune.errors import InputError
from bindtune.io.a3m import ANNOTATION, CONSENSUS, OTHER_QUERY, Record, match_columns, read_a3m, read_rows, residues


def written(tmp_path: Path, content: bytes, name: str = "a.a3m") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


ROWS = [("q", b"MKTAY"), ("hit\t215\t0.9\t1e-30", b"MK-aaAY"), ("q", b"MKTAY")]


@pytest.mark.parametrize(
    "content",
    [
        b">q\nMKTAY\n>hit\t215\t0.9\t1e-30\nMK-aaAY\n>q\nMKTAY\n",
        b"#5\t1\n#more\n>q\nMKTAY\n>hit\t215\t0.9\t1e-30\nMK-aaAY\n>q\nMKTAY\n\0",
        b">q\r\nMKTAY\r\n>hit\t215\t0.9\t1e-30\r\nMK-aaAY\r\n>q\r\nMKTAY",
        b"\n>q\nMK\nTAY\n\n>hit\t215\t0.9\t1e-30\nMK-\naaAY\n\0>q\nMKTAY\n\n",
    ],
    ids=["plain", "colabfold", "crlf", "wrapped"],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_forms_of_one_alignment(tmp_path: Path, content: bytes, zipped: bool) -> None:
    path = written(tmp_path, gzip.compress(content, mtime=0) if zipped else content)
    assert [(record.name, record.sequence) for record in read_a3m(path)] == ROWS


def test_lines_are_counted(tmp_path: Path) -> None:
    path = written(tmp_path, b"#5\t1\n>q\nMK\nTAY\n>x\nMK.xAY\n")
    assert [record.line for record in read_a3m(path)] == [2, 5]


@pytest.mark.parametrize("between", [b"\0", b"\0\n", b"\n\0\n\n", b"\0\r\n"])
def test_alignments_of_other_queries_after_nul_are_left_out(tmp_path: Path, between: bytes) -> None:
    blocks = [
        b">q\nMKTAY\n>a\nMK-AY\n",
        b">other\nMKTAW\n>b\nMKTAW\n",
        b">q again\nmktay\n>c\nMKTVY\n",
        b">ss_pred\nHHHHH\n>third\nWKTAY\n>d\nMKTAH\n>e\nMKTAH\n",
        b">ss_pred\nHHHHH\n>q\nMKTAY\n>f\nMKTAF\n",
    ]
    path = written(tmp_path, between.join(blocks) + b"\0\n")
    assert [record.name for record in read_a3m(path)] == ["q", "a", "q again", "c", "q", "f"]
    reasons = Counter(reason for _, reason in read_rows(path))
    assert reasons == {"": 6, OTHER_QUERY: 5, ANNOTATION: 2}


def test_a_nul_byte_within_a_header_parts_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, b"\0>q\nMKTAY\n>a\0b\nMKTAV\n>c\nMKTAF\n")
    assert [record.name for record in read_a3m(path)] == ["q", "ab", "c"]
    assert not any(reason for _, reason in read_rows(path))


@pytest.mark.parametrize(
    ("content", "name", "sequences", "consensus"),
    [
        (b">q_consensus\nMKTAY\n>q\nMKTAW\n>h\nMRTAW\n", "q.a3m", ["q", "h"], ["q_consensus"]),
        (b">q\nMKTAW\n>q_consensus\nMKTAY\n>h\nMRTAW\n", "q.a3m", ["q", "h"], ["q_consensus"]),
        (b">q\nMK\n>Consensus\nMR\n>consensus of all\nMH\n", "q.a3m", ["q"], ["Consensus", "consensus of all"]),
        (b">ss_pred\nHH\n>x_consensus more\nMK\n>ss_conf\n99\n", "q.a3m", ["x_consensus more"], []),
        (b">d_consensus\nMK\n>h\nMR\n", "d_consensus.a3m.gz", ["d_consensus", "h"], []),
        (b">q\nMK\n>consensus_of_two\nMR\n>nonconsensus\nMH\n", "q.a3m", ["q", "consensus_of_two", "nonconsensus"], []),
        (b">a_consensus\nMK\n>b_consensus\nMR\n>q\nMH\n", "q.a3m", ["q"], ["b_consensus", "a_consensus"]),
    ],
)
def test_the_consensus_is_no_homolog(
    tmp_path: Path, content: bytes, name: str, sequences: list[str], consensus: list[str]
) -> None:
    rows = [(record.name, reason) for record, reason in read_rows(written(tmp_path, content, name))]
    assert [name for name, reason in rows if not reason] == sequences
    assert [name for name, reason in rows if reason == CONSENSUS] == consensus


def test_forms_of_a_row() -> None:
    for sequence, columns, protein in (
        (b"MK-aaAYx", b"MK-AY", b"MKAAAYX"),
        (b"MK.AY", b"MK-AY", b"MKAY"),
        (b"MK..TA.Y", b"MKTAY", b"MKTAY"),  # dots that pad insertions of other rows
        (b"MX-XY", b"MX-XY", b"MXXY"),
        (b"-----", b"-----", b""),
        (b"MK*AY", b"MKXAY", b"MKXAY"),
        (b"MKTA*", b"MKTAX", b"MKTA"),
        (b"MKTAY*", b"MKTAY", b"MKTAY"),
        (b"MK*aTA*", b"MKXTA", b"MKXATA"),
    ):
        record = Record("r", sequence, 3)
        assert match_columns(record, query=b"MKTAY", path="a.a3m") == columns
        assert residues(record) == protein


def test_rows_of_a2m() -> None:
    for sequence, columns in (
        (b"MKTCD..EFG", b"MKTCDEFG"),
        (b"MRTCDkkEAG", b"MRTCDEAG"),
        (b"MRTCDk.EAG", b"MRTCDEAG"),
        (b"M--CD.kE-G", b"M--CDE-G"),
        (b"--------", b"--------"),
        (b"MRTCDKKEAG", b"MRTCDEAG"),  # residues where the query has none are in no column of it
        (b"M.TCD..EAG", b"M-TCDEAG"),
    ):
        record = Record("r", sequence, 3)
        assert match_columns(record, query=b"MKTCD..EFG", path="a.a3m") == columns
    with pytest.raises(InputError, match=r"a\.a3m:3: 7 columns without insertions, the query has 8"):
        match_columns(Record("r", b"MRTCDkkEA", 3), query=b"MKTCD..EFG", path="a.a3m")


def test_a_missing_file_and_a_short_row(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.a3m: cannot be read"):
        list(read_a3m(tmp_path / "none.a3m"))
    with pytest.raises(InputError, match=r"b\.a3m:7: 4 columns without insertions, the query has 5"):
        match_columns(Record("r", b"MKaTA", 7), query=b"MKTAY", path="b.a3m")


@given(rows=st.lists(st.text("ACDxyX-", min_size=1, max_size=30), min_size=1, max_size=8), width=st.integers(1, 9))
def test_wrapping_changes_nothing(tmp_path_factory: pytest.TempPathFactory, rows: list[str], width: int) -> None:
    lines = [
        f">{number}\n" + "\n".join(row[at : at + width] for at in range(0, len(row), width))
        for number, row in enumerate(rows)
    ]
    path = written(tmp_path_factory.mktemp("a3m"), "\n".join(lines).encode())
    assert [record.sequence.decode() for record in read_a3m(path)] == rows


def test_100_000_rows_are_read_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "big.a3m"
    with path.open("wb") as file:
        for number in range(100_000):
            file.write(b">row %d\n" % number + b"ACDEFGHIKL" * 20 + b"\n")
    tracemalloc.start()
    count = sum(1 for _ in read_a3m(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 100_000
    assert peak < 2**20
