"""A run and another tool on the same labelled residues, paired by protein."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bindtune.evaluation.bootstrap import Compared, paired_interval

FIGURES: dict[Literal["auprc", "auroc", "hra"], str] = {"auprc": "AUPRC", "auroc": "AUROC", "hra": "HRA"}
ALL, UNSEEN = "all proteins", "in nobody's training set"


class Residues(NamedTuple):
    """R labelled residues of one ion.

    Args:
        protein: (R,), names.
        position: (R,), from 0.
        label: (R,), 1 binds, 0 does not.
        probability: (R,), of the run.
    """

    protein: NDArray[np.str_]
    position: NDArray[np.integer]
    label: NDArray[np.int8]
    probability: NDArray[np.floating]

    def take(self, rows: NDArray[np.bool_]) -> "Residues":
        """Some of the rows."""
        return Residues(self.protein[rows], self.position[rows], self.label[rows], self.probability[rows])


class ToolRow(NamedTuple):
    """One figure of the run beside that of a tool.

    Args:
        tool: its name.
        ion: the ion.
        subset: which proteins.
        figure: its name.
        proteins: that both predict.
        positives: residues of them that bind.
        base_rate: share of the residues that bind; nan without residues.
        compared: the run's figure, the tool's, and the first less the second.
    """

    tool: str
    ion: str
    subset: str
    figure: str
    proteins: int
    positives: int
    base_rate: float
    compared: Compared


def conclusion(row: ToolRow) -> str:
    """The conclusion that the interval of a difference supports, in words."""
    gap = row.compared.difference
    what = f"{row.figure} of {row.ion}, {row.subset}"
    if math.isnan(gap.value):
        return f"{what}: not defined, with {row.positives:,} binding residues of {row.proteins:,} proteins."
    if math.isnan(gap.low):
        few = "too few proteins with binding residues for an interval"
        return f"{what}: {few}; the run less {row.tool} is {gap.value:+.3f}."
    ends = f"{gap.value:+.3f} ({gap.low:+.3f} to {gap.high:+.3f})"
    if gap.low > 0 or gap.high < 0:
        return f"{what} is {'higher' if gap.low > 0 else 'lower'} with the run than with {row.tool}: {ends}."
    return f"{what}: these proteins do not tell the run from {row.tool}: {ends}."


def compare_with_tool(
    tool: str,
    residues: Mapping[str, Residues],
    scores: Callable[[str, Residues], NDArray[np.floating]],
    subsets: Mapping[str, Callable[[NDArray[np.str_]], NDArray[np.bool_]]],
    **options: Any,
) -> list[ToolRow]:
    """Figures of a run and a tool, ion by ion and subset by subset.

    Args:
        tool: its name.
        residues: that both predict, by ion.
        scores: gives the tool's scores (R,) of residues of an ion.
        subsets: by name, which residues belong to it, from the names of their proteins (R,).
        options: draws, seed and level of `paired_interval`.
    """
    rows = []
    for ion, all_residues in residues.items():
        for subset, belongs in subsets.items():
            own = all_residues.take(belongs(all_residues.protein))
            theirs = scores(ion, own)
            for statistic, figure in FIGURES.items():
                compared = paired_interval(statistic, own.label, own.probability, theirs, own.protein, **options)
                base_rate = float(own.label.mean()) if len(own.label) else math.nan
                proteins = len(np.unique(own.protein))
                rows.append(ToolRow(tool, ion, subset, figure, proteins, int(own.label.sum()), base_rate, compared))
    return rows
