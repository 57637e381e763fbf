"""The epoch that is kept, by each figure, and the warning about a later one."""

import math
from typing import Any

import pytest

from bindtune.evaluation.epoch_selection import Later, Metric, clearly_better_later, kept_epoch, metric_of, score_of

# Mean HRA stands still, mean AUPRC rises, the loss is lowest in epoch 3.
_REAL = [(0.0455, 0.150, 0.9), (0.0452, 0.158, 0.8), (0.0450, 0.170, 0.7), (0.0452, 0.179, 0.75), (0.0493, 0.186, 0.8)]
_UNDEFINED = [(math.nan, math.nan, 0.9), (math.nan, math.nan, 0.7), (math.nan, math.nan, 0.8)]


def _means(values: list[tuple[float, float, float]], *, text: bool = False) -> list[dict[str, Any]]:
    names = ("hra", "auprc", "loss")
    rows = [{"epoch": number, **dict(zip(names, row, strict=True))} for number, row in enumerate(values, start=1)]
    return [{name: str(value) for name, value in row.items()} for row in rows] if text else rows


@pytest.mark.parametrize("text", [False, True], ids=["training", "metrics.csv"])
@pytest.mark.parametrize(
    ("metric", "min_delta", "expected"),
    [
        ("hra", 0.0, 5),
        ("hra", 0.01, 1),
        ("hra", 0.0037, 5),
        ("auprc", 0.0, 5),
        ("auprc", 0.01, 5),
        ("auprc", 0.03, 5),
        ("auprc", 0.04, 1),
        ("loss", 0.0, 3),
        ("loss", 0.15, 3),
        ("loss", 0.3, 1),
    ],
)
def test_epochs_are_judged_by_the_metric(metric: Metric, min_delta: float, expected: int, text: bool) -> None:
    assert kept_epoch(_means(_REAL, text=text), metric, min_delta=min_delta) == expected


def test_small_steps_add_up_to_an_improvement() -> None:
    values = [(0.0, auprc, 1.0) for auprc in (0.10, 0.11, 0.12, 0.13)]
    assert kept_epoch(_means(values), "auprc", min_delta=0.0199) == 3


@pytest.mark.parametrize("metric", ["hra", "auprc", "loss"])
def test_the_loss_decides_where_a_figure_is_not_defined(metric: Metric) -> None:
    assert kept_epoch(_means(_UNDEFINED), metric, min_delta=0.0) == 2
    assert (
        score_of({"hra": 0.5, "auprc": 0.25, "loss": 2.0}, metric) == {"hra": 0.5, "auprc": 0.25, "loss": -2.0}[metric]
    )


def test_a_clearly_better_later_epoch_is_found() -> None:
    assert clearly_better_later(_means(_REAL[:4]), 1) == Later(4, 0.179, 0.150)
    assert clearly_better_later(_means(_REAL), 5) is None
    assert clearly_better_later(_means([(0.5, 0.150, 1.0), (0.4, 0.158, 1.0)]), 1) is None  # less than 0.01
    assert clearly_better_later(_means([(0.5, 0.90, 1.0), (0.4, 0.92, 1.0)]), 1) is None  # less than a twentieth
    assert clearly_better_later(_means([(0.5, 0.95, 1.0), (0.4, 0.10, 1.0)]), 2) is None  # an earlier one
    assert clearly_better_later(_means(_UNDEFINED), 1) is None
    assert clearly_better_later([], 0) is None


def test_settings_of_older_runs_have_no_metric() -> None:
    assert [metric_of(each) for each in ({}, {"selection_metric": "auprc"}, {"selection_metric": "x"})] == [
        "hra", "auprc", "hra",
    ]  # fmt: skip
