"""Compare pretraining runs: losses of the same windows under the same masks."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindtune.errors import InputError
from bindtune.evaluation.bootstrap import paired_mean_interval
from bindtune.evaluation.figure_text import UNDEFINED
from bindtune.evaluation.wilcoxon import signed_rank
from bindtune.reports.compared_runs import Comparison, Difference, Run, RunFigures, differing_settings, same_inputs
from bindtune.runs.eval_records import RecordLosses, read_record_losses
from bindtune.runs.names import EVAL_RECORDS, TRAINER_STATE
from bindtune.runs.reading import read_json

_POOLS = ("all", "peaks", "flanks")
# Where two runs were evaluated differently, one of these settings differs, or the tokenizer does.
_EVALUATION = (
    "seed", "eval_masking", "target_mlm_prob", "eclip_mlm_lo", "eclip_mlm_hi", "min_flanking_prob", "mask_replace_prob",
    "random_replace_prob", "region_overlap", "max_seq_length", "max_eval_samples", "model_name_or_path",
)  # fmt: skip


def compare(runs: Sequence[Run], *, draws: int, seed: int) -> Comparison:
    """Compare the losses of runs with those of the first run.

    Raises:
        InputError: a run is not finished, or has other data or evaluation masks than the first.
    """
    reference, *others = runs
    losses = [_losses(reference)]
    for later_run in others:
        same_inputs(reference, later_run, ("train_file", "validation_file"))
        losses_of_run = _losses(later_run)
        _same_evaluation(reference, later_run, losses[0], losses_of_run)
        losses.append(losses_of_run)
    rows = [
        _difference(pool, run.name, losses[0], losses_of_run, draws=draws, seed=seed)
        for pool in range(len(_POOLS))
        for run, losses_of_run in zip(others, losses[1:], strict=True)
    ]
    windows = len(losses[0].record)
    states = [read_json(run.folder / TRAINER_STATE) or {} for run in runs]
    steps = tuple(str(state.get("global_step", UNDEFINED)) for state in states)
    return Comparison(
        unit="windows",
        heads=("region", "masked tokens"),
        digits=4,
        rows=tuple(rows),
        scope=f"Mean loss in nats over the masked tokens of {windows:,} validation windows, which are the same for all "
        "runs, under the same masks; in peaks, in flanks and in all.",
        about=(
            ("steps trained", steps),
            ("evaluated checkpoint of step", tuple(_chosen(state.get("best_model_checkpoint")) for state in states)),
        ),
        doubts=(*_budgets(runs, steps),),
    )


def figures(runs: Sequence[Run]) -> RunFigures:
    """Mean losses of each run on the same windows; masks follow from the seed.

    Raises:
        InputError: a run is not finished, or has other data or other validation windows than the first.
    """
    reference = runs[0]
    values: dict[tuple[str, str], list[float]] = {(pool, "loss"): [] for pool in _POOLS}
    first, masks_of = _losses(reference), dict[Any, RecordLosses]()
    differ = False
    for run in runs:
        same_inputs(reference, run, ("train_file", "validation_file"))
        losses = _losses(run)
        if not np.array_equal(first.record, losses.record):
            raise InputError(
                run.folder,
                None,
                f"{len(losses.record)} windows were evaluated, and {len(first.record)} in {reference.folder}: expected "
                "the same windows",
            )
        twin = masks_of.setdefault(run.config.get("seed"), losses)
        differ = differ or not np.array_equal(twin.masks, losses.masks)
        for column, pool in enumerate(_POOLS):
            masked = int(losses.masked[:, column].sum())
            values[pool, "loss"].append(float(losses.loss[:, column].sum()) / masked if masked else math.nan)
    windows = len(first.record)
    return RunFigures(
        values=values,
        against={pool: f"{int(first.masked[:, column].sum()):,}" for column, pool in enumerate(_POOLS)},
        heads=("region", "masked tokens"),
        digits=4,
        scope=f"Mean loss in nats over the masked tokens of the same {windows:,} validation windows. A lower loss is "
        "better. Evaluation masks follow from the seed.",
        held_fixed=f"the {windows:,} validation windows",
        doubts=("Runs of the same seed were evaluated under different masks.",) if differ else (),
    )


def _losses(run: Run) -> RecordLosses:
    path = run.folder / EVAL_RECORDS
    if not path.is_file():
        raise InputError(
            run.folder,
            None,
            f"holds no {EVAL_RECORDS}: the run is not finished, or had no validation file; going on with "
            "--resume_from_checkpoint auto finishes it and evaluates it by window",
        )
    losses = read_record_losses(path)
    # A window that stands in the file twice has one mask and one loss.
    return losses.take(np.unique(losses.record, return_index=True)[1])


def _same_evaluation(reference: Run, run: Run, first: RecordLosses, second: RecordLosses) -> None:
    if np.array_equal(first.record, second.record):
        differing = int((first.masks != second.masks).sum())
        if not differing and np.array_equal(first.masked, second.masked):
            return
        what = f"the evaluation masks of {differing or 'some'} of {len(first.masks)} windows differ"
    else:
        shared = len(np.intersect1d(first.record, second.record))
        what = f"{len(first.record)} and {len(second.record)} windows were evaluated, {shared} of them the same"
    settings = [setting for setting in differing_settings(reference, run) if setting.name in _EVALUATION]
    cause = ", ".join(f"{name} ({one} and {two})" for name, one, two in settings) or "the tokenizers"
    raise InputError(
        run.folder,
        None,
        f"was evaluated differently than {reference.folder}: {what}; masks come from the window, the seed and the "
        f"evaluation's settings; what differs: {cause}",
    )


def _difference(
    pool: int, name: str, reference: RecordLosses, run_losses: RecordLosses, *, draws: int, seed: int
) -> Difference:
    masked = reference.masked[:, pool]
    one, first = run_losses.loss[:, pool], reference.loss[:, pool]
    with_tokens = masked > 0
    means: NDArray[np.float64] = (one[with_tokens] - first[with_tokens]) / masked[with_tokens]
    return Difference(
        pool=_POOLS[pool],
        figure="loss",
        against=f"{int(masked.sum()):,}",
        run=name,
        compared=paired_mean_interval(one, first, masked, draws=draws, seed=seed),
        test=signed_rank(means),
    )


def _chosen(checkpoint: object) -> str:
    step = Path(str(checkpoint or "")).name.rpartition("-")[2]
    return step if step.isdigit() else UNDEFINED


def _budgets(runs: Sequence[Run], steps: Sequence[str]) -> list[str]:
    if len(set(steps)) == 1:
        return []
    listed = ", ".join(f"{run.name} {count}" for run, count in zip(runs, steps, strict=True))
    return [f"The runs trained for different numbers of steps, so they have not seen the same tokens: {listed}."]
