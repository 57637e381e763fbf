"""Rows of the windows of a probe, their table, and their counts."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bindtune.data.dna.negatives import Sites
from bindtune.errors import ConfigError
from bindtune.io.intervals import STRAND_LETTERS
from bindtune.probing.negative_arms import Choice
from bindtune.probing.positives import Positives

Ints = NDArray[np.int64]
log = logging.getLogger(__name__)
_FEWEST_FOLDS = 2
SCHEMA = pa.schema(
    [
        ("dataset", pa.string()),
        ("arm", pa.string()),
        ("window", pa.string()),
        ("label", pa.int8()),
        ("sequence", pa.string()),
        ("chrom", pa.string()),
        ("start", pa.int64()),
        ("end", pa.int64()),
        ("strand", pa.string()),
        ("fold", pa.int16()),
        ("group", pa.int64()),
        ("pair", pa.int64()),
        ("region", pa.string()),
    ]
)
"""Columns of windows.parquet. `pair` joins a positive with its negative; places and regions may be missing."""


@dataclass
class WindowRows:
    """Windows of one data set and arm before they are grouped, positives first.

    Args:
        dataset: its name.
        arm: its name.
        names: N.
        labels: (N,).
        sequences: N.
        sites: (N,) places, chromosome -1 where a window has none; None where none has one.
        region: N kinds of regions, or None.
        pair: (N,) number of the pair, -1 where there are none.
        group: (N,) group of each.
        fold: (N,) fold of each, from 0.
    """

    dataset: str
    arm: str
    names: list[str]
    labels: NDArray[np.int8]
    sequences: list[str]
    sites: Sites | None
    region: list[str | None]
    pair: Ints
    group: Ints
    fold: Ints

    def take(self, keep: NDArray[np.bool_]) -> "WindowRows":
        """The rows of a mask (N,)."""
        places = np.flatnonzero(keep).tolist()
        return WindowRows(
            self.dataset, self.arm, [self.names[at] for at in places], self.labels[keep],
            [self.sequences[at] for at in places], None if self.sites is None else self.sites.take(keep),
            [self.region[at] for at in places], self.pair[keep], self.group[keep], self.fold[keep],
        )  # fmt: skip


def no_sites(count: int) -> Sites:
    """Sites of windows that have no place in a genome."""
    none = np.full(count, -1, np.int64)
    return Sites(none, none, none, np.zeros(count, np.int64))


def window_table(rows: Sequence[WindowRows], chroms: Sequence[str] | None, *, group: Ints, fold: Ints) -> pa.Table:
    """The table of all windows (SCHEMA).

    Args:
        rows: of each data set and arm.
        chroms: names of chromosomes by number; None where no window has a place.
        group: (N,) group of each window of all rows.
        fold: (N,) fold of each, from 0.
    """
    tables, first = [], 0
    for each in rows:
        count = len(each.names)
        here = slice(first, first + count)
        first += count
        sites = no_sites(count) if each.sites is None else each.sites
        nowhere = sites.chrom < 0
        names = pa.array([None, *(chroms or ())], pa.string())
        columns = {
            "dataset": pa.array([each.dataset] * count), "arm": pa.array([each.arm] * count),
            "window": pa.array(each.names, pa.string()), "label": pa.array(each.labels, pa.int8()),
            "sequence": pa.array(each.sequences, pa.string()), "chrom": names.take(pa.array(sites.chrom + 1)),
            "start": pa.array(sites.start, pa.int64(), mask=nowhere),
            "end": pa.array(sites.end, pa.int64(), mask=nowhere),
            "strand": pa.array([STRAND_LETTERS[each] for each in sites.strand.tolist()], pa.string(), mask=nowhere),
            "fold": pa.array(fold[here] + 1, pa.int16()), "group": pa.array(group[here], pa.int64()),
            "pair": pa.array(each.pair, pa.int64(), mask=each.pair < 0), "region": pa.array(each.region, pa.string()),
        }  # fmt: skip
        tables.append(pa.table(columns, schema=SCHEMA))
    return pa.concat_tables(tables)


def arms_of(table: pa.Table) -> list[tuple[str, str]]:
    """(data set, arm) in the order of the table."""
    pairs = table.select(["dataset", "arm"]).group_by(["dataset", "arm"], use_threads=False).aggregate([])
    return list(zip(pairs["dataset"].to_pylist(), pairs["arm"].to_pylist(), strict=True))


def rows_of(table: pa.Table, dataset: str, arm: str) -> Ints:
    """(N,) rows of one data set and arm."""
    here = pc.and_(pc.equal(table["dataset"], dataset), pc.equal(table["arm"], arm))
    return np.flatnonzero(here.to_numpy(zero_copy_only=False))


def trainable(table: pa.Table, counts: dict[str, Any], *, folds: int) -> pa.Table:
    """The arms that can be cross-validated; others are left out, with a warning.

    A rare protein need not have windows in every fold. Each fold that has some must have both kinds, and there must be
    two such folds.

    Raises:
        ConfigError: no arm can be cross-validated.
    """
    arms, why = [], ""
    for dataset, arm in counted_arms(counts):
        own = table.take(rows_of(table, dataset, arm))
        labels, fold = own["label"].to_numpy(), own["fold"].to_numpy() - 1
        bound, unbound = (np.bincount(fold[labels == label], minlength=folds) for label in (1, 0))
        with_windows = np.flatnonzero(bound + unbound)
        lacking = [
            f"fold {with_windows[number[with_windows].argmin()] + 1} of {folds} has no {name}"
            for number, name in ((bound, "positives"), (unbound, "negatives"))
            if not number[with_windows].all()
        ]
        if len(with_windows) < _FEWEST_FOLDS:
            lacking = [f"{len(with_windows)} of {folds} folds have windows, too few for a cross-validation"]
        if not lacking:
            if len(with_windows) < folds:
                counts[dataset][arm]["folds_with_windows"] = len(with_windows)
                log.warning("%s, arm %s: only %d of %d folds have windows", dataset, arm, len(with_windows), folds)
            arms.append(own)
            continue
        why = f"{dataset}, arm {arm}: {lacking[0]}"
        counts[dataset][arm]["not_probed"] = why
        log.warning("%s, so this arm is left out", why)
    if not arms:
        raise ConfigError(f"{why}: give fewer --folds, or --split neighbourhood with a smaller --split-distance")
    return pa.concat_tables(arms)


def counted_arms(counts: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """(data set, arm) of counts by data set and arm."""
    return [(dataset, arm) for dataset, arms in counts.items() for arm in arms]


def peak_counts(positives: Positives) -> dict[str, Any]:
    """The counts of used and dropped peaks of a data set."""
    tally = positives.tally
    return {
        "read": sum(tally.read.values()), "files": tally.read, "dropped": nonzero(tally.dropped),
        "windows": len(positives.sites),
    }  # fmt: skip


def choice_counts(choice: Choice, *, positives: int) -> dict[str, Any]:
    """The counts of used and dropped candidates for negatives of an arm."""
    counts: dict[str, Any] = {"positives_available": positives, "left_out": nonzero(choice.dropped)}
    if choice.candidates is not None:
        counts["candidates"] = choice.candidates
    return counts


def arm_counts(rows: Sequence[WindowRows], before: Mapping[tuple[str, str], dict[str, Any]]) -> dict[str, Any]:
    """The counts of each arm, with reasons for missing negatives; arms with few negatives give a warning."""
    by_dataset: dict[str, Any] = {}
    for each in rows:
        counts = before[each.dataset, each.arm]
        bound = int((each.labels == 1).sum())
        counts["left_out"] = dict(counts["left_out"])
        leaking = counts["positives_available"] - sum(counts["left_out"].values()) - bound
        if leaking:
            counts["left_out"]["shares_with_another_fold"] = leaking
        if bound < counts["positives_available"]:
            log.warning(
                "%s, arm %s: %d of %d positives have a negative and are used (%s)", each.dataset, each.arm, bound,
                counts["positives_available"], ", ".join(f"{n} {reason}" for reason, n in counts["left_out"].items()),
            )  # fmt: skip
        numbers = {"positives": bound, "negatives": len(each.labels) - bound}
        by_dataset.setdefault(each.dataset, {})[each.arm] = counts | numbers
    return by_dataset


def nonzero(counts: Counter[str]) -> dict[str, int]:
    """The counts that are not 0, by name."""
    return {reason: count for reason, count in sorted(counts.items()) if count}
