"""Heads for classes: formulas, losses by kind of problem, what loads and what starts from random numbers, adapters."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from bindtune import (
    DNABert2ForMaskedLM,
    DNABert2ForSequenceClassification,
    DNABert2ForTokenClassification,
)
from bindtune.errors import CheckpointError
from tiny_dnabert2 import build

KINDS = (DNABert2ForSequenceClassification, DNABert2ForTokenClassification)


@pytest.fixture
def batch() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 60, (4, 7), generator=generator)
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    mask[2, :3] = 0
    return {"input_ids": ids, "attention_mask": mask}


@pytest.fixture
def masked_lm(tmp_path: Path) -> Path:
    """The folder of a masked language model."""
    build(DNABert2ForMaskedLM).save_pretrained(tmp_path / "mlm")
    return tmp_path / "mlm"


def test_a_row_is_classified_by_its_first_attended_token(batch: dict[str, Tensor]) -> None:
    model = build(KINDS[0], num_labels=3)
    hidden = model.bert(**batch).last_hidden_state
    first = torch.stack([hidden[0, 0], hidden[1, 0], hidden[2, 3], hidden[3, 0]])
    pooled = torch.tanh(first @ model.bert.pooler.dense.weight.T + model.bert.pooler.dense.bias)
    expected = pooled @ model.classifier.weight.T + model.classifier.bias
    torch.testing.assert_close(model(**batch).logits, expected)


def test_a_token_is_classified_by_its_hidden_state(batch: dict[str, Tensor]) -> None:
    model = build(KINDS[1], num_labels=3)
    hidden = model.bert(**batch).last_hidden_state
    torch.testing.assert_close(model(**batch).logits, hidden @ model.classifier.weight.T + model.classifier.bias)


def test_keys_are_those_of_the_original_code() -> None:
    heads = {"classifier.weight": (3, 24), "classifier.bias": (3,)}
    pooler = {"bert.pooler.dense.weight": (24, 24), "bert.pooler.dense.bias": (24,)}
    encoder = {name for name in build(DNABert2ForMaskedLM).state_dict() if name.startswith("bert.")}
    for kind, own in zip(KINDS, (heads | pooler, heads), strict=True):
        shapes = {name: tuple(weight.shape) for name, weight in build(kind, num_labels=3).state_dict().items()}
        assert shapes.keys() == encoder | own.keys()
        assert {name: shapes[name] for name in own} == own


class TestLossOfRows:
    def test_one_class_a_row(self, batch: dict[str, Tensor]) -> None:
        model, labels = build(KINDS[0], num_labels=3), torch.tensor([0, 2, 1, 1])
        output = model(**batch, labels=labels)
        assert model.config.problem_type == "single_label_classification"
        torch.testing.assert_close(output.loss, F.cross_entropy(output.logits, labels))
        scaled = model(**batch, labels=labels, num_items_in_batch=16).loss
        torch.testing.assert_close(scaled, output.loss / 4)

    def test_a_number_a_row(self, batch: dict[str, Tensor]) -> None:
        model, labels = build(KINDS[0], num_labels=1), torch.tensor([0.5, -1.0, 2.0, 0.0])
        output = model(**batch, labels=labels)
        assert model.config.problem_type == "regression"
        torch.testing.assert_close(output.loss, (output.logits[:, 0] - labels).square().mean())

    def test_several_labels_a_row(self, batch: dict[str, Tensor]) -> None:
        model, labels = build(KINDS[0], num_labels=2), torch.tensor([[0.0, 1.0], [1.0, 1.0], [0.0, 0.0], [1.0, 0.0]])
        output = model(**batch, labels=labels)
        assert model.config.problem_type == "multi_label_classification"
        torch.testing.assert_close(output.loss, F.binary_cross_entropy_with_logits(output.logits, labels))


def test_the_loss_of_tokens_is_their_mean_without_padding(batch: dict[str, Tensor]) -> None:
    model, labels = build(KINDS[1], num_labels=3), batch["input_ids"] % 3
    labels[0, :2] = -100
    output = model(**batch, labels=labels)
    counted = batch["attention_mask"].bool() & (labels != -100)
    torch.testing.assert_close(output.loss, F.cross_entropy(output.logits[counted], labels[counted]))
    scaled = model(**batch, labels=labels, num_items_in_batch=100).loss
    torch.testing.assert_close(scaled, output.loss * counted.sum() / 100)
    assert model(**batch, labels=torch.full_like(labels, -100)).loss == 0


def test_dropout_of_the_head_is_its_own_or_the_encoders() -> None:
    assert build(KINDS[0], hidden_dropout_prob=0.3).dropout.p == 0.3
    assert build(KINDS[1], hidden_dropout_prob=0.3, classifier_dropout=0.0).dropout.p == 0.0


class TestLoading:
    @pytest.mark.parametrize("kind", KINDS)
    def test_a_masked_language_model_lends_its_encoder_and_the_new_head_is_named(
        self, kind: type[Any], masked_lm: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
        model, info = kind.from_pretrained(masked_lm, num_labels=5, output_loading_info=True)
        new = {name for name, _ in model.named_parameters() if "classifier" in name or "pooler" in name}
        assert info["missing_keys"] == new
        assert not info["unexpected_keys"]
        assert model.classifier.weight.shape == (5, 24)
        assert model.classifier.weight.abs().min() > 0
        expected = DNABert2ForMaskedLM.from_pretrained(masked_lm).bert.state_dict()
        assert all(torch.equal(model.bert.state_dict()[name], weight) for name, weight in expected.items())
        (report,) = {message for message in caplog.messages if "LOAD REPORT" in message}
        assert "classifier" in report
        assert "MISSING" in report
        if "bert.pooler.dense.weight" in new:
            assert torch.equal(model.bert.pooler.dense.weight, torch.eye(24))
        assert "cls." not in report

    @pytest.mark.parametrize("kind", KINDS)
    def test_all_else_is_refused(self, kind: type[Any], masked_lm: Path) -> None:
        path = masked_lm / "model.safetensors"
        weights = load_file(path)
        name = "bert.encoder.layer.1.mlp.wo.bias"
        broken = [
            ({key: t for key, t in weights.items() if key != name}, f"nothing for parameter {name}"),
            ({**weights, "bert.surprise": torch.zeros(1)}, r"no parameter for bert\.surprise"),
            ({**weights, name: torch.zeros(3)}, rf"{name} has shape \(3,\), expected \(24,\)"),
            ({**weights, "classifier.weight": torch.zeros(2, 24)}, r"nothing for parameter classifier\.bias"),
        ]
        for content, message in broken:
            save_file(content, path, metadata={"format": "pt"})
            with pytest.raises(CheckpointError, match=message):
                kind.from_pretrained(masked_lm)

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_whole_model_comes_back(self, kind: type[Any], batch: dict[str, Tensor], tmp_path: Path) -> None:
        model = build(kind, num_labels=3)
        model.save_pretrained(tmp_path)
        assert torch.equal(kind.from_pretrained(tmp_path)(**batch).logits, model(**batch).logits)
        with pytest.raises(RuntimeError, match=r"classifier\.weight has shape \(3, 24\), expected \(7, 24\)"):
            kind.from_pretrained(tmp_path, num_labels=7)
        resized = kind.from_pretrained(tmp_path, num_labels=7, ignore_mismatched_sizes=True)
        assert resized(**batch).logits.shape[-1] == 7
        name = "encoder.layer.1.mlp.wo.weight"
        assert torch.equal(resized.bert.state_dict()[name], model.bert.state_dict()[name])

    def test_a_model_of_rows_lends_a_model_of_tokens_its_encoder(self, tmp_path: Path) -> None:
        model = build(KINDS[0], num_labels=3)
        model.save_pretrained(tmp_path)
        tokens = KINDS[1].from_pretrained(tmp_path)
        assert torch.equal(tokens.bert.embeddings.LayerNorm.bias, model.bert.embeddings.LayerNorm.bias)
        with pytest.raises(CheckpointError, match=r"no parameter for (bert\.pooler|classifier)"):
            DNABert2ForMaskedLM.from_pretrained(tmp_path)


# PEFT asks the model for its checkpointing by a name that transformers 5 has given up.
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(("kind", "task"), [(KINDS[0], "SEQ_CLS"), (KINDS[1], "TOKEN_CLS")])
def test_adapters_learn_are_saved_and_come_back(
    kind: type[Any], task: str, batch: dict[str, Tensor], masked_lm: Path, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    base = kind.from_pretrained(masked_lm, num_labels=2, hidden_dropout_prob=0.0)
    labels = batch["input_ids"] % 2
    labels = labels[:, 0] if task == "SEQ_CLS" else labels
    config = LoraConfig(task_type=task, r=4, target_modules=["Wqkv", "dense", "wo"], modules_to_save=["classifier"])
    model = get_peft_model(base, config).train()
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert all("lora_" in name or "classifier" in name for name in trained)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-2)
    losses = []
    for _ in range(30):
        loss = model(**batch, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.1 < losses[0]
    model.eval()
    model.save_pretrained(tmp_path / "adapters")
    again = PeftModel.from_pretrained(kind.from_pretrained(masked_lm, num_labels=2), tmp_path / "adapters").eval()
    assert torch.equal(again(**batch).logits, model(**batch).logits)
