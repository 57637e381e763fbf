"""Scores of substitutions, against the golden scorer and by hand."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import rounding
import tiny_e1
from bindtune import E1BatchPreparer, E1ForMaskedLM
from bindtune.data.protein.step_batches import budgeted
from bindtune.errors import BindtuneError, InputError
from bindtune.inference.variants import position_scores, score_variants
from bindtune.models.e1_tokens import TOKEN_ID


@pytest.fixture(scope="module")
def model() -> E1ForMaskedLM:
    torch.manual_seed(0)
    config = tiny_e1.config(
        hidden_size=32,
        intermediate_size=48,
        gated_mlp=False,
        num_attention_heads=4,
        num_key_value_heads=4,
        clip_qkv=None,
        initializer_range=0.3,
        max_num_sequences=8,
    )
    return E1ForMaskedLM(config).eval()


@pytest.mark.parametrize("budget", [1, 100, 100_000])
def test_golden_scores(shared: Path, budget: int) -> None:
    folder = shared / "golden/e1"
    golden = E1ForMaskedLM.from_pretrained(folder)
    inputs = json.loads((folder / "inputs.json").read_text())
    scorer = inputs["scorer"]
    variants = dict(zip(scorer["ids"], scorer["mutants"], strict=True))
    homologs = {name: text.split(",") for name, text in scorer["contexts"].items()}
    for key, expected in inputs["scores"].items():
        precision, method, contexts, reduction = key.split("/")
        scores = score_variants(
            golden,
            scorer["parent"],
            variants=variants,
            contexts=homologs if contexts == "ctxs" else None,
            method=method,
            reduction=reduction,
            max_batch_tokens=budget,
        )
        assert [(score.variant, score.context) for score in scores] == [(e["id"], e["context_id"]) for e in expected]
        highest = torch.tensor([each["score"] for each in expected])
        # The other is the reference in bf16, which has eight bits: scores of several units are sums of log ratios.
        tolerance = rounding.of(golden, highest)["atol"] if precision == "fp32" else 0.15
        for one, two in zip(scores, expected, strict=True):
            assert one.score == pytest.approx(two["score"], abs=tolerance), key
    table = position_scores(
        golden,
        scorer["parent"],
        positions=range(23),
        contexts={name: text.split(",") for name, text in scorer["contexts"].items()},
        method="masked_marginal",
        max_batch_tokens=budget,
    )
    expected = load_file(folder / "outputs.safetensors")["scorer/position_scores_masked_marginal_mean"]
    torch.testing.assert_close(table.mean(dim=0, keepdim=True), expected, **rounding.of(golden, expected))


def test_a_score_by_hand(model: E1ForMaskedLM) -> None:
    with torch.no_grad():
        logits = model(**E1BatchPreparer().get_batch_kwargs(["MK?AY", "MKT?Y"])).logits.log_softmax(-1)
    expected = (logits[0, 4, TOKEN_ID["W"]] - logits[0, 4, TOKEN_ID["T"]]).item()
    expected += (logits[1, 5, TOKEN_ID["C"]] - logits[1, 5, TOKEN_ID["A"]]).item()
    (score,) = score_variants(
        model, "MKTAY", variants={"v": "MKWCY"}, method="masked_marginal", reduction="mean", max_batch_tokens=99
    )
    assert score.score == pytest.approx(expected, abs=rounding.of(model, logits)["atol"])


@pytest.mark.parametrize("method", ["masked_marginal", "wildtype_marginal"])
def test_the_parent_scores_nothing(model: E1ForMaskedLM, method: str) -> None:
    (score,) = score_variants(
        model, "MKTAY", variants={"wt": "MKTAY"}, method=method, reduction="mean", max_batch_tokens=99
    )
    assert score == ("wt", "mean", 0.0)


@pytest.mark.parametrize(
    ("parent", "variant", "problem"),
    [
        ("MKTAY", "MKTA", "variant v: 4 residues, the parent has 5"),
        ("MKTAY", "MKXAY", "variant v: 'X' at residue 3"),
        ("MKTAY", "MKtAY", "variant v: 't' at residue 3"),
        ("MKTAY", "MK?AY", r"variant v: '\?' at residue 3"),
        ("MKXAY", "MKXAW", "parent: X at residue 3"),
    ],
)
def test_what_cannot_be_scored(model: E1ForMaskedLM, parent: str, variant: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        score_variants(
            model, parent, variants={"v": variant}, method="masked_marginal", reduction="mean", max_batch_tokens=9
        )


def test_budgets() -> None:
    assert list(budgeted([5, 1, 9, 2, 30], max_tokens=10)) == [[4], [2], [0, 3, 1]]
    assert list(budgeted([], max_tokens=10)) == []


@pytest.mark.parametrize("method", ["masked_marginal", "wildtype_marginal"])
def test_an_output_that_is_not_finite_is_named(model: E1ForMaskedLM, method: Any) -> None:
    broken = copy.deepcopy(model)
    with torch.no_grad():
        broken.mlm_head[-1].bias[TOKEN_ID["A"]] = torch.nan
    with pytest.raises(BindtuneError, match=r"^residue 3: the model's output is not finite"):
        position_scores(broken, "MKTAY", positions=[2, 4], method=method, max_batch_tokens=100)
