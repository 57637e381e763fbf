"""Write the curves of a fold while it trains: TensorBoard, pictures, and the table of metrics."""

import math
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from bindtune.reports.binding_figures import save_fold_plots
from bindtune.runs.names import HISTORY, LOGS, PLOTS, fold_folder
from bindtune.runs.writing import writing
from bindtune.training.binding import fold_files
from bindtune.training.binding.fold_files import Row

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from torch.utils.tensorboard import SummaryWriter

_ABOUT = ("fold", "epoch", "split", "ion")
_PICTURES_EVERY = 60.0
"""Seconds between pictures of a fold. Drawing takes longer than an epoch of few proteins."""


class Board:
    """Write the curves of one fold after each epoch, and pictures once a minute and after the last epoch.

    Args:
        run: the run folder.
        fold: the fold.
        ions: ions to draw.
        history: rows of the epochs before a resume.
    """

    def __init__(self, run: Path, fold: int, *, ions: Sequence[str], history: Sequence[Row]) -> None:
        self.fold, self.ions, self.rows = fold, tuple(ions), list(history)
        self.folder = fold_folder(run, fold)
        # A run may be killed between saving an epoch's state and writing its curves, so all curves are written again.
        self._logs = fold_folder(run / LOGS, fold)
        with writing(self._logs):
            self._writer = SummaryWriter(str(self._logs), purge_step=0)
        self._drawn = time.monotonic()
        if self.rows:
            self._write(self.rows)
            self._draw()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with writing(self._logs) if error is None else suppress(OSError):  # one message for a full disk is enough
            self._writer.close()

    def add(self, rows: list[Row], *, last: bool) -> None:
        """Add the rows of an epoch; `last` says that no epoch follows."""
        self.rows += rows
        self._write(rows)
        if last or time.monotonic() > self._drawn + _PICTURES_EVERY:
            self._draw()

    def _write(self, new: list[Row]) -> None:
        with writing(self._logs):
            for row in new:
                for name, value in row.items():
                    if name not in _ABOUT and name in fold_files.COLUMNS and not math.isnan(value):
                        tag = f"{row['split']}/{row['ion']}/{name}"
                        self._writer.add_scalar(tag, value, row["epoch"])
            self._writer.flush()
        fold_files.write_metrics(self.folder / HISTORY, self.rows)

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        save_fold_plots(self.rows, self.folder / PLOTS, fold=self.fold, ions=self.ions)
