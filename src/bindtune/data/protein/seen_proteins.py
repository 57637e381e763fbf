"""Find proteins of a comparison that are in a training set, or similar to one of its proteins."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from bindtune.data.protein.protein_leaks import TEST, audit_test_set
from bindtune.data.protein.proteins import Proteins
from bindtune.io.training_proteins import TrainingProteins


class Seen(NamedTuple):
    """Proteins of a comparison that somebody was trained on.

    Args:
        names: of these proteins.
        how: what counts as being in a training set, in words.
    """

    names: frozenset[str]
    how: str


def seen_proteins(proteins: Proteins, training: Sequence[TrainingProteins], *, identity: float | None) -> Seen:
    """Find the proteins that stand in a training set.

    Args:
        proteins: of the comparison.
        training: training sets. One without sequences is compared by names.
        identity: lowest identity of a similar pair, as in the leak audit; None looks for equal sequences.
    """
    names, looked_for_similar = set[str](), identity is not None
    has_sequences = any(each.sequences for each in training)
    for each in training:
        names |= each.names & set(proteins.names)
        if each.sequences:
            leaks = audit_test_set(_proteins(each.sequences), proteins, identity=identity)
            looked_for_similar = looked_for_similar and leaks.identity is not None
            names |= set(next(part for part in leaks.parts if part.part == TEST).names)
    return Seen(frozenset(names), _how(has_sequences, identity if looked_for_similar else None, training))


def _how(has_sequences: bool, identity: float | None, training: Iterable[TrainingProteins]) -> str:
    ways = ["equal names"]
    if has_sequences:
        ways.append("equal sequences" if identity is None else f"an identity of at least {identity:g}")
    text = " or ".join(ways)
    if has_sequences and any(not each.sequences for each in training):
        text += "; a training set without sequences by names alone"
    return text


def _proteins(sequences: dict[str, str]) -> Proteins:
    blank = tuple(np.empty((len(sequence), 0), np.int8) for sequence in sequences.values())
    return Proteins(tuple(sequences), tuple(sequences.values()), (), blank)
