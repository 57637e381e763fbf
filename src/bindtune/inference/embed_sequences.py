"""From files of DNA to files of vectors: `bindtune embed` with a model of DNA."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bindtune.config import EmbedConfig
from bindtune.data.dna.chromosomes import ChromosomeNames, read_aliases
from bindtune.data.dna.peak_files import chromosome_numbers, chromosomes_of
from bindtune.errors import ConfigError, InputError
from bindtune.inference.embed_dna import DnaEmbedder, NamedDna, add_vectors, blocks
from bindtune.inference.embedding_files import SPANS, embedding_file
from bindtune.inference.ranks import choose_device
from bindtune.io.bed import read_bed
from bindtune.io.genome import Genome, GenomeFile, purify, reverse_complement
from bindtune.io.intervals import STRAND_LETTERS
from bindtune.io.proteins import read_proteins
from bindtune.probing.encoders import load_encoder
from bindtune.progress import progress

log = logging.getLogger(__name__)

_ABOUT_NUCLEOTIDES = "each nucleotide has the vector of its token, so the nucleotides of a token have equal vectors"


@dataclass
class DnaInput:
    """Sequences to embed.

    Args:
        sequences: gives them one by one.
        total: how many there are; None where nobody knows yet.
        repeated: regions that come again; filled while the sequences are read.
    """

    sequences: Iterator[NamedDna]
    total: int | None = None
    repeated: list[str] = field(default_factory=list)


def embed_dna(settings: EmbedConfig, *, notify: Callable[[str], None] = lambda text: None) -> str:
    """Embed DNA and say what was done.

    Args:
        settings: the settings.
        notify: is told in one sentence what takes time.

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
            for block in blocks(source.sequences):
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
        summary += f"\n{len(source.repeated):,} regions come again and were embedded once: {source.repeated[0]}"
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
    columns = (chrom.tolist(), table.start.tolist(), table.end.tolist(), table.strand.tolist(), table.line.tolist())
    for number, _, end, _, line in zip(*columns, strict=True):
        size = genome.sizes[chromosomes[number]]
        if end > size:
            raise InputError(
                path, line, f"end {end} is beyond the end of {chromosomes[number]}, which has {size} nucleotides"
            )
    source = DnaInput(iter(()), len(table))

    def read() -> Iterator[NamedDna]:
        seen = set[str]()
        for number, start, end, strand, _ in zip(*columns, strict=True):
            name = f"{chromosomes[number]}:{start}-{end}" + (f"({STRAND_LETTERS[strand]})" if strand else "")
            if name in seen:
                source.repeated.append(name)
                continue
            seen.add(name)
            letters = genome.fetch(chromosomes[number], start=start, end=end)
            yield NamedDna(name, (reverse_complement(letters) if strand < 0 else letters).decode("ascii"))

    source.sequences = read()
    return source
