"""Curves of a fold while it trains: TensorBoard, pictures, the table of metrics."""

import math
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from bindtune.evaluation.plots import save_fold_plots
from bindtune.runs import writing
from bindtune.training.binding import files
from bindtune.training.binding.files import Row

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from torch.utils.tensorboard import SummaryWriter

_ABOUT = ("fold", "epoch", "split", "ion")


class Board:
    """Writes the curves of one fold after each epoch.

    Args:
        run: the run folder.
        fold: the fold.
        ions: whose pictures are drawn.
        history: rows of epochs before a resume.
    """

    def __init__(self, run: Path, fold: int, *, ions: Sequence[str], history: Sequence[Row]) -> None:
        self.fold, self.ions, self.rows = fold, tuple(ions), list(history)
        self.folder = files.fold_folder(run, fold)
        # A run may have been killed after an epoch's state was saved and before its curves were: all are written again.
        self._logs = run / "logs" / f"fold_{fold}"
        with writing(self._logs):
            self._writer = SummaryWriter(str(self._logs), purge_step=0)
        if self.rows:
            self._draw(self.rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with writing(self._logs) if error is None else suppress(OSError):  # a disk that is full is told once
            self._writer.close()

    def add(self, rows: list[Row]) -> None:
        """Take in the rows of an epoch."""
        self.rows += rows
        self._draw(rows)

    def _draw(self, new: list[Row]) -> None:
        with writing(self._logs):
            for row in new:
                for name, value in row.items():
                    if name not in _ABOUT and name in files.COLUMNS and not math.isnan(value):
                        tag = f"{row['split']}/{row['ion']}/{name}"
                        self._writer.add_scalar(tag, value, row["epoch"])
            self._writer.flush()
        files.write_metrics(self.folder / files.HISTORY, self.rows)
        save_fold_plots(self.rows, self.folder / "plots", fold=self.fold, ions=self.ions)
