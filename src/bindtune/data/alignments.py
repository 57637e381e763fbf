"""Alignments of many proteins: read once, checked against their protein, kept in a folder for every later draw."""

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bindtune.data.context import (
    Context,
    ContextSpec,
    Homologs,
    cache_entry,
    draw_context,
    gives_homolog,
    of_protein,
    read_entry,
    read_homologs,
)
from bindtune.errors import InputError, Problems


@dataclass(frozen=True)
class AlignmentCounts:
    """How many proteins are read with homologs.

    Args:
        proteins: all of them.
        with_alignment: those with a file.
        without_homolog: of these, those whose file holds no row that may be drawn.
    """

    proteins: int
    with_alignment: int
    without_homolog: int

    def __str__(self) -> str:
        """One line for people."""
        return (
            f"{self.with_alignment:,} of {self.proteins:,} proteins have an alignment, "
            f"{self.without_homolog:,} give no homolog"
        )


class Alignments:
    """Homologs by protein.

    Args:
        paths: the alignment of each protein that has one.
        cache_dir: a folder that keeps what was read; one file for each alignment and bound, by its content.
        neighbor_similarity_lower_bounds: from which share of equal residues on homologs are neighbours, for each way in
            which contexts will be drawn. Neighbours are counted anew for each value.
    """

    def __init__(
        self, paths: Mapping[str, Path], *, cache_dir: Path, neighbor_similarity_lower_bounds: Collection[float]
    ) -> None:
        self._paths = dict(paths)
        self._cache_dir = cache_dir
        self._bounds = sorted(set(neighbor_similarity_lower_bounds))
        self._entries: dict[str, dict[float, Path]] = {}
        self._sequences: dict[str, str] = {}
        self.residues: dict[str, int] = {}
        """Residues of all homologs of a protein, once prepared."""

    def __contains__(self, name: str) -> bool:
        return name in self._paths

    def prepare(
        self,
        sequences: Mapping[str, str],
        *,
        progress: Callable[[Iterable[str]], Iterable[str]] = lambda names: names,
    ) -> None:
        """Read every alignment, or find it in the cache, and compare its first row with the protein.

        Args:
            sequences: the proteins.
            progress: wraps the names while they are read.

        Raises:
            InputError: lists each alignment that cannot be read, or is of another protein.
        """
        problems = Problems(None)
        for name in progress([name for name in self._paths if name in sequences]):
            try:
                self._prepare(name, sequences[name])
            except InputError as error:
                problems.add(error.line, error.problem, path=error.path)
        problems.raise_any()

    def _prepare(self, name: str, sequence: str) -> None:
        path, entries = self._paths[name], dict[float, Path]()
        for bound in self._bounds:
            homologs = read_homologs(path, neighbor_similarity_lower_bound=bound, cache_dir=self._cache_dir)
            homologs = of_protein(homologs, sequence, name=name, path=path)
            entries[bound] = cache_entry(path, bound, self._cache_dir)
            self.residues[name] = int(homologs.bounds[-1])
        self._entries[name], self._sequences[name] = entries, sequence

    def digest(self) -> str:
        """Hash of what all prepared alignments hold, and of whose they are."""
        content = hashlib.sha256()
        for name, entries in sorted(self._entries.items()):
            for entry in entries.values():
                content.update(f"{name}\t{entry.name}\n".encode())
        return content.hexdigest()

    def __len__(self) -> int:
        return len(self._paths)

    def draw(self, name: str, spec: ContextSpec) -> Context:
        """Draw a context for a protein that was prepared; one without an alignment has none.

        Args:
            name: the protein.
            spec: how to draw; its `neighbor_similarity_lower_bound` is one of those given.
        """
        if name not in self._entries:
            return Context("", [], "there is no alignment")
        return draw_context(self._homologs(name, spec.neighbor_similarity_lower_bound), spec)

    def gives_homolog(self, name: str, spec: ContextSpec) -> bool:
        """Whether a context of a protein that was prepared can hold anything but the protein itself."""
        if name not in self._entries:
            return False
        return gives_homolog(self._homologs(name, spec.neighbor_similarity_lower_bound), spec)

    def _homologs(self, name: str, bound: float) -> Homologs:
        path, homologs = self._paths[name], read_entry(self._entries[name][bound])
        if homologs is None:
            homologs = read_homologs(path, neighbor_similarity_lower_bound=bound, cache_dir=self._cache_dir)
        return of_protein(homologs, self._sequences[name], name=name, path=path)
