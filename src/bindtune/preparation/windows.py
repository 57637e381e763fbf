"""`bindtune windows`: from peaks, a genome and regions to train, validation and test files and their summary."""

import json
import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindtune import __version__
from bindtune.config import WindowsConfig
from bindtune.data.dna.peak_files import RowTally
from bindtune.data.dna.peaks import PeakIndex
from bindtune.data.dna.splits import SPLITS, TEST, TRAIN, VALIDATION, Amount, Amounts, SplitPlan, few_peaks, plan_splits
from bindtune.data.dna.window_leaks import Leaks
from bindtune.data.dna.window_positions import Layout, Regions, sample_long_regions
from bindtune.data.dna.windows import WindowMaker, WindowRules
from bindtune.errors import CheckError, InputError
from bindtune.outputs import output_folder
from bindtune.preparation.counts import SplitCount, summarise
from bindtune.preparation.inputs import Source, chromosome_set, open_source, place_regions, read_peaks
from bindtune.preparation.splits import SplitFiles
from bindtune.preparation.twins import PEAKLESS_TWIN, REPEATED_NAME
from bindtune.preparation.unlisted import chromosome_ends, count_unlisted, warn_of_another_assembly
from bindtune.runs.exclusive import only_writer
from bindtune.runs.names import COUNT_SUMMARY
from bindtune.runs.writing import atomic_path, sweep, writing

log = logging.getLogger(__name__)

_FORMATS = ("parquet", "jsonl", "jsonl.gz", "json", "json.gz")


def make_windows(config: WindowsConfig, *, notify: Callable[[str], None]) -> str:
    """Write the files.

    Args:
        config: all settings.
        notify: gets a sentence about each slow step, and about files written beside the genome.

    Returns:
        A summary for the user.

    Raises:
        InputError: a file is malformed, or an output exists.
        ConfigError: the settings do not fit the files, or another process writes into the folder.
        CheckError: the audit found that splits share something; nothing was written.
    """
    output_folder(config.out)
    with only_writer(config.out, tidy=True):
        return _make_windows(config, notify=notify)


def _make_windows(config: WindowsConfig, *, notify: Callable[[str], None]) -> str:
    old = _old_files(config.out)
    if old and not config.overwrite:
        raise InputError(old[0], None, "is there already; --overwrite replaces the files of an earlier run")
    region_tally, peak_tally = RowTally(), RowTally()
    sweep(config.out)
    with open_source(config, notify=notify) as source, writing(config.out), ExitStack() as files:
        regions, rows = place_regions(source, drop_missing=config.missing_chromosomes == "drop", tally=region_tally)
        index = PeakIndex(read_peaks(config, source, tally=peak_tally))
        warn_of_another_assembly(index.peaks, source)
        layout = _layout(config, regions, index=index)
        fetch = _fetcher(source, regions=regions, rows=rows)
        maker = WindowMaker(regions=regions, layout=layout, index=index, fetch=fetch, rules=_rules(config))
        plan = _plan(config, source, regions=regions, maker=maker)
        # The file that is opened first gets its name last: if the summary exists, the other files exist too.
        summary_path = files.enter_context(atomic_path(config.out / COUNT_SUMMARY))
        run = SplitFiles(
            maker,
            plan,
            regions=regions,
            splits=_wanted_splits(config),
            drop_shared=config.shared_sequences == "drop",
            drop_repeated=config.deduplicate,
            peaks=len(index.peaks),
        )
        run.write(files, folder=config.out, format=config.format, total=int(layout.counts.sum()))
        leaks = run.findings()
        _check_leaks(leaks, config=config)
        unlisted = count_unlisted(
            index.peaks,
            run.listed,
            ends=chromosome_ends(source),
            regions=regions,
            maker=maker,
            min_overlap=config.min_peak_overlap,
            same_strand=not config.opposite_strand,
        )
        summary = summarise(
            peaks=peak_tally,
            regions=region_tally,
            layout=layout,
            listed=run.listed,
            unlisted=unlisted,
            dropped=run.dropped,
            twins=run.twins(),
            splits=run.counts,
        )
        summary["audit"] = asdict(leaks) | {"distance": plan.distance}
        summary |= {"settings": config.model_dump(mode="json"), "version": __version__}
        summary_path.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
        for path in old:
            path.unlink(missing_ok=True)
    _warn_of_few_peaks(config, counts=run.counts)
    return _report(config, summary=summary)


def _old_files(folder: Path) -> list[Path]:
    names = [COUNT_SUMMARY, *(f"{split}.{format}" for split in SPLITS for format in _FORMATS)]
    return [folder / name for name in names if (folder / name).exists()]


def _wanted_splits(config: WindowsConfig) -> list[int]:
    """The splits, training first: a later split loses the windows that it shares with an earlier one."""
    test = config.test_fraction > 0 or config.test_chromosomes
    validation = config.validation_fraction > 0 or config.validation_chromosomes
    return [TRAIN, *([TEST] if test else []), *([VALIDATION] if validation else [])]


def _fetcher(source: Source, *, regions: Regions, rows: NDArray[np.int64]) -> Callable[[int, int, int], bytes]:
    """The function that reads [start, end) of a region."""
    if source.records is not None:
        records = source.records
        return lambda region, start, end: records.fetch(int(rows[region]), start, end)
    genome, names = source.genome, source.names.genome_names
    if genome is None:
        raise ValueError("a source has a genome or records")

    def fetch(region: int, start: int, end: int) -> bytes:
        origin = int(regions.start[region])
        return genome.fetch(names[regions.chrom[region]], start=origin + start, end=origin + end)

    return fetch


def _rules(config: WindowsConfig) -> WindowRules:
    return WindowRules(
        min_peak_overlap=config.min_peak_overlap,
        same_strand=not config.opposite_strand,
        reverse_complement=config.reverse_complement,
        max_n_fraction=config.max_n_fraction,
        keep_peakless=config.keep_peakless,
        seed=config.seed,
    )


def _layout(config: WindowsConfig, regions: Regions, *, index: PeakIndex) -> Layout:
    sampled = None
    if config.long_regions == "sample":
        sampled = sample_long_regions(
            regions,
            index,
            window=config.window,
            longer_than=config.long_region_length,
            background=config.background_windows,
            jitter=config.jitter,
            same_strand=not config.opposite_strand,
            seed=config.seed,
        )
    return Layout(regions.end - regions.start, window=config.window, stride=config.stride, sampled=sampled)


def _plan(config: WindowsConfig, source: Source, *, regions: Regions, maker: WindowMaker) -> SplitPlan:
    named = {TEST: config.test_chromosomes, VALIDATION: config.validation_chromosomes}
    shares = {TEST: config.test_fraction, VALIDATION: config.validation_fraction}
    windows, with_peaks = np.zeros((2, len(regions)), np.int64)
    for placed, peaked in maker.placed_windows(np.arange(len(regions))):
        windows += np.bincount(placed.region, minlength=len(regions))
        with_peaks += np.bincount(placed.region[peaked], minlength=len(regions))
    return plan_splits(
        regions,
        amounts=Amounts(windows, with_peaks),
        windows_of=maker.placed_windows,
        chromosomes={split: chromosome_set(names, source, regions=regions) for split, names in named.items() if names},
        fractions={split: share for split, share in shares.items() if share > 0 and not named[split]},
        whole_chromosomes=config.split == "chromosome",
        distance=config.split_distance,
        seed=config.seed,
    )


def _check_leaks(leaks: Leaks, *, config: WindowsConfig) -> None:
    if not leaks.total:
        return
    findings = (
        f"{leaks.shared_coordinates} held-out stretches overlap another split or lie within {config.split_distance} "
        f"nucleotides of it, {leaks.identical_sequences} held-out windows have a sequence of another split, "
        f"{leaks.reverse_complements} the reverse complement of one"
    )
    if config.leaks == "fail":
        raise CheckError(
            f"the splits leak, so nothing was written: {findings}; --shared-sequences drop leaves such windows out, "
            "--leaks allow writes them nevertheless"
        )
    log.warning("the splits leak: %s", findings)


def _warn_of_few_peaks(config: WindowsConfig, *, counts: Mapping[str, SplitCount]) -> None:
    """Warn that a held-out split has too few peaks to measure how well peaks are learned, and give advice."""
    for split, count in counts.items():
        doubt = few_peaks(Amount(count.windows, count.windows_with_peaks))
        if split == SPLITS[TRAIN] or not count.windows or doubt is None:
            continue
        named = getattr(config, f"{split}_chromosomes")
        ways = f"name more with --{split}-chromosomes" if named else f"raise --{split}-fraction"
        log.warning("%s.%s: %s; %s, or give more peaks", config.out / split, config.format, doubt, ways)


def _report(config: WindowsConfig, *, summary: dict[str, Any]) -> str:
    peaks, windows = summary["peaks"], summary["windows"]
    lines = [f"{peaks['read']} peaks read, {peaks['used']} used, {peaks['in_windows']} of them in windows"]
    lines += [f"{count} peaks in no window: {reason}" for reason, count in peaks["in_no_window_by_reason"].items()]
    for kind in ("peaks", "regions", "windows"):
        lines += [f"{count} {kind} left out: {reason}" for reason, count in summary[kind]["dropped"].items()]
    lines.append(f"{windows['laid']} windows laid, {windows['written']} written")
    if windows[REPEATED_NAME]:
        lines.append(f"{windows[REPEATED_NAME]} windows have a seq_id that an earlier one has: regions come twice")
    if windows[PEAKLESS_TWIN]:
        advice = "--deduplicate keeps the first of equal sequences"
        lines.append(f"{windows[PEAKLESS_TWIN]} windows without a peak have the sequence of one with peaks: {advice}")
    for name, count in summary["splits"].items():
        lines.append(f"{config.out / name}.{config.format}: {count['windows']} windows")
        if not count["windows"]:
            lines[-1] += f", too few regions to hold any out at --split-distance {config.split_distance}"
    return "\n".join([*lines, f"{config.out / COUNT_SUMMARY}: all counts"])
