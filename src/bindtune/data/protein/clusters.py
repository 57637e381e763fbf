"""Groups of proteins that must not be split: identical sequences always, homologous ones on request."""

import logging
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bindtune.data.protein.mmseqs import run_mmseqs
from bindtune.data.protein.similarity import MOST_SEQUENCES, align, candidate_pairs
from bindtune.errors import ConfigError, Problems
from bindtune.io.text import numbered_lines
from bindtune.progress import tracked
from bindtune.runs.cells import read_cell

log = logging.getLogger(__name__)

Ints = NDArray[np.int64]
Method = Literal["identical", "kmer", "mmseqs"]
METHODS: tuple[Method, ...] = get_args(Method)

_HEADERS = {
    ("protein", "cluster"): 0,
    ("protein", "group"): 0,
    ("representative", "member"): 1,
    ("cluster", "protein"): 1,
}


def cluster_proteins(
    names: Sequence[str], sequences: Sequence[str], *, method: Method, identity: float, coverage: float = 0.8
) -> Ints:
    """Group proteins; groups are numbered by the first of their names in the alphabet, whatever the order given.

    Args:
        names: N, unique.
        sequences: N, upper case.
        method: "identical" joins equal sequences alone. "kmer" and "mmseqs" join also whatever a chain of similar pairs
            connects: "kmer" with `data.similarity`, on up to 20,000 sequences, "mmseqs" with MMseqs2.
        identity: share of identical columns in an alignment, 0 to 1.
        coverage: share of the shorter protein that must lie in the alignment, so that a fragment belongs to the whole.

    Returns:
        (N,) number of each protein's group, from 0.

    Raises:
        ConfigError: MMseqs2 is not installed or fails, or there are too many proteins for "kmer".
    """
    distinct = sorted(set(sequences))
    index = {sequence: number for number, sequence in enumerate(distinct)}
    if method == "identical":
        joined = list(range(len(distinct)))
    elif method == "kmer":
        joined = _by_words(distinct, identity=identity, coverage=coverage)
    else:
        joined = _by_mmseqs(distinct, identity=identity, coverage=coverage)
    return _numbered(names, [joined[index[sequence]] for sequence in sequences])


def read_clusters(
    path: Path, *, names: Sequence[str], sequences: Sequence[str], alone_if_missing: bool = False
) -> Ints:
    """Read groups from a table, and join those that hold identical sequences.

    Args:
        path: two columns parted by a tab, a comma or blanks: `representative member` without a header, as MMseqs2
            writes it, or a header that says `protein cluster`, `cluster protein` or `representative member`.
            Proteins of the table that are not asked for are ignored.
        names: N, unique.
        sequences: N, upper case.
        alone_if_missing: a protein that the table lacks is a group of its own, instead of an error.

    Returns:
        (N,) number of each protein's group, from 0.

    Raises:
        InputError: lists rows that are malformed or put a protein into a second group, and proteins without a row.
    """
    problems = Problems(path)
    clusters = _read_table(path, problems)
    for name in names:
        if name not in clusters and not alone_if_missing:
            problems.add(None, f"protein {name!r} has no row")
    problems.raise_any()
    keys = [("named", clusters[name]) if name in clusters else ("alone", name) for name in names]
    nodes = {key: number for number, key in enumerate([*dict.fromkeys(keys), *dict.fromkeys(sequences)])}
    forest = _Forest(len(nodes))
    for key, sequence in zip(keys, sequences, strict=True):
        forest.join(nodes[key], nodes[sequence])
    return _numbered(names, [forest.root(nodes[key]) for key in keys])


class _Forest:
    """Sets that are joined (union by the smaller root, paths halved)."""

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))

    def root(self, node: int) -> int:
        while self._parents[node] != node:
            self._parents[node] = self._parents[self._parents[node]]
            node = self._parents[node]
        return node

    def join(self, first: int, second: int) -> None:
        first, second = sorted((self.root(first), self.root(second)))
        self._parents[second] = first


def _numbered(names: Sequence[str], roots: Sequence[int]) -> Ints:
    """Number the groups by the first of their names in the alphabet."""
    numbers: dict[int, int] = {}
    for _, root in sorted(zip(names, roots, strict=True)):
        numbers.setdefault(root, len(numbers))
    return np.array([numbers[root] for root in roots], np.int64)


def _by_words(sequences: Sequence[str], *, identity: float, coverage: float) -> list[int]:
    if len(sequences) > MOST_SEQUENCES:
        raise ConfigError(
            f"clustering 'kmer' is for up to {MOST_SEQUENCES:,} different sequences, here are {len(sequences):,}: "
            "use 'mmseqs' or give a cluster table"
        )
    pairs = candidate_pairs(sequences)
    forest = _Forest(len(sequences))
    columns = (pairs.first.tolist(), pairs.second.tolist(), pairs.diagonal.tolist())
    rows = zip(*columns, strict=True)
    for first, second, diagonal in tracked(rows, "aligning pairs", len(columns[0]), unit="pairs", log=log):
        if forest.root(first) == forest.root(second):
            continue
        alignment = align(sequences[first], sequences[second], diagonal=diagonal)
        if alignment.identity >= identity and alignment.coverage >= coverage:
            forest.join(first, second)
    return [forest.root(node) for node in range(len(sequences))]


def _by_mmseqs(sequences: Sequence[str], *, identity: float, coverage: float) -> list[int]:
    """Connected components of the pairs that MMseqs2 finds."""
    forest = _Forest(len(sequences))
    with tempfile.TemporaryDirectory(prefix="bindtune-mmseqs-") as name:
        folder = Path(name)
        fasta = "".join(f">{number}\n{sequence}\n" for number, sequence in enumerate(sequences))
        (folder / "sequences.fa").write_text(fasta, encoding="ascii")
        # Coverage of the target, which is the shorter one; connected components; and all against all, because the
        # cascade compares representatives alone and misses pairs.
        options = ["--min-seq-id", str(identity), "-c", str(coverage), "--cov-mode", "1", "--cluster-mode", "1"]
        options += ["--single-step-clustering", "1"]
        paths = [str(folder / part) for part in ("sequences.fa", "groups", "work")]
        less_memory = "give it more, or make a table of clusters elsewhere and name it in data.clusters"
        run_mmseqs("easy-cluster", *paths, *options, "-v", "1", less_memory=less_memory)
        for _, line in numbered_lines(folder / "groups_cluster.tsv"):
            representative, member = line.split("\t")
            forest.join(int(representative), int(member))
    return [forest.root(node) for node in range(len(sequences))]


def _read_table(path: Path, problems: Problems) -> dict[str, str]:
    """Cluster of each protein."""
    clusters: dict[str, str] = {}
    member: int | None = None
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        words = [word.strip() for word in re.split(r"\t|,", line)] if re.search(r"[\t,]", line) else line.split()
        if len(words) != 2 or not all(words):
            problems.add(number, f"expected two columns, found {len(words)}: {line[:40]!r}")
            continue
        if member is None:
            header = _HEADERS.get((words[0].lower(), words[1].lower()))
            member = 1 if header is None else header
            if header is not None:
                continue
        name, cluster = read_cell(words[member]), read_cell(words[1 - member])
        if clusters.setdefault(name, cluster) != cluster:
            problems.add(number, f"protein {name!r} is in cluster {cluster!r}, and in {clusters[name]!r} before")
    if not clusters and not problems:
        problems.add(None, "holds no clusters")
    return clusters
