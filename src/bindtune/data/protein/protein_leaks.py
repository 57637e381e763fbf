"""Proteins that stand on both sides of a split: identical ones, too similar ones, and those of one group."""

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
    """Two proteins on different sides.

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
    """What one side shares with all others.

    Args:
        part: a fold, or train or test.
        proteins: all of its proteins.
        identical: those with the sequence of a protein elsewhere.
        similar: those that are not identical but similar to a protein elsewhere; None where this was not looked for.
        names: all of these proteins, identical ones first.
    """

    part: str
    proteins: int
    identical: int
    similar: int | None
    names: tuple[str, ...]


@dataclass(frozen=True)
class SplitGroup:
    """A group that lies on several sides.

    Args:
        parts: the sides.
        first: of its proteins on each side the first in the alphabet.
        proteins: all of the group.
        pairs: pairs of them on different sides, but for those that count as identical or similar.
    """

    parts: tuple[str, ...]
    first: tuple[str, ...]
    proteins: int
    pairs: int


@dataclass(frozen=True)
class ProteinLeaks:
    """What an audit found. Counts are exact; examples are the most similar pairs, some of them only.

    Args:
        identity: pairs count as similar from this identity on; None where only identical sequences were looked for.
        coverage: and from this share of the shorter protein on.
        same_names: names that stand on both sides.
        identical_pairs: pairs of proteins with the same sequence on different sides.
        similar_pairs: other similar pairs on different sides. None where they were not looked for: no identity was
            given, or there are too many proteins.
        grouped_pairs: still other pairs on different sides, of one group. None where no groups were given.
        split_groups: groups with such pairs. None where no groups were given.
        parts: what each side shares with the others.
        examples: pairs, identical ones first.
        group_examples: groups with such pairs, those with most of them first.
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
        """All pairs found, each counted once."""
        return self.identical_pairs + (self.similar_pairs or 0) + (self.grouped_pairs or 0)

    def as_dict(self) -> dict[str, Any]:
        """The record as JSON takes it."""
        return asdict(self)


class _Node(NamedTuple):
    """A sequence on one side; all proteins there that have it count as one."""

    sequence: str
    part: str


def audit_folds(
    proteins: Proteins, folds: Ints, *, groups: Ints | None = None, identity: float | None, coverage: float = 0.8
) -> ProteinLeaks:
    """Look for proteins that share a sequence, or nearly, or a group, across folds.

    Args:
        proteins: N proteins.
        folds: (N,) their folds.
        groups: (N,) what was to stay together, identical sequences always; None looks for no groups.
        identity: how similar is too similar, 0 to 1; None looks for identical sequences alone, which takes no time.
        coverage: share of the shorter protein that must lie in the alignment.
    """
    parts = [str(fold) for fold in folds.tolist()]
    grouped = None if groups is None else groups.tolist()
    return _audit(proteins.names, proteins.sequences, parts, groups=grouped, identity=identity, coverage=coverage)


def audit_test_set(train: Proteins, test: Proteins, *, identity: float | None, coverage: float = 0.8) -> ProteinLeaks:
    """Look for proteins of a test set that the training set has too, or nearly; see `audit_folds`."""
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
        {place for one, other, *_ in pairs for place in (one, other)} for pairs in (identical, similar)
    )
    weights = [len(members[node]) for node in nodes]
    sizes = Counter(parts)
    split = None
    if groups is not None:
        group = dict(zip(sequences, groups, strict=True))
        counted = Counter[int]()
        for one, other, *_ in [*identical, *similar]:
            if group[nodes[one].sequence] == group[nodes[other].sequence]:
                counted[group[nodes[one].sequence]] += weights[one] * weights[other]
        split = _split_groups(names, parts, groups, counted=counted)
    return ProteinLeaks(
        identity=identity,
        coverage=coverage,
        same_names=len(names) - len(set(names)),
        identical_pairs=sum(weights[one] * weights[other] for one, other, *_ in identical),
        similar_pairs=None if identity is None else sum(weights[one] * weights[other] for one, other, *_ in similar),
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
                    for places in (in_identical, in_similar - in_identical)
                    for name in sorted(_named(places, nodes=nodes, members=members, part=part))
                ),
            )
            for part in sorted(sizes, key=_in_order)
        ),
        examples=tuple(
            LeakedPair(
                min(members[nodes[one]]),
                nodes[one].part,
                min(members[nodes[other]]),
                nodes[other].part,
                round(how_identical, 4),
                round(covered, 4),
            )
            for one, other, how_identical, covered in [*identical, *similar][:_EXAMPLES]
        ),
        group_examples=tuple((split or ())[:_EXAMPLES]),
    )


def _split_groups(
    names: Sequence[str], parts: Sequence[str], groups: Sequence[int], *, counted: Mapping[int, int]
) -> list[SplitGroup]:
    """Groups with more pairs on different sides than are counted already, those with most of them first."""
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
    """Fold 10 after fold 9."""
    return len(part), part


def _identical(nodes: Sequence[_Node]) -> list[tuple[int, int, float, float]]:
    """Pairs of places with the same sequence; such nodes stand side by side."""
    pairs = []
    for one, node in enumerate(nodes):
        other = one + 1
        while other < len(nodes) and nodes[other].sequence == node.sequence:
            pairs.append((one, other, 1.0, 1.0))
            other += 1
    return pairs


def _similar(nodes: Sequence[_Node], *, identity: float, coverage: float) -> list[tuple[int, int, float, float]]:
    """(place, place, identity, coverage) of similar sequences on different sides, the most similar first."""
    sequences = [node.sequence for node in nodes]
    sides = np.unique([node.part for node in nodes], return_inverse=True)[1]
    candidates = candidate_pairs(sequences, parts=sides)
    similar_pairs = []
    columns = (candidates.first.tolist(), candidates.second.tolist(), candidates.diagonal.tolist())
    for one, other, diagonal in zip(*columns, strict=True):
        if sequences[one] == sequences[other]:
            continue
        alignment = align(sequences[one], sequences[other], diagonal=diagonal)
        if alignment.identity >= identity and alignment.coverage >= coverage:
            similar_pairs.append((one, other, alignment.identity, alignment.coverage))
    return sorted(similar_pairs, key=lambda pair: (-pair[2], pair[0], pair[1]))


def _named(places: set[int], *, nodes: Sequence[_Node], members: Mapping[_Node, list[str]], part: str) -> Iterator[str]:
    return (name for place in places if nodes[place].part == part for name in members[nodes[place]])


def shortened(names: Sequence[str]) -> str:
    """The first names, and how many more there are, as messages say it.

    >>> shortened(["a", "b"]), shortened(list("abcdefg"))
    ('a, b', 'a, b, c, d, e and 2 more')
    """
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"


def _count(places: set[int], *, nodes: Sequence[_Node], weights: Sequence[int], part: str) -> int:
    return sum(weights[place] for place in places if nodes[place].part == part)
