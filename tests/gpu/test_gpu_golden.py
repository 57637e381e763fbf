"""Both encoders on a GPU against outputs of the upstream models, and under autocast against their own on the CPU."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from bindtune import E1BatchPreparer, E1ForMaskedLM
from bindtune.models.dnabert2 import DNABert2ForMaskedLM

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


@pytest.fixture(params=["e1", "dnabert2"])
def golden(request: pytest.FixtureRequest, shared: Path) -> tuple[str, Path, list[dict[str, Any]], dict[str, Tensor]]:
    folder = shared / "golden" / request.param
    cases = json.loads((folder / "inputs.json").read_text())["cases"]
    return request.param, folder, cases, load_file(folder / "outputs.safetensors")


Golden = tuple[str, Path, list[dict[str, Any]], dict[str, Tensor]]


def load(name: str, folder: Path) -> Any:
    return {"e1": E1ForMaskedLM, "dnabert2": DNABert2ForMaskedLM}[name].from_pretrained(folder).to("cuda")


def ask(name: str, model: Any, case: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Logits (B, T, V), and which of its tokens are real."""
    if name == "dnabert2":
        batch = {each: torch.tensor(case[each], device="cuda") for each in INPUTS}
        return model(**batch).logits, batch["attention_mask"].bool()
    options = {key: case[key] for key in ("remove_X_tokens", "preserve_context_labels") if key in case}
    inputs = E1BatchPreparer(**options).get_batch_kwargs(case["sequences"], torch.device("cuda"))
    return model(**inputs).logits, inputs["sequence_ids"] >= 0


def stored(name: str, case: dict[str, Any], outputs: dict[str, Tensor]) -> Tensor:
    key = f"case/{case['name']}/logits" if name == "e1" else f"{case['name']}.logits"
    return outputs[key].cuda()


@torch.no_grad()
def test_logits(golden: Golden) -> None:
    name, folder, cases, outputs = golden
    model = load(name, folder).eval()
    for case in cases:
        answer, real = ask(name, model, case)
        torch.testing.assert_close(answer[real], stored(name, case, outputs)[real], atol=5e-5, rtol=1e-4)


@torch.no_grad()
def test_logits_under_autocast(golden: Golden) -> None:
    name, folder, cases, outputs = golden
    model = load(name, folder).eval()
    for case in cases:
        with torch.autocast("cuda", torch.bfloat16):
            answer, real = ask(name, model, case)
        expected = stored(name, case, outputs)[real]
        assert 1e-5 < float((answer[real].float() - expected).norm() / expected.norm()) < 3e-2, case["name"]


@torch.no_grad()
def test_the_comparison_notices_a_perturbed_weight(golden: Golden) -> None:
    name, folder, cases, outputs = golden
    model = load(name, folder).eval()
    weight = "model.layers.2.ffn.mlp.w1.weight" if name == "e1" else "bert.encoder.layer.1.mlp.wo.weight"
    model.get_parameter(weight).view(-1)[:4] += 0.02
    answer, real = ask(name, model, cases[0])
    assert float((answer - stored(name, cases[0], outputs))[real].abs().max()) > 1e-4
