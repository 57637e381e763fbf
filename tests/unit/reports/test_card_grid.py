"""Every sentence and every listed setting of a model card is true of the run, over a grid of settings.

A test asks the card one question a cell, and works out the answer from the settings that it gave, by itself.
"""

import itertools
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bindtune.config import BindingConfig, PretrainConfig, build, dump
from bindtune.evaluation.figure_text import exact_percent
from bindtune.reports import report_pretraining
from bindtune.reports.card_binding import fold_card, merged_card, run_card
from bindtune.reports.card_pretraining import pretraining_card
from bindtune.reports.page import render

RESULTS = {"eval_loss": 2.0, "eval_accuracy": 0.5, "eval_masked_rate": 0.15}


def listed(card: str) -> dict[str, str]:
    """The table of settings."""
    table = card.split("| setting | value |\n|---|---|\n")[1].split("\n\n")[0]
    return dict(re.findall(r"^\| `([\w.-]+)` \| `(.*)` \|$", table, re.MULTILINE))


@given(st.decimals(min_value=0, max_value=1, places=9))
def test_a_percentage_keeps_every_digit_that_was_given(share: Decimal) -> None:
    text = exact_percent(float(share))
    assert re.fullmatch(r"\d+(\.\d*[1-9])? %", text)
    assert Decimal(text.removesuffix(" %")) == 100 * Decimal(repr(float(share)))


PRETRAINING = {
    "masking": ["adaptive", "uniform", "peak-only"],
    "validation_file": [None, "v.jsonl"],
    "eval_strategy": ["steps", "no"],
    "eval_masking": ["uniform", "adaptive"],
    "max_steps": [-1, 12],
    "max_train_samples": [None, 7],
    "early_stopping_patience": [0, 5],
}


def cells(grid: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    for values in itertools.product(*grid.values()):
        cell = dict(zip(grid, values, strict=True))
        together = {**cell.pop("length", {}), **cell.pop("judged", {})}
        yield {**cell, **together}


def pretraining_run(run: Path, cell: dict[str, Any], *, evaluations: int, chosen: int | None, last: int = 12) -> Path:
    """The files that a finished run leaves for its card."""
    run.mkdir(exist_ok=True)
    settings = {"train_file": "w.jsonl", "output_dir": "o", "target_mlm_prob": 0.125, **cell}
    (run / "config.yaml").write_text(dump(build(PretrainConfig, settings)))
    (run / "config.json").write_text('{"model_type": "dnabert2"}')
    steps = [last * (number + 1) // evaluations for number in range(evaluations)]
    state = {
        "global_step": last, "max_steps": 12, "log_history": [{"step": step, "eval_loss": 2.0} for step in steps],
        "best_model_checkpoint": None if chosen is None else f"o/checkpoint-{chosen}",
    }  # fmt: skip
    (run / "trainer_state.json").write_text(json.dumps(state))
    if evaluations:
        (run / "eval_results.json").write_text(json.dumps(RESULTS))
        (run / "all_results.json").write_text(json.dumps(RESULTS | {"train_masked_rate": 0.125}))
    return run


@pytest.mark.parametrize("masking", PRETRAINING["masking"])
def test_pretraining(tmp_path: Path, masking: str) -> None:
    for number, cell in enumerate(cells({**PRETRAINING, "masking": [masking]})):
        evaluated = cell["validation_file"] is not None
        in_training = evaluated and cell["eval_strategy"] == "steps"
        chosen = 8 if in_training else None
        run = pretraining_run(
            tmp_path / str(number), cell, evaluations=3 if in_training else int(evaluated), chosen=chosen
        )
        card = pretraining_card(run)
        names, problem = listed(card), f"{cell}\n{card}"
        assert "12.5 %" in card and "12 %" not in card, problem
        assert ("masked alike" in card) == (masking == "uniform"), problem
        assert ("more often than those in the flanks" in card) == (masking == "adaptive"), problem
        assert ("20 % to 25 %" in card) == (masking == "adaptive"), problem
        assert ("flanks only where" in card) == (masking == "peak-only"), problem
        rates = {"eclip_mlm_lo", "eclip_mlm_hi", "min_flanking_prob"}
        used = masking == "adaptive" or (evaluated and cell["eval_masking"] == "adaptive")
        assert rates & names.keys() == (rates if used else set()), problem
        assert names["masking"] == masking
        by_steps = cell["max_steps"] > 0
        assert (("max_steps" in names), ("num_train_epochs" in names)) == (by_steps, not by_steps), problem
        limited = cell["max_train_samples"] is not None
        assert ("max_train_samples" in names) == ("at most 7 genomic windows" in card) == limited, problem
        stops = in_training and cell["early_stopping_patience"] > 0
        assert ("early_stopping_patience" in names) == stops, problem
        assert ("eval_masking" in names) == evaluated, problem
        assert ("The windows chose the checkpoint, the one with the lowest loss of 3" in card) == in_training, problem
        assert ("The windows chose nothing" in card) == (evaluated and not in_training), problem
        assert ("It was not evaluated." in card) == (not evaluated), problem
        assert ("metrics:" in card) == ("validation windows overlap" in card) == evaluated, problem
        assert ("the weights after step 8; training went on to step 12 of 12" in card) == in_training, problem
        assert ("the weights after step 12, the last one." in card) == (not in_training), problem
        page = render(report_pretraining.build(run, yaml.safe_load((run / "config.yaml").read_text())))
        assert "12.5 %" in page and "12 %" not in page, problem
        assert ("masked alike" in page) == (masking == "uniform"), problem
        assert ("at most 7 windows" in page) == limited, problem
        assert ("the only evaluation" in page) == (evaluated and not in_training), problem


@pytest.mark.parametrize(
    ("evaluations", "chosen", "last", "sentence"),
    [
        (1, 12, 12, "The windows chose nothing: these are the weights that training ended with."),
        (1, 8, 12, "The windows chose nothing: this is the only checkpoint that was evaluated."),
        (3, 12, 12, "The windows chose the checkpoint"),
        (3, 4, 8, "training went on to step 8 of 12."),
        (2, 8, 8, "the weights after step 8 of 12."),
    ],
)
def test_what_chose_the_weights(tmp_path: Path, evaluations: int, chosen: int, last: int, sentence: str) -> None:
    cell = {"validation_file": "v.jsonl"}
    run = pretraining_run(tmp_path, cell, evaluations=evaluations, chosen=chosen, last=last)
    assert sentence in pretraining_card(run)
    checkpoint = tmp_path / f"checkpoint-{last}"
    checkpoint.mkdir()
    (tmp_path / "trainer_state.json").rename(checkpoint / "trainer_state.json")
    (checkpoint / "config.json").write_text("{}")
    card = pretraining_card(tmp_path, model=checkpoint)
    assert "chose the checkpoint" not in card
    assert ("may have taken part in a choice" in card) == (evaluations > 1)
    assert f"the weights after step {last}" in card
    assert "is not recorded" in pretraining_card(tmp_path)


@pytest.mark.parametrize(
    ("lo", "hi", "words"),
    [
        (0.2, 0.25, "masked at 20 % to 25 %, more often than those in the flanks"),
        (0.3, 0.3, "masked at 30 %, more often than"),
        (0.05, 0.075, "masked at 5 % to 7.5 %, less often than"),
        (0.1, 0.2, "masked at 10 % to 20 %, apart from those in the flanks"),
        (0.125, 0.125, "binding regions and flanks were masked alike"),
    ],
)
def test_adaptive_rates(tmp_path: Path, lo: float, hi: float, words: str) -> None:
    cell = {"masking": "adaptive", "eclip_mlm_lo": lo, "eclip_mlm_hi": hi}
    assert words in pretraining_card(pretraining_run(tmp_path, cell, evaluations=0, chosen=None))


BINDING = {
    "ions": [["ZN"], []],
    "lora": [{}, None],
    "freeze_backbone": [False, True],
    "train_mlm_head": [False, True],
    "mlm_weight": [0.4, 0],
    "inner_validation_fraction": [0.0, 0.1],
    "length": [{"epochs": 1, "patience": 7}, {"epochs": 30, "patience": 0}, {"epochs": 30, "patience": 7}],
    "judged": [
        {"selection_metric": "hra", "loss_type": "bce"},
        {"selection_metric": "auprc", "loss_type": "focal"},
        {"selection_metric": "loss", "loss_type": "bce"},
    ],
}
ROWS = [{"epoch": 1, "split": "validation", "ion": "ZN", "auprc": 0.3, "auroc": 0.7, "hra": 0.2, "base_rate": 0.02}]


def binding_config(cell: dict[str, Any], **data: Any) -> dict[str, Any] | None:
    """Settings of a cell; None where there would be nothing to learn."""
    cell = dict(cell)
    lora, freeze = cell.pop("lora"), cell.pop("freeze_backbone")
    if not cell["ions"] and not cell["mlm_weight"]:
        return None
    if not cell["ions"] and lora is None and freeze and not cell["train_mlm_head"]:
        return None
    values = {
        "data": {"fasta_path": "{ION}.fa", "unlabelled_fasta": "u.fa", **data},
        "training": cell,
        "model": {"checkpoint": "Profluent-Bio/E1-150m", "freeze_backbone": freeze},
        "lora": lora,
    }
    return build(BindingConfig, values).model_dump(mode="json")


@pytest.mark.parametrize("ions", BINDING["ions"])
@pytest.mark.parametrize("lora", BINDING["lora"])
def test_binding(tmp_path: Path, ions: list[str], lora: dict[str, Any] | None) -> None:
    for cell in cells({**BINDING, "ions": [ions], "lora": [lora]}):
        config = binding_config(cell)
        if config is None:
            continue
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
        rows = ROWS if ions else []
        fold = fold_card({}, fold=1, epoch=1, config=config, encoder="E1", rows=rows)
        for card in (fold, run_card(tmp_path)):
            problem = f"{cell}\n{card}"
            check_binding_settings(listed(card), cell, problem)
            check_binding_sentences(card, cell, problem)
        merged = merged_card(tmp_path, fold=1, epoch=1, base="b", encoder="E1")
        check_binding_settings(listed(merged), cell, merged)
        whole = run_card(tmp_path)
        assert ("its only epoch" in whole) == (cell["epochs"] == 1), whole
        judged = {"hra": "mean HRA", "auprc": "mean AUPRC", "loss": "loss"}[
            cell["selection_metric"] if ions else "loss"
        ]
        assert (f"best epoch, judged by {judged} in validation" in whole) == (cell["epochs"] > 1), whole
        assert ("joined yet" in whole) == ("bindtune predict" in whole) == bool(ions), whole
        inner = cell["inner_validation_fraction"] > 0
        assert ("Of the held-out fold's proteins" in fold) == (bool(ions) and not inner), fold
        assert ("Of the inner validation proteins" in fold) == (bool(ions) and inner), fold
        assert ("same proteins picked the epoch" in fold) == (bool(ions) and cell["epochs"] > 1), fold


def check_binding_settings(names: dict[str, str], cell: dict[str, Any], problem: str) -> None:
    """What is listed took effect, and what took effect is listed."""
    ions, focal, several = bool(cell["ions"]), cell["loss_type"] == "focal", cell["epochs"] > 1
    expected = {
        "training.ions": ions,
        "training.mlm_weight": ions,
        "training.mlm_probability": cell["mlm_weight"] > 0,
        "training.loss_type": ions,
        "training.pos_weight_mode": ions and not focal,
        "training.focal_gamma": ions and focal,
        "training.focal_alpha": ions and focal,
        "training.selection_metric": ions and several,
        "training.patience": several and cell["patience"] > 0,
        "training.inner_validation_fraction": cell["inner_validation_fraction"] > 0,
        "lora.r": cell["lora"] is not None,
        "lora.target_modules": cell["lora"] is not None,
    }
    assert {name: name in names for name in expected} == expected, problem
    assert {"training.epochs", "training.learning_rate", "training.seed"} <= names.keys(), problem


def check_binding_sentences(card: str, cell: dict[str, Any], problem: str) -> None:
    """What was done to the encoder, and what the figures are worth."""
    card = card.split("## Licence")[0]
    ions, lora = bool(cell["ions"]), cell["lora"] is not None
    head = cell["train_mlm_head"] and cell["mlm_weight"] > 0
    left = not lora and cell["freeze_backbone"]
    assert ("adapted with LoRA" in card) == lora, problem
    assert ("fine-tuned" in card) == (not lora and not left), problem
    assert ("left as it is" in card) == left, problem
    assert ("its masked-LM head" in card) == (head and (lora or left)), problem
    assert ("heads for each ion" in card) == (left and ions), problem
    assert ("to mark the residues that bind `ZN`" in card) == ions, problem
    assert ("as a language model of proteins, without labels" in card) == (not ions), problem
    assert ("marks no sites" in card or "ion heads" in card) == ions, problem
    assert ("No ion was learned" in card) == (not ions), problem
    assert ("binding-sites\n" in card) == ions, problem
    assert ("probabilities of a model" in card) == ("learned as negatives" in card) == ions, problem
    held_out_picks = ions and cell["epochs"] > 1 and not cell["inner_validation_fraction"]
    assert ("The held-out fold picked the epoch" in card) == held_out_picks, problem
    assert ("may have stopped training" in card) == (held_out_picks and cell["patience"] > 0), problem


def test_a_number_that_is_not_known_is_not_listed(tmp_path: Path) -> None:
    """A merged encoder whose run is gone: nothing is known of its settings."""
    card = merged_card(tmp_path, fold=1, epoch=1, base="Profluent-Bio/E1-150m", encoder="E1")
    assert "| setting | value |" not in card


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"folds": "my/folds.csv", "clusters": "kmer"}, "The folds come from a table, `folds.csv`"),
        ({"clusters": "kmer"}, "kept in one fold by `kmer`"),
        ({"clusters": "g/groups.csv"}, "kept in one fold by `groups.csv`"),
        ({}, "Only identical sequences were kept in one fold"),
    ],
)
def test_folds(data: dict[str, Any], words: str) -> None:
    first = next(cells(BINDING))
    config = binding_config(first, **data)
    assert config is not None
    card = fold_card({}, fold=1, epoch=1, config=config, encoder="E1", rows=[])
    beginnings = ("fold by", "folds come from", "kept in one")
    limits = [line for line in card.splitlines() if any(each in line for each in beginnings)]
    assert [words in line for line in limits] == [True]
