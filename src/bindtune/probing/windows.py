"""All windows of a probe: every data set, every arm, labels, groups and folds, as one table."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
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
from bindtune.probing.grouping import Territories, make_territories, place_groups
from bindtune.probing.leak_check import Leaks, check_leaks
from bindtune.probing.negative_arms import ARMS, GIVEN, Choice, Surroundings, kinds_of, shuffle_all
from bindtune.probing.positives import GivenWindows, Positives, positives_of, read_given
from bindtune.probing.sources import Letters, open_letters
from bindtune.probing.window_rows import (
    WindowRows,
    arm_counts,
    choice_counts,
    no_sites,
    nonzero,
    peak_counts,
    trainable,
    window_table,
)

Ints = NDArray[np.int64]
log = logging.getLogger(__name__)
_UTR_FEATURES = ("UTR", "five_prime_utr", "three_prime_utr", "five_prime_UTR", "three_prime_UTR")
_SHUFFLED_NAME = "/shuffled"


@dataclass(frozen=True)
class Made:
    """The windows of a probe.

    Args:
        table: SCHEMA.
        counts: used and dropped peaks, candidates and windows.
        leaks: result of the leak check, as in leaks.json.
    """

    table: pa.Table
    counts: dict[str, Any]
    leaks: dict[str, Any]


def make_windows(config: ProbeConfig, *, notify: Callable[[str], None]) -> Made:
    """Choose windows, negatives and folds, and look for leaks.

    Args:
        config: the settings.
        notify: gets a sentence about each slow step.

    Raises:
        InputError: a file is not what it should be.
        ConfigError: the settings do not fit the files.
        LeakError: folds share something, and the settings do not allow it.
    """
    if config.positives is not None and config.negatives is not None:
        rows, chroms, counts = _from_users_windows(config, config.positives, config.negatives)
    else:
        rows, chroms, counts = _from_peaks(config, notify=notify)
    notify("looking for what folds share")
    group, fold = (np.concatenate([getattr(each, name) for each in rows]) for name in ("group", "fold"))
    leaks, number = _checked(rows, fold)
    chosen = leaks.involved[number] & _chosen(rows)
    if chosen.any():
        rows, stays = _without(rows, chosen)
        fold, group = fold[stays], group[stays]
        leaks, number = _checked(rows, fold)
    record = {
        "counts": leaks.counts, "letters_of_a_word": leaks.word, "windows": len(fold), "what_was_done": config.leaks,
        "negatives_left_out": int(chosen.sum()), "dropped": 0,
        "examples": {kind: pairs for kind, pairs in leaks.examples.items() if pairs},
    }  # fmt: skip
    if leaks.total and config.leaks == "fail":
        raise LeakError(leaks, record)
    if leaks.total and config.leaks == "drop":
        rows, stays = _without(rows, leaks.surplus[number])
        record["dropped"] = int((~stays).sum())
        fold, group = fold[stays], group[stays]
    if leaks.total:
        log.warning("folds share something (%s); %s", _leak_text(leaks.counts), _DONE[config.leaks])
    counts["arms"] = arm_counts(rows, counts.pop("arms"))
    table = window_table(rows, chroms, group=group, fold=fold)
    return Made(trainable(table, counts["arms"], folds=config.folds), counts, record)


_DONE = {"drop": "one side of it is left out", "allow": "that is allowed, and figures may be too high"}


class LeakError(CheckError):
    """Folds share something.

    Args:
        leaks: result of the check.
        record: content of leaks.json.
    """

    def __init__(self, leaks: Leaks, record: dict[str, Any]) -> None:
        super().__init__(
            f"the folds leak, so nothing was trained: {_leak_text(leaks.counts)}; --leaks drop leaves such windows "
            "out, --leaks allow goes on nevertheless"
        )
        self.record = record


def _leak_text(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} windows with {kind.replace('_', ' ')}" for kind, count in counts.items() if count)


def _from_peaks(
    config: ProbeConfig, *, notify: Callable[[str], None]
) -> tuple[list[WindowRows], tuple[str, ...], dict[str, Any]]:
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

        rows: list[WindowRows] = []
        counts: dict[str, Any] = {"peaks": {}, "arms": {}, "folds": {
            "grouped_by": territories.kind, "groups": len(fold_of_group), "folds": config.folds,
            "distance": territories.distance,
        }}  # fmt: skip
        for name, own in positives.items():
            rivals = {rival: each for rival, each in positives.items() if rival != name}
            kind = kinds_of(own.sites, segments)
            around = Surroundings(name, config, letters, segments, own, kind, fold_of(own.sites), fold_of, rivals)
            notify(f"{name}: {len(own.sites)} positives; choosing negatives")
            counts["peaks"][name] = peak_counts(own)
            for arm in arms:
                choice = ARMS[arm].choose(around)
                rows.append(_arm_rows(around, arm, choice, territories=territories))
                counts["arms"][name, arm] = choice_counts(choice, positives=len(own.sites))
        return rows, letters.names.genome_names, counts


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


def _arm_rows(around: Surroundings, arm: str, choice: Choice, *, territories: Territories) -> WindowRows:
    sites, count = around.positives.sites.take(choice.positive), len(choice.positive)
    chromosomes = around.letters.names.genome_names
    names = site_names(sites, chromosomes)
    kinds = next(iter(around.segments.values())).kinds
    region: list[str | None] = [*kind_names(around.kind[choice.positive], kinds)]
    if choice.sites is None:
        negatives, negative_names = no_sites(count), [name + _SHUFFLED_NAME for name in names]
        region += [None] * count
    else:
        negatives, negative_names = choice.sites, site_names(choice.sites, chromosomes)
        region += kind_names(choice.kind, kinds)
    own_group = territories.group_of(sites)
    group = np.concatenate([own_group, own_group if choice.sites is None else territories.group_of(negatives)])
    fold = np.tile(around.fold[choice.positive], 2)
    sequences = [around.positives.sequences[at] for at in choice.positive.tolist()]
    return WindowRows(
        around.name, arm, [*names, *negative_names], np.repeat(np.array([1, 0], np.int8), count),
        [*sequences, *choice.sequences], joined_sites([sites, negatives]), region, np.tile(choice.positive, 2), group,
        fold,
    )  # fmt: skip


def site_names(sites: Sites, chromosomes: Sequence[str]) -> list[str]:
    """Names of windows: `chr1:100-201(+)`, 0-based and half-open."""
    columns = (sites.chrom.tolist(), sites.start.tolist(), sites.end.tolist(), sites.strand.tolist())
    return [
        f"{chromosomes[chrom]}:{start}-{end}({STRAND_LETTERS[strand]})"
        for chrom, start, end, strand in zip(*columns, strict=True)
    ]


def _from_users_windows(
    config: ProbeConfig, positives: Path, negatives: Path
) -> tuple[list[WindowRows], tuple[str, ...] | None, dict[str, Any]]:
    windows = read_given(positives, negatives, max_n_fraction=config.max_n_fraction)
    name = positives.name.removesuffix(".gz").rpartition(".")[0] or positives.name
    count, bound = len(windows.names), int(windows.bound.sum())
    kind, group, fold = _given_folds(windows, config=config)
    everything = WindowRows(
        name, GIVEN, windows.names, windows.bound.astype(np.int8), windows.sequences, windows.sites, [None] * count,
        np.full(count, -1, np.int64), group, fold,
    )  # fmt: skip
    counts: dict[str, Any] = {
        "records": {"read": windows.tally.read, "dropped": nonzero(windows.tally.dropped)},
        "folds": {"grouped_by": kind, "groups": len(np.unique(group)), "folds": config.folds},
        "arms": {(name, GIVEN): {"positives_available": bound, "left_out": {}}},
    }
    rows = [everything]
    if "shuffled" in config.arms:
        choice = shuffle_all(windows.sequences[:bound], key=digest(config.seed, name, "shuffled"))
        rows.append(_shuffled_rows(everything, choice))
        counts["arms"][name, "shuffled"] = {"positives_available": bound, "left_out": nonzero(choice.dropped)}
    both = set(windows.sequences[:bound]) & set(windows.sequences[bound:])
    if both:
        log.warning("%d sequences are given as bound and as unbound", len(both))
    counts["sequences_bound_and_unbound"] = len(both)
    return rows, None if windows.sites is None else tuple(sorted(set(windows.chroms))), counts


def _given_folds(windows: GivenWindows, *, config: ProbeConfig) -> tuple[str, Ints, Ints]:
    """The grouping of the user's windows (by coordinates or by similarity), and group and fold (N,) of each."""
    if windows.sites is None:
        kind, group = "similarity", similarity_groups(windows.sequences, identity=config.similarity)
    else:
        territories = make_territories(
            windows.sites, split=config.split, folds=config.folds, distance=config.split_distance
        )
        kind, group = territories.kind, territories.group_of(windows.sites)
    classes = windows.bound.astype(np.int64)
    return kind, group, place_groups(group, classes, folds=config.folds, key=digest(config.seed, "folds"))[group]


def _shuffled_rows(windows: WindowRows, choice: Choice) -> WindowRows:
    """The bound windows that the user gives, against shuffled ones."""
    rows, count = choice.positive, len(choice.positive)
    names, sequences = [windows.names[at] for at in rows.tolist()], [windows.sequences[at] for at in rows.tolist()]
    sites = None if windows.sites is None else joined_sites([windows.sites.take(rows), no_sites(count)])
    return WindowRows(
        windows.dataset, "shuffled", [*names, *(each + _SHUFFLED_NAME for each in names)],
        np.repeat(np.array([1, 0], np.int8), count), [*sequences, *choice.sequences], sites, [None] * (2 * count),
        np.tile(rows, 2), np.tile(windows.group[rows], 2), np.tile(windows.fold[rows], 2),
    )  # fmt: skip


def _all_sites(rows: Sequence[WindowRows]) -> Sites:
    parts = [no_sites(len(each.names)) if each.sites is None else each.sites for each in rows]
    return joined_sites(parts)


def _chosen(rows: Sequence[WindowRows]) -> NDArray[np.bool_]:
    """Which windows are negatives chosen by the probe: neither sites of a data set nor windows of the user."""
    sites = {name for each in rows for name, label in zip(each.names, each.labels.tolist(), strict=True) if label}
    return np.array(
        [
            each.arm not in (GIVEN, "other-sites") and not label and name not in sites
            for each in rows
            for name, label in zip(each.names, each.labels.tolist(), strict=True)
        ],
        bool,
    )


def _checked(rows: Sequence[WindowRows], fold: Ints) -> tuple[Leaks, Ints]:
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


def _without(rows: Sequence[WindowRows], surplus: NDArray[np.bool_]) -> tuple[list[WindowRows], NDArray[np.bool_]]:
    """The remaining rows; if one row of a pair is left out, its partner is left out too."""
    stays, left, first = [], [], 0
    for each in rows:
        gone = surplus[first : first + len(each.names)]
        first += len(each.names)
        gone = gone | ((each.pair >= 0) & np.isin(each.pair, each.pair[gone]))
        stays.append(~gone)
        left.append(each.take(~gone))
    return left, np.concatenate(stays)
