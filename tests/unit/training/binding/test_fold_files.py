"""When a fold stops."""

import doctest

import pytest

from bindtune.training.binding import fold_files
from bindtune.training.binding.fold_files import FoldState


def test_examples() -> None:
    assert doctest.testmod(fold_files) == doctest.TestResults(failed=0, attempted=1)


@pytest.mark.parametrize(
    ("epoch", "best", "patience", "expected"),
    [(9, 2, 7, True), (8, 2, 7, False), (9, 2, 0, False), (3, 1, 2, False), (4, 1, 2, True)],
)
def test_a_fold_stops_after_the_warm_up_and_enough_epochs(epoch: int, best: int, patience: int, expected: bool) -> None:
    assert FoldState(epoch=epoch, best_epoch=best).is_stale(warmup=3, patience=patience) == expected
