"""What a file of adapters may ask for, and that its patterns are tried in bounded time."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from bindtune.errors import CheckpointError, ConfigError
from bindtune.models.adapter_config import matching_layers, name_layers, read_adapter_config
from bindtune.models.adapters import add_lora, load_adapters, save_adapters

NAMES = [
    f"model.layers.{n}.{part}" for n in range(3) for part in ("attn", "attn.q_proj", "attn.v_proj", "mlp.w1", "mlp.w2")
]
SLOW = r"(?:(?:[a-z]|[a-y]|[a-x]|\.|_|[0-9])*)*[A-Z]"
"""A pattern that takes longer than anybody waits, which few engines see beforehand."""
SAVED = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj", "v_proj"], "bias": "none"}


def written(folder: Path, **changes: Any) -> Path:
    (folder / "adapter_config.json").write_text(json.dumps({**SAVED, **changes}))
    return folder


@pytest.mark.parametrize(
    "pattern",
    [
        "(.+)+x$",
        SLOW,
        "(a",
        "*",
        "(?P<x>" * 200,
        "q" * 1001,
        "(" * 400 + ")" * 400,
        "((((x{1000}){1000}){1000}){1000}){1000}",
        "(?R)?a",
        "(?:a){e<=9}",
        "x{,}{5000}",
        "(a(?1)?b)",
        "x{9999999999}",
    ],
)
def test_patterns_end_soon(pattern: str) -> None:
    begun = time.monotonic()
    try:
        assert matching_layers(pattern, NAMES) == []
    except ConfigError as error:
        assert len(str(error)) < 350
    assert time.monotonic() - begun < 6


def test_counts_in_a_pattern() -> None:
    assert matching_layers(r"model\.layers\.\d{1,2}\.attn\.[qk]_proj", NAMES) == NAMES[1::5]
    for pattern in ("((x{100}){100})", "(?:x){e<=1}", "x{99999999999}"):
        with pytest.raises(ConfigError, match="expected counts of 1,000 at most in a pattern"):
            matching_layers(pattern, NAMES)


def test_a_slow_pattern_is_named() -> None:
    with pytest.raises(ConfigError, match=re.escape(f"the pattern {SLOW!r} takes more than 2 s: give the names")):
        matching_layers(SLOW, [name * 5 for name in NAMES])


@pytest.mark.parametrize("setting", ["target_modules", "exclude_modules"])
def test_slow_patterns_of_a_file(tmp_path: Path, tiny_e1: Any, setting: str) -> None:
    model = tiny_e1()
    adapted = add_lora(model, r=2, alpha=4, dropout=0.0, target_modules=["q_proj", "v_proj"])
    save_adapters(adapted, tmp_path, base="base")
    content = json.loads((tmp_path / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps({**content, setting: SLOW}))
    with pytest.raises(CheckpointError, match=f"adapter_config.json: {setting}: the pattern .* takes more than 2 s"):
        load_adapters(tiny_e1(), {"default": tmp_path})


@pytest.mark.parametrize("setting", ["rank_pattern", "alpha_pattern"])
def test_slow_patterns_of_ranks(tmp_path: Path, setting: str) -> None:
    config = read_adapter_config(written(tmp_path, **{setting: {SLOW: 2}}))
    with pytest.raises(CheckpointError, match=f"{setting}: the pattern .* takes more than 2 s"):
        name_layers(config, NAMES, source=tmp_path)


def test_a_pattern_of_the_settings_is_bounded_too(tiny_e1: Any) -> None:
    with pytest.raises(ConfigError, match=r"lora\.target_modules: the pattern .* takes more than 2 s"):
        add_lora(tiny_e1(), r=2, alpha=4, dropout=0.0, target_modules=SLOW)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
@pytest.mark.parametrize(
    "changes",
    [
        {"target_modules": r".*\.(q_proj|v_proj)$"},
        {"target_modules": r"model\.layers\.(0|2)\..*_proj", "exclude_modules": r".*o_proj"},
        {"target_modules": "all-linear", "exclude_modules": ["w1"]},
        {"rank_pattern": {r"layers\.0\..*proj": 1, "v_proj": 3}, "alpha_pattern": {r".*\.q_proj": 8}},
        {"layers_to_transform": [1], "layers_pattern": "layers"},
    ],
    ids=str,
)
def test_what_plain_peft_makes_of_patterns(tmp_path: Path, tiny_e1: Any, changes: dict[str, Any]) -> None:
    from peft import LoraConfig, PeftModel, get_peft_model

    torch.manual_seed(0)
    settings: dict[str, Any] = {"r": 2, "lora_alpha": 4, "target_modules": ["q_proj", "v_proj"], **changes}
    plain = get_peft_model(tiny_e1(), LoraConfig(**settings))
    with torch.no_grad():
        for name, weight in plain.named_parameters():
            if "lora_" in name:
                weight.copy_(torch.randn(weight.shape))
    plain.save_pretrained(tmp_path, save_embedding_layers=False)
    expected = PeftModel.from_pretrained(tiny_e1(), tmp_path)
    adapters = load_adapters(tiny_e1(), {"default": tmp_path})
    weights = {name: tensor for name, tensor in expected.named_parameters() if "lora_" in name}
    assert len(weights) >= 4
    layers = dict(adapters.named_modules())
    assert {name for name, _ in adapters.named_parameters() if "lora_" in name} == set(weights)
    for name, tensor in weights.items():
        torch.testing.assert_close(adapters.get_parameter(name), tensor, atol=0, rtol=0)
    for name, layer in expected.named_modules():
        if hasattr(layer, "scaling"):
            assert layers[name].scaling == layer.scaling, name


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"modules_to_save": ["(.+)+x$"]}, r"modules_to_save: expected plain names of layers, found \['\(\.\+"),
        ({"modules_to_save": "mlm_head"}, "modules_to_save: expected plain names"),
        ({"layers_to_transform": [0], "layers_pattern": "(.+)+x$"}, "layers_pattern: expected plain names"),
        ({"layers_to_transform": ["0"]}, "layers_to_transform: expected whole numbers"),
        ({"megatron_core": "antigravity", "megatron_config": {"a": 1}}, "megatron_core: adapters with this setting"),
        ({"layer_replication": [[0, 10**9]]}, "layer_replication: adapters with this setting are not read"),
        ({"target_parameters": ["x"]}, "target_parameters: adapters with this setting are not read"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights: 'pissa' changes the base weights"),
        ({"lora_alpha": float("nan")}, "lora_alpha: expected a number, found nan"),
        ({"alpha_pattern": {"q_proj": float("inf")}}, "alpha_pattern: expected numbers"),
        ({"lora_dropout": 2}, "lora_dropout: expected a number from 0 to 1, found 2"),
        ({"bias": "evil"}, "bias: expected none, all or lora_only"),
        ({"exclude_modules": 5}, "exclude_modules: expected names of layers, found 5"),
        ({"target_modules": ["q" * 5000]*0}, r"target_modules: expected names of layers, found set\(\)"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(
        CheckpointError, match=re.escape(str(tmp_path)) + r"/adapter_config\.json: " + problem
    ) as caught:
        read_adapter_config(written(tmp_path, **changes))
    assert len(str(caught.value)) < len(str(tmp_path)) + 250


def test_a_pattern_without_a_layer(tmp_path: Path) -> None:
    config = read_adapter_config(written(tmp_path, target_modules="nothing"))
    with pytest.raises(CheckpointError, match="target_modules: 'nothing' matches no layer of the base model"):
        name_layers(config, NAMES, source=tmp_path)


def test_an_alpha_of_nan_in_the_file_of_a_fold(tmp_path: Path, tiny_e1: Any) -> None:
    adapted = add_lora(tiny_e1(), r=2, alpha=4, dropout=0.0, target_modules=["q_proj"])
    save_adapters(adapted, tmp_path, base="base")
    weights = load_file(tmp_path / "adapter_model.safetensors")
    save_file(weights, tmp_path / "adapter_model.safetensors", metadata={"format": "pt"})
    load_adapters(tiny_e1(), {"default": tmp_path})
    content = json.loads((tmp_path / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps({**content, "lora_alpha": float("nan")}))
    with pytest.raises(CheckpointError, match="lora_alpha: expected a number, found nan"):
        load_adapters(tiny_e1(), {"default": tmp_path})
