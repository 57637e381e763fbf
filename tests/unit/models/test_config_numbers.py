"""Numbers of a model's configuration: what no model has is refused by its name."""

import json
from pathlib import Path
from typing import Any

import pytest

from bindtune.errors import BindtuneError, ConfigError
from bindtune.models.dnabert2 import DNABert2Config
from bindtune.models.loading import load_masked_lm

SMALL = {"hidden_size": 8, "num_attention_heads": 1, "num_hidden_layers": 1, "intermediate_size": 8, "vocab_size": 9}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden_size", -8), ("hidden_size", 0), ("hidden_size", "8"), ("hidden_size", 8.5), ("hidden_size", True),
        ("hidden_size", 2**40), ("num_hidden_layers", 10**9), ("num_attention_heads", 0), ("vocab_size", 10**12),
        ("intermediate_size", [8]), ("layer_norm_eps", float("nan")), ("layer_norm_eps", -1e-5),
        ("hidden_dropout_prob", 1.5), ("attention_probs_dropout_prob", "x"), ("classifier_dropout", float("inf")),
        ("initializer_range", float("nan")), ("type_vocab_size", 10**400),
    ],
)  # fmt: skip
def test_odd_numbers_are_refused(name: str, value: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"^DNABERT-2 configuration: {name}: expected a "):
        DNABert2Config(**{**SMALL, name: value})
    (tmp_path / "config.json").write_text(json.dumps({**SMALL, "model_type": "dnabert2", name: value}))
    with pytest.raises(BindtuneError, match=rf"{tmp_path}.*{name}: expected a "):
        load_masked_lm(str(tmp_path))


def test_a_sound_configuration_is_taken() -> None:
    assert DNABert2Config(**SMALL, classifier_dropout=None).hidden_size == 8


@pytest.mark.parametrize("kind", ["bert", "esm"])
def test_a_billion_layers_of_any_model_are_refused_at_once(kind: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({**SMALL, "model_type": kind, "num_hidden_layers": 10**9}))
    with pytest.raises(BindtuneError, match=r"num_hidden_layers: expected a number from 0 to 1000, found 1000000000"):
        load_masked_lm(str(tmp_path))
