"""Sites that the calls of a binding run find, and thresholds that keep a target."""

import math
from collections.abc import Mapping

import numpy as np

from bindtune.data.protein.residue_contacts import read_linking
from bindtune.data.protein.site_rules import STANDARD_RULES
from bindtune.evaluation.binding_sites import count_sites, definition, find_sites
from bindtune.evaluation.figure_text import number
from bindtune.evaluation.guarantees import Guarantee, Target, guaranteed_thresholds
from bindtune.reports.page import Section, Table, Text
from bindtune.reports.site_tables import count_table
from bindtune.runs.out_of_fold import OutOfFold

_CONFIDENCE = 0.9
_TARGETS = (
    Target("recall", 0.8, _CONFIDENCE),
    Target("recall", 0.9, _CONFIDENCE),
    Target("precision", 0.5, _CONFIDENCE),
    Target("precision", 0.8, _CONFIDENCE),
)


def calls_section(
    predictions: OutOfFold | None, ions: tuple[str, ...], thresholds: Mapping[str, float]
) -> tuple[Section, ...]:
    """Sites at the thresholds of the run, and thresholds for some targets; nothing where there are no predictions.

    Args:
        predictions: out-of-fold predictions.
        ions: of the run.
        thresholds: of the run, by ion; nan where there is none.
    """
    if predictions is None:
        return ()
    linking = read_linking(STANDARD_RULES, {})
    counts, guarantees = {}, list[tuple[str, Guarantee]]()
    for ion in ions:
        own = predictions.of(ion)
        if not len(own):
            continue
        threshold = thresholds.get(ion, math.nan)
        if not math.isnan(threshold):
            by_protein = own.take(np.lexsort((own.position, own.protein)))
            counts[ion] = count_sites(
                find_sites(
                    by_protein.protein.astype(np.str_),
                    by_protein.position - 1,
                    by_protein.label,
                    by_protein.probability >= threshold,
                    linking=linking,
                )
            )
        chosen = guaranteed_thresholds(own.label, own.probability, own.protein, _TARGETS)
        guarantees += [(ion, guarantee) for guarantee in chosen]
    blocks = [Text("Residues of one site are one discovery. The run's thresholds decide which residues are called.")]
    tables = [count_table(counts, definition(linking))] if counts else []
    tables += [_target_table(guarantees)] if guarantees else []
    return (Section("calls", "Sites and targets", (*blocks, *tables)),)


def _target_table(guarantees: list[tuple[str, Guarantee]]) -> Table:
    rows = tuple(
        (
            ion,
            f"{each.target.figure} {each.target.value:g}",
            *(number(value) for value in (each.threshold, each.recall, each.precision)),
            "" if each.is_reached else (f"{each.best:g}" if each.best else "none"),
        )
        for ion, each in guarantees
    )
    heads = ("Ion", "Target", "Threshold", "Recall", "Precision", "Highest that can be kept")
    note = (
        f"A threshold that is chosen in this way keeps its target on new proteins like these with {_CONFIDENCE:.0%} "
        "confidence; the protein is the unit. Recall and precision are those of the out-of-fold residues. "
        "bindtune predict --target uses such a threshold."
    )
    return Table("Thresholds that keep a target", heads, rows, numeric=frozenset(range(2, 6)), note=note)
