"""Scored residues of one ion, as columns, and the division of a table by ion."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Column = NDArray[Any]


class ScoredResidues(NamedTuple):
    """Residues of one ion with their labels known; R residues.

    Args:
        proteins: (R,), name or number of the protein each residue is in.
        labels: (R,), 1 binds, 0 does not.
        probabilities: (R,), from a model that did not train on the protein.
        folds: (R,), the fold that the protein was held out in.
    """

    proteins: Column
    labels: Column
    probabilities: Column
    folds: Column


def by_ion(
    ions: Sequence[str],
    *,
    protein: ArrayLike,
    ion: ArrayLike,
    label: ArrayLike,
    probability: ArrayLike,
    fold: ArrayLike,
) -> dict[str, ScoredResidues]:
    """Columns of an out-of-fold table, taken apart by ion; an ion without rows has empty columns.

    Args:
        ions: the requested ions, in this order.
        protein: column of the table, as are the others; all of one length.
        ion: name of the ion of each row.
        label: 1 binds, 0 does not.
        probability: out-of-fold probability.
        fold: fold the protein was held out in.
    """
    columns = [np.asarray(column) for column in (protein, label, probability, fold)]
    names = np.asarray(ion)
    return {name: ScoredResidues(*(column[names == name] for column in columns)) for name in ions}
