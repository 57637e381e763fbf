"""From files of DNA to files of vectors: `bindtune embed` with a model of DNA."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bindtune.config import EmbedConfig
from bindtune.data.blocks import blocks
from bindtune.data.dna.chromosomes import ChromosomeNames, read_aliases
from bindtune.data.dna.peak_files import chromosome_numbers, chromosomes_of
from bindtune.errors import ConfigError, InputError
from bindtune.inference.embed_dna import DnaEmbedder, NamedDna, add_vectors
from bindtune.inference.embedding_files import SPANS, embedding_file
from bindtune.inference.ranks import choose_device
from bindtune.io.bed import read_bed
from bindtune.io.genome import Genome, GenomeFile, purify, reverse_complement
from bindtune.io.intervals import STRAND_LETTERS
from bindtune.io.proteins import read_proteins
from bindtune.probing.encoders import load_encoder
from bindtune.progress import progress

log = logging.getLogger(__name__)

_BLOCK_LETTERS = 1 << 16
"""Most letters of the sequences whose vectors are in memory at the same time; one longer sequence is always allowed."""
_ABOUT_NUCLEOTIDES = "each nucleotide has the vector of its token, so the nucleotides of a token have equal vectors"


@dataclass
class DnaInput:
    """Sequences to embed.

    Args:
        sequences: iterator over the sequences.
        total: their number; None if it is not known yet.
        repeated: number of repeated regions, which are left out.
        first_repeated: the first repeated region.
    """

    sequences: Iterator[NamedDna]
    total: int | None = None
    repeated: int = 0
    first_repeated: str = ""


def embed_dna(settings: EmbedConfig, *, notify: Callable[[str], None] = lambda text: None) -> str:
    """Embed DNA, and return a summary.

    Args:
        settings: the settings.
        notify: gets a sentence about each slow step.

    Raises:
        InputError: sequences, regions or the genome cannot be read.
        CheckpointError: the model cannot be loaded.
    """
    if settings.per == "residue":
        raise ConfigError(f"{settings.model} reads DNA: --per is sequence, token or nucleotide")
    per = settings.per
    with _opened(settings, notify=notify) as source:
        device, bf16 = choose_device(settings.device), settings.dtype == "bfloat16"
        encoder = load_encoder(settings.model, settings.model, device=device, bf16=bf16)
        embedder = DnaEmbedder(
            encoder, settings.layer, settings.pooling, settings.both_strands, settings.stretch_tokens,
            settings.overlap, settings.max_batch_tokens,
        )  # fmt: skip
        about = {"model": settings.model, "per": per, "settings": settings.model_dump_json(), "positions": "1-based"}
        if per == "token":
            about["spans"] = "start and end are 0-based and half-open, on the sequence as it was read"
        if per == "nucleotide":
            about["vectors"] = _ABOUT_NUCLEOTIDES
        count = vectors = 0
        with (
            embedding_file(settings.out, named="sequence", metadata=about) as file,
            progress("embedding", source.total, unit="sequences", log=log) as advance,
        ):
            for block in blocks(source.sequences, lambda sequence: len(sequence.letters), most=_BLOCK_LETTERS):
                vectors += add_vectors(file, embedder, block, per=per)
                count += len(block)
                advance(len(block))
    summary = (
        f"{count:,} sequences embedded, {vectors:,} vectors of {encoder.model.config.hidden_size} numbers: "
        f"{settings.out}"
    )
    if embedder.cut:
        summary += f"\n{embedder.cut:,} sequences were read in overlapping stretches"
    if source.repeated:
        summary += f"\n{source.repeated:,} regions come again and were embedded once: {source.first_repeated}"
    return summary


@contextmanager
def _opened(settings: EmbedConfig, *, notify: Callable[[str], None]) -> Iterator[DnaInput]:
    if settings.fasta is not None:
        yield DnaInput(_fasta(settings.fasta, spans=settings.per == "token"))
    elif settings.genome is not None and settings.regions is not None:
        with GenomeFile(settings.genome, write_index=settings.write_index, notify=notify) as genome:
            yield _regions(settings, settings.genome, settings.regions, genome)


def _fasta(path: Path, *, spans: bool) -> Iterator[NamedDna]:
    for record in read_proteins(path):
        if spans and record.name.endswith(SPANS):
            raise InputError(path, record.line, f"a name may not end in {SPANS}, as the tensors of tokens' places do")
        letters = purify(record.sequence.encode("ascii"), path=path, name=record.name, start=0)
        yield NamedDna(record.name, letters.decode("ascii"))


def _regions(settings: EmbedConfig, genome_path: Path, path: Path, genome: Genome) -> DnaInput:
    table = read_bed(path, kind="bed", numbers=False)
    if not len(table):
        raise InputError(path, None, "holds no region")
    chromosomes = tuple(genome.sizes)
    aliases = (
        read_aliases(settings.chromosome_aliases, genome_names=chromosomes) if settings.chromosome_aliases else None
    )
    names = ChromosomeNames(chromosomes, match=settings.chromosome_names == "match", aliases=aliases)
    chrom = chromosome_numbers(table, genome=genome_path, names=names)[table.chrom]
    if (chrom < 0).any():
        row = int((chrom < 0).argmax())
        problem = f"chromosome '{table.names[table.chrom[row]]}' is not in {chromosomes_of(genome_path, names)}"
        raise InputError(path, int(table.line[row]), problem)
    sizes = np.array([genome.sizes[name] for name in chromosomes], np.int64)
    beyond = table.end > sizes[chrom]
    if beyond.any():
        row = int(beyond.argmax())
        name = chromosomes[int(chrom[row])]
        problem = f"end {table.end[row]} is beyond the end of {name}, which has {genome.sizes[name]} nucleotides"
        raise InputError(path, int(table.line[row]), problem)
    places = np.stack([chrom, table.start, table.end, table.strand], axis=1).astype(np.int64)
    _, first = np.unique(places, axis=0, return_index=True)
    first.sort()

    def read() -> Iterator[NamedDna]:
        for row in first:
            number, start, end, strand = places[row].tolist()
            letters = genome.fetch(chromosomes[number], start=start, end=end)
            yield NamedDna(
                _region_name(chromosomes, places[row]),
                (reverse_complement(letters) if strand < 0 else letters).decode("ascii"),
            )

    source = DnaInput(read(), len(first), len(places) - len(first))
    if source.repeated:
        again = np.ones(len(places), bool)
        again[first] = False
        source.first_repeated = _region_name(chromosomes, places[again.argmax()])
    return source


def _region_name(chromosomes: tuple[str, ...], region: NDArray[np.int64]) -> str:
    number, start, end, strand = region.tolist()
    return f"{chromosomes[number]}:{start}-{end}" + (f"({STRAND_LETTERS[strand]})" if strand else "")
