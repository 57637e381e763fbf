"""Names of chromosomes, exact, matched and by alias."""

from pathlib import Path

import pytest

from bindtune.data.dna.chromosomes import ChromosomeNames, read_aliases

UCSC = "# ucsc\tassembly\tgenbank\trefseq\nchr1\t1\tCM000663.2\tNC_000001.11\nchrM\tMT\tJ01415.2\tNC_012920.1\n"
OLD_UCSC = "1\tchr1\tensembl\nCM000663.2\tchr1\tgenbank\nNC_000001.11\tchr1\trefseq\nMT\tchrM\tensembl\n"


@pytest.mark.parametrize(
    ("name", "exact", "matched"),
    [("chr1", 0, 0), ("1", None, 0), ("MT", None, 1), ("M", None, 1), ("chr2", None, None), ("chr22", None, None)],
)
def test_names(name: str, exact: int | None, matched: int | None) -> None:
    assert ChromosomeNames(["chr1", "chrM"], match=False).find(name) == exact
    assert ChromosomeNames(["chr1", "chrM"], match=True).find(name) == matched


def test_a_name_that_could_mean_two_means_none() -> None:
    names = ChromosomeNames(["chr1", "Chr1"], match=True)
    assert names.find("1") is None
    assert names.find("Chr1") == 1


@pytest.mark.parametrize("table", [UCSC, OLD_UCSC])
def test_alias_tables(tmp_path: Path, table: str) -> None:
    path = tmp_path / "chromAlias.txt"
    path.write_text(table)
    aliases = read_aliases(path, genome_names=["chr1", "chrM"])
    assert aliases["NC_000001.11"] == aliases["1"] == "chr1"
    assert aliases["MT"] == "chrM"
    assert not {"ensembl", "chr1"} & aliases.keys() or table == OLD_UCSC
    assert ChromosomeNames(["chr1", "chrM"], match=False, aliases=aliases).find("MT") == 1
