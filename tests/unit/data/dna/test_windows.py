"""Every window, sequence and peak against a loop that follows the rules one letter at a time."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bindtune.data.dna.peaks import PeakIndex, Peaks
from bindtune.data.dna.window_positions import Layout, Placed, Regions, sample_long_regions
from bindtune.data.dna.windows import WindowMaker, WindowRules
from bindtune.io.window_files import METHODS

GENOME = "".join(np.random.default_rng(0).choice(list("ACGTN"), 700, p=[0.24, 0.24, 0.24, 0.24, 0.04]))
COMPLEMENT = {"A": "T", "C": "G", "G": "C", "T": "A", "N": "N"}
RULES: dict[str, Any] = {
    "min_peak_overlap": 1,
    "same_strand": True,
    "reverse_complement": True,
    "max_n_fraction": 1.0,
    "keep_peakless": 1.0,
    "seed": 0,
}
Row = tuple[int, int, int]


def everything(placed: Placed) -> Any:
    return np.ones(len(placed), bool)


def maker_of(regions: list[Row], peaks: list[Row], *, layout: dict[str, Any], **rules: Any) -> WindowMaker:
    start, end, strand = np.array(regions, np.int64).reshape(-1, 3).T
    columns = Regions(["chr1"] * len(regions), np.zeros(len(regions), np.int32), start, end, strand.astype(np.int8))
    peak_start, peak_end, peak_strand = np.array(peaks, np.int64).reshape(-1, 3).T
    index = PeakIndex(Peaks(np.zeros(len(peaks), np.int32), peak_start, peak_end, peak_strand.astype(np.int8)))

    def fetch(region: int, low: int, high: int) -> bytes:
        return GENOME[start[region] + low : start[region] + high].encode()

    return WindowMaker(
        regions=columns,
        layout=Layout(end - start, **layout),
        index=index,
        fetch=fetch,
        rules=WindowRules(**(RULES | rules)),
    )


def records(maker: WindowMaker, count: int, *, dropped: Counter[str] | None = None) -> list[dict[str, Any]]:
    made = []
    for windows in maker.complete(
        np.arange(count), selection=everything, dropped=Counter() if dropped is None else dropped
    ):
        columns, first = maker.columns(windows), 0
        for index, (sequence, name) in enumerate(zip(columns.sequence, columns.seq_id.to_pylist(), strict=True)):
            here = slice(first, first + int(columns.peak_count[index]))
            peaks = [columns.peak_start, columns.peak_end, columns.genomic_start, columns.genomic_end]
            made.append(
                {
                    "sequence": sequence,
                    "seq_id": name,
                    "span": (int(columns.start[index]), int(columns.end[index])),
                    "peaks": list(zip(*(column[here].tolist() for column in peaks), strict=True)),
                    "clipped": columns.peak_clipped[here].tolist(),
                    "method": METHODS[columns.method[index]],
                }
            )
            first = here.stop
    return made


def slowly(regions: list[Row], peaks: list[Row], *, window: int, stride: int) -> list[dict[str, Any]]:
    windows = []
    for start, end, strand in regions:
        length, places = end - start, [0]
        while length > window and places[-1] + stride + window <= length:
            places.append(places[-1] + stride)
        if length > window and places[-1] + window < length:
            places.append(length - window)
        for index in places:
            stop = min(index + window, length)
            low, high = start + index, start + stop
            letters, listed = GENOME[low:high], []
            if strand < 0:
                letters = "".join(COMPLEMENT[letter] for letter in reversed(letters))
            for whole_start, whole_end, side in peaks:
                first, last = max(whole_start, low), min(whole_end, high)
                if first < last and side * strand != -1:
                    here = (high - last, high - first) if strand < 0 else (first - low, last - low)
                    listed.append((*here, whole_start, whole_end))
            name = f"chr1:{start}-{end}" + (f"_window_{index}_{stop}" if length > window else "")
            method = METHODS[1] if length > window else METHODS[0]
            windows.append({"sequence": letters, "seq_id": name, "peaks": listed, "method": method})
    return windows


strands = st.sampled_from([-1, 0, 1])
regions_ = st.lists(
    st.tuples(st.integers(0, 500), st.integers(1, 200), strands).map(lambda row: (row[0], row[0] + row[1], row[2])),
    min_size=1,
    max_size=6,
)
peaks_ = st.lists(
    st.tuples(st.integers(0, 680), st.sampled_from([1, 6, 20, 90]), strands).map(
        lambda row: (row[0], row[0] + row[1], row[2])
    ),
    max_size=25,
)


@given(regions=regions_, peaks=peaks_, window=st.integers(1, 60), stride=st.integers(1, 80))
def test_windows_equal_those_of_a_slow_loop(regions: list[Row], peaks: list[Row], window: int, stride: int) -> None:
    maker = maker_of(regions, peaks, layout={"window": window, "stride": stride})
    windows, expected = records(maker, len(regions)), slowly(regions, peaks, window=window, stride=stride)
    assert [record["seq_id"] for record in windows] == [record["seq_id"] for record in expected]
    for first, second in zip(windows, expected, strict=True):
        assert (first["sequence"], first["method"]) == (second["sequence"], second["method"])
        assert sorted(first["peaks"]) == sorted(second["peaks"])
        assert first["peaks"] == sorted(first["peaks"], key=lambda peak: peak[:2])


@given(regions=regions_, peaks=peaks_)
def test_a_whole_peak_lies_at_its_genomic_place_and_only_others_are_called_clipped(
    regions: list[Row], peaks: list[Row]
) -> None:
    maker = maker_of(regions, peaks, layout={"window": 40, "stride": 20})
    for record in records(maker, len(regions)):
        region_start = int(record["seq_id"].split(":")[1].split("-")[0])
        minus = any(strand < 0 and record["seq_id"].startswith(f"chr1:{start}-{end}") for start, end, strand in regions)
        for (first, last, whole_start, whole_end), clipped in zip(record["peaks"], record["clipped"], strict=True):
            assert clipped == (last - first < whole_end - whole_start)
            if not clipped and not minus:
                assert whole_start - region_start == record["span"][0] + first


def test_one_minus_strand_window_by_hand() -> None:
    maker = maker_of(
        [(100, 160, -1)], [(95, 103, -1), (157, 170, 0), (110, 120, 1)], layout={"window": 60, "stride": 9}
    )
    (record,) = records(maker, 1)
    assert record["seq_id"] == "chr1:100-160"
    assert record["peaks"] == [(0, 3, 157, 170), (57, 60, 95, 103)]
    assert record["clipped"] == [True, True]
    assert record["sequence"] == "".join(COMPLEMENT[letter] for letter in reversed(GENOME[100:160]))


def test_plus_letters_on_request_keep_plus_positions() -> None:
    maker = maker_of([(100, 160, -1)], [(105, 110, -1)], layout={"window": 60, "stride": 9}, reverse_complement=False)
    (record,) = records(maker, 1)
    assert record["sequence"] == GENOME[100:160]
    assert record["peaks"] == [(5, 10, 105, 110)]


def test_opposite_strand_counts_only_on_request() -> None:
    for same, expected in ((True, 2), (False, 3)):
        maker = maker_of(
            [(0, 50, 1)], [(1, 5, 1), (6, 9, -1), (10, 12, 0)], layout={"window": 50, "stride": 9}, same_strand=same
        )
        assert len(records(maker, 1)[0]["peaks"]) == expected


@pytest.mark.parametrize(("overlap", "expected"), [(1, 2), (3, 2), (4, 1), (8, 1), (9, 0)])
def test_least_overlap(overlap: int, expected: int) -> None:
    maker = maker_of(
        [(10, 60, 0)], [(7, 13, 0), (20, 28, 0)], layout={"window": 50, "stride": 9}, min_peak_overlap=overlap
    )
    assert len(records(maker, 1)[0]["peaks"]) == expected


def test_windows_with_too_many_other_letters_are_dropped_and_counted() -> None:
    dropped: Counter[str] = Counter()
    maker = maker_of([(0, 700, -1)], [(0, 700, 0)], layout={"window": 20, "stride": 20}, max_n_fraction=0.05)
    windows = records(maker, 1, dropped=dropped)
    slow = slowly([(0, 700, -1)], [], window=20, stride=20)
    assert [record["sequence"] for record in windows] == [
        record["sequence"] for record in slow if record["sequence"].count("N") <= 1
    ]
    assert dropped["too_many_n"] == len(slow) - len(windows) > 0


def test_peakless_windows_are_drawn_by_seed_and_place_alone() -> None:
    peaks = [(300, 310, 0)]
    layout = {"window": 20, "stride": 1}

    def names(share: float, seed: int, regions: list[Row]) -> set[str]:
        maker = maker_of(regions, peaks, layout=layout, keep_peakless=share, seed=seed)
        return {record["seq_id"] for record in records(maker, len(regions))}

    whole = [(0, 700, 1)]
    with_peak = {f"chr1:0-700_window_{start}_{start + 20}" for start in range(281, 310)}
    assert names(0.0, 1, whole) == with_peak
    half = names(0.5, 1, whole)
    assert with_peak < half
    assert 270 < len(half - with_peak) < 380
    assert half != names(0.5, 2, whole)
    assert half < names(0.5, 1, [(5, 50, 0), *whole]) | half


@given(peaks=peaks_, background=st.integers(0, 4), seed=st.integers(0, 5))
def test_sampled_regions_cover_every_peak_and_background_has_none(peaks: list[Row], background: int, seed: int) -> None:
    regions = Regions(["chr1"], np.zeros(1, np.int32), np.array([50]), np.array([650]), np.array([1], np.int8))
    start, end, strand = np.array(peaks, np.int64).reshape(-1, 3).T
    index = PeakIndex(Peaks(np.zeros(len(peaks), np.int32), start, end, strand.astype(np.int8)))
    options = {"longer_than": 100, "background": background, "jitter": 5, "same_strand": True, "seed": seed}
    sampled = sample_long_regions(regions, index, window=40, **options)
    starts, methods = sampled[0]
    assert (np.diff(starts) >= 0).all()
    assert ((starts >= 0) & (starts <= 560)).all()
    counted = [(max(a, 50) - 50, min(b, 650) - 50) for a, b, side in peaks if side >= 0 and a < 650 and b > 50]
    for first, last in counted:
        if last - first <= 40:
            assert ((starts <= first) & (starts + 40 >= last)).any()
        else:
            assert ((starts >= first) & (starts + 40 <= last)).any()
    free = starts[methods == METHODS.index("weighted_uniform")]
    room = sum(all(b <= position or a >= position + 40 for a, b in counted) for position in range(561))
    if counted:
        assert len(free) == min(background, room)
        assert all(b <= index or a >= index + 40 for index in free.tolist() for a, b in counted)
    again = sample_long_regions(regions, index, window=40, **options)
    assert again[0][0].tolist() == starts.tolist()


def test_bundles_hold_every_window_once_whatever_their_size() -> None:
    lengths = np.array([5, 1000, 64, 65, 3000])
    layout = Layout(lengths, window=64, stride=7)
    whole = [
        (stretch.region, number)
        for bundle in layout.stretches(np.arange(5), windows=10**9, letters=10**12)
        for stretch in bundle
        for number in range(stretch.first, stretch.last)
    ]
    assert len(whole) == layout.counts.sum()
    for windows, letters in ((1, 10**9), (13, 10**9), (10**9, 64), (10**9, 500)):
        bundles = list(layout.stretches(np.arange(5), windows=windows, letters=letters))
        assert [(s.region, n) for b in bundles for s in b for n in range(s.first, s.last)] == whole
        assert max(sum(s.last - s.first for s in bundle) for bundle in bundles) <= windows
