"""Peaks that came into no window, and why: one reason each."""

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
"""Share of the peaks beyond the ends of chromosomes from which on the assembly is doubted."""

log = logging.getLogger(__name__)


def chromosome_ends(source: Source) -> NDArray[np.int64] | None:
    """The length of each chromosome by its number; None where no genome is read."""
    if source.sizes is None:
        return None
    return np.array([source.sizes[name] for name in source.names.genome_names], np.int64)


def warn_of_another_assembly(peaks: Peaks, source: Source) -> None:
    """Say aloud that many peaks reach beyond the ends of their chromosomes."""
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
    """How many peaks are listed in no window, by REASONS; reasons without a peak are left out.

    Args:
        peaks: all peaks that were used.
        listed: (P,) whether a window that was written lists it.
        ends: length of each chromosome by its number, where that is known.
        regions: all regions.
        maker: made the windows.
        min_overlap: nucleotides of a peak that a window must hold.
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
