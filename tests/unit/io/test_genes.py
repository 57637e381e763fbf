"""Annotations of the three houses, in both formats."""

from pathlib import Path

import pytest

from bindtune.errors import InputError
from bindtune.io.genes import gene_type, parse_attributes, read_genes

ENSEMBL = 'gene_id "ENSG1"; gene_version "3"; gene_name "A;B"; gene_biotype "lncRNA";'
GENCODE = 'gene_id "ENSG1.3"; gene_type "lncRNA"; gene_name "A"; level 2; tag "basic"; tag "Ensembl_canonical";'
REFSEQ = 'gene_id "A"; transcript_id ""; db_xref "GeneID:1"; db_xref "HGNC:2"; gene_biotype "lncRNA"; pseudo "true"; '
REFSEQ_GFF = "ID=gene-A;Dbxref=GeneID:1,HGNC:2;Name=A%3BB;gbkey=Gene;gene_biotype=lncRNA"
ENSEMBL_GFF = "ID=gene:ENSG1;Name=A;biotype=lncRNA;description=x [Source:HGNC%3BAcc:1];gene_id=ENSG1"


@pytest.mark.parametrize("text", [ENSEMBL, GENCODE, REFSEQ, REFSEQ_GFF, ENSEMBL_GFF])
def test_the_gene_type_is_found_in_every_dialect(text: str) -> None:
    assert gene_type(text) == "lncRNA"


def test_attributes_keep_semicolons_in_quotes_and_the_first_of_equal_keys() -> None:
    assert parse_attributes(ENSEMBL)["gene_name"] == "A;B"
    assert parse_attributes(GENCODE)["level"] == "2"
    assert parse_attributes(GENCODE)["tag"] == "basic"
    assert parse_attributes(REFSEQ)["transcript_id"] == ""
    assert parse_attributes(REFSEQ_GFF)["Name"] == "A;B"
    assert parse_attributes(".") == {}


def line(feature: str, first: int, last: int, *, strand: str = "+", kind: str = "lncRNA") -> str:
    return f'chr1\thavana\t{feature}\t{first}\t{last}\t.\t{strand}\t.\tgene_id "G"; gene_type "{kind}";\n'


def test_positions_become_half_open_and_only_the_feature_counts(tmp_path: Path) -> None:
    path = tmp_path / "a.gtf"
    path.write_text(
        "#!genome-build x\n"
        + line("gene", 1, 10)
        + line("exon", 1, 5)
        + line("gene", 5, 5, strand="-")
        + "##FASTA\n>chr1\nACGT\n"
    )
    genes = read_genes(path, features=["gene"])
    assert genes.start.tolist() == [0, 4]
    assert genes.end.tolist() == [10, 5]
    assert genes.strand.tolist() == [1, -1]
    assert genes.line.tolist() == [2, 4]


def test_genes_of_a_type(tmp_path: Path) -> None:
    path = tmp_path / "a.gtf"
    path.write_text(line("gene", 1, 10) + line("gene", 20, 30, kind="protein_coding"))
    assert read_genes(path, features=["gene"], types=["protein_coding"]).start.tolist() == [19]
    with pytest.raises(InputError, match="no gene is of type miRNA; there are lncRNA, protein_coding"):
        read_genes(path, features=["gene"], types=["miRNA"])


def test_an_annotation_without_gene_lines_says_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "a.gtf"
    path.write_text(line("transcript", 1, 10) + line("exon", 1, 10))
    with pytest.raises(InputError, match=r"no line is a gene .* there are transcript, exon: .*--gene-feature"):
        read_genes(path, features=["gene"])


def test_real_annotation(shared: Path) -> None:
    path = shared / "data/genome_hg38_chr9_bambu/Homo_sapiens.GRCh38.91_chr9_1_1000000.gtf.gz"
    genes = read_genes(path, features=["gene"])
    assert len(genes) == 23
    assert (genes.names, genes.start[0], genes.end[0]) == (("9",), 12133, 13783)
    assert sorted(set(genes.strand.tolist())) == [-1, 1]
    coding = read_genes(path, features=["gene"], types=["protein_coding"])
    assert 0 < len(coding) < 23
