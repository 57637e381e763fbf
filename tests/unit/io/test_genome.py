"""Genomes in every packing give the same letters, and nothing is left beside them."""

import gzip
import os
import shutil
from pathlib import Path

import pytest

from bindtune.errors import InputError
from bindtune.io.genome import Genome, GenomeFile, purify, reverse_complement

CHR1 = "acgtNNNNRYacgtACGTTTGACCATTTagacca" * 5
CHR2 = "UUUUGGGG"


def fasta(*, width: int = 10, newline: str = "\n") -> str:
    lines = []
    for name, letters in (("chr1 described", CHR1), ("chr2", CHR2)):
        lines.append(f">{name}")
        lines += [letters[position : position + width] for position in range(0, len(letters), width)]
    return newline.join(lines) + newline


def check(genome: Genome) -> None:
    assert genome.sizes == {"chr1": len(CHR1), "chr2": 8}
    assert genome.fetch("chr1", start=0, end=len(CHR1)) == CHR1.upper().encode()
    assert genome.fetch("chr1", start=7, end=43) == CHR1[7:43].upper().encode()
    assert genome.fetch("chr2", start=2, end=6) == b"TTGG"


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("packed", [False, True])
def test_fasta_without_an_index(tmp_path: Path, newline: str, packed: bool) -> None:
    path = tmp_path / ("g.fa.gz" if packed else "g.fa")
    content = fasta(newline=newline).encode()
    path.write_bytes(gzip.compress(content) if packed else content)
    messages: list[str] = []
    with GenomeFile(path, write_index=False, notify=messages.append) as genome:
        check(genome)
    assert [path.name for path in tmp_path.iterdir()] == [path.name]
    assert len(messages) == 1


def test_many_gzip_members_as_bgzip_writes_them(tmp_path: Path) -> None:
    path, content = tmp_path / "g.fa.bgz", fasta().encode()
    path.write_bytes(
        b"".join(gzip.compress(content[position : position + 40]) for position in range(0, len(content), 40))
    )
    with GenomeFile(path, write_index=False, notify=lambda _: None) as genome:
        check(genome)


def test_an_index_is_written_only_when_asked_for_and_then_used(tmp_path: Path) -> None:
    path = tmp_path / "g.fa"
    path.write_text(fasta())
    messages: list[str] = []
    with GenomeFile(path, write_index=True, notify=messages.append) as genome:
        check(genome)
    assert messages == [f"writing the index {path}.fai"]
    with GenomeFile(path, write_index=False, notify=messages.append) as genome:
        check(genome)
    assert len(messages) == 1
    assert (tmp_path / "g.fa.fai").read_text().splitlines()[0].split("\t") == ["chr1", "170", "16", "10", "11"]


def test_an_index_older_than_the_genome_is_not_trusted(tmp_path: Path) -> None:
    path = tmp_path / "g.fa"
    path.write_text(fasta())
    index = tmp_path / "g.fa.fai"
    index.write_text("chr1\t4\t6\t4\t5\n")
    os.utime(index, (1, 1))
    with GenomeFile(path, write_index=False, notify=lambda _: None) as genome:
        check(genome)
    assert index.read_text() == "chr1\t4\t6\t4\t5\n"


def test_an_index_of_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "g.fa"
    path.write_text(fasta())
    (tmp_path / "g.fa.fai").write_text("chr1\t170\t16\t10\t11\nchr2\t8\t190\t10\t11\n")
    with (
        pytest.raises(InputError, match=r"g\.fa\.fai:2: does not fit g\.fa"),
        GenomeFile(path, write_index=False, notify=lambda _: None),
    ):
        pass


def test_two_bit(tmp_path: Path) -> None:
    path = tmp_path / "g.2bit"
    path.write_bytes(two_bit({"chr1": "ACGTNNACGGGT", "chr2": "TTTT"}))
    with GenomeFile(path, write_index=False, notify=lambda _: None) as genome:
        assert genome.sizes == {"chr1": 12, "chr2": 4}
        assert genome.fetch("chr1", start=2, end=12) == b"GTNNACGGGT"


def two_bit(sequences: dict[str, str]) -> bytes:
    """A 2bit file by the format's description: header, index, records with their blocks of N."""

    def number(value: int) -> bytes:
        return value.to_bytes(4, "little")

    records = []
    for letters in sequences.values():
        runs = [position for position, letter in enumerate(letters) if letter == "N"]
        blocks = [index for index in runs if index - 1 not in runs]
        sizes = [
            next(size for size in range(1, len(letters) + 1) if position + size not in runs) for position in blocks
        ]
        codes = ["TCAG".index(letter) if letter != "N" else 0 for letter in letters] + [0] * (-len(letters) % 4)
        packed = bytes(
            codes[position] << 6 | codes[position + 1] << 4 | codes[position + 2] << 2 | codes[position + 3]
            for position in range(0, len(codes), 4)
        )
        head = number(len(letters)) + number(len(blocks)) + b"".join(map(number, blocks)) + b"".join(map(number, sizes))
        records.append(head + number(0) + number(0) + packed)
    offset = 16 + sum(1 + len(name) + 4 for name in sequences)
    index = b""
    for name, record in zip(sequences, records, strict=True):
        index += bytes([len(name)]) + name.encode() + number(offset)
        offset += len(record)
    return number(0x1A412743) + number(0) + number(len(sequences)) + number(0) + index + b"".join(records)


def test_what_is_no_letter_is_refused_with_its_place() -> None:
    assert purify(b"acgtnuRy", path=Path("g.fa"), name="chr1", start=0) == b"ACGTNTRY"
    for bad in (b"AC-G", b"AC*G", b"AC1G", b"ACEG", b"AC G"):
        with pytest.raises(InputError, match=r"g\.fa: chr1, position 103: "):
            purify(bad, path=Path("g.fa"), name="chr1", start=100)


def test_reverse_complement_knows_ambiguity_letters() -> None:
    assert reverse_complement(b"ACGTRYKMSWBDHVN") == b"NBDHVWSKMRYACGT"
    assert reverse_complement(reverse_complement(b"GATTACANRK")) == b"GATTACANRK"


def test_real_genome_without_index_in_a_folder_that_cannot_be_written(shared: Path, tmp_path: Path) -> None:
    packed = shared / "data/genome_hg38_chr9_bambu/Homo_sapiens.GRCh38.dna_sm.primary_assembly_chr9_1_1000000.fa.gz"
    with gzip.open(packed, "rt") as lines:
        letters = "".join(line.strip() for line in lines if not line.startswith(">"))
    plain = tmp_path / "chr9.fa"
    with gzip.open(packed, "rb") as source, plain.open("wb") as target:
        shutil.copyfileobj(source, target)
    for path in (packed, plain):
        with GenomeFile(path, write_index=False, notify=lambda _: None) as genome:
            assert genome.sizes == {"9": 1_000_000}
            assert genome.fetch("9", start=9_990, end=10_020) == letters[9_990:10_020].upper().encode()
            assert genome.fetch("9", start=0, end=10_000) == b"N" * 10_000
