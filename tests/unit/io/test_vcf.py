"""VCF and tables of variants: what they hold, what is refused, and copies with a new INFO field."""

import gzip
import io
from pathlib import Path

import pytest

from bindtune.errors import InputError
from bindtune.io.variant_table import read_substitutions, read_variant_table
from bindtune.io.vcf import BgzipWriter, annotate, check_info_name, read_vcf
from corpus.valid import bgzip

HEADER = '##fileformat=VCFv4.2\n##INFO=<ID=AF,Number=A,Type=Float,Description="share">\n'
COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"
VCF = (
    f"{HEADER}{COLUMNS}\tFORMAT\ts1\n"
    "chr1\t5\trs1\tA\tC,G\t.\tPASS\tAF=0.1,0.2\tGT\t0/1\n"
    "chr1\t7\t.\tacg\tA,*,<DEL>\t9\t.\t.\tGT\t1/1\n"
)
RECORDS = [(4, "chr1", 5, "A", ("C", "G")), (5, "chr1", 7, "acg", ("A", "*", "<DEL>"))]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bgzip])
def test_records_are_read_plain_and_packed(tmp_path: Path, pack: "type[bytes]") -> None:
    path = tmp_path / "v.vcf"
    path.write_bytes(pack(VCF.encode()))
    assert list(map(tuple, read_vcf(path))) == RECORDS
    path.write_bytes(pack(VCF.replace("\n", "\r\n").encode()))
    assert list(map(tuple, read_vcf(path))) == RECORDS


def test_a_copy_has_a_number_for_each_allele(tmp_path: Path) -> None:
    path, target = tmp_path / "v.vcf", io.BytesIO()
    path.write_text(VCF)
    annotate(path, target, name="S", description='a "b" \\', values=iter([["1", "-2"], ["0.5", ".", "."]]))
    lines = target.getvalue().decode().splitlines()
    assert lines[:2] == HEADER.splitlines()
    assert lines[2] == '##INFO=<ID=S,Number=A,Type=Float,Description="a \\"b\\" \\\\">'
    assert lines[3] == f"{COLUMNS}\tFORMAT\ts1"
    assert lines[4] == "chr1\t5\trs1\tA\tC,G\t.\tPASS\tAF=0.1,0.2;S=1,-2\tGT\t0/1"
    assert lines[5] == "chr1\t7\t.\tacg\tA,*,<DEL>\t9\t.\tS=0.5,.,.\tGT\t1/1"
    with pytest.raises(InputError, match=r"v\.vcf:2: has an INFO field AF already: .*--info-field"):
        check_info_name(path, "AF")
    check_info_name(path, "S")
    with pytest.raises(InputError, match="'a b' is no name of an INFO field"):
        check_info_name(path, "a b")


def test_an_info_field_of_a_record_alone_is_seen(tmp_path: Path) -> None:
    path, target = tmp_path / "v.vcf", io.BytesIO()
    path.write_text(f"{HEADER}{COLUMNS}\nchr1\t5\tS\tA\tC\t.\tS\tTS=1;US;\nchr1\t9\tS\tA\tC\t.\tS\tT=S;U\n")
    for name, line in (("TS", 4), ("US", 4), ("U", 5)):
        with pytest.raises(InputError, match=rf"v\.vcf:{line}: has an INFO field {name} already"):
            check_info_name(path, name)
    check_info_name(path, "S")
    annotate(path, target, name="S", description="", values=iter([["1"], ["2"]]))
    assert [row.split(b"\t")[7] for row in target.getvalue().splitlines()[4:]] == [b"TS=1;US;S=1", b"T=S;U;S=2"]


@pytest.mark.parametrize("size", [0, 10, 70_000, 300_000])
def test_bgzip_is_blocks_of_gzip(size: int) -> None:
    content, target = bytes(n * n % 251 for n in range(size)), io.BytesIO()
    writer = BgzipWriter(target)
    for first in range(0, size, 9999):
        writer.write(content[first : first + 9999])
    writer.close()
    packed, position, blocks = target.getvalue(), 0, 0
    assert gzip.decompress(packed) == content
    while position < len(packed):  # each block says where the next one begins
        assert packed[position : position + 4] == b"\x1f\x8b\x08\x04" and packed[position + 12 : position + 14] == b"BC"
        position += int.from_bytes(packed[position + 16 : position + 18], "little") + 1
        blocks += 1
    assert position == len(packed) and blocks == -(-size // 0xFF00) + 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("chr1\t5\t.\tA\tC\n", r":1: not VCF: expected ##fileformat=VCF, found 'chr1"),
        (f"{HEADER}chr1\t5\t.\tA\tC\t.\t.\t.\n", r":3: a record before the header of the columns"),
        (HEADER, r": not VCF: it has no header of the columns"),
        (f"{HEADER}#CHROM\tPOS\tREF\tALT\n", r":3: expected the columns #CHROM POS ID"),
        (f"{HEADER}{COLUMNS}\nchr1\t5\t.\tA\tC\t.\t.\n", r":4: 7 columns, where the header \(#CHROM\) has 8"),
        (f"{HEADER}{COLUMNS}\nchr1 5 . A C . . .\n", r":4: 1 columns, where"),
        (f"{HEADER}{COLUMNS}\nchr1\tx\t.\tA\tC\t.\t.\t.\n", r":4: POS is not a whole number: 'x'"),
        (f"{HEADER}{COLUMNS}\nchr1\t-1\t.\tA\tC\t.\t.\t.\n", r":4: POS is not a whole number: '-1'"),
        (f"{HEADER}{COLUMNS}\nchr1\t5\t.\t.\tC\t.\t.\t.\n", r":4: REF is '\.', expected letters"),
        (f"{HEADER}{COLUMNS}\nchr1\t5\t.\tA\tC,\t.\t.\t.\n", r":4: ALT is '', expected letters"),
        (f"{HEADER}{COLUMNS}\nchr1\t5\t.\tA\tX\t.\t.\t.\n", r":4: ALT is 'X', expected letters"),
        (f"{HEADER}{COLUMNS}\n\t5\t.\tA\tC\t.\t.\t.\n", r":4: CHROM is empty"),
        (f"{HEADER}{COLUMNS}\n##late\n", r":4: a header line behind"),
    ],
)
def test_a_vcf_that_is_wrong_is_refused_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "v.vcf").write_text(text)
    with pytest.raises(InputError, match=rf"v\.vcf{problem}"):
        list(read_vcf(tmp_path / "v.vcf"))


@pytest.mark.parametrize(
    "text",
    [
        "chr1\t5\tA\tC\nchr1\t9\tG\tGT\n",
        "chrom\tpos\tref\talt\nchr1\t5\tA\tC\nchr1\t9\tG\tGT\n",
        "#CHROM pos ref alt\n# a note\nchr1 5 A C\n\nchr1 9 G GT more\n",
        "alt,\tREF\tscore\tpos\tChrom\n".replace("alt,", "alt") + "C\tA\t1\t5\tchr1\nGT\tG\t1\t9\tchr1\n",
    ],
)
def test_tables_with_and_without_a_header(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.tsv").write_text(text)
    records = [tuple(record)[1:] for record in read_variant_table(tmp_path / "t.tsv")]
    assert records == [("chr1", 5, "A", ("C",)), ("chr1", 9, "G", ("GT",))]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("chr1\t5\tA\n", ":1: expected the columns chrom, pos, ref, alt, separated by tabs or blanks, found 3 columns"),
        ("chrom\tpos\tref\nchr1\t5\tA\n", ":1: the header has no column alt"),
        ("chrom\tpos\tref\talt\talt\n", ":1: the header has two columns alt"),
        ("chr1\t5.0\tA\tC\n", ":1: pos is not a whole number: '5.0'"),
        ("chr1\t5\tA\t-\n", ":1: ALT is '-', expected letters"),
    ],
)
def test_a_table_that_is_wrong_is_refused_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "t.tsv").write_text(text)
    with pytest.raises(InputError, match=problem):
        list(read_variant_table(tmp_path / "t.tsv"))


def test_substitutions_of_a_parent(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("# note\nA1C\n\nA1C:T4G\n")
    substitutions = [tuple(each) for each in read_substitutions(tmp_path / "v.txt", parent="ACGT", unit="nucleotide")]
    assert substitutions == [(2, "A1C", "CCGT"), (4, "A1C:T4G", "CCGG")]
    (tmp_path / "v.txt").write_text("U4A:A1U\n")
    (rna,) = read_substitutions(tmp_path / "v.txt", parent="ACGT", unit="nucleotide")
    assert tuple(rna) == (1, "U4A:A1U", "TCGA")
    with pytest.raises(InputError, match=r"v\.txt:1: 'U4A': residue 4 of the parent is T"):
        list(read_substitutions(tmp_path / "v.txt", parent="ACGT", unit="residue"))
    (tmp_path / "v.txt").write_text("C1A\n")
    with pytest.raises(InputError, match=r"v\.txt:1: 'C1A': nucleotide 1 of the parent is A"):
        list(read_substitutions(tmp_path / "v.txt", parent="ACGT", unit="nucleotide"))
