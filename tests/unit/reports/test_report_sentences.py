"""Sentences of a binding run's page follow from its settings: over a grid, what did not happen is not said."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from bindtune.reports import report_binding
from bindtune.reports.page import Notice, Page, Text, render
from bindtune.reports.report_folds import Partition, folds_section
from bindtune.reports.report_ions import results_section
from bindtune.reports.report_learning import learning_section
from bindtune.reports.run_settings import grouping_sentence, weights_words

GRID: dict[str, list[Any]] = {
    "data": [
        {"clusters": "identical"}, {"clusters": "kmer"}, {"clusters": "g/groups.csv"}, {"folds": "f/folds.csv"}, {},
    ],
    "epochs": [1, 8],
    "inner_validation_fraction": [0.0, 0.1],
    "patience": [0, 3],
    "selection_metric": ["hra", "auprc", "loss"],
    "lora": [None, {"r": 8}],
}  # fmt: skip
ROWS = [
    {"fold": "1", "epoch": "1", "split": split, "ion": "mean", "loss": "0.5", "auprc": "0.2", "base_rate": "0.1",
     "hra": "0.1"}
    for split in ("train", "validation")
]  # fmt: skip


def texts(*sections: Any) -> str:
    return " ".join(block.text for section in sections for block in section.blocks if isinstance(block, Text | Notice))


@pytest.mark.parametrize("data", GRID["data"])
def test_sentences_follow_from_the_settings(data: dict[str, str]) -> None:
    for epochs, inner, patience, metric, lora in itertools.product(*list(GRID.values())[1:]):
        training = {"ions": ["ZN"], "epochs": epochs, "inner_validation_fraction": inner, "patience": patience,
                    "selection_metric": metric}  # fmt: skip
        config = {"training": training, "data": data, "lora": lora, "model": {"checkpoint": "E1"}}
        folds = texts(folds_section(Partition([], {}, ()), None, ("ZN",), config))
        assert "never scored" not in folds
        assert "near relative" not in folds
        assert ("Only identical sequences were kept in one fold" in folds) == (data.get("clusters") == "identical")
        assert ("The folds come from a table, folds.csv" in folds) == ("folds" in data)
        assert ("kept in one fold by kmer" in folds) == (data.get("clusters") == "kmer")
        assert ("kept in one fold by groups.csv" in folds) == (data.get("clusters") == "g/groups.csv")
        assert ("do not say which" in folds) == (not data)
        learning = texts(learning_section(ROWS, ("ZN",), config))
        assert ("The epoch that is kept" in learning) == (epochs > 1)
        assert ("lowest" in learning) == (epochs > 1 and metric == "loss")
        assert ("a part of the training proteins" in learning) == (inner > 0)
        tables = [block for block in learning_section(ROWS, ("ZN",), config).blocks if "keeps" in str(block)]
        assert bool(tables) == (epochs > 1)
        results = texts(results_section({"ZN": report_binding.IonResults(None, {})}, config))
        assert ("The held-out fold picked the epoch" in results) == (epochs > 1 and not inner)
        assert ("may have stopped training" in results) == (epochs > 1 and not inner and patience > 0)
        assert weights_words(config) == ("adapters" if lora else "weights")


def test_without_ions_the_loss_is_what_epochs_are_judged_by() -> None:
    config = {"training": {"ions": [], "epochs": 8, "selection_metric": "hra"}, "data": {"clusters": "identical"}}
    learning = texts(learning_section(ROWS, (), config))
    assert "the one with the lowest loss in validation" in learning
    assert "every ion" not in texts(folds_section(Partition([], {}, ()), None, (), config))


def test_the_card_and_the_page_share_their_sentence() -> None:
    config = {"data": {"clusters": "g/groups.csv"}}
    assert grouping_sentence(config, lambda name: f"`{name}`") == grouping_sentence(config).replace(
        "groups.csv", "`groups.csv`"
    )


def test_a_heading_does_not_repeat_itself(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    page = report_binding.build(run, {"training": {"ions": ["ZN"], "num_folds": 2}, "model": {}})
    assert isinstance(page, Page)
    html = render(page)
    assert "<h1>run</h1>" in html
    assert "run run" not in html


@pytest.mark.parametrize(
    ("audit", "sentence"),
    [
        ({"leaks": 2, "warnings": ["folds share 2 pairs of identical sequences: P1, P2"]}, "2 pairs of identical"),
        ({"leaks": 3}, "3 pairs of proteins across folds"),
    ],
)
def test_leaks_of_the_audit_stand_at_the_top(tmp_path: Path, audit: dict[str, Any], sentence: str) -> None:
    import json

    (tmp_path / "audit.json").write_text(json.dumps(audit))
    page = report_binding.build(tmp_path, {"training": {"ions": ["ZN"], "num_folds": 2}, "model": {}})
    assert sentence in page.notices[0]
