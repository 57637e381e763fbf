"""Which chromosome of the genome a name means: the same name, or on request one that differs by `chr` or by alias."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from bindtune.io.text import numbered_lines


class ChromosomeNames:
    """The genome's chromosome names, and what else they may be called.

    Args:
        known: the names in the genome, or in the region FASTA.
        match: take names that differ by `chr` alone (and MT for M) for the same chromosome.
        aliases: other name -> known name, from an alias file.
    """

    def __init__(self, known: Sequence[str], *, match: bool, aliases: Mapping[str, str] | None = None) -> None:
        self.known = tuple(known)
        self._ids = {name: number for number, name in enumerate(known)}
        self._aliases = aliases or {}
        self._match = match
        self._by_key: dict[str, list[str]] = {}
        for name in known:
            self._by_key.setdefault(_key(name), []).append(name)

    def find(self, name: str) -> int | None:
        """The number of the chromosome, or None."""
        if name in self._ids:
            return self._ids[name]
        if name in self._aliases:
            return self._ids[self._aliases[name]]
        other = self.suggest(name)
        return self._ids[other] if self._match and other is not None else None

    def suggest(self, name: str) -> str | None:
        """The one known name that differs by `chr` alone, or None."""
        others = self._by_key.get(_key(name), [])
        return others[0] if len(others) == 1 else None


def read_aliases(path: Path, *, known: Collection[str]) -> dict[str, str]:
    """Read a table in which every row names one chromosome in several ways, separated by tabs or blanks.

    UCSC's chromAlias.txt and NCBI's assembly reports fit: a word that would stand for two chromosomes (a source such as
    "ensembl", a role) stands for none.

    Returns:
        other name -> known name.
    """
    target_of: dict[str, str] = {}
    ambiguous: set[str] = set()
    names = set(known)
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
