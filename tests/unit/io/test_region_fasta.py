"""Region FASTA with every header that getfasta writes."""

import gzip
from pathlib import Path

import pytest

from bindtune.io.region_fasta import RegionFasta


@pytest.mark.parametrize("packed", [False, True])
def test_records_are_read_in_any_order_of_regions(tmp_path: Path, packed: bool) -> None:
    content = b">chr1:10-16\nacg\nUNN\n\n>GENE::chrX_alt:0-4(-) more\r\nAACC\r\n>HLA-A*01:5-7(+)\nGT\n"
    path = tmp_path / "r.fa"
    path.write_bytes(gzip.compress(content) if packed else content)
    fasta = RegionFasta(path)
    assert fasta.regions.names == ("chr1", "chrX_alt", "HLA-A*01")
    assert fasta.regions.start.tolist() == [10, 0, 5]
    assert fasta.regions.end.tolist() == [16, 4, 7]
    assert fasta.regions.strand.tolist() == [0, -1, 1]
    assert fasta.regions.line.tolist() == [1, 5, 7]
    for _ in range(2):
        assert fasta.fetch(0, 0, 6) == b"ACGTNN"
        # The file has the minus strand; what is fetched is the plus strand.
        assert fasta.fetch(1, 1, 4) == b"GTT"
        assert fasta.fetch(2, 0, 2) == b"GT"
    assert fasta.fetch(1, 0, 4) == b"GGTT"
