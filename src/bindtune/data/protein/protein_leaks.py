"""Find proteins of different folds or sets that are identical, too similar, or of one group."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bindtune.data.protein.proteins import Proteins
from bindtune.data.protein.similarity import MOST_SEQUENCES, align, candidate_pairs

Ints = NDArray[np.int64]

_EXAMPLES = 20
_SHOWN = 5
TRAIN, TEST = "train", "test"


@dataclass(frozen=True)
class LeakedPair:
    """Two similar proteins of different parts of a split.

    Args:
        first: a protein.
        first_part: its fold, or train or test.
        second: the other protein.
        second_part: its fold, or train or test.
        identity: identical columns of their alignment.
        coverage: share of the shorter protein that is aligned.
    """

    first: str
    first_part: str
    second: str
    second_part: str
    identity: float
    coverage: float


@dataclass(frozen=True)
class PartLeaks:
    """Proteins that one part of a split shares with the other parts.

    Args:
        part: a fold, or train or test.
        proteins: number of proteins of the part.
        identical: number of proteins with the sequence of a protein of another part.
        similar: number of other proteins that are similar to a protein of another part; None if not searched.
        names: the identical and the similar proteins, identical ones first.
    """

    part: str
    proteins: int
    identical: int
    similar: int | None
    names: tuple[str, ...]


@dataclass(frozen=True)
class SplitGroup:
    """A group whose proteins lie in several parts.

    Args:
        parts: the parts that hold proteins of the group.
        first: the alphabetically first protein of the group in each part.
        proteins: number of proteins of the group.
        pairs: pairs of its proteins in different parts, without those that count as identical or similar.
    """

    parts: tuple[str, ...]
    first: tuple[str, ...]
    proteins: int
    pairs: int


@dataclass(frozen=True)
class ProteinLeaks:
    """The result of an audit. Counts are exact; examples are the most similar pairs.

    Args:
        identity: lowest identity of a similar pair; None if only identical sequences were searched.
        coverage: lowest aligned share of the shorter protein of a similar pair.
        same_names: names that occur in several parts.
        identical_pairs: pairs of proteins of different parts with the same sequence.
        similar_pairs: other similar pairs of different parts. None if they were not searched, because no identity was
            given or there are too many proteins.
        grouped_pairs: remaining pairs of different parts that belong to one group. None if no groups were given.
        split_groups: groups with `grouped_pairs`. None if no groups were given.
        parts: the shared proteins of each part.
        examples: pairs, identical ones first.
        group_examples: groups with `grouped_pairs`, the group with most pairs first.
    """

    identity: float | None
    coverage: float
    same_names: int
    identical_pairs: int
    similar_pairs: int | None
    grouped_pairs: int | None
    split_groups: int | None
    parts: tuple[PartLeaks, ...]
    examples: tuple[LeakedPair, ...]
    group_examples: tuple[SplitGroup, ...]

    @property
    def total(self) -> int:
        """Number of all pairs, each counted once."""
        return self.identical_pairs + (self.similar_pairs or 0) + (self.grouped_pairs or 0)

    def as_dict(self) -> dict[str, Any]:
        """The record as a dictionary for JSON."""
        return asdict(self)


class _Node(NamedTuple):
    """A sequence of one part; all proteins of the part with this sequence are one node."""

    sequence: str
    part: str


def audit_folds(
    proteins: Proteins, folds: Ints, *, groups: Ints | None = None, identity: float | None, coverage: float = 0.8
) -> ProteinLeaks:
    """Find proteins of different folds that are identical, similar, or of one group.

    Args:
        proteins: N proteins.
        folds: (N,) their folds.
        groups: (N,) groups that should lie in one fold; identical sequences share a group. None checks no groups.
        identity: lowest identity of a similar pair, 0 to 1; None finds only identical sequences, which takes no time.
        coverage: share of the shorter protein that must lie in the alignment.
    """
    parts = [str(fold) for fold in folds.tolist()]
    grouped = None if groups is None else groups.tolist()
    return _audit(proteins.names, proteins.sequences, parts, groups=grouped, identity=identity, coverage=coverage)


def audit_test_set(train: Proteins, test: Proteins, *, identity: float | None, coverage: float = 0.8) -> ProteinLeaks:
    """Find proteins of a test set that are identical or similar to training proteins; see `audit_folds`."""
    return _audit(
        (*train.names, *test.names),
        (*train.sequences, *test.sequences),
        [TRAIN] * len(train) + [TEST] * len(test),
        groups=None,
        identity=identity,
        coverage=coverage,
    )


def _audit(
    names: Sequence[str],
    sequences: Sequence[str],
    parts: Sequence[str],
    *,
    groups: Sequence[int] | None,
    identity: float | None,
    coverage: float,
) -> ProteinLeaks:
    members: dict[_Node, list[str]] = defaultdict(list)
    for name, sequence, part in zip(names, sequences, parts, strict=True):
        members[_Node(sequence, part)].append(name)
    nodes = sorted(members)
    if len({node.sequence for node in nodes}) > MOST_SEQUENCES:
        identity = None
    identical = _identical(nodes)
    similar = [] if identity is None else _similar(nodes, identity=identity, coverage=coverage)
    in_identical, in_similar = (
        {index for first, second, *_ in pairs for index in (first, second)} for pairs in (identical, similar)
    )
    weights = [len(members[node]) for node in nodes]
    sizes = Counter(parts)
    split = None
    if groups is not None:
        group = dict(zip(sequences, groups, strict=True))
        counted = Counter[int]()
        for first, second, *_ in [*identical, *similar]:
            if group[nodes[first].sequence] == group[nodes[second].sequence]:
                counted[group[nodes[first].sequence]] += weights[first] * weights[second]
        split = _split_groups(names, parts, groups, counted=counted)
    return ProteinLeaks(
        identity=identity,
        coverage=coverage,
        same_names=len(names) - len(set(names)),
        identical_pairs=sum(weights[first] * weights[second] for first, second, *_ in identical),
        similar_pairs=None
        if identity is None
        else sum(weights[first] * weights[second] for first, second, *_ in similar),
        grouped_pairs=None if split is None else sum(each.pairs for each in split),
        split_groups=None if split is None else len(split),
        parts=tuple(
            PartLeaks(
                part,
                sizes[part],
                _count(in_identical, nodes=nodes, weights=weights, part=part),
                None
                if identity is None
                else _count(in_similar - in_identical, nodes=nodes, weights=weights, part=part),
                tuple(
                    name
                    for indices in (in_identical, in_similar - in_identical)
                    for name in sorted(_named(indices, nodes=nodes, members=members, part=part))
                ),
            )
            for part in sorted(sizes, key=_in_order)
        ),
        examples=tuple(
            LeakedPair(
                min(members[nodes[first]]),
                nodes[first].part,
                min(members[nodes[second]]),
                nodes[second].part,
                round(how_identical, 4),
                round(covered, 4),
            )
            for first, second, how_identical, covered in [*identical, *similar][:_EXAMPLES]
        ),
        group_examples=tuple((split or ())[:_EXAMPLES]),
    )


def _split_groups(
    names: Sequence[str], parts: Sequence[str], groups: Sequence[int], *, counted: Mapping[int, int]
) -> list[SplitGroup]:
    """Groups with pairs of different parts that are not counted already; the group with most such pairs comes first."""
    members: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name, part, group in zip(names, parts, groups, strict=True):
        members[group][part].append(name)
    split_groups = []
    for group, sides in members.items():
        sizes = [len(side) for side in sides.values()]
        pairs = (sum(sizes) ** 2 - sum(size**2 for size in sizes)) // 2 - counted.get(group, 0)
        if pairs:
            order = tuple(sorted(sides, key=_in_order))
            split_groups.append(SplitGroup(order, tuple(min(sides[part]) for part in order), sum(sizes), pairs))
    return sorted(split_groups, key=lambda split: (-split.pairs, split.first))


def _in_order(part: str) -> tuple[int, str]:
    """A sort key that puts fold 10 after fold 9."""
    return len(part), part


def _identical(nodes: Sequence[_Node]) -> list[tuple[int, int, float, float]]:
    """Pairs of nodes with the same sequence; `nodes` is sorted, so they are neighbours."""
    pairs = []
    for first, node in enumerate(nodes):
        second = first + 1
        while second < len(nodes) and nodes[second].sequence == node.sequence:
            pairs.append((first, second, 1.0, 1.0))
            second += 1
    return pairs


def _similar(nodes: Sequence[_Node], *, identity: float, coverage: float) -> list[tuple[int, int, float, float]]:
    """(first, second, identity, coverage) of similar sequences of different parts, the most similar pair first."""
    sequences = [node.sequence for node in nodes]
    sides = np.unique([node.part for node in nodes], return_inverse=True)[1]
    candidates = candidate_pairs(sequences, parts=sides)
    similar_pairs = []
    columns = (candidates.first.tolist(), candidates.second.tolist(), candidates.diagonal.tolist())
    for first, second, diagonal in zip(*columns, strict=True):
        if sequences[first] == sequences[second]:
            continue
        alignment = align(sequences[first], sequences[second], diagonal=diagonal)
        if alignment.identity >= identity and alignment.coverage >= coverage:
            similar_pairs.append((first, second, alignment.identity, alignment.coverage))
    return sorted(similar_pairs, key=lambda pair: (-pair[2], pair[0], pair[1]))


def _named(
    indices: set[int], *, nodes: Sequence[_Node], members: Mapping[_Node, list[str]], part: str
) -> Iterator[str]:
    return (name for index in indices if nodes[index].part == part for name in members[nodes[index]])


def shortened(names: Sequence[str]) -> str:
    """The first names, and the number of the others, for messages.

    >>> shortened(["a", "b"]), shortened(list("abcdefg"))
    ('a, b', 'a, b, c, d, e and 2 more')
    """
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"


def _count(indices: set[int], *, nodes: Sequence[_Node], weights: Sequence[int], part: str) -> int:
    return sum(weights[index] for index in indices if nodes[index].part == part)
