"""Find the chromosome that a name means: the same name or, on request, one that differs by `chr`, or an alias."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from bindtune.io.text import numbered_lines


class ChromosomeNames:
    """The chromosome names of the genome, and their other names.

    Args:
        genome_names: the names in the genome, or in the region FASTA.
        match: names that differ only by `chr` (or MT and M) mean the same chromosome.
        aliases: other name -> name in the genome, from an alias file.
    """

    def __init__(self, genome_names: Sequence[str], *, match: bool, aliases: Mapping[str, str] | None = None) -> None:
        self.genome_names = tuple(genome_names)
        self._ids = {name: number for number, name in enumerate(genome_names)}
        self._aliases = aliases or {}
        self._match = match
        self._by_key: dict[str, list[str]] = {}
        for name in genome_names:
            self._by_key.setdefault(_key(name), []).append(name)

    def find(self, name: str) -> int | None:
        """The number of the chromosome, or None."""
        if name in self._ids:
            return self._ids[name]
        if name in self._aliases:
            return self._ids[self._aliases[name]]
        name_without_chr = self.suggest(name)
        return self._ids[name_without_chr] if self._match and name_without_chr is not None else None

    def suggest(self, name: str) -> str | None:
        """The name in the genome that differs only by `chr`, or None if there is not exactly one."""
        others = self._by_key.get(_key(name), [])
        return others[0] if len(others) == 1 else None


def read_aliases(path: Path, *, genome_names: Collection[str]) -> dict[str, str]:
    """Read a table whose rows hold the names of one chromosome, separated by tabs or blanks.

    UCSC's chromAlias.txt and NCBI's assembly reports have this form. A word that stands in the rows of two chromosomes
    (such as the source "ensembl" or a role) is no name.

    Returns:
        other name -> name in the genome.
    """
    target_of: dict[str, str] = {}
    ambiguous: set[str] = set()
    names = set(genome_names)
    for _, line in numbered_lines(path):
        words = line.split("\t") if "\t" in line else line.split()
        meant = {word for word in words if word in names}
        if line.startswith("#") or len(meant) != 1:
            continue
        target = meant.pop()
        for word in words:
            if target_of.setdefault(word, target) != target:
                ambiguous.add(word)
    return {word: name for word, name in target_of.items() if word not in ambiguous and word not in names and word}


def _key(name: str) -> str:
    bare = name[3:] if name[:3].lower() == "chr" else name
    return "M" if bare.upper() == "MT" else bare
