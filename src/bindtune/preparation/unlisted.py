"""Peaks that are in no window, with one reason for each."""

import logging

import numpy as np
from numpy.typing import NDArray

from bindtune.data.dna.peaks import PeakIndex, Peaks
from bindtune.data.dna.window_positions import Regions
from bindtune.data.dna.windows import WindowMaker
from bindtune.preparation.inputs import Source

REASONS = (
    "past_chromosome_end",
    "outside_all_regions",
    "opposite_strand",
    "too_small_an_overlap",
    "between_windows",
    "with_a_dropped_window",
)
_PAST, _OUTSIDE, _OPPOSITE, _SMALL, _BETWEEN, _DROPPED = range(len(REASONS))
_MANY = 0.1
"""If a larger share of the peaks lies beyond the ends of chromosomes, there is a warning about the assembly."""

log = logging.getLogger(__name__)


def chromosome_ends(source: Source) -> NDArray[np.int64] | None:
    """The length of each chromosome by its number; None without a genome."""
    if source.sizes is None:
        return None
    return np.array([source.sizes[name] for name in source.names.genome_names], np.int64)


def warn_of_another_assembly(peaks: Peaks, source: Source) -> None:
    """Warn that many peaks reach beyond the ends of their chromosomes."""
    ends = chromosome_ends(source)
    if ends is None or not len(peaks):
        return
    beyond = int((peaks.end > ends[peaks.chrom]).sum())
    if beyond > _MANY * len(peaks):
        log.warning(
            "%d of %d peaks reach beyond the end of their chromosome in %s: they seem to be of another assembly",
            beyond,
            len(peaks),
            source.path,
        )


def count_unlisted(
    peaks: Peaks,
    listed: NDArray[np.bool_],
    *,
    ends: NDArray[np.int64] | None,
    regions: Regions,
    maker: WindowMaker,
    min_overlap: int,
    same_strand: bool,
) -> dict[str, int]:
    """Numbers of peaks that no window lists, by REASONS; reasons without a peak are left out.

    Args:
        peaks: all peaks that were used.
        listed: (P,) whether a written window lists the peak.
        ends: length of each chromosome by its number, if it is known.
        regions: all regions.
        maker: the maker of the windows.
        min_overlap: least nucleotides of a peak in a window.
        same_strand: peaks of the strand opposite to their region's do not count.
    """
    lost = peaks.take(~listed)
    reason = np.full(len(lost), _OUTSIDE)
    index = PeakIndex(lost)
    region, peak = index.overlapping(regions.chrom, starts=regions.start, ends=regions.end)
    reason[peak] = _OPPOSITE
    if same_strand:
        peak = peak[regions.strand[region] * lost.strand[peak] >= 0]
    reason[peak] = _BETWEEN
    if len(peak):
        reason[maker.held(index, min_overlap=1)] = _SMALL
        reason[maker.held(index, min_overlap=min_overlap)] = _DROPPED
    if ends is not None:
        reason[lost.start >= ends[lost.chrom]] = _PAST
    counts = np.bincount(reason, minlength=len(REASONS)).tolist()
    return {name: count for name, count in zip(REASONS, counts, strict=True) if count}
