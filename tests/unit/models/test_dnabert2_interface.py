"""DNABERT-2 as a model of transformers: arguments, attention maps, keys that are left behind, export, compiling."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers.utils.generic import find_labels

from bindtune import (
    DNABert2ForMaskedLM,
    DNABert2ForSequenceClassification,
    DNABert2ForTokenClassification,
    DNABert2Model,
)
from tiny_dnabert2 import build

CLASSES = (
    DNABert2Model,
    DNABert2ForMaskedLM,
    DNABert2ForSequenceClassification,
    DNABert2ForTokenClassification,
)
# Sums of at most 40 products of numbers of about 10 in fp32, in another order: 40 * 10 * 2^-24 is 2.4e-5.
ATOL = 3e-5


@pytest.fixture
def batch() -> dict[str, Tensor]:
    """Rows of 9, 4 and 6 tokens, the last one padded on the left."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 60, (3, 9), generator=generator)
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    mask[2, :3] = 0
    return {"input_ids": ids, "attention_mask": mask}


@pytest.mark.parametrize("kind", CLASSES)
def test_labels_are_the_only_label_column(kind: type[Any]) -> None:
    assert find_labels(kind) == ([] if kind is DNABert2Model else ["labels"])


@pytest.mark.parametrize("kind", CLASSES)
def test_what_peers_pass_is_taken_and_changes_nothing(kind: type[Any], batch: dict[str, Tensor]) -> None:
    model = build(kind)
    plain = model(**batch)
    more = model(
        **batch,
        token_type_ids=None,
        position_ids=None,
        inputs_embeds=None,
        output_attentions=False,
        output_hidden_states=False,
        return_dict=True,
        use_cache=False,
        num_items_in_batch=None,
    )
    assert list(more) == list(plain)
    assert torch.equal(more[0], plain[0])
    assert torch.equal(model(**batch, return_dict=False)[0], plain[0])
    with pytest.raises(TypeError, match="atention_mask"):
        model(**batch, atention_mask=None)


@pytest.mark.parametrize("kind", CLASSES)
def test_embeddings_stand_for_ids(kind: type[Any], batch: dict[str, Tensor]) -> None:
    model = build(kind)
    embedded = model.get_input_embeddings()(batch["input_ids"])
    expected = model(**batch)[0]
    actual = model(inputs_embeds=embedded, attention_mask=batch["attention_mask"])[0]
    torch.testing.assert_close(actual, expected, atol=0, rtol=0)
    for arguments in ({}, {"input_ids": batch["input_ids"], "inputs_embeds": embedded}):
        with pytest.raises(ValueError, match="either input_ids or inputs_embeds"):
            model(**arguments)


def test_a_mask_of_another_shape_is_refused(batch: dict[str, Tensor]) -> None:
    with pytest.raises(ValueError, match=r"attention_mask must be \(B, T\) = \(3, 9\), found shape \(3, 1, 9\)"):
        build()(batch["input_ids"], batch["attention_mask"][:, None])


class TestPositions:
    """ALiBi reads distances alone."""

    def test_columns_are_the_default_and_only_differences_count(self, batch: dict[str, Tensor]) -> None:
        model = build()
        expected = model(**batch).logits
        for positions in (torch.arange(9), torch.arange(9)[None] + 7, (20 - torch.arange(9)).expand(3, 9)):
            actual = model(**batch, position_ids=positions).logits
            torch.testing.assert_close(actual, expected, atol=ATOL, rtol=0)

    def test_a_gap_is_a_hole_of_that_width(self, batch: dict[str, Tensor]) -> None:
        model, ids = build(), batch["input_ids"][:1, :6]
        hole = torch.tensor([[1, 1, 0, 0, 1, 1]])
        expected = model(ids, hole).logits[hole.bool()]
        actual = model(ids[hole.bool()][None], position_ids=torch.tensor([[0, 1, 4, 5]])).logits[0]
        torch.testing.assert_close(actual, expected, atol=ATOL, rtol=0)
        assert (actual - model(ids[hole.bool()][None]).logits[0]).abs().max() > 1e-3

    def test_each_row_may_have_its_own(self, batch: dict[str, Tensor]) -> None:
        model, ids = build(), batch["input_ids"]
        positions = torch.tensor(
            [[0, 2, 3, 4, 5, 6, 7, 9, 30], [0, 1, 2, 3, 4, 5, 6, 7, 8], [9, 8, 6, 5, 4, 3, 2, 1, 0]]
        )
        together = model(ids, position_ids=positions).logits
        for row in range(3):
            alone = model(ids[row : row + 1], position_ids=positions[row]).logits[0]
            torch.testing.assert_close(together[row], alone, atol=ATOL, rtol=0)


class TestAttentionMaps:
    def test_eager_gives_the_maps_that_sdpa_applies(self, batch: dict[str, Tensor]) -> None:
        usual, eager = build(), build(attn_implementation="eager")
        attended = batch["attention_mask"].bool()
        output = eager(**batch, output_attentions=True)
        torch.testing.assert_close(output.logits, usual(**batch).logits, atol=ATOL, rtol=0)
        assert len(output.attentions) == 2
        for weights in output.attentions:
            assert weights.shape == (3, 6, 9, 9)
            for row in range(3):
                seen = weights[row][:, attended[row]]
                torch.testing.assert_close(seen[..., attended[row]].sum(-1), torch.ones(6, int(attended[row].sum())))
                assert not seen[..., ~attended[row]].any()
        assert eager(**batch).attentions is None

    def test_a_map_is_what_the_formula_says(self, batch: dict[str, Tensor]) -> None:
        model, ids = build(attn_implementation="eager", num_hidden_layers=1), batch["input_ids"][:1]
        output = model.bert(ids, output_attentions=True, output_hidden_states=True)
        query, key, _ = model.bert.encoder.layer[0].attention.self.Wqkv(output.hidden_states[0][0]).split(24, dim=-1)
        columns = torch.arange(9)
        for head, exponent in enumerate((2, 4, 6, 8, 1, 3)):
            part = slice(4 * head, 4 * head + 4)
            scores = query[:, part] @ key[:, part].T / 2 - 2.0**-exponent * (columns[:, None] - columns).abs()
            torch.testing.assert_close(output.attentions[0][0, head], scores.softmax(-1), atol=1e-5, rtol=1e-5)

    def test_the_implementation_can_be_changed(self, batch: dict[str, Tensor]) -> None:
        model = build()
        model.set_attn_implementation("eager")
        assert len(model(**batch, output_attentions=True).attentions) == 2
        model.config.output_attentions = True
        assert len(model(**batch).attentions) == 2
        assert model(**batch, output_attentions=False).attentions is None

    def test_sdpa_has_none_as_in_transformers(self, batch: dict[str, Tensor]) -> None:
        assert build()(**batch, output_attentions=True).attentions == ()

    def test_maps_and_states_have_gradients(self, batch: dict[str, Tensor]) -> None:
        model = build(attn_implementation="eager")
        output = model(**batch, output_attentions=True, output_hidden_states=True)
        inner = (*output.attentions, *output.hidden_states)
        for tensor in inner:
            tensor.retain_grad()
        output.logits[0].square().sum().backward()
        assert all(tensor.grad is not None and tensor.grad[0].any() for tensor in inner)


@pytest.mark.parametrize("chosen", [False, True])
def test_the_items_of_a_step_divide_the_loss(batch: dict[str, Tensor], chosen: bool) -> None:
    model, labels = build(), batch["input_ids"]
    logits_at = torch.ones_like(labels, dtype=torch.bool) if chosen else None
    count = int(batch["attention_mask"].sum())
    mean = model(**batch, labels=labels, logits_at=logits_at).loss.item()
    for items in (50, torch.tensor(50)):
        scaled = model(**batch, labels=labels, logits_at=logits_at, num_items_in_batch=items).loss.item()
        assert scaled == pytest.approx(mean * count / 50, rel=1e-5)


class TestKeysLeftBehind:
    def test_the_encoder_passes_over_the_keys_of_heads_in_silence(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
        for kind in CLASSES[1:]:
            model = build(kind)
            model.save_pretrained(tmp_path / kind.__name__)
            loaded = DNABert2Model.from_pretrained(tmp_path / kind.__name__)
            for name, weight in loaded.state_dict().items():
                assert torch.equal(weight, model.bert.state_dict()[name])
        assert caplog.messages == []

    def test_a_head_of_ones_own_is_not_passed_over(self) -> None:
        assert build()._keys_to_ignore_on_load_unexpected == set()
        assert all("cls" in " ".join(build(kind)._keys_to_ignore_on_load_unexpected) for kind in CLASSES[2:])
        assert not any("classifier" in " ".join(build(kind)._keys_to_ignore_on_load_unexpected) for kind in CLASSES[1:])


def axes(batch: dict[str, Tensor]) -> dict[str, Any]:
    rows, columns = torch.export.Dim("rows"), torch.export.Dim("columns")
    return {name: ({0: rows} if tensor.ndim == 1 else {0: rows, 1: columns}) for name, tensor in batch.items()}


@pytest.mark.parametrize("kind", CLASSES)
def test_an_export_of_any_size_gives_the_same(kind: type[Any], batch: dict[str, Tensor]) -> None:
    model = build(kind)
    exported = torch.export.export(model, (), batch, dynamic_shapes=axes(batch)).module()
    longer = {name: torch.cat([tensor, tensor.flip(1)], dim=1)[:2] for name, tensor in batch.items()}
    for inputs in (batch, longer, {**batch, "attention_mask": torch.ones_like(batch["input_ids"])}):
        torch.testing.assert_close(exported(**inputs)[0], model(**inputs)[0], atol=ATOL, rtol=0)


def test_an_export_has_the_loss(batch: dict[str, Tensor]) -> None:
    model = build()
    inputs = {**batch, "labels": batch["input_ids"].masked_fill(batch["input_ids"] % 3 > 0, -100)}
    exported = torch.export.export(model, (), inputs).module()
    torch.testing.assert_close(exported(**inputs).loss, model(**inputs).loss)


@pytest.mark.filterwarnings("ignore")  # torch warns itself of what it does while it compiles
@pytest.mark.slow
def test_compiling_changes_no_number(batch: dict[str, Tensor]) -> None:
    model = build()
    compiled = torch.compile(model, backend="aot_eager")
    inputs = {**batch, "labels": batch["input_ids"]}
    gradients = []
    for one in (model, compiled):
        model.zero_grad()
        one(**inputs).loss.backward()
        gradients.append({name: parameter.grad.clone() for name, parameter in model.named_parameters()})
    torch.testing.assert_close(gradients[1], gradients[0], atol=ATOL, rtol=1e-4)
    torch.testing.assert_close(compiled(**batch).logits, model(**batch).logits, atol=ATOL, rtol=0)
