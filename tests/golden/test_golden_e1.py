"""E1 against outputs of the reference implementation: ids exact, fp32 within what rounding explains."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import rounding
from bindtune import E1BatchPreparer, E1ForMaskedLM
from bindtune.models.e1_tokens import boundary_mask, last_sequence_mask

CASES = [
    "single",
    "single_masked",
    "batch_padded",
    "multi_ctx",
    "multi_batch_padded",
    "remove_x",
    "keep_x",
    "context_labels_kept",
    "long_ctx",
]
IDS = ("input_ids", "within_seq_position_ids", "global_position_ids", "sequence_ids")


@pytest.fixture(scope="module")
def golden(shared: Path) -> Path:
    return shared / "golden/e1"


@pytest.fixture(scope="module")
def inputs(golden: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((golden / "inputs.json").read_text())
    return content


@pytest.fixture(scope="module")
def outputs(golden: Path) -> dict[str, Tensor]:
    return load_file(golden / "outputs.safetensors")


@pytest.fixture(scope="module")
def model(golden: Path) -> E1ForMaskedLM:
    return E1ForMaskedLM.from_pretrained(golden)


def case(inputs: dict[str, Any], name: str) -> dict[str, Any]:
    return next(entry for entry in inputs["cases"] if entry["name"] == name)


def prepared(case: dict[str, Any]) -> Any:
    options = {key: case[key] for key in ("remove_X_tokens", "preserve_context_labels") if key in case}
    return E1BatchPreparer(**options).get_batch_kwargs(case["sequences"])


def test_no_case_is_left_out(inputs: dict[str, Any]) -> None:
    assert [entry["name"] for entry in inputs["cases"]] == CASES


@pytest.mark.parametrize("name", CASES)
def test_tokens(name: str, inputs: dict[str, Any], outputs: dict[str, Tensor]) -> None:
    expected, batch = case(inputs, name), prepared(case(inputs, name))
    for key in (*IDS, "labels"):
        assert batch[key].dtype == torch.int64
        assert torch.equal(batch[key], outputs[f"case/{name}/{key}"]), key
    assert batch["context"] == expected["context"]
    assert batch["context_len"] == expected["context_len"]
    assert torch.equal(last_sequence_mask(batch["sequence_ids"]), outputs[f"case/{name}/last_sequence_mask"])
    assert torch.equal(~boundary_mask(batch["input_ids"]), outputs[f"case/{name}/non_boundary_token_mask"])


@pytest.mark.parametrize("name", CASES)
def test_outputs(name: str, model: E1ForMaskedLM, inputs: dict[str, Any], outputs: dict[str, Tensor]) -> None:
    batch = prepared(case(inputs, name))
    real = batch["sequence_ids"] >= 0
    with torch.no_grad():
        output = model(**batch, output_hidden_states=True)
    for what in ("logits", "embeddings"):
        expected = outputs[f"case/{name}/{what}"]
        torch.testing.assert_close(output[what][real], expected[real], **rounding.of(model, expected))
    assert output.loss.item() == pytest.approx(
        case(inputs, name)["loss"], abs=rounding.of(model, output.logits)["atol"]
    )
    assert torch.equal(output.loss, output.mlm_loss)
    assert len(output.hidden_states) == 5
    assert torch.equal(output.hidden_states[-1], output.embeddings)


@pytest.mark.parametrize("name", ["multi_ctx", "batch_padded"])
def test_every_hidden_state(name: str, model: E1ForMaskedLM, inputs: Any, outputs: dict[str, Tensor]) -> None:
    batch = prepared(case(inputs, name))
    real = batch["sequence_ids"] >= 0
    with torch.no_grad():
        states = model(**batch, output_hidden_states=True).hidden_states
    for number, state in enumerate(states):
        expected = outputs[f"case/{name}/hidden_states/{number}"]
        torch.testing.assert_close(state[real], expected[real], **rounding.of(model, expected))


def train_batch(outputs: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix("train/"): value for key, value in outputs.items() if key.startswith("train/")}


@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients(checkpointing: bool, golden: Path, inputs: Any, outputs: dict[str, Tensor]) -> None:
    model = E1ForMaskedLM.from_pretrained(golden).train()
    if checkpointing:
        model.activation_checkpointing_enable()
    batch = train_batch(outputs)
    output = model(**batch)
    output.loss.backward()
    assert output.loss.item() == pytest.approx(inputs["train"]["loss"], abs=rounding.of(model, output.logits)["atol"])
    expected = load_file(golden / "grads.safetensors")
    grad = {f"grad/{name}": parameter.grad for name, parameter in model.named_parameters()}
    assert grad.keys() == expected.keys()
    close = rounding.of(model, torch.ones(1), tokens=batch["input_ids"].numel())["atol"]  # of a unit
    for key, gradient in grad.items():
        assert gradient is not None
        assert (gradient - expected[key]).norm() <= close * expected[key].norm(), key


@pytest.mark.parametrize("run", [0, 1, 2])
def test_cached_context(run: int, model: E1ForMaskedLM, inputs: Any, outputs: dict[str, Tensor]) -> None:
    preparer, context = E1BatchPreparer(), inputs["kv_cache"]["context"]
    row = preparer.get_batch_kwargs([context])
    cache = model.model.cache_context(*(row[key] for key in IDS))
    batch = preparer.get_query_kwargs(inputs["kv_cache_runs"][run]["queries"], context)
    for key in IDS:
        assert torch.equal(batch[key], outputs[f"kv/{run}/{key}"]), key
    with torch.no_grad():
        output = model(*(batch[key] for key in IDS), context_cache=cache)
    real = batch["sequence_ids"] >= 0
    for what in ("logits", "embeddings"):
        expected = outputs[f"kv/{run}/{what}"]
        torch.testing.assert_close(output[what][real], expected[real], **rounding.of(model, expected))


@pytest.mark.parametrize("name", ["batch_padded", "multi_ctx"])
def test_bf16_weights_stay_near(name: str, golden: Path, inputs: Any, outputs: dict[str, Tensor]) -> None:
    model = E1ForMaskedLM.from_pretrained(golden, dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    batch = prepared(case(inputs, name))
    real = batch["sequence_ids"] >= 0
    with torch.no_grad():
        output = model(**batch)
    expected = outputs[f"case/{name}/embeddings"][real]
    assert output.logits.dtype == torch.float32
    assert (output.embeddings[real].float() - expected).norm() < 0.02 * expected.norm()


# One parameter of each kind: what a wrong one changes must be seen.
KINDS = [
    "model.embed_tokens.weight",
    "model.embed_seq_id.weight",
    *(
        f"model.layers.{layer}.{name}.weight"
        for layer in (1, 2)  # within one sequence, and global
        for name in (
            "norm_attn_norm.self_attn.q_proj",
            "norm_attn_norm.self_attn.k_proj",
            "norm_attn_norm.self_attn.v_proj",
            "norm_attn_norm.self_attn.o_proj",
            "norm_attn_norm.input_layernorm",
            "norm_attn_norm.post_attention_layernorm",
            "ffn.mlp.w1",
            "ffn.mlp.w2",
            "ffn.mlp.w3",
        )
    ),
    "model.norm.weight",
    "mlm_head.0.weight",
    "mlm_head.0.bias",
    "mlm_head.2.weight",
    "mlm_head.2.bias",
    "mlm_head.3.weight",
    "mlm_head.3.bias",
]


@pytest.mark.parametrize("name", KINDS)
def test_a_perturbed_weight_is_seen(name: str, golden: Path, inputs: Any, outputs: dict[str, Tensor]) -> None:
    model = E1ForMaskedLM.from_pretrained(golden)
    parameter = model.get_parameter(name)
    with torch.no_grad():
        # One entry; of the embeddings, one that the case uses.
        parameter[(1,) * parameter.ndim] += 0.02 * parameter.abs().max()
        logits = model(**prepared(case(inputs, "multi_ctx"))).logits
    expected = outputs["case/multi_ctx/logits"]
    with pytest.raises(AssertionError):
        torch.testing.assert_close(logits, expected, **rounding.of(model, expected))
