"""Write the windows of every split, leave out shared sequences, and count."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bindtune.data.dna.splits import SPLITS, TRAIN, SplitPlan
from bindtune.data.dna.window_leaks import HeldOutKeys, LeakAudit, Leaks
from bindtune.data.dna.window_positions import Placed, Regions
from bindtune.data.dna.windows import WindowMaker, Windows
from bindtune.io.window_files import WindowFormat, window_writer
from bindtune.preparation.counts import SplitCount
from bindtune.preparation.twins import Twins
from bindtune.progress import Advance, progress
from bindtune.runs.writing import atomic_path

log = logging.getLogger(__name__)


class SplitFiles:
    """Write the splits, training windows first, with one pass over the genome for each.

    Held-out windows are read once before, for their hashes. Training windows are compared with these hashes and need
    no memory themselves.

    Args:
        maker: makes the windows.
        plan: split of each window.
        regions: all regions.
        splits: numbers of the splits, the most important for training first.
        drop_shared: leave out held-out windows whose sequence or reverse complement an earlier split has.
        drop_repeated: leave out windows whose sequence was written before.
        peaks: number of peaks.
    """

    def __init__(
        self,
        maker: WindowMaker,
        plan: SplitPlan,
        *,
        regions: Regions,
        splits: list[int],
        drop_shared: bool,
        drop_repeated: bool,
        peaks: int,
    ) -> None:
        self._maker, self._plan, self._regions, self._splits = maker, plan, regions, splits
        self._drop_shared, self._drop_repeated = drop_shared, drop_repeated
        self._written_keys: set[int] = set()
        self._twins = Twins(regions)
        self._audit = LeakAudit(plan.distance)
        self.dropped: Counter[str] = Counter()
        self.counts = {SPLITS[split]: SplitCount() for split in sorted(splits)}
        self.listed: NDArray[np.bool_] = np.zeros(peaks, bool)

    def write(self, files: ExitStack, *, folder: Path, format: WindowFormat, total: int) -> None:
        """Write every split; the files take their names when `files` is closed without an error.

        Args:
            files: holds the temporary files.
            folder: folder of the files.
            format: of the files.
            total: number of windows, for the progress.
        """
        held_out = {split: self._keys_of(split) for split in self._splits[1:]}
        with progress("writing windows", total, unit="windows", log=log) as advance:
            for number, split in enumerate(self._splits):
                path = files.enter_context(atomic_path(folder / f"{SPLITS[split]}.{format}"))
                later = [held_out[other_split] for other_split in self._splits[number + 1 :]]
                with window_writer(path, format=format) as writer:
                    for windows in self._written_windows(split, own=held_out.get(split), advance=advance):
                        for keys in later:
                            keys.meet(windows.key)
                        columns = self._maker.columns(windows)
                        self.counts[SPLITS[split]].add(columns)
                        self.listed[windows.pair_peak] = True
                        self._twins.add(windows, peak_count=columns.peak_count)
                        writer.write(columns)

    def findings(self) -> Leaks:
        """The result of the audit of the written windows."""
        return self._audit.findings()

    def twins(self) -> dict[str, int]:
        """Numbers of written windows with the name of another window, or with its sequence but without its peaks."""
        return self._twins.counts()

    def _keys_of(self, split: int) -> HeldOutKeys:
        passes = self._maker.complete(self._plan.regions_of(split), selection=self._chooser(split), dropped=Counter())
        return HeldOutKeys(np.concatenate([np.empty(0, np.uint64), *(windows.key for windows in passes)]))

    def _chooser(self, split: int) -> Callable[[Placed], NDArray[np.bool_]]:
        def choose(placed: Placed) -> NDArray[np.bool_]:
            return np.asarray(self._plan.split_of(placed) == split)

        return choose

    def _written_windows(self, split: int, *, own: HeldOutKeys | None, advance: Advance) -> Iterator[Windows]:
        def choose(placed: Placed) -> NDArray[np.bool_]:
            split_of = self._plan.split_of(placed)
            near_border = int((split_of < 0).sum()) if split == TRAIN else 0
            chosen = np.asarray(split_of == split)
            self.dropped["near_split_border"] += near_border
            advance(int(chosen.sum()) + near_border)
            return chosen

        regions = self._plan.regions_of(split)
        for windows in self._maker.complete(regions, selection=choose, dropped=self.dropped):
            written = self._without_shared(windows, own=own)
            written = self._without_repeated(written)
            starts, ends = self._maker.on_chromosome(written.placed)
            self._audit.add_places(split, chrom=self._regions.chrom[written.placed.region], start=starts, end=ends)
            if own is not None:
                self._audit.add_sequences(written.key, held_out=own)
            yield written

    def _without_shared(self, windows: Windows, *, own: HeldOutKeys | None) -> Windows:
        if own is None or not self._drop_shared:
            return windows
        unshared = windows.take(~(own.identical(windows.key) | own.complementary(windows.key)))
        self.dropped["sequence_in_another_split"] += len(windows) - len(unshared)
        return unshared

    def _without_repeated(self, windows: Windows) -> Windows:
        if not self._drop_repeated:
            return windows
        fresh = np.ones(len(windows), bool)
        for index, key in enumerate(windows.key.tolist()):
            fresh[index] = key not in self._written_keys
            self._written_keys.add(key)
        unrepeated = windows.take(fresh)
        self.dropped["repeated_sequence"] += len(windows) - len(unrepeated)
        return unrepeated
