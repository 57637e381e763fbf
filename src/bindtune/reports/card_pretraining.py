"""The model card of a pretraining run, for its run folder, a checkpoint or an export."""

import math
from pathlib import Path
from typing import Any, NamedTuple

from bindtune.evaluation.figure_text import exact_percent, number, percent
from bindtune.models.hub_names import MODEL_CONFIG
from bindtune.reports.model_card import (
    AUTO_CLASSES,
    Card,
    base_name,
    base_words,
    code,
    input_rows,
    inputs_of,
    licence_of,
    render,
)
from bindtune.reports.report_run import provenance
from bindtune.reports.run_settings import masking_mode, masking_words, pretraining_settings, shown
from bindtune.runs.kinds import run_config
from bindtune.runs.names import TRAINER_STATE, results_file
from bindtune.runs.reading import as_number, read_json

_POOLS = {"": "all masked tokens", "peak_": "in peaks", "flank_": "in flanks"}


def pretraining_card(run: Path, *, model: Path | None = None, exported: bool = False) -> str:
    """The card of a pretraining run's model.

    Args:
        run: the run folder.
        model: folder of the weights: the run folder, or a checkpoint in it.
        exported: whether the weights have the hub's layout of DNABERT-2.

    Raises:
        InputError: a file of the run is damaged, or this is no run folder.
    """
    config, inputs = run_config(run), inputs_of(provenance(run))
    kind = str((read_json((model or run) / MODEL_CONFIG) or {}).get("model_type"))
    checkpoint = config.get("model_name_or_path")
    base = base_name(checkpoint, inputs)
    header: dict[str, Any] = {
        "library_name": "transformers",
        "pipeline_tag": "fill-mask",
        "tags": ["bindtune", "biology", "dna", "masked-lm"],
    }
    if base is not None:
        header |= {"base_model": base, "base_model_relation": "finetune"}
    results = _results(run, model)
    rows = tuple(_row(results, kind) for kind in _POOLS if f"eval_{kind}loss" in results)
    if rows:
        header["metrics"] = ["perplexity", "accuracy"]
    progress = _progress(run, model)
    return render(
        Card(
            title="A masked language model of DNA, trained further on binding regions",
            header=header,
            about=(_about(config, checkpoint, base), *([sentence] if (sentence := _weights(progress)) else [])),
            loading=_loading(kind, exported=exported),
            inputs=input_rows(inputs),
            settings=(
                ("masking", masking_mode(config)),
                *((name, shown(config.get(name))) for name in pretraining_settings(config)),
            ),
            figures=rows,
            figure_heads=("masked tokens", "loss (nats)", "perplexity", "predicted right", "share masked"),
            figure_note=_note(config, progress, evaluated=bool(rows), is_checkpoint=model is not None and model != run),
            limits=_limits(config),
            terms=licence_of(kind, base),
        )
    )


class _Progress(NamedTuple):
    """The progress of the training.

    Args:
        step: step of the weights; None if it is not recorded.
        steps: number of finished steps.
        planned: number of steps of the whole run.
        evaluations: number of evaluated steps.
        chosen: whether the step was chosen by its evaluation.
    """

    step: int | None
    steps: int | None
    planned: int | None
    evaluations: int
    chosen: bool


def _progress(run: Path, model: Path | None) -> _Progress:
    is_checkpoint = model is not None and model.resolve() != run.resolve()
    state = read_json((model if model is not None and is_checkpoint else run) / TRAINER_STATE) or {}
    steps, planned = (_whole(state.get(name)) for name in ("global_step", "max_steps"))
    history = state.get("log_history")
    lines = [line for line in history if isinstance(line, dict)] if isinstance(history, list) else []
    evaluations = len({line.get("step") for line in lines if "eval_loss" in line})
    best = str(state.get("best_model_checkpoint") or "").rpartition("-")[2]
    chosen = not is_checkpoint and best.isdigit()
    return _Progress(int(best) if chosen else steps, steps, planned, evaluations, chosen and evaluations > 1)


def _whole(value: Any) -> int | None:
    number_ = as_number(value)
    return None if math.isnan(number_) else int(number_)


def _weights(progress: _Progress) -> str:
    """The step of the weights."""
    if progress.step is None or progress.steps is None or progress.planned is None:
        return ""
    of = f"These are the weights after step {progress.step}"
    if progress.step == progress.planned:
        return f"{of}, the last one."
    if progress.step == progress.steps:
        return f"{of} of {progress.planned}."
    return f"{of}; training went on to step {progress.steps} of {progress.planned}."


def _about(config: dict[str, Any], checkpoint: object, base: str | None) -> str:
    limit = config.get("max_train_samples")
    windows = "genomic windows" if limit is None else f"at most {shown(limit)} genomic windows, drawn at random,"
    return (
        f"Continued masked-language-model training of {base_words(checkpoint, base)} on {windows} with binding "
        f"regions (peaks). {masking_words(config)}, with an exact total of "
        f"{exact_percent(as_number(config.get('target_mlm_prob')))} of every sequence."
    )


def _loading(kind: str, *, exported: bool) -> str:
    name = "DNABert2ForMaskedLM" if kind == "dnabert2" or exported else "AutoModelForMaskedLM"
    package = "bindtune" if name.startswith("DNA") else "transformers"
    lines = (
        "from transformers import AutoTokenizer", f"from {package} import {name}", "",
        'tokenizer = AutoTokenizer.from_pretrained("FOLDER")', f'model = {name}.from_pretrained("FOLDER")',
    )  # fmt: skip
    more = AUTO_CLASSES.format(what="this folder") if kind == "dnabert2" else ""
    if exported:
        more = "The folder has the layout of DNABERT-2 on the hub, which the original code loads too."
    return "\n".join(["```python", *lines, "```", *(["", more] if more else [])])


def _results(run: Path, model: Path | None) -> dict[str, Any]:
    """The evaluation of the weights: of the run's end, or of a checkpoint's step."""
    if model is None or model.resolve() == run.resolve():
        return read_json(run / results_file("eval")) or {}
    history = (read_json(model / TRAINER_STATE) or {}).get("log_history")
    step = model.name.rpartition("-")[2]
    lines = [line for line in history if isinstance(line, dict)] if isinstance(history, list) else []
    return next((line for line in lines if "eval_loss" in line and str(line.get("step")) == step), {})


def _row(results: dict[str, Any], kind: str) -> tuple[str, ...]:
    loss, accuracy, rate = (
        as_number(results.get(f"eval_{kind}{name}")) for name in ("loss", "accuracy", "masked_rate")
    )
    return (_POOLS[kind], number(loss, 4), number(math.exp(min(loss, 20.0)), 2), percent(accuracy, 1), percent(rate))


def _note(config: dict[str, Any], progress: _Progress, *, evaluated: bool, is_checkpoint: bool) -> str:
    if not evaluated:
        return "These weights were not evaluated." if config.get("validation_file") else "It was not evaluated."
    limit = config.get("max_eval_samples")
    windows = "the validation windows" if limit is None else f"at most {shown(limit)} validation windows"
    note = f"Of {windows} under fixed {code(config.get('eval_masking', 'uniform'))} masks; means over masked tokens. "
    if progress.steps is None:
        return f"{note}Whether the windows chose the checkpoint is not recorded."
    if progress.evaluations > 1 and is_checkpoint:
        return f"{note}Checkpoints with the lowest losses are kept, so the windows may have taken part in a choice."
    if progress.chosen:
        number_ = f"the one with the lowest loss of {progress.evaluations} evaluations"
        return f"{note}The windows chose the checkpoint, {number_}: the figures are of data that took part in a choice."
    if progress.step != progress.steps:
        return f"{note}The windows chose nothing: this is the only checkpoint that was evaluated."
    return f"{note}The windows chose nothing: these are the weights that training ended with."


def _limits(config: dict[str, Any]) -> tuple[str, ...]:
    divided = (
        "Whether validation windows overlap or resemble training windows follows from how they were divided, which "
        "this run did not see (`bindtune windows` writes it into summary.json).",
    )
    return (
        "Losses of masked tokens say little about any other task: nothing of the kind was measured here.",
        *(divided if config.get("validation_file") is not None else ()),
        f"It is one run with one seed ({code(config.get('seed'))}).",
        "It is meant for sequences like those in the training file: the organism, the peaks and the window length "
        "matter.",
    )
