"""Adapters: neutral at the start, exact after a reload, and told apart from what does not fit."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import rounding
from bindtune import E1Config, E1ForMaskedLM
from bindtune.errors import CheckpointError, ConfigError
from bindtune.models.adapter_check import check_lora
from bindtune.models.adapters import (
    ADAPTER_FILES,
    ParameterCounts,
    adapter_weights,
    add_lora,
    count_parameters,
    has_adapters,
    merge_adapters,
    read_adapters,
    restore_adapters,
    save_adapters,
)
from bindtune.models.residue import E1ForJointBindingMLM

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "w1", "w2", "w3"]
TEXTS = ["MKTAYIAKQR", "MKV,ACDEFGHIKL"]
Make = Callable[..., E1ForMaskedLM]
Batch = Callable[[list[str]], dict[str, Tensor]]


def adapted(encoder: E1ForMaskedLM, *, filled: bool = True, **options: Any) -> Any:
    """With adapters as after training, or as at the start."""
    torch.manual_seed(1)
    lora = {"r": 4, "alpha": 8, "dropout": 0.0, "target_modules": TARGETS}
    model = add_lora(encoder, **{**lora, **options}).eval()
    if filled:
        with torch.no_grad():
            for tensor in model.parameters():
                if tensor.requires_grad:
                    tensor += 0.2 * torch.randn_like(tensor)
    return model


def logits(model: Any, batch: dict[str, Tensor]) -> Tensor:
    with torch.no_grad():
        logits: Tensor = model(**batch).logits
    return logits


def test_autocast_says_the_type_that_adapters_read(tiny_e1: Make, e1_batch: Batch) -> None:
    """PEFT widens the input of every adapter to the adapter's own type: three copies more for each linear layer."""
    model, seen = adapted(tiny_e1(), dropout=0.1).train(), set()
    for name, part in model.named_modules():
        if name.endswith("lora_dropout.default"):
            part.register_forward_hook(lambda _, inputs, out: seen.update((inputs[0].dtype, out.dtype)))
    with torch.autocast("cpu", torch.bfloat16):
        model(**e1_batch(TEXTS)).logits.sum().backward()
    assert seen == {torch.bfloat16}
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert {parameter.grad.dtype for parameter in learned if parameter.grad is not None} == {torch.float32}
    assert all(parameter.grad is not None for parameter in learned)


def test_adapters_run_beside_narrow_weights(tiny_e1: Make, e1_batch: Batch) -> None:
    encoder = tiny_e1().to(torch.bfloat16)
    model = adapted(encoder).train()
    assert (
        model.get_parameter("base_model.model.model.layers.0.ffn.mlp.w1.lora_A.default.weight").dtype == torch.float32
    )
    model(**e1_batch(TEXTS)).logits.sum().backward()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, tiny_e1: Make, e1_batch: Batch) -> Path:
    """A base model, trained adapters (with and without the head), a batch and the logits they give."""
    folder = tmp_path_factory.mktemp("saved")
    tiny_e1().save_pretrained(folder / "base")
    batch = e1_batch(TEXTS)
    results = dict(batch)
    for name, head in (("adapters", False), ("with_head", True)):
        model = adapted(E1ForMaskedLM.from_pretrained(folder / "base"), train_mlm_head=head)
        save_adapters(model, folder / name, base=str(folder / "base"))
        results[name] = logits(model, batch)
    save_file(results, folder / "expected.safetensors")
    return folder


def test_with_b_at_zero_the_output_is_the_base_models(tiny_e1: Make, e1_batch: Batch) -> None:
    for options in ({}, {"train_mlm_head": True}, {"target_modules": "all-linear"}, {"bias": "all"}):
        model = adapted(tiny_e1(), filled=False, **options)
        assert torch.equal(logits(model, e1_batch(TEXTS)), logits(tiny_e1(), e1_batch(TEXTS)))
        assert has_adapters(model)
        assert not has_adapters(model.get_base_model())


_RELOAD = """
import sys
from pathlib import Path
import torch
from peft import PeftModel
from safetensors.torch import load_file
from bindtune import E1ForMaskedLM
folder = Path(sys.argv[1])
assert "bindtune.models.adapters" not in sys.modules
known = load_file(folder / "expected.safetensors")
names = ("input_ids", "within_seq_position_ids", "global_position_ids", "sequence_ids")
batch = {name: known[name] for name in names}
for kind in ("adapters", "with_head"):
    model = PeftModel.from_pretrained(E1ForMaskedLM.from_pretrained(folder / "base"), folder / kind).eval()
    with torch.no_grad():
        print("plain", float((model(**batch).logits - known[kind]).abs().max()))
assert "bindtune.models.adapters" not in sys.modules
from bindtune.models.adapters import add_lora, read_adapters, restore_adapters
for kind in ("adapters", "with_head"):
    model = add_lora(E1ForMaskedLM.from_pretrained(folder / "base"), r=4, alpha=8, dropout=0.0,
                     target_modules=sys.argv[2].split(","), train_mlm_head=kind == "with_head").eval()
    restore_adapters(model, read_adapters(folder / kind), source=folder / kind)
    with torch.no_grad():
        print("own", float((model(**batch).logits - known[kind]).abs().max()))
"""


def test_a_new_process_computes_the_same_from_the_files(saved: Path, tiny_e1: Make, e1_batch: Batch) -> None:
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", _RELOAD, str(saved), ",".join(TARGETS)],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [kind for kind, _ in lines] == ["plain", "plain", "own", "own"]
    assert all(float(difference) <= 1e-6 for _, difference in lines), lines
    stored = load_file(saved / "expected.safetensors")
    base = logits(tiny_e1(), e1_batch(TEXTS))
    assert all((stored[kind] - base).abs().max() > 0.1 for kind in ("adapters", "with_head"))


def test_the_files_hold_the_adapters_and_no_encoder(saved: Path) -> None:
    for kind in ("adapters", "with_head"):
        assert set(ADAPTER_FILES) <= {path.name for path in (saved / kind).iterdir()}
        about = json.loads((saved / kind / "adapter_config.json").read_text())
        assert about["base_model_name_or_path"] == str(saved / "base")
        assert (about["r"], about["lora_alpha"], sorted(about["target_modules"])) == (4, 8, sorted(TARGETS))
        names = load_file(saved / kind / ADAPTER_FILES[1]).keys()
        in_head = {name for name in names if "mlm_head" in name}
        assert len(in_head) == (6 if kind == "with_head" else 0)
        assert all("lora_" in name for name in names - in_head)
        assert len(names - in_head) == 2 * 3 * len(TARGETS)


@pytest.mark.parametrize("head", [False, True])
def test_merged_is_unmerged(tiny_e1: Make, e1_batch: Batch, head: bool) -> None:
    model = adapted(tiny_e1(), train_mlm_head=head)
    expected = logits(model, e1_batch(TEXTS))
    merged = model.merge_and_unload()
    assert isinstance(merged, E1ForMaskedLM)
    assert not any("lora_" in name for name, _ in merged.named_parameters())
    torch.testing.assert_close(logits(merged, e1_batch(TEXTS)), expected, **rounding.of(merged, expected))


def test_weights_that_do_not_fit_are_refused_whole(tiny_e1: Make, e1_batch: Batch) -> None:
    model = adapted(tiny_e1())
    weights = {name: tensor.clone() + 1 for name, tensor in adapter_weights(model).items()}
    expected = logits(model, e1_batch(TEXTS))
    name, *_ = weights
    wrong = {
        "has shape": adapter_weights(adapted(tiny_e1(), r=2)),
        f"nothing for {name}": {key: tensor for key, tensor in weights.items() if key != name},
        "no parameter for extra": {**weights, "extra": torch.zeros(1)},
        "no parameter for base_model.model.mlm_head": adapter_weights(adapted(tiny_e1(), train_mlm_head=True)),
        "nothing for": {},
    }
    for problem, options in wrong.items():
        with pytest.raises(CheckpointError, match=r"^somewhere: the adapters do not fit the base model") as caught:
            restore_adapters(model, options, source="somewhere")
        assert problem in str(caught.value)
        assert torch.equal(logits(model, e1_batch(TEXTS)), expected)
    assert "and 37 more" in str(caught.value)
    restore_adapters(model, weights, source="somewhere")
    assert all(torch.equal(tensor, weights[key]) for key, tensor in adapter_weights(model).items())


@pytest.mark.parametrize("damage", ["missing", "truncated", "empty", "text", "folder", "header"])
def test_damaged_files_are_refused(saved: Path, tmp_path: Path, damage: str) -> None:
    whole = (saved / "adapters" / ADAPTER_FILES[1]).read_bytes()
    path = tmp_path / ADAPTER_FILES[1]
    if damage == "folder":
        path.mkdir()
    elif damage != "missing":
        contents = {"truncated": whole[:-40], "empty": b"", "text": b"not weights", "header": b"\xff" * 16 + whole[16:]}
        path.write_bytes(contents[damage])
    with pytest.raises(CheckpointError, match=ADAPTER_FILES[1]):
        read_adapters(tmp_path)


@pytest.mark.parametrize("targets", [["q_proj", "query"], ["proj"], "nothing", "*proj", [], "", ["mlm_head.0"]])
def test_a_layer_that_is_not_there_is_named_beside_those_that_are(tiny_e1: Make, targets: Any) -> None:
    with pytest.raises(ConfigError, match=r"lora\.target_modules") as caught:
        adapted(tiny_e1(), target_modules=targets)
    message = str(caught.value)
    assert message.endswith("it has k_proj, o_proj, q_proj, v_proj, w1, w2, w3")
    assert "\n" not in message
    if isinstance(targets, list) and targets:
        assert f"no linear layer {targets[-1]};" in message


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        (["self_attn.q_proj"], 3),
        (["model.layers.1.ffn.mlp.w2"], 1),
        (["0.ffn.mlp.w1", "v_proj"], 4),
        (r".*\.layers\.[02]\..*_proj", 8),
        ("all-linear", 21),
    ],
)
def test_targets_as_peft_takes_them(tiny_e1: Make, e1_batch: Batch, targets: Any, expected: int) -> None:
    model = adapted(tiny_e1(), filled=False, target_modules=targets)
    trainable = {name for name, tensor in model.named_parameters() if tensor.requires_grad}
    assert len(trainable) == 2 * expected
    assert not any("mlm_head" in name for name in trainable)
    assert all(check_lora(model, e1_batch(TEXTS)).statements.values())


def test_counts_of_the_largest_model() -> None:
    config = E1Config(
        hidden_size=1280,
        intermediate_size=3840,
        gated_mlp=True,
        num_hidden_layers=30,
        num_attention_heads=20,
        num_key_value_heads=20,
        global_attention_every_n_layers=3,
        clip_qkv=8,
        rope_theta_global=500000.0,
        max_num_positions_global=65536,
    )
    with torch.device("meta"):
        encoder = E1ForMaskedLM(config)
        assert sum(tensor.numel() for tensor in encoder.parameters()) == 641_438_754
        model = E1ForJointBindingMLM(
            add_lora(encoder, r=16, alpha=32, dropout=0.05, target_modules=TARGETS), ["CA", "ZN", "MG"]
        )
    counts = count_parameters(model)
    assert counts.adapters == 12_288_000
    assert counts.heads == 3 * (2 * 1280 + 1281)
    assert counts.backbone == 0
    assert counts.total == 641_438_754 + counts.adapters + counts.heads
    assert str(counts) == "trainable parameters: adapters 12,288,000, heads 11,523: 1.88 % of 653,738,277"


def test_counts_are_told_by_part() -> None:
    message = str(ParameterCounts(adapters=0, heads=10, backbone=1990, total=4000))
    assert message == "trainable parameters: heads 10, encoder and masked-LM head 1,990: 50.00 % of 4,000"


def test_trained_parts_are_counted_where_they_belong(tiny_e1: Make) -> None:
    head = sum(tensor.numel() for tensor in tiny_e1().mlm_head.parameters())
    model = E1ForJointBindingMLM(adapted(tiny_e1(), train_mlm_head=True), ["ZN"], train_mlm_head=True)
    counts = count_parameters(model)
    assert counts.backbone == head
    assert counts.heads == 2 * 16 + 17
    assert counts.adapters == 4 * 3 * (4 * 32 + 3 * 40)


def test_live_adapters_keep_all_three_statements(tiny_e1: Make, e1_batch: Batch) -> None:
    model = adapted(tiny_e1(), filled=False).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    report = check_lora(model, e1_batch(TEXTS))
    assert list(report.statements.values()) == [True, True, True]
    assert report.unchanged == report.gradient_a == report.fresh_b == 0
    assert report.changed > 1e-3
    assert report.gradient_b > 1e-6
    assert report.modified == (21, 21, 21)
    assert f"{report.changed:.3g}" in list(report.statements)[1]
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(tensor.grad is None for tensor in model.parameters())


def _fill(model: Any, part: str, value: float) -> dict[str, Tensor]:
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if part in name:
                tensor.fill_(value)
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def test_adapters_that_are_not_fresh_are_told(tiny_e1: Make, e1_batch: Batch) -> None:
    model = adapted(tiny_e1(), filled=False)
    before = _fill(model, "lora_B", 0.1)
    report = check_lora(model, e1_batch(TEXTS))
    assert list(report.statements.values()) == [False, True, False]
    assert "largest weight 0.1, expected 0" in report.advice
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_adapters_that_cannot_learn_are_told(tiny_e1: Make, e1_batch: Batch) -> None:
    model = adapted(tiny_e1(), filled=False)
    before = _fill(model, "lora_A", 0.0)
    report = check_lora(model, e1_batch(TEXTS))
    assert list(report.statements.values()) == [True, True, False]
    assert report.gradient_b == 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_adapters_that_are_never_used_are_told(tiny_e1: Make, e1_batch: Batch) -> None:
    model = adapted(tiny_e1(), filled=False)
    for layer in model.modules():
        if hasattr(layer, "scaling"):
            layer.scaling["default"] = 0.0
    report = check_lora(model, e1_batch(TEXTS))
    assert list(report.statements.values()) == [True, False, False]
    for hint in ("the initialisation of B", "A in 21, B in 21 of 21 adapters", "version of PEFT"):
        assert hint in report.advice


class TestMerging:
    @pytest.mark.parametrize("options", [{}, {"train_mlm_head": True}, {"bias": "all"}, {"target_modules": ["w2"]}])
    def test_merged_weights_give_the_outputs_of_the_adapters(
        self, options: dict[str, Any], tiny_e1: Make, e1_batch: Batch, tmp_path: Path
    ) -> None:
        batch = e1_batch(TEXTS)
        base = logits(tiny_e1(), batch)
        model = adapted(tiny_e1(), **options)
        expected = logits(model, batch)
        assert (expected - base).abs().max() > 0.1
        save_adapters(model, tmp_path / "adapters", base="base")
        merged = merge_adapters(tiny_e1(), tmp_path / "adapters")
        assert type(merged) is E1ForMaskedLM
        assert merged.state_dict().keys() == tiny_e1().state_dict().keys()
        torch.testing.assert_close(logits(merged, batch), expected, **rounding.of(merged, expected))
        merged.save_pretrained(tmp_path / "merged")
        again = E1ForMaskedLM.from_pretrained(tmp_path / "merged")
        assert torch.equal(logits(again, batch), logits(merged, batch))

    def test_what_does_not_fit_is_refused(self, tiny_e1: Make, tmp_path: Path) -> None:
        save_adapters(adapted(tiny_e1()), tmp_path / "adapters", base="base")
        with pytest.raises(CheckpointError, match="do not fit the base model"):
            merge_adapters(tiny_e1(hidden_size=32), tmp_path / "adapters")
        with pytest.raises(CheckpointError, match=r"adapter_config\.json: no such file"):
            merge_adapters(tiny_e1(), tmp_path)
        (tmp_path / "adapters" / "adapter_config.json").write_text("{")
        with pytest.raises(CheckpointError, match=r"adapter_config\.json:1: not JSON"):
            merge_adapters(tiny_e1(), tmp_path / "adapters")


def test_no_form_of_a_card_is_left_behind(tiny_e1: Make, tmp_path: Path) -> None:
    save_adapters(adapted(tiny_e1()), tmp_path, base="base")
    assert not (tmp_path / "README.md").exists()


def test_dropout_before_adapters_zeroes_its_share_while_training_alone(tiny_e1: Make) -> None:
    model = add_lora(tiny_e1(), r=2, alpha=4, dropout=0.25, target_modules=["w1"])
    (layer, *_) = (part for name, part in model.named_modules() if name.endswith("w1"))
    x = torch.ones(400, 500)
    torch.manual_seed(0)
    dropped = layer.lora_dropout["default"](x)
    assert dropped.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert float((dropped == 0).float().mean()) == pytest.approx(0.25, abs=0.005)  # five standard deviations
    torch.manual_seed(0)
    assert torch.equal(layer.lora_dropout["default"](x), dropped)
    assert layer.eval().lora_dropout["default"](x) is x
