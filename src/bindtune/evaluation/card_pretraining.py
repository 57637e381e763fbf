"""The model card of a pretraining run, for its run folder, a checkpoint or an export."""

import math
from pathlib import Path
from typing import Any

from bindtune.evaluation.model_card import (
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
from bindtune.evaluation.page import number, percent
from bindtune.evaluation.report_run import provenance
from bindtune.evaluation.run_files import as_number, masking_mode, read_json, shown
from bindtune.evaluation.run_kinds import run_config

_SETTINGS = (
    "target_mlm_prob", "eclip_mlm_lo", "eclip_mlm_hi", "min_flanking_prob", "eval_masking", "max_seq_length",
    "num_train_epochs", "max_steps", "per_device_train_batch_size", "gradient_accumulation_steps", "learning_rate",
    "seed",
)  # fmt: skip
_POOLS = {"": "all masked tokens", "peak_": "in peaks", "flank_": "in flanks"}


def pretraining_card(run: Path, *, model: Path | None = None, exported: bool = False) -> str:
    """The card of a pretraining run's model.

    Args:
        run: the run folder.
        model: where the weights come from: the run folder, or a checkpoint in it.
        exported: whether they stand in the hub's layout of DNABERT-2.

    Raises:
        InputError: a file of the run is damaged, or this is no run folder.
    """
    config, inputs = run_config(run), inputs_of(provenance(run))
    kind = str((read_json((model or run) / "config.json") or {}).get("model_type"))
    checkpoint = config.get("model_name_or_path")
    base = base_name(checkpoint, inputs)
    header: dict[str, Any] = {
        "library_name": "transformers",
        "pipeline_tag": "fill-mask",
        "tags": ["bindtune", "biology", "dna", "masked-lm"],
        "metrics": ["perplexity", "accuracy"],
    }
    if base is not None:
        header |= {"base_model": base, "base_model_relation": "finetune"}
    results = _results(run, model)
    rows = tuple(_row(results, kind) for kind in _POOLS if f"eval_{kind}loss" in results)
    return render(
        Card(
            title="A masked language model of DNA, trained further on binding regions",
            header=header,
            about=(_about(config, checkpoint, base),),
            loading=_loading(kind, exported=exported),
            inputs=input_rows(inputs),
            settings=(("masking", masking_mode(config)), *((name, shown(config.get(name))) for name in _SETTINGS)),
            figures=rows,
            figure_heads=("masked tokens", "loss (nats)", "perplexity", "predicted right", "share masked"),
            figure_note=_note(config, bool(rows)),
            limits=_limits(config),
            terms=licence_of(kind, base),
        )
    )


def _about(config: dict[str, Any], checkpoint: object, base: str | None) -> str:
    how = {
        "adaptive": "Tokens in binding regions were masked more often than those in the flanks",
        "peak-only": "Tokens in binding regions were masked, and flanks only where the regions were too short",
    }.get(masking_mode(config), "Tokens in binding regions and flanks were masked alike")
    target = percent(as_number(config.get("target_mlm_prob")), 0)
    return (
        f"Continued masked-language-model training of {base_words(checkpoint, base)} on genomic windows with binding "
        f"regions (peaks). {how}, with an exact total of {target} of every sequence."
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
        return read_json(run / "eval_results.json") or {}
    history = (read_json(model / "trainer_state.json") or {}).get("log_history")
    step = model.name.rpartition("-")[2]
    lines = [line for line in history if isinstance(line, dict)] if isinstance(history, list) else []
    return next((line for line in lines if "eval_loss" in line and str(line.get("step")) == step), {})


def _row(results: dict[str, Any], kind: str) -> tuple[str, ...]:
    loss, accuracy, rate = (
        as_number(results.get(f"eval_{kind}{name}")) for name in ("loss", "accuracy", "masked_rate")
    )
    return (_POOLS[kind], number(loss, 4), number(math.exp(min(loss, 20.0)), 2), percent(accuracy, 1), percent(rate))


def _note(config: dict[str, Any], evaluated: bool) -> str:
    if not evaluated:
        return "It was not evaluated."
    return (
        f"Of the validation windows under fixed {code(config.get('eval_masking', 'uniform'))} masks; means over masked "
        "tokens. The windows chose the checkpoint, so the figures are of data that took part in a choice."
    )


def _limits(config: dict[str, Any]) -> tuple[str, ...]:
    return (
        "Losses of masked tokens say little about any other task: nothing of the kind was measured here.",
        "Whether validation windows overlap or resemble training windows follows from how they were divided, which "
        "this run did not see (`bindtune windows` writes it into summary.json).",
        f"It is one run with one seed ({code(config.get('seed'))}).",
        "It is meant for sequences like those in the training file: the organism, the peaks and the window length "
        "matter.",
    )
