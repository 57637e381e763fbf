"""Choose the best epoch of a fold, and notice later epochs with a clearly better AUPRC."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from bindtune.runs.reading import as_number

Metric = Literal["hra", "auprc", "loss"]
NAMES: dict[Metric, str] = {"hra": "mean HRA", "auprc": "mean AUPRC", "loss": "loss"}
_CLEAR, _CLEAR_SHARE = 0.01, 0.05


def score_of(mean: Mapping[str, Any], metric: Metric) -> float:
    """The score of an epoch, higher is better: the mean figure, or the negative loss for loss and if no ion has the
    figure.

    Args:
        mean: the epoch's row of means over the ions, in validation.
        metric: what to judge by.
    """
    score = math.nan if metric == "loss" else as_number(mean.get(metric))
    return -as_number(mean.get("loss")) if math.isnan(score) else score


def is_better(score: float, best: float, *, min_delta: float) -> bool:
    """Whether an epoch replaces the best one so far; without a score, the last epoch is taken.

    >>> is_better(0.31, 0.30, min_delta=0.0), is_better(0.31, 0.30, min_delta=0.02), is_better(0.3, 0.3, min_delta=0.0)
    (True, False, False)
    """
    return math.isnan(score) or (score > best and score - best >= min_delta)


def kept_epoch(means: Sequence[Mapping[str, Any]], metric: Metric, *, min_delta: float) -> int:
    """The number of the best epoch of a fold; 0 if no epoch is done.

    Args:
        means: the rows of means in validation, one an epoch, in their order.
        metric: what epochs are judged by.
        min_delta: a smaller improvement is none.
    """
    epoch, best = 0, -math.inf
    for row in means:
        score = score_of(row, metric)
        if not epoch or is_better(score, best, min_delta=min_delta):
            epoch, best = int(row["epoch"]), score
    return epoch


def metric_of(config: Mapping[str, Any]) -> Metric:
    """The metric in the `training` settings of a run; hra for runs that are older than the setting."""
    return next((name for name in NAMES if name == config.get("selection_metric")), "hra")


class Later(NamedTuple):
    """A later epoch with a clearly better AUPRC than the kept one: its number, and both figures."""

    epoch: int
    auprc: float
    auprc_kept: float


def clearly_better_later(means: Sequence[Mapping[str, Any]], chosen: int) -> Later | None:
    """The best of the later epochs whose mean AUPRC is higher by 0.01 and by a twentieth of the kept epoch's, or more.

    Args:
        means: as in `kept_epoch`.
        chosen: the number of the kept epoch.
    """
    by_epoch = {int(row["epoch"]): as_number(row.get("auprc")) for row in means}
    later = {epoch: value for epoch, value in by_epoch.items() if epoch > chosen and not math.isnan(value)}
    here = by_epoch.get(chosen, math.nan)
    if not later or math.isnan(here):
        return None
    best = max(later, key=lambda epoch: later[epoch])
    is_clear = later[best] - here >= max(_CLEAR, _CLEAR_SHARE * here)
    return Later(best, later[best], here) if is_clear else None
