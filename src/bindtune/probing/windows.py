"""All windows of a probe: every data set, every arm, labels, groups and folds, as one table."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bindtune.config import ProbeConfig
from bindtune.data.dna.negatives import Sites, joined_sites
from bindtune.data.dna.peak_files import chromosome_numbers
from bindtune.data.dna.peaks import Peaks
from bindtune.data.dna.region_kinds import PRIORITY, Segments, kind_names, make_segments
from bindtune.data.dna.shared_words import similarity_groups
from bindtune.data.keyed_random import digest
from bindtune.errors import CheckError, ConfigError
from bindtune.io.bed import read_bed
from bindtune.io.genes import read_features
from bindtune.io.intervals import STRAND_LETTERS, Intervals
from bindtune.probing.arms import ARMS, GIVEN, Choice, Surroundings, kinds_of, shuffle_all
from bindtune.probing.grouping import Territories, make_territories, place_groups
from bindtune.probing.leak_check import Leaks, check_leaks
from bindtune.probing.positives import GivenWindows, Positives, positives_of, read_given
from bindtune.probing.sources import Letters, open_letters

Ints = NDArray[np.int64]
log = logging.getLogger(__name__)
_UTR_FEATURES = ("UTR", "five_prime_utr", "three_prime_utr", "five_prime_UTR", "three_prime_UTR")
_SHUFFLED_NAME = "/shuffled"
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


@dataclass(frozen=True)
class Made:
    """The windows of a probe.

    Args:
        table: SCHEMA.
        counts: what became of peaks, candidates and windows.
        leaks: what the check found, as written.
    """

    table: pa.Table
    counts: dict[str, Any]
    leaks: dict[str, Any]


@dataclass
class _Rows:
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

    def take(self, keep: NDArray[np.bool_]) -> "_Rows":
        places = np.flatnonzero(keep).tolist()
        return _Rows(
            self.dataset, self.arm, [self.names[at] for at in places], self.labels[keep],
            [self.sequences[at] for at in places], None if self.sites is None else self.sites.take(keep),
            [self.region[at] for at in places], self.pair[keep], self.group[keep], self.fold[keep],
        )  # fmt: skip


def make_windows(config: ProbeConfig, *, notify: Callable[[str], None]) -> Made:
    """Choose windows, negatives and folds, and look for leaks.

    Args:
        config: the settings.
        notify: is told what takes time.

    Raises:
        InputError: a file is not what it should be.
        ConfigError: the settings do not fit the files.
        LeakError: folds share something, and nobody asked to go on.
    """
    if config.positives is not None and config.negatives is not None:
        rows, chroms, counts = _given(config, config.positives, config.negatives)
    else:
        rows, chroms, counts = _from_peaks(config, notify=notify)
    notify("looking for what folds share")
    group, fold = (np.concatenate([getattr(each, name) for each in rows]) for name in ("group", "fold"))
    leaks, number = _checked(rows, fold)
    chosen = leaks.involved[number] & _chosen(rows)
    if chosen.any():
        rows, kept = _without(rows, chosen)
        fold, group = fold[kept], group[kept]
        leaks, number = _checked(rows, fold)
    record = {
        "counts": leaks.counts, "letters_of_a_word": leaks.word, "windows": len(fold), "what_was_done": config.leaks,
        "negatives_left_out": int(chosen.sum()), "dropped": 0,
        "examples": {kind: pairs for kind, pairs in leaks.examples.items() if pairs},
    }  # fmt: skip
    if leaks.total and config.leaks == "fail":
        raise LeakError(leaks, record)
    if leaks.total and config.leaks == "drop":
        rows, kept = _without(rows, leaks.surplus[number])
        record["dropped"] = int((~kept).sum())
        fold, group = fold[kept], group[kept]
    if leaks.total:
        log.warning("folds share something (%s); %s", _told(leaks.counts), _DONE[config.leaks])
    counts["arms"] = _arm_counts(rows, counts.pop("arms"))
    table = _table(rows, chroms, group=group, fold=fold)
    return Made(_trainable(table, counts["arms"], folds=config.folds), counts, record)


_DONE = {"drop": "one side of it is left out", "allow": "that is allowed, and figures may be too high"}


class LeakError(CheckError):
    """Folds share something.

    Args:
        leaks: what was found.
        record: what leaks.json says of it.
    """

    def __init__(self, leaks: Leaks, record: dict[str, Any]) -> None:
        super().__init__(
            f"the folds leak, so nothing was trained: {_told(leaks.counts)}; --leaks drop leaves such windows out, "
            "--leaks allow goes on all the same"
        )
        self.record = record


def _told(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} windows with {kind.replace('_', ' ')}" for kind, count in counts.items() if count)


def _from_peaks(
    config: ProbeConfig, *, notify: Callable[[str], None]
) -> tuple[list[_Rows], tuple[str, ...], dict[str, Any]]:
    arms: Sequence[str] = config.arms or tuple(
        name for name in ARMS if name != "other-sites" or len(config.data_sets) > 1
    )
    with open_letters(config, notify=notify) as letters:
        positives = {
            name: positives_of(name, files, config=config, letters=letters) for name, files in config.data_sets.items()
        }
        strands = sorted({strand for each in positives.values() for strand in np.unique(each.sites.strand).tolist()})
        notify(
            "reading regions" if config.genes or config.regions else "no regions are given: windows may lie anywhere"
        )
        segments = _segments(config, letters, strands=strands)
        territories, fold_of_group = _folds_of(positives, config=config)

        def fold_of(sites: Sites) -> Ints:
            group = territories.group_of(sites)
            return np.where(group >= 0, fold_of_group[group], -1)

        rows: list[_Rows] = []
        counts: dict[str, Any] = {"peaks": {}, "arms": {}, "folds": {
            "grouped_by": territories.kind, "groups": len(fold_of_group), "folds": config.folds,
            "distance": territories.distance,
        }}  # fmt: skip
        for name, own in positives.items():
            rivals = {rival: each for rival, each in positives.items() if rival != name}
            kind = kinds_of(own.sites, segments)
            around = Surroundings(name, config, letters, segments, own, kind, fold_of(own.sites), fold_of, rivals)
            notify(f"{name}: {len(own.sites)} positives; choosing negatives")
            counts["peaks"][name] = _peak_counts(own)
            for arm in arms:
                choice = ARMS[arm].choose(around)
                rows.append(_arm_rows(around, arm, choice, territories=territories))
                counts["arms"][name, arm] = _choice_counts(choice, positives=len(own.sites))
        return rows, letters.names.known, counts


def _folds_of(positives: Mapping[str, Positives], *, config: ProbeConfig) -> tuple[Territories, Ints]:
    """How chromosomes are divided, and the fold of each part."""
    sites = joined_sites([each.sites for each in positives.values()])
    territories = make_territories(sites, split=config.split, folds=config.folds, distance=config.split_distance)
    classes = np.repeat(np.arange(len(positives)), [len(each.sites) for each in positives.values()])
    groups = territories.group_of(sites)
    return territories, place_groups(groups, classes, folds=config.folds, key=digest(config.seed, "folds"))


def _segments(config: ProbeConfig, letters: Letters, *, strands: Sequence[int]) -> dict[int, Segments]:
    """Kinds of regions on each strand."""
    annotated: dict[str, Peaks] = {}
    if config.genes is not None:
        features = {"intron": config.gene_feature, "exon": ("exon",), "UTR": _UTR_FEATURES}
        tables = read_features(config.genes, features)
        annotated = {kind: _placed(tables[kind], letters) for kind in PRIORITY}
        if not len(annotated["UTR"]):
            log.warning("%s has no UTRs, so their windows count as exons", config.genes)
        if not len(annotated["exon"]) and not len(annotated["intron"]):
            raise ConfigError(f"{config.genes} has no gene and no exon on a chromosome of {letters.path}")
    elif config.regions is not None:
        annotated = {"region": _placed(read_bed(config.regions, kind="bed", numbers=False), letters)}
        if not len(annotated["region"]):
            raise ConfigError(f"{config.regions} has no region on a chromosome of {letters.path}")
    return {strand: make_segments(letters.stretches, annotated, strand=strand) for strand in strands}


def _placed(table: Intervals, letters: Letters) -> Peaks:
    """The stretches that lie on chromosomes of the genome."""
    if not len(table):
        return Peaks(table.chrom, table.start, table.end, table.strand)
    chrom = chromosome_numbers(table, genome=letters.path, names=letters.names)[table.chrom]
    there = chrom >= 0
    return Peaks(chrom[there].astype(np.int32), table.start[there], table.end[there], table.strand[there])


def _arm_rows(around: Surroundings, arm: str, choice: Choice, *, territories: Territories) -> _Rows:
    sites, count = around.positives.sites.take(choice.positive), len(choice.positive)
    known = around.letters.names.known
    names = site_names(sites, known)
    kinds = next(iter(around.segments.values())).kinds
    region: list[str | None] = [*kind_names(around.kind[choice.positive], kinds)]
    if choice.sites is None:
        negatives, negative_names = _nowhere(count), [name + _SHUFFLED_NAME for name in names]
        region += [None] * count
    else:
        negatives, negative_names = choice.sites, site_names(choice.sites, known)
        region += kind_names(choice.kind, kinds)
    own_group = territories.group_of(sites)
    group = np.concatenate([own_group, own_group if choice.sites is None else territories.group_of(negatives)])
    fold = np.tile(around.fold[choice.positive], 2)
    sequences = [around.positives.sequences[at] for at in choice.positive.tolist()]
    return _Rows(
        around.name, arm, [*names, *negative_names], np.repeat(np.array([1, 0], np.int8), count),
        [*sequences, *choice.sequences], joined_sites([sites, negatives]), region, np.tile(choice.positive, 2), group,
        fold,
    )  # fmt: skip


def _nowhere(count: int) -> Sites:
    none = np.full(count, -1, np.int64)
    return Sites(none, none, none, np.zeros(count, np.int64))


def site_names(sites: Sites, known: Sequence[str]) -> list[str]:
    """What windows are called: `chr1:100-201(+)`, 0-based and half-open."""
    columns = (sites.chrom.tolist(), sites.start.tolist(), sites.end.tolist(), sites.strand.tolist())
    return [
        f"{known[chrom]}:{start}-{end}({STRAND_LETTERS[strand]})"
        for chrom, start, end, strand in zip(*columns, strict=True)
    ]


def _given(
    config: ProbeConfig, positives: Path, negatives: Path
) -> tuple[list[_Rows], tuple[str, ...] | None, dict[str, Any]]:
    given = read_given(positives, negatives, max_n_fraction=config.max_n_fraction)
    name = positives.name.removesuffix(".gz").rpartition(".")[0] or positives.name
    count, bound = len(given.names), int(given.bound.sum())
    kind, group, fold = _given_folds(given, config=config)
    everything = _Rows(
        name, GIVEN, given.names, given.bound.astype(np.int8), given.sequences, given.sites, [None] * count,
        np.full(count, -1, np.int64), group, fold,
    )  # fmt: skip
    counts: dict[str, Any] = {
        "records": {"read": given.tally.read, "dropped": _nonzero(given.tally.dropped)},
        "folds": {"grouped_by": kind, "groups": len(np.unique(group)), "folds": config.folds},
        "arms": {(name, GIVEN): {"positives_available": bound, "left_out": {}}},
    }
    rows = [everything]
    if "shuffled" in config.arms:
        choice = shuffle_all(given.sequences[:bound], key=digest(config.seed, name, "shuffled"))
        rows.append(_shuffled_rows(everything, choice))
        counts["arms"][name, "shuffled"] = {"positives_available": bound, "left_out": _nonzero(choice.dropped)}
    both = set(given.sequences[:bound]) & set(given.sequences[bound:])
    if both:
        log.warning("%d sequences are given as bound and as unbound", len(both))
    counts["sequences_bound_and_unbound"] = len(both)
    return rows, None if given.sites is None else tuple(sorted(set(given.chroms))), counts


def _given_folds(given: GivenWindows, *, config: ProbeConfig) -> tuple[str, Ints, Ints]:
    """What the user's windows are grouped by, and group and fold (N,) of each."""
    if given.sites is None:
        kind, group = "similarity", similarity_groups(given.sequences, identity=config.similarity)
    else:
        territories = make_territories(
            given.sites, split=config.split, folds=config.folds, distance=config.split_distance
        )
        kind, group = territories.kind, territories.group_of(given.sites)
    classes = given.bound.astype(np.int64)
    return kind, group, place_groups(group, classes, folds=config.folds, key=digest(config.seed, "folds"))[group]


def _shuffled_rows(given: _Rows, choice: Choice) -> _Rows:
    """The bound windows that the user gives, against shuffled ones."""
    rows, count = choice.positive, len(choice.positive)
    names, sequences = [given.names[at] for at in rows.tolist()], [given.sequences[at] for at in rows.tolist()]
    sites = None if given.sites is None else joined_sites([given.sites.take(rows), _nowhere(count)])
    return _Rows(
        given.dataset, "shuffled", [*names, *(each + _SHUFFLED_NAME for each in names)],
        np.repeat(np.array([1, 0], np.int8), count), [*sequences, *choice.sequences], sites, [None] * (2 * count),
        np.tile(rows, 2), np.tile(given.group[rows], 2), np.tile(given.fold[rows], 2),
    )  # fmt: skip


def _all_sites(rows: Sequence[_Rows]) -> Sites:
    parts = [_nowhere(len(each.names)) if each.sites is None else each.sites for each in rows]
    return joined_sites(parts)


def _chosen(rows: Sequence[_Rows]) -> NDArray[np.bool_]:
    """Which windows are negatives that the probe chose: no sites of any data set, and not given by the user."""
    sites = {name for each in rows for name, label in zip(each.names, each.labels.tolist(), strict=True) if label}
    return np.array(
        [
            each.arm not in (GIVEN, "other-sites") and not label and name not in sites
            for each in rows
            for name, label in zip(each.names, each.labels.tolist(), strict=True)
        ],
        bool,
    )


def _checked(rows: Sequence[_Rows], fold: Ints) -> tuple[Leaks, Ints]:
    """Leaks among the distinct windows of all arms, and the number of each row's window among these."""
    names = [name for each in rows for name in each.names]
    sequences = [sequence for each in rows for sequence in each.sequences]
    sites = _all_sites(rows)
    numbers: dict[tuple[str, str], int] = {}
    number = np.array([numbers.setdefault(key, len(numbers)) for key in zip(names, sequences, strict=True)], np.int64)
    _, first = np.unique(number, return_index=True)
    places = first.tolist()
    leaks = check_leaks(
        [names[at] for at in places], [sequences[at] for at in places], fold[first], sites=sites.take(first)
    )
    return leaks, number


def _without(rows: Sequence[_Rows], surplus: NDArray[np.bool_]) -> tuple[list[_Rows], NDArray[np.bool_]]:
    """The rows that stay: where one of a pair goes, its partner goes too."""
    kept, left, first = [], [], 0
    for each in rows:
        gone = surplus[first : first + len(each.names)]
        first += len(each.names)
        gone = gone | ((each.pair >= 0) & np.isin(each.pair, each.pair[gone]))
        kept.append(~gone)
        left.append(each.take(~gone))
    return left, np.concatenate(kept)


def _trainable(table: pa.Table, counts: dict[str, Any], *, folds: int) -> pa.Table:
    """The arms that can be cross-validated; others are left out and said aloud.

    A rare protein need not have windows in every fold. Each fold that has some must have both kinds, and there must be
    two such folds.

    Raises:
        ConfigError: no arm can.
    """
    kept, why = [], ""
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
            kept.append(own)
            continue
        why = f"{dataset}, arm {arm}: {lacking[0]}"
        counts[dataset][arm]["not_probed"] = why
        log.warning("%s, so this arm is left out", why)
    if not kept:
        raise ConfigError(f"{why}: give fewer --folds, or --split neighbourhood with a smaller --split-distance")
    return pa.concat_tables(kept)


def counted_arms(counts: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """(data set, arm) of counts by data set and arm."""
    return [(dataset, arm) for dataset, arms in counts.items() for arm in arms]


def _table(rows: Sequence[_Rows], chroms: Sequence[str] | None, *, group: Ints, fold: Ints) -> pa.Table:
    tables, first = [], 0
    for each in rows:
        count = len(each.names)
        here = slice(first, first + count)
        first += count
        sites = _nowhere(count) if each.sites is None else each.sites
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


def _peak_counts(positives: Positives) -> dict[str, Any]:
    tally = positives.tally
    return {
        "read": sum(tally.read.values()), "files": tally.read, "dropped": _nonzero(tally.dropped),
        "windows": len(positives.sites),
    }  # fmt: skip


def _choice_counts(choice: Choice, *, positives: int) -> dict[str, Any]:
    found: dict[str, Any] = {"positives_available": positives, "left_out": _nonzero(choice.dropped)}
    if choice.candidates is not None:
        found["candidates"] = choice.candidates
    return found


def _arm_counts(rows: Sequence[_Rows], before: Mapping[tuple[str, str], dict[str, Any]]) -> dict[str, Any]:
    """What each arm holds, and why it holds no more; short arms are said aloud."""
    found: dict[str, Any] = {}
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
        found.setdefault(each.dataset, {})[each.arm] = counts | numbers
    return found


def _nonzero(counts: Counter[str]) -> dict[str, int]:
    return {reason: count for reason, count in sorted(counts.items()) if count}


def arms_of(table: pa.Table) -> list[tuple[str, str]]:
    """(data set, arm) in the order of the table."""
    pairs = table.select(["dataset", "arm"]).group_by(["dataset", "arm"], use_threads=False).aggregate([])
    return list(zip(pairs["dataset"].to_pylist(), pairs["arm"].to_pylist(), strict=True))


def rows_of(table: pa.Table, dataset: str, arm: str) -> Ints:
    """(N,) rows of one data set and arm."""
    here = pc.and_(pc.equal(table["dataset"], dataset), pc.equal(table["arm"], arm))
    return np.flatnonzero(here.to_numpy(zero_copy_only=False))
