"""Alignments of many proteins: read once, checked against their protein, kept in a folder for every later draw."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from bindtune.data.context import Context, ContextSpec, Homologs, cache_entry, draw_context, read_entry, read_homologs
from bindtune.errors import InputError, Problems


class Alignments:
    """Homologs by protein.

    Args:
        paths: the alignment of each protein that has one.
        cache_dir: a folder that keeps what was read; one file an alignment, by its content.
        neighbor_similarity_lower_bound: from which share of equal residues on homologs are neighbours.
    """

    def __init__(self, paths: Mapping[str, Path], *, cache_dir: Path, neighbor_similarity_lower_bound: float) -> None:
        self._paths = dict(paths)
        self._cache_dir = cache_dir
        self._bound = neighbor_similarity_lower_bound
        self._entries: dict[str, Path] = {}
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
            path = self._paths[name]
            try:
                homologs = read_homologs(path, neighbor_similarity_lower_bound=self._bound, cache_dir=self._cache_dir)
            except InputError as error:
                problems.add(error.line, error.problem, path=error.path)
                continue
            if homologs.residues(0) != sequences[name]:
                problems.add(None, f"the first row is not '{name}', for which the alignment is", path=path)
                continue
            self._entries[name] = cache_entry(path, self._bound, self._cache_dir)
            self.residues[name] = int(homologs.bounds[-1])
        problems.raise_any()

    def digest(self) -> str:
        """Hash of what all prepared alignments hold, and of whose they are."""
        content = hashlib.sha256()
        for name, entry in sorted(self._entries.items()):
            content.update(f"{name}\t{entry.name}\n".encode())
        return content.hexdigest()

    def __len__(self) -> int:
        return len(self._paths)

    def draw(self, name: str, spec: ContextSpec) -> Context:
        """Draw a context for a protein that was prepared; one without an alignment has none."""
        if name not in self._entries:
            return Context("", [], "there is no alignment")
        return draw_context(self._homologs(name), spec)

    def _homologs(self, name: str) -> Homologs:
        entry = read_entry(self._entries[name])
        if entry is not None:
            return entry
        return read_homologs(self._paths[name], neighbor_similarity_lower_bound=self._bound, cache_dir=self._cache_dir)
