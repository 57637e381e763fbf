"""The partition of proteins, checked again from the files: the held-out proteins of each fold, and split groups."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bindtune.evaluation.figure_text import UNDEFINED
from bindtune.reports.page import Block, Collapsed, Notice, Section, Table, Text
from bindtune.reports.run_settings import flatten, grouping_sentence
from bindtune.runs.names import AUDIT, FOLDS
from bindtune.runs.out_of_fold import OutOfFold
from bindtune.runs.reading import read_csv, read_json

_MOST_ROWS = 60
_LONGEST = 600  # letters of a warning


class Partition(NamedTuple):
    """The folds of a run folder.

    Args:
        rows: rows of folds.csv; None if it is missing.
        audit: content of audit.json; None if it is missing.
        doubts: sentences about leaks, for the top of the page.
    """

    rows: list[dict[str, str]] | None
    audit: dict[str, Any] | None
    doubts: tuple[str, ...]


def read_partition(run: Path, predictions: OutOfFold | None) -> Partition:
    """Read folds and audit of a run, and check the folds against its predictions.

    Raises:
        InputError: folds.csv or audit.json is damaged.
    """
    rows = read_csv(run / FOLDS, ("protein", "fold", "group"))
    audit = read_json(run / AUDIT)
    doubts = [] if rows is None else _doubts(rows, predictions)
    return Partition(rows, audit, (*doubts, *_audit_doubts(audit or {})))


def folds_section(
    partition: Partition, predictions: OutOfFold | None, ions: tuple[str, ...], config: Mapping[str, Any]
) -> Section:
    """Folds, the check of groups, and the audit that the run wrote."""
    rows, audit, doubts = partition
    shared = "One partition of the proteins serves every ion. " if len(ions) > 1 else ""
    blocks: list[Block] = [Text(f"{shared}{grouping_sentence(config)}")]
    if rows is None:
        blocks.append(Notice("folds.csv is missing: the partition is not known."))
    else:
        blocks.append(_sizes(rows, predictions, ions))
        if not _doubts(rows, predictions):
            groups = len({row["group"] for row in rows})
            checks = (
                f"Checked again for this page: none of {groups} groups lies in two folds, no protein is listed twice, "
                "and every prediction comes from the fold that held its protein out."
            )
            blocks.append(Text(checks))
    if doubts:
        blocks.append(Text("Leaks are named at the top of the page."))
    if audit is None:
        blocks.append(Notice("audit.json is missing: the run has recorded no leak audit."))
    else:
        blocks += _audit(audit)
    return Section("folds", "Folds and leaks", tuple(blocks))


def _sizes(rows: list[dict[str, str]], predictions: OutOfFold | None, ions: tuple[str, ...]) -> Table:
    sizes = []
    folds = sorted({row["fold"] for row in rows}, key=lambda fold: (not fold.isdigit(), fold.zfill(9)))
    for fold in folds:
        here = [row for row in rows if row["fold"] == fold]
        sites = [_sites(predictions, ion, fold) for ion in ions]
        sizes.append((fold, str(len(here)), str(len({row["group"] for row in here})), *sites))
    heads = ("Fold", "Proteins", "Groups", *(f"{ion} sites" for ion in ions))
    note = "Sites are counted in the predictions; a dash stands for a fold that has none yet."
    return Table(
        "Held-out proteins of each fold", heads, tuple(sizes), numeric=frozenset(range(1, len(heads))), note=note
    )


def _sites(predictions: OutOfFold | None, ion: str, fold: str) -> str:
    if predictions is None or not fold.isdigit():
        return UNDEFINED
    here = predictions.fold == int(fold)
    if not here.any():
        return UNDEFINED
    number = predictions.ions.index(ion) if ion in predictions.ions else -1
    return str(int(predictions.label[here & (predictions.ion == number)].sum()))


def _doubts(rows: list[dict[str, str]], predictions: OutOfFold | None) -> list[str]:
    groups = defaultdict(set)
    for row in rows:
        groups[row["group"]].add(row["fold"])
    split = sorted(group for group, folds in groups.items() if len(folds) > 1)
    repeated = [name for name, times in Counter(row["protein"] for row in rows).items() if times > 1]
    strangers = [] if predictions is None else _misplaced(rows, predictions)
    sentences = {
        f"{len(split)} groups lie in more than one fold, so the figures leak: {_some(split)}.": split,
        f"{len(repeated)} proteins are in folds.csv more than once: {_some(repeated)}.": repeated,
        f"Predictions do not fit folds.csv for {len(strangers)} proteins: {_some(strangers)}.": strangers,
    }
    return [sentence for sentence, names in sentences.items() if names]


def _audit_doubts(audit: dict[str, Any]) -> list[str]:
    """The warnings of the run's own audit, which name shared proteins; or the number of pairs that it counted."""
    warnings = audit.get("warnings")
    if isinstance(warnings, list) and warnings:
        return [f"The run's audit: {str(warning)[:_LONGEST]}." for warning in warnings]
    leaks = audit.get("leaks")
    if isinstance(leaks, int) and leaks > 0:
        return [f"The run's audit found {leaks:,} pairs of proteins across folds (audit.json)."]
    return []


def _misplaced(rows: list[dict[str, str]], predictions: OutOfFold) -> list[str]:
    assigned = {row["protein"]: row["fold"] for row in rows}
    names = [
        (predictions.proteins[protein], str(fold))
        for fold in predictions.fold_numbers()
        for protein in np.flatnonzero(np.bincount(predictions.protein[predictions.fold == fold])).tolist()
    ]
    return sorted({name for name, fold in names if assigned.get(name) != fold})


def _audit(audit: dict[str, Any]) -> list[Block]:
    if not audit:
        return [Text("The run's own leak audit (audit.json) lists nothing.")]
    rows = [(name, value if len(value) <= 300 else f"{value[:300]} …") for name, value in flatten(audit)]
    table = Table("The run's leak audit (audit.json)", ("Item", "Found"), tuple(rows[:_MOST_ROWS]), code=frozenset({0}))
    if len(rows) <= 12:
        return [table]
    left = f" (the first {_MOST_ROWS} of {len(rows)} rows)" if len(rows) > _MOST_ROWS else ""
    return [Collapsed(f"The run's leak audit{left}", (table,))]


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (" and more" if len(names) > 5 else "")
