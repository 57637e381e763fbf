"""Peak files as they are found in the wild."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from bindtune.errors import InputError
from bindtune.io.bed import PeakFormat, read_bed
from bindtune.io.intervals import Intervals

LINES = ["chr1\t10\t20\tx\t3.65\t+", "chr2\t5\t9\ty\t-1e3\t-", "chr1\t0\t4\tz\t0\t."]


def rows(table: Intervals) -> list[tuple[str, int, int, int]]:
    names = [table.names[number] for number in table.chrom]
    return list(zip(names, table.start.tolist(), table.end.tolist(), table.strand.tolist(), strict=True))


EXPECTED = [("chr1", 10, 20, 1), ("chr2", 5, 9, -1), ("chr1", 0, 4, 0)]


@pytest.mark.parametrize(
    "content",
    [
        "\n".join(LINES) + "\n",
        "\n".join(LINES),
        "\r\n".join(LINES) + "\r\n",
        "\ufeff" + "\n".join(LINES),
        "track name=x type=bed\nbrowser position chr1:1-2\n# a comment\n\n" + "\n   \n".join(LINES),
        "track\tname=x\n" + "\n".join(LINES),
        "\n".join(line.replace("\t", "  ") for line in LINES),
        "#chrom\tstart\tend\tname\tscore\tstrand\n" + "\n".join(LINES),
    ],
    ids=["plain", "no last newline", "crlf", "bom", "headers", "tabbed track", "blanks", "named columns"],
)
@pytest.mark.parametrize("packed", [False, True])
def test_what_a_file_looks_like_does_not_matter(tmp_path: Path, content: str, packed: bool) -> None:
    path = tmp_path / "peaks.bed"
    path.write_bytes(gzip.compress(content.encode()) if packed else content.encode())
    table = read_bed(path)
    assert rows(table) == EXPECTED
    assert table.values["score"].tolist() == [3.65, -1000.0, 0.0]


def test_lines_count_from_one_past_all_headers(tmp_path: Path) -> None:
    path = tmp_path / "peaks.bed"
    path.write_text("# one\n\nchr1\t1\t2\nchr1\t3\t4\n")
    assert read_bed(path).line.tolist() == [3, 4]


@pytest.mark.parametrize("width", range(3, 13))
def test_bed_of_every_width(tmp_path: Path, width: int) -> None:
    fields = ["chr1", "100", "200", "n", "7.5", "-", "110", "190", "0,0,255", "2", "10,20", "0,80"]
    path = tmp_path / "peaks.bed"
    path.write_text("\t".join(fields[:width]) + "\n")
    table = read_bed(path, kind="bed")
    assert rows(table) == [("chr1", 100, 200, -1 if width >= 6 else 0)]
    assert list(table.values) == (["score"] if width >= 5 else [])


@pytest.mark.parametrize(
    ("name", "line", "values"),
    [
        ("a.narrowPeak", "chr1\t1\t9\t.\t1000\t+\t4.5\t6.25\t-1\t3", [1000, 4.5, 6.25, -1]),
        ("a.bed", "chr1\t1\t9\t.\t1000\t+\t4.5\t6.25\t-1\t3", [1000, 4.5, 6.25, -1]),
        ("a.broadPeak.gz", "chr1\t1\t9\t.\t0\t.\t4\t6\t2", [0, 4, 6, 2]),
        ("a.bed", "chr1\t1\t9\t.\t0\t.\t4.5\t6.0\t2.5", [0, 4.5, 6, 2.5]),
        ("a.bed", "chr1\t1\t9\t.\t0\t.\t1\t9\t0", [0]),
    ],
    ids=["narrowPeak", "ten columns", "broadPeak", "nine columns with numbers", "BED9"],
)
def test_the_format_goes_by_name_and_columns(tmp_path: Path, name: str, line: str, values: list[float]) -> None:
    path = tmp_path / name
    path.write_text(line + "\n")
    names = ["score", "enrichment", "p_value", "q_value"][: len(values)]
    assert {name: column.tolist() for name, column in read_bed(path).values.items()} == {
        name: [value] for name, value in zip(names, values, strict=True)
    }


def test_a_missing_score_is_not_a_number(tmp_path: Path) -> None:
    path = tmp_path / "peaks.bed"
    path.write_text("chr1\t1\t2\tn\t.\t+\nchr1\t1\t2\tn\t3\t+\n")
    assert np.isnan(read_bed(path).values["score"]).tolist() == [True, False]


def test_regions_may_have_words_in_column_five(tmp_path: Path) -> None:
    path = tmp_path / "genes.bed"
    path.write_text("chr1\t1\t2\tENSG1\tlncRNA\t-\nchr1\t1\t2\tENSG2\t\t+\n")
    table = read_bed(path, kind="bed", numbers=False)
    assert (table.strand.tolist(), table.values) == ([-1, 1], {})
    with pytest.raises(InputError, match=r"genes\.bed:1: column 5 is not a number: 'lncRNA'"):
        read_bed(path)


def test_an_odd_line_deep_in_a_long_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "peaks.bed"
    lines = [f"chr1\t{start}\t{start + 5}\tn\t1\t+" for start in range(60_000)]
    lines[41_233] = "chr1\t9\t9\tn\t1\t+"
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match=r"peaks\.bed:41234: end 9 is not greater than start 9"):
        read_bed(path)
    lines[41_233] = "# only a comment"
    path.write_text("\n".join(lines))
    table = read_bed(path)
    assert table.start.tolist() == [start for start in range(60_000) if start != 41_233]
    assert table.line[-1] == 60_000


@pytest.mark.parametrize(
    ("folder", "name", "count"),
    [
        ("eclip_hg38_rbpbench", "RBFOX2.k562_eclip.clipper_idr.bed", 3525),
        ("eclip_hg38_rbpbench", "RBFOX2.hepg2_eclip.clipper_idr.bed", 7477),
        ("eclip_hg38_rbpbench", "PUM1.k562_eclip.clipper_idr.bed", 2661),
        ("eclip_hg38_rbpbench", "PUM1.k562_eclip.dewseq_w100_s5.bed", 1607),
        ("eclip_hg38_peakhood", "SERBP1_K562.hg38.bed", 154),
        ("eclip_hg38_peakhood", "SUPV3L1_K562.hg38.bed", 59),
        ("eclip_hg38_peakhood", "combined_peaks.hg38.bed", 213),
        ("eclip_hg38_peakhood", "exon_blocks.hg38.bed", 554),
    ],
)
def test_real_files_parse_whole(shared: Path, folder: str, name: str, count: int) -> None:
    path = shared / "data" / folder / name
    table = read_bed(path)
    fields = [line.split("\t") for line in path.read_text().splitlines()]
    assert len(table) == count == len(fields)
    assert table.values["score"].tolist() == [float(row[4]) for row in fields]
    assert table.end.sum() - table.start.sum() == sum(int(row[2]) - int(row[1]) for row in fields)


@pytest.mark.parametrize(
    ("kind", "width", "values"),
    [
        ("bed", 10, ["score"]),
        ("bed", 13, ["score"]),
        ("bed", 20, ["score"]),
        ("narrowPeak", 12, ["score", "enrichment", "p_value", "q_value"]),
        ("narrowPeak", 20, ["score", "enrichment", "p_value", "q_value"]),
        ("broadPeak", 17, ["score", "enrichment", "p_value", "q_value"]),
    ],
)
def test_the_named_format_wins_over_the_number_of_columns(
    tmp_path: Path, kind: PeakFormat, width: int, values: list[str]
) -> None:
    path = tmp_path / "p.bed"
    fields = ["chr1", "10", "20", "x", "5", "+", "1.5", "2.5", "3.5", *["word"] * 20]
    path.write_text("\t".join(fields[:width]) + "\n")
    table = read_bed(path, kind=kind)
    assert rows(table) == [("chr1", 10, 20, 1)]
    assert list(table.values) == values
    assert [column.tolist() for column in table.values.values()] == [[5.0], [1.5], [2.5], [3.5]][: len(values)]


def test_a_named_format_needs_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "p.bed"
    path.write_text(LINES[0] + "\n")
    with pytest.raises(InputError, match=r"p\.bed:1: narrowPeak has 10 columns, found 6"):
        read_bed(path, kind="narrowPeak")
