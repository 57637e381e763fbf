"""Generated genomes: sites as they are asked for, and the same background in two of them."""

from pathlib import Path

import numpy as np
import pytest

from bindtune.demo.genome import CLEAR_SITES, FAINT_SITES, SiteKind, write_genome
from bindtune.io.genome import reverse_complement

MOTIF = "TGCATGTAACGT"


def read(folder: Path) -> tuple[dict[str, str], list[str]]:
    """Chromosomes, and the sites of DEMO1 along their strand."""
    parts = (folder / "genome.fa").read_text().split(">")[1:]
    letters = {part.split("\n")[0]: "".join(part.split("\n")[1:]) for part in parts}
    sites = []
    for line in (folder / "peaks.bed").read_text().splitlines():
        chrom, start, end, name, _, strand = line.split("\t")
        text = letters[chrom][int(start) : int(end)]
        if name == "DEMO1_demo":
            sites.append(text if strand == "+" else reverse_complement(text.encode()).decode())
    return letters, sites


def words(letters: dict[str, str]) -> np.ndarray:
    """(256,) share of each letter after each three."""
    counts = np.zeros(256)
    for text in letters.values():
        codes = np.array(["ACGT".index(letter) for letter in text])
        np.add.at(counts, codes[:-3] * 64 + codes[1:-2] * 16 + codes[2:-1] * 4 + codes[3:], 1)
    table = counts.reshape(64, 4)
    return (table / table.sum(axis=1, keepdims=True)).reshape(-1)


@pytest.mark.parametrize("kind", [CLEAR_SITES, FAINT_SITES])
def test_sites_are_copies_with_their_share_of_changed_letters(tmp_path: Path, kind: SiteKind) -> None:
    write_genome(tmp_path, chromosomes=3, length=60_000, seed=4, sites=kind)
    _, sites = read(tmp_path)
    copies = {len(site) // len(MOTIF) for site in sites}
    assert copies == set(range(kind.fewest, kind.most + 1))
    differ = np.mean([site[at] != MOTIF[at % len(MOTIF)] for site in sites for at in range(len(site))])
    assert differ == pytest.approx(0.75 * kind.changed, abs=0.02)  # a letter drawn anew is the same in one of four


def test_another_genome_has_the_same_background_and_other_letters(tmp_path: Path) -> None:
    for name, seed, background in (("first", 1, None), ("same", 2, 1), ("other", 2, None)):
        write_genome(tmp_path / name, chromosomes=1, length=100_000, seed=seed, background_of=background)
    first, same, other = (read(tmp_path / name)[0] for name in ("first", "same", "other"))
    assert first["chr1"][:40] != same["chr1"][:40]
    assert np.abs(words(first) - words(same)).mean() < 0.05 < np.abs(words(first) - words(other)).mean()
