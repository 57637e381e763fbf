"""DNABERT-2 against outputs of its upstream code, and a check that the comparison notices every single parameter."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import rounding
from bindtune.data.dna.tokens import load_tokenizer
from bindtune.models.dnabert2 import DNABert2Config, DNABert2ForMaskedLM, alibi_slopes, lay_out

# fp32 and fp64 differ by 7e-6 on these weights: seven times that. The smallest of the tried mistakes makes 4e-4.
TOLERANCE = 5e-5
CASES = ("right_pad", "left_pad", "interior_holes", "token_type_1_no_pad", "longer_than_alibi_starting_size")
GOLDEN_SHAPE = {
    "vocab_size": 200,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 12,
    "intermediate_size": 80,
}
PARAMETERS = [name for name, _ in DNABert2ForMaskedLM(DNABert2Config(**GOLDEN_SHAPE)).named_parameters()]


@pytest.fixture(scope="module")
def folder(shared: Path) -> Path:
    return shared / "golden" / "dnabert2"


@pytest.fixture(scope="module")
def expected(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "outputs.safetensors")


@pytest.fixture(scope="module")
def cases(folder: Path) -> dict[str, dict[str, Tensor]]:
    listed = json.loads((folder / "inputs.json").read_text())["cases"]
    return {
        case["name"]: {name: torch.tensor(values) for name, values in case.items() if name != "name"} for case in listed
    }


@pytest.fixture
def model(folder: Path) -> DNABert2ForMaskedLM:
    return DNABert2ForMaskedLM.from_pretrained(folder)


def run(model: DNABert2ForMaskedLM, case: dict[str, Tensor]) -> dict[str, Tensor]:
    """Every stored output, by the stored name."""
    inputs = {name: case[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
    with torch.no_grad():
        output = model(**inputs, output_hidden_states=True)
        last = model.bert(**inputs).last_hidden_state
    states: Any = output.hidden_states
    logits = {"embedding_output": states[0], "last_hidden_state": last, "logits": output.logits}
    return logits | {f"hidden_{number}": state for number, state in enumerate(states[1:], start=1)}


def differences(
    model: DNABert2ForMaskedLM, cases: dict[str, dict[str, Tensor]], expected: dict[str, Tensor]
) -> dict[str, float]:
    """Largest difference of each stored output over the attended tokens."""
    gaps = {}
    for name, case in cases.items():
        attended = case["attention_mask"].bool()
        for what, values in run(model, case).items():
            gaps[f"{name}.{what}"] = float((values - expected[f"{name}.{what}"])[attended].abs().max())
    return gaps


def test_every_stored_output_is_compared(cases: dict[str, dict[str, Tensor]], expected: dict[str, Tensor]) -> None:
    assert tuple(cases) == CASES
    whats = ("embedding_output", "hidden_1", "hidden_2", "hidden_3", "last_hidden_state", "logits")
    outputs = {f"{name}.{what}" for name in CASES for what in whats}
    rest = {name for name in expected if name not in outputs}
    assert outputs <= set(expected)
    assert all(
        name.startswith(("right_pad.grad", "right_pad.loss", "alibi_slopes", "alibi_bias_8x8")) for name in rest
    ), rest


@pytest.mark.parametrize("name", CASES)
def test_outputs_of_every_layer(
    model: DNABert2ForMaskedLM, cases: dict[str, dict[str, Tensor]], expected: dict[str, Tensor], name: str
) -> None:
    gaps = differences(model, {name: cases[name]}, expected)
    assert len(gaps) == 6
    assert max(gaps.values()) <= TOLERANCE, gaps


@pytest.mark.parametrize("name", ["right_pad", "left_pad", "interior_holes"])
def test_padding_yields_zeros(model: DNABert2ForMaskedLM, cases: dict[str, dict[str, Tensor]], name: str) -> None:
    padding = cases[name]["attention_mask"] == 0
    tensors = run(model, cases[name])
    # The upstream logits there are the head's answer to zeros, which nothing should rely on.
    for what in ("hidden_1", "hidden_2", "hidden_3", "last_hidden_state", "logits"):
        assert not tensors[what][padding].any(), what


def test_padding_on_either_side_gives_the_same(model: DNABert2ForMaskedLM, cases: dict[str, dict[str, Tensor]]) -> None:
    logits = [
        run(model, cases[name])["logits"][cases[name]["attention_mask"].bool()] for name in ("right_pad", "left_pad")
    ]
    torch.testing.assert_close(*logits, **rounding.of(model, *logits))


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_comparison_notices_one_changed_number(
    model: DNABert2ForMaskedLM, cases: dict[str, dict[str, Tensor]], expected: dict[str, Tensor], name: str
) -> None:
    with torch.no_grad():
        model.get_parameter(name).view(-1)[0] += 0.02
    assert max(differences(model, cases, expected).values()) > 2 * TOLERANCE


@pytest.mark.parametrize("labelled_alone", [False, True])
def test_loss_and_gradients(
    model: DNABert2ForMaskedLM,
    cases: dict[str, dict[str, Tensor]],
    expected: dict[str, Tensor],
    labelled_alone: bool,
) -> None:
    batch = cases["right_pad"]
    logits_at = batch["labels"] != -100 if labelled_alone else None
    output = model(**batch, logits_at=logits_at)
    assert output.loss.item() == pytest.approx(float(expected["right_pad.loss"]), abs=TOLERANCE)
    output.loss.backward()
    stored = {name.split("grad.", 1)[1]: grad for name, grad in expected.items() if ".grad." in name}
    assert len(stored) >= 4
    close = rounding.of(model, *stored.values(), tokens=int(cases["right_pad"]["attention_mask"].sum()))
    for name, grad in stored.items():
        gradient = model.get_parameter(name).grad
        assert gradient is not None
        torch.testing.assert_close(gradient, grad, **close, msg=lambda text, name=name: f"{name}: {text}")
    norms = torch.stack([p.grad.norm() for _, p in sorted(model.named_parameters()) if p.grad is not None])
    torch.testing.assert_close(norms, expected["right_pad.grad_l2_all"], atol=close["atol"], rtol=1e-5)


def test_the_gradient_comparison_notices_one_changed_number(
    model: DNABert2ForMaskedLM, cases: dict[str, dict[str, Tensor]], expected: dict[str, Tensor]
) -> None:
    with torch.no_grad():
        model.get_parameter("bert.encoder.layer.1.mlp.wo.weight")[3, 5] += 0.02
    model(**cases["right_pad"]).loss.backward()
    norms = torch.stack([p.grad.norm() for _, p in sorted(model.named_parameters()) if p.grad is not None])
    assert float((norms - expected["right_pad.grad_l2_all"]).abs().max()) > 1e-4


def test_alibi(expected: dict[str, Tensor]) -> None:
    torch.testing.assert_close(torch.tensor(alibi_slopes(12)), expected["alibi_slopes"].flatten(), atol=0, rtol=1e-7)
    bias = lay_out(torch.ones(3, 8), heads=12, dtype=torch.float32).bias
    torch.testing.assert_close(bias[0], expected["alibi_bias_8x8"], atol=0, rtol=1e-7)


def test_tokenizer_cases(shared: Path, folder: Path) -> None:
    tokenizer = load_tokenizer(str(shared / "tokenizer" / "dnabert2"))
    listed = json.loads((folder / "tokenizer_cases.json").read_text())
    assert len(listed) >= 25
    for case in listed:
        encoded = tokenizer(case["sequence"], return_offsets_mapping=True)
        assert encoded["input_ids"] == case["ids"], case["sequence"]
        assert [list(span) for span in encoded["offset_mapping"]] == case["offsets"], case["sequence"]
