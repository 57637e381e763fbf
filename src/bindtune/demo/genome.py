"""Generate a genome with genes and binding peaks, in common file formats.

All of it is synthetic. The background is a third-order Markov chain, so a language model can learn everywhere. A peak
holds copies of its protein's motif, so there is more to learn inside peaks.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bindtune.io.genome import reverse_complement
from bindtune.runs.writing import write_text

_LETTERS = np.frombuffer(b"ACGT", dtype=np.uint8)
# Invented motifs. A site is a few copies with some changed letters.
_MOTIFS = {"DEMO1": "TGCATGTAACGT", "DEMO2": "ACTAACCCGATT"}
_ORDER = 3


class SiteKind(NamedTuple):
    """How binding sites are made from their protein's motif.

    Args:
        fewest: copies of the motif at least.
        most: copies of the motif at most.
        changed: share of letters that are drawn anew.
    """

    fewest: int
    most: int
    changed: float


CLEAR_SITES = SiteKind(fewest=3, most=6, changed=0.02)
FAINT_SITES = SiteKind(fewest=1, most=1, changed=0.3)


class GenomeFiles(NamedTuple):
    """The files that `write_genome` writes."""

    genome: Path
    regions: Path
    peaks: Path


def write_genome(
    folder: Path,
    *,
    chromosomes: int,
    length: int,
    seed: int,
    sites: SiteKind = CLEAR_SITES,
    background_of: int | None = None,
) -> GenomeFiles:
    """Generate `chromosomes` of `length` nt each, with genes on both strands and a peak every 400 nt or so in them.

    Writes genome.fa, genes.bed (BED6) and peaks.bed (BED6 with a log2 enrichment as score, as eCLIP peak files have).

    Args:
        folder: where the files go.
        chromosomes: how many.
        length: nucleotides of each.
        seed: of everything drawn.
        sites: what lies under a peak.
        background_of: seed of another genome, whose letters follow one another with the same probabilities.
    """
    generator = np.random.default_rng(seed)
    table = _chances(generator)
    if background_of is not None:
        table = _chances(np.random.default_rng(background_of))
    fasta: list[str] = []
    genes: list[tuple[object, ...]] = []
    peaks: list[tuple[object, ...]] = []
    for number in range(1, chromosomes + 1):
        name = f"chr{number}"
        letters = _background(table, length, generator)
        for start, end in _gene_spans(length, generator):
            strand = "+-"[generator.integers(2)]
            genes.append((name, start, end, f"gene{len(genes) + 1}", 0, strand))
            for peak_start, peak_end, protein in _plant(
                letters, start, end, sites=sites, strand=strand, generator=generator
            ):
                score = f"{3 + 4 * generator.random():.4f}"
                peaks.append((name, peak_start, peak_end, f"{protein}_demo", score, strand))
        text = letters.tobytes().decode("ascii")
        fasta.append(f">{name}\n" + "\n".join(text[at : at + 60] for at in range(0, length, 60)) + "\n")
    files = GenomeFiles(folder / "genome.fa", folder / "genes.bed", folder / "peaks.bed")
    write_text(files.genome, "".join(fasta))
    for path, rows in ((files.regions, genes), (files.peaks, peaks)):
        write_text(path, "".join("\t".join(map(str, row)) + "\n" for row in rows))
    return files


def _chances(generator: np.random.Generator) -> NDArray[np.float64]:
    """(64, 4) cumulated probability of each letter after three others."""
    return np.asarray(generator.dirichlet(np.full(4, 0.7), size=4**_ORDER).cumsum(axis=1))


def _background(table: NDArray[np.float64], length: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    codes, state = np.empty(length, dtype=np.uint8), 0
    for position, draw in enumerate(generator.random(length)):
        code = min(int(np.searchsorted(table[state], draw)), 3)
        codes[position], state = code, (state * 4 + code) % len(table)
    return _LETTERS[codes]


def _gene_spans(length: int, generator: np.random.Generator) -> list[tuple[int, int]]:
    spans, start = [], int(generator.integers(200, 1500))
    while (end := start + int(generator.integers(300, 6000))) < length:
        spans.append((start, end))
        start = end + int(generator.integers(1100, 3000))
    return spans


def _plant(
    letters: NDArray[np.uint8],
    start: int,
    end: int,
    *,
    sites: SiteKind,
    strand: str,
    generator: np.random.Generator,
) -> list[tuple[int, int, str]]:
    """Overwrite stretches of one gene with binding sites, and return their peaks."""
    peaks: list[tuple[int, int, str]] = []
    position = start + int(generator.integers(20, 300))
    while True:
        protein = str(generator.choice(list(_MOTIFS)))
        copies = int(generator.integers(sites.fewest, sites.most + 1))
        site = _site(_MOTIFS[protein], copies=copies, changed=sites.changed, generator=generator)
        if position + len(site) > end:
            return peaks
        written = site if strand == "+" else reverse_complement(site)
        letters[position : position + len(site)] = np.frombuffer(written, dtype=np.uint8)
        peaks.append((position, position + len(site), protein))
        position += len(site) + int(generator.integers(150, 600))


def _site(motif: str, *, copies: int, changed: float, generator: np.random.Generator) -> bytes:
    letters = np.frombuffer((motif * copies).encode("ascii"), dtype=np.uint8)
    replacements = generator.choice(_LETTERS, size=len(letters))
    return bytes(np.where(generator.random(len(letters)) < changed, replacements, letters))
