"""The source of variants and of the letters around them: a genome with a VCF or a table, or one parent sequence."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from bindtune.config import ScoreConfig
from bindtune.data.dna.alleles import Change, trim
from bindtune.data.dna.chromosomes import ChromosomeNames, read_aliases
from bindtune.data.dna.peak_files import NOT_IN_GENOME, chromosome_numbers, chromosomes_of
from bindtune.data.dna.peaks import PeakIndex, Peaks
from bindtune.errors import InputError
from bindtune.io.genes import read_genes
from bindtune.io.genome import GenomeFile, purify
from bindtune.io.proteins import read_proteins
from bindtune.io.variant_table import read_substitutions, read_variant_table
from bindtune.io.vcf import VariantRecord, read_vcf, unwritten

MOST_CHANGED = 20
"""Most nucleotides that a scored variant may change."""
AMBIGUOUS = "ambiguous_letters"
TELOMERE = "telomere"
OVER_LIMIT = f"change_over_{MOST_CHANGED}_nt"
_SHOWN = 30
_DNA = frozenset("ACGT")


class Letters(Protocol):
    """Named sequences that can be read in part."""

    sizes: dict[str, int]

    def fetch(self, name: str, *, start: int, end: int) -> bytes:
        """Upper-case plus-strand letters of [start, end)."""


class Allele(NamedTuple):
    """One ALT allele of a record.

    Args:
        record: the record.
        alt: the allele, as in the file.
        name: name of its sequence in the source of letters; empty if there is none.
        change: change of the sequence; None without a score.
        reason: why it has no score; empty with a score.
    """

    record: VariantRecord
    alt: str
    name: str
    change: Change | None
    reason: str


@dataclass(frozen=True)
class Survey:
    """Counts of a file of variants.

    Args:
        records: records read.
        alleles: ALT alleles of all records.
        unscored: alleles that cannot be scored, by reason.
    """

    records: int
    alleles: int
    unscored: Counter[str] = field(default_factory=Counter)

    @property
    def scorable(self) -> int:
        """Alleles that get a score."""
        return self.alleles - sum(self.unscored.values())


@dataclass(frozen=True)
class VariantSource:
    """Variants and their sequences.

    Args:
        path: the file of variants.
        sequence_path: the genome or the parent.
        records: reads the file from its beginning.
        letters: source of the sequences.
        names: the sequences' names.
        skip_mismatches: count records whose REF differs from the sequence, instead of refusing them.
        genes: genes by position, which give the strand; None without genes.
        strand: the strand to read, 0 for both. With genes, it holds for variants in no gene.
    """

    path: Path
    sequence_path: Path
    records: Callable[[], Iterator[VariantRecord]]
    letters: Letters
    names: ChromosomeNames
    skip_mismatches: bool
    genes: PeakIndex | None
    strand: int

    def survey(self) -> Survey:
        """Read the whole file, so that its errors are reported before anything is computed.

        Raises:
            InputError: a line is malformed, a REF differs from the sequence, or nothing can be scored.
        """
        records, alleles, unscored = 0, 0, Counter[str]()
        for record in self.records():
            records += 1
            for allele in self.alleles(record):
                alleles += 1
                if allele.reason:
                    unscored[allele.reason] += 1
        if not records:
            raise InputError(self.path, None, "holds no variant")
        if unscored[NOT_IN_GENOME] == alleles:
            raise InputError(
                self.path, None, f"no variant lies on a sequence of {chromosomes_of(self.sequence_path, self.names)}"
            )
        return Survey(records, alleles, unscored)

    def alleles(self, record: VariantRecord) -> Iterator[Allele]:
        """Yield the ALT alleles of a record, each with its change or with the reason for a missing score.

        Raises:
            InputError: REF differs from the sequence, or the sequence's name differs only by `chr`.
        """
        name = self._name(record)
        reason = self._record_problem(record, name)
        ref = _upper(record.ref)
        for alt in record.alts:
            marked = unwritten(alt) if reason in ("", AMBIGUOUS, TELOMERE) else None  # says more than an N in REF
            problem = marked or reason
            change = None
            if not problem:
                change = trim(record.position, ref, _upper(alt))
                problem = _change_problem(change, ref, _upper(alt))
            yield Allele(record, alt, name, None if problem else change, problem)

    def strands(self, alleles: list[Allele]) -> NDArray[np.int8]:
        """(N,) 1, -1, or 0 where both strands are read, of alleles that are scored."""
        strand = np.full(len(alleles), self.strand, np.int8)
        if self.genes is None or not alleles:
            return strand
        chrom = np.array([self.names.find(allele.name) for allele in alleles], np.int32)
        start = np.array([allele.change.start if allele.change else 0 for allele in alleles], np.int64)
        length = np.array([max(1, len(allele.change.ref)) if allele.change else 1 for allele in alleles], np.int64)
        row, gene = self.genes.overlapping(chrom, starts=start, ends=start + length)
        side = self.genes.peaks.strand[gene]
        plus, minus = (np.bincount(row[side != -own], minlength=len(alleles)) > 0 for own in (1, -1))
        return np.where(plus & ~minus, 1, np.where(minus & ~plus, -1, strand)).astype(np.int8)

    def _name(self, record: VariantRecord) -> str:
        number = self.names.find(record.chrom)
        if number is not None:
            return self.names.genome_names[number]
        nearest = self.names.suggest(record.chrom)
        if nearest is not None:
            problem = f"chromosome '{record.chrom[:_SHOWN]}' is not in {self.sequence_path}, which has '{nearest}'"
            raise InputError(self.path, record.line, f"{problem}: --chromosome-names match takes the two for the same")
        return ""

    def _record_problem(self, record: VariantRecord, name: str) -> str:
        """The reason why no allele of a record is scored, or an empty text."""
        if not name:
            return NOT_IN_GENOME
        if record.position == 0:
            return TELOMERE
        ref = _upper(record.ref)
        if not _DNA.issuperset(ref):
            return AMBIGUOUS
        start, end = record.position - 1, record.position - 1 + len(ref)
        size = self.letters.sizes[name]
        letters = "" if start >= size else self.letters.fetch(name, start=start, end=min(end, size)).decode("ascii")
        if letters == ref:
            return ""
        if self.skip_mismatches:
            return "ref_mismatch"
        there = f"'{letters[:_SHOWN]}'" if letters else f"none, ending at {size:,},"
        raise InputError(
            self.path, record.line,
            f"REF is '{ref[:_SHOWN]}', and {self.sequence_path} has {there} at {name}:{record.position}; is it the "
            "genome that the variants were called on? --mismatches skip leaves such records out",
        )  # fmt: skip


def _upper(letters: str) -> str:
    return letters.upper().replace("U", "T")


def _change_problem(change: Change, ref: str, alt: str) -> str:
    if not _DNA.issuperset(alt):
        return AMBIGUOUS
    if ref == alt:
        return "same_as_reference"
    return OVER_LIMIT if change.size > MOST_CHANGED else ""


class ParentSequence:
    """One sequence in memory.

    Args:
        name: of the sequence.
        letters: upper case.
    """

    def __init__(self, name: str, letters: bytes) -> None:
        self.sizes = {name: len(letters)}
        self._letters = letters

    def fetch(self, name: str, *, start: int, end: int) -> bytes:
        """Letters of [start, end)."""
        return self._letters[start:end]


@contextmanager
def open_source(settings: ScoreConfig, *, notify: Callable[[str], None]) -> Iterator[VariantSource]:
    """Open the files that the settings name.

    Raises:
        InputError: the genome, the genes or the parent cannot be read.
    """
    strand = {"+": 1, "-": -1, "both": 0}[settings.strand]
    if settings.parent is not None:
        yield _parent_source(settings, settings.parent, strand=strand)
        return
    path, genome_path = settings.variant_file, settings.genome
    if genome_path is None:  # the settings ask for it
        raise InputError(path, None, "needs --genome")
    with GenomeFile(genome_path, write_index=settings.write_index, notify=notify) as genome:
        chromosomes = tuple(genome.sizes)
        aliases = settings.chromosome_aliases and read_aliases(settings.chromosome_aliases, genome_names=chromosomes)
        names = ChromosomeNames(chromosomes, match=settings.chromosome_names == "match", aliases=aliases or None)
        genes = None if settings.genes is None else _genes(settings, settings.genes, genome_path, names)
        reader = read_vcf if settings.vcf is not None else read_variant_table
        skip = settings.mismatches == "skip"
        yield VariantSource(path, genome_path, lambda: reader(path), genome, names, skip, genes, strand)


def _genes(settings: ScoreConfig, path: Path, genome: Path, names: ChromosomeNames) -> PeakIndex:
    table = read_genes(path, features=settings.gene_feature)
    chrom = chromosome_numbers(table, genome=genome, names=names)[table.chrom]
    there = chrom >= 0
    if not there.any():
        raise InputError(path, None, f"has no gene on a chromosome of {chromosomes_of(genome, names)}")
    return PeakIndex(Peaks(chrom[there].astype(np.int32), table.start[there], table.end[there], table.strand[there]))


def _parent_source(settings: ScoreConfig, path: Path, *, strand: int) -> VariantSource:
    parents = list(read_proteins(path))
    if len(parents) > 1:
        raise InputError(path, None, f"holds {len(parents)} sequences, expected the parent alone")
    name, letters = parents[0].name, parents[0].sequence
    parent = purify(letters.encode("ascii"), path=path, name=name, start=0).decode("ascii")
    file = settings.variant_file

    def records() -> Iterator[VariantRecord]:
        for line, _, sequence in read_substitutions(file, parent=parent, unit="nucleotide"):
            differing = [
                position for position, (old, new) in enumerate(zip(parent, sequence, strict=True)) if old != new
            ]
            first, last = (differing[0], differing[-1] + 1) if differing else (0, 1)
            yield VariantRecord(line, name, first + 1, parent[first:last], (sequence[first:last],))

    names = ChromosomeNames((name,), match=False)
    return VariantSource(file, path, records, ParentSequence(name, parent.encode("ascii")), names, False, None, strand)
