"""Read the alignments of many proteins once, compare them with their protein, and keep them for later draws."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from bindtune.data.protein.contexts import (
    Context,
    ContextSpec,
    Homologs,
    cache_entry,
    draw_context,
    gives_homolog,
    of_protein,
    read_entry,
    read_homologs,
    warn_of_other_queries,
)
from bindtune.data.protein.neighbours import EXACT_ROWS
from bindtune.errors import InputError, Problems
from bindtune.runs.provenance import sha256
from bindtune.runs.writing import sweep


@dataclass(frozen=True)
class AlignmentCounts:
    """How many proteins are read with homologs, and what of their alignments is not.

    Args:
        proteins: all of them.
        with_alignment: those with a file.
        without_homolog: of these, those whose file holds no row that may be drawn.
        annotation_rows: rows of the files that annotate columns, as the HH-suite writes them.
        consensus_rows: rows that are the consensus of an alignment.
        other_query_rows: rows after a NUL byte, below another query.
        estimated: alignments with more than `EXACT_ROWS` rows, whose near neighbours are estimated.
    """

    proteins: int = 0
    with_alignment: int = 0
    without_homolog: int = 0
    annotation_rows: int = 0
    consensus_rows: int = 0
    other_query_rows: int = 0
    estimated: int = 0

    def __add__(self, more: "AlignmentCounts") -> "AlignmentCounts":
        """The counts of two sets of proteins together."""
        return AlignmentCounts(*(one + two for one, two in zip(astuple(self), astuple(more), strict=True)))

    def __str__(self) -> str:
        """One line for people."""
        parts = [
            f"{self.with_alignment:,} of {self.proteins:,} proteins have an alignment, "
            f"{self.without_homolog:,} give no homolog"
        ]
        rows = {"annotate": self.annotation_rows, "are a consensus": self.consensus_rows,
                "stand below another query": self.other_query_rows}  # fmt: skip
        if any(rows.values()):
            parts.append("rows left out: " + ", ".join(f"{count:,} {what}" for what, count in rows.items() if count))
        if self.estimated:
            parts.append(f"near neighbours are estimated in {self.estimated:,} with more than {EXACT_ROWS:,} rows")
        return "; ".join(parts)


def count_homologs(homologs: Homologs | None, *, gives_homolog: bool) -> AlignmentCounts:
    """The counts of one protein.

    Args:
        homologs: of its alignment, None where there is none.
        gives_homolog: whether any of them may be drawn.
    """
    if homologs is None:
        return AlignmentCounts(proteins=1)
    annotations, consensus, other_queries = homologs.left_out.tolist()
    return AlignmentCounts(1, 1, int(not gives_homolog), annotations, consensus, other_queries, int(homologs.estimated))


HELD_BYTES = 256 * 2**20
"""Memory of one process for alignments that were drawn from lately."""


class Alignments:
    """Homologs by protein, read once and kept in a folder; those drawn from lately also stay in memory.

    Args:
        paths: the alignment of each protein that has one.
        cache_dir: a folder that keeps what was read; one file for each alignment and bound, by its content.
        neighbor_similarity_lower_bounds: from which share of equal residues on homologs are neighbours, for each way in
            which contexts will be drawn. Neighbours are counted anew for each value.
        held_bytes: most memory for alignments; one that needs more is read from the folder for each draw.
    """

    def __init__(
        self,
        paths: Mapping[str, Path],
        *,
        cache_dir: Path,
        neighbor_similarity_lower_bounds: Collection[float],
        held_bytes: int = HELD_BYTES,
    ) -> None:
        self._paths = dict(paths)
        self._cache_dir = cache_dir
        self._bounds = sorted(set(neighbor_similarity_lower_bounds))
        self._entries: dict[str, dict[float, Path]] = {}
        self._sequences: dict[str, str] = {}
        self._hashes: dict[str, str] = {}
        self._held = _RecentHomologs(held_bytes)
        self.residues: dict[str, int] = {}
        """Residues of all homologs of a protein, once prepared."""

    def __contains__(self, name: str) -> bool:
        return name in self._paths

    def prepare(
        self,
        sequences: Mapping[str, str],
        *,
        progress: Callable[[Sequence[str]], Iterable[str]] = lambda names: names,
    ) -> None:
        """Read every alignment, or find it in the cache, and compare its first row with the protein.

        Entries of the cache that a killed process left half-written are removed.

        Args:
            sequences: the proteins.
            progress: wraps the names while they are read.

        Raises:
            InputError: lists each alignment that cannot be read, or is of another protein.
        """
        sweep(self._cache_dir)
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
        self._entries[name], self._sequences[name], self._hashes[name] = entries, sequence, sha256(path)
        self._held.forget(name)

    def digest(self) -> str:
        """Hash of what all prepared alignments hold, and of whose they are."""
        content = hashlib.sha256()
        for name in sorted(self._entries):
            content.update(f"{name}\t{self._hashes[name]}\n".encode())
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
            return Context([], [], "there is no alignment")
        return draw_context(self._homologs(name, spec.neighbor_similarity_lower_bound), spec)

    def count(self, name: str, spec: ContextSpec) -> AlignmentCounts:
        """The counts of one protein, and a warning where rows stand below another query.

        A protein that was not prepared has no alignment.
        """
        if name not in self._entries:
            return AlignmentCounts(proteins=1)
        homologs = self._homologs(name, spec.neighbor_similarity_lower_bound)
        warn_of_other_queries(homologs, self._paths[name])
        return count_homologs(homologs, gives_homolog=gives_homolog(homologs, spec))

    def _homologs(self, name: str, bound: float) -> Homologs:
        homologs = self._held.get(name, bound)
        if homologs is None:
            homologs = self._read(name, bound)
            self._held.put(name, bound, homologs)
        return homologs

    def _read(self, name: str, bound: float) -> Homologs:
        path, entry = self._paths[name], self._entries[name][bound]
        homologs = read_entry(entry)
        if homologs is None:
            if cache_entry(path, bound, self._cache_dir) != entry:
                raise InputError(path, None, "has changed since it was first read")
            homologs = read_homologs(path, neighbor_similarity_lower_bound=bound, cache_dir=self._cache_dir)
        return of_protein(homologs, self._sequences[name], name=name, path=path)


class _RecentHomologs:
    """The homologs that were used last, as many as fit into some memory.

    Args:
        most_bytes: the memory.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._held: OrderedDict[tuple[str, float], Homologs] = OrderedDict()
        self._bytes = 0

    def get(self, name: str, bound: float) -> Homologs | None:
        """The homologs of a protein, or None where they are not in memory."""
        homologs = self._held.get((name, bound))
        if homologs is not None:
            self._held.move_to_end((name, bound))
        return homologs

    def put(self, name: str, bound: float, homologs: Homologs) -> None:
        """Keep homologs, and drop those that were used longest ago; homologs larger than the memory are not kept."""
        size = homologs.held_bytes
        if size > self._most_bytes:
            return
        self._held[name, bound] = homologs
        self._bytes += size
        while self._bytes > self._most_bytes:
            _, oldest = self._held.popitem(last=False)
            self._bytes -= oldest.held_bytes

    def forget(self, name: str) -> None:
        """Drop the homologs of a protein."""
        for key in [key for key in self._held if key[0] == name]:
            self._bytes -= self._held.pop(key).held_bytes

    def __reduce__(self) -> tuple[type["_RecentHomologs"], tuple[int]]:
        return _RecentHomologs, (self._most_bytes,)  # a worker that is not forked begins with none
