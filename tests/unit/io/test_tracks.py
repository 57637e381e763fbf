"""Tracks have each nucleotide once, sorted, and read back the same."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bindtune.io.tracks import mean_track, write_bedgraph, write_bigwigs

ROWS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9), st.floats(-9, 9) | st.just(float("nan"))), max_size=40)


@given(ROWS)
def test_a_nucleotide_has_the_mean_of_its_values(rows: list[tuple[int, int, float]]) -> None:
    chrom, position, value = (np.array([row[at] for row in rows], kind) for at, kind in enumerate((int, int, float)))
    expected: dict[tuple[str, int], list[float]] = {}
    for number, at, one in rows:
        if one == one:
            expected.setdefault(("abc"[number], at), []).append(one)
    protein_rows = list(mean_track("abc", chrom, position, value).rows())
    assert [(name, start) for name, start, _, _ in protein_rows] == sorted(expected)
    assert all(end == start + 1 for _, start, end, _ in protein_rows)
    np.testing.assert_allclose(
        [row[3] for row in protein_rows], [np.mean(expected[row[:2]]) for row in protein_rows], rtol=1e-9, atol=1e-12
    )


def test_files_hold_the_values(tmp_path: Path) -> None:
    pybigtools = pytest.importorskip("pybigtools")
    track = mean_track(["chr1", "chr2"], np.array([1, 0, 0]), np.array([3, 7, 2]), np.array([0.5, -2.0, 1e-7]))
    write_bedgraph(tmp_path / "x.bedGraph", track, name='a "quoted"\tname')
    assert (tmp_path / "x.bedGraph").read_text() == (
        'track type=bedGraph name="a quotedname"\nchr1\t2\t3\t1e-07\nchr1\t7\t8\t-2\nchr2\t3\t4\t0.5\n'
    )
    for _ in range(2):  # a folder that stands there is replaced
        write_bigwigs(tmp_path / "bw", {"x": track}, sizes={"chr2": 9, "chr1": 20, "chr3": 5})
    assert [path.name for path in (tmp_path / "bw").iterdir()] == ["x.bw"]
    with pybigtools.open(str(tmp_path / "bw" / "x.bw")) as file:
        assert list(file.records("chr1")) == [(2, 3, np.float32(1e-7)), (7, 8, -2.0)]
        assert list(file.records("chr2")) == [(3, 4, 0.5)]
