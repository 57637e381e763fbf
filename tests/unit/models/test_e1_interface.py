"""E1 as a model of transformers: arguments, ids that are left out, keys that are left behind, export, compiling."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.utils.generic import find_labels

from bindtune import E1BatchPreparer, E1Config, E1ForMaskedLM, E1Model, E1Tokenizer

Make = Callable[..., E1ForMaskedLM]
TEXTS = ["MFCATEEKL,MCCASDF,MFCC?SEF", "ACD", "MK,ACDEFGHIKL", "MKTAYIAKQR"]
# Hidden states of up to 20 from sums of 24 products in fp32, in another order: 24 * 20 * 2^-24 is 2.9e-5.
ATOL = 3e-5


@pytest.fixture
def batch() -> dict[str, Tensor]:
    made = E1BatchPreparer().get_batch_kwargs(TEXTS)
    return {name: tensor for name, tensor in made.items() if isinstance(tensor, Tensor)}


@pytest.fixture
def ids(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The batch without labels."""
    return {name: tensor for name, tensor in batch.items() if name != "labels"}


def test_labels_are_the_only_label_column() -> None:
    assert find_labels(E1ForMaskedLM) == ["labels"]
    assert find_labels(E1Model) == []


def test_what_peers_pass_is_taken_and_changes_nothing(tiny_e1: Make, ids: dict[str, Tensor]) -> None:
    for model in (tiny_e1(), tiny_e1().model):
        plain = model(**ids)
        more = model(
            **ids, attention_mask=None, position_ids=None, inputs_embeds=None, output_attentions=False, use_cache=False,
            num_items_in_batch=None, return_dict=True,
        )  # fmt: skip
        assert list(more) == list(plain)
        assert torch.equal(more[0], plain[0])
        model.config.return_dict = False
        assert torch.equal(model(**ids)[0], plain[0])
        model.config.return_dict = True


@pytest.mark.parametrize("token", ["<pad>", "<bos>", "<eos>", "1", "?", "A"])
def test_a_token_that_a_collator_put_there_moves_no_position(
    tiny_e1: Make, batch: dict[str, Tensor], token: str
) -> None:
    model, column = tiny_e1(), 5
    changed = batch["input_ids"].clone()
    changed[:, column] = E1Tokenizer().convert_tokens_to_ids(token)
    labels = torch.full_like(changed, -100)
    labels[:, column] = batch["input_ids"][:, column]
    beside = {name: tensor for name, tensor in batch.items() if name not in ("input_ids", "labels")}
    expected = model(changed, **beside, labels=labels)
    derived = model(changed, labels=labels)
    assert torch.equal(derived.logits, expected.logits)
    assert torch.equal(derived.loss, expected.loss)


def test_what_e1_does_not_have_is_refused_with_advice(tiny_e1: Make, ids: dict[str, Tensor]) -> None:
    for model in (tiny_e1(), tiny_e1(attn_implementation="eager").model):
        with pytest.raises(ValueError, match="E1 gives no attention maps"):
            model(**ids, output_attentions=True)
        model.config._attn_implementation = "eager"
        model.config.output_attentions = True
        with pytest.raises(ValueError, match="E1 gives no attention maps"):
            model(**ids)
        model.config.output_attentions = False
        with pytest.raises(ValueError, match="sequence id of -1"):
            model(**ids, attention_mask=torch.ones_like(ids["input_ids"]))
        with pytest.raises(ValueError, match="within_seq_position_ids and global_position_ids"):
            model(**ids, position_ids=ids["global_position_ids"])


def test_ids_that_are_left_out_follow_from_the_tokens(tiny_e1: Make, ids: dict[str, Tensor]) -> None:
    model = tiny_e1()
    expected = model(**ids).logits
    assert torch.equal(model(ids["input_ids"]).logits, expected)
    assert torch.equal(model(ids["input_ids"], sequence_ids=ids["sequence_ids"]).logits, expected)
    left = {name: F.pad(tensor, (3, 0), value=0 if name == "input_ids" else -1) for name, tensor in ids.items()}
    assert torch.equal(model(left["input_ids"]).logits, model(**left).logits)


def test_embeddings_stand_for_ids(tiny_e1: Make, ids: dict[str, Tensor]) -> None:
    model = tiny_e1()
    input_ids = ids.pop("input_ids")
    embedded = model.get_input_embeddings()(input_ids)
    expected = model(input_ids, **ids)
    actual = model(inputs_embeds=embedded, **ids)
    assert torch.equal(actual.logits, expected.logits)
    assert torch.equal(model.model(inputs_embeds=embedded, **ids)[0], expected.embeddings)
    with pytest.raises(ValueError, match="follow from input_ids alone"):
        model(inputs_embeds=embedded)
    with pytest.raises(ValueError, match="either input_ids or inputs_embeds"):
        model(input_ids, inputs_embeds=embedded, **ids)


def test_the_items_of_a_step_divide_the_loss(tiny_e1: Make, batch: dict[str, Tensor]) -> None:
    model, count = tiny_e1(), int((batch["labels"] > 0).sum())
    mean = model(**batch).loss.item()
    assert model(**batch, num_items_in_batch=7).loss.item() == pytest.approx(mean * count / 7, rel=1e-5)


def test_hidden_states_have_gradients(tiny_e1: Make, ids: dict[str, Tensor]) -> None:
    output = tiny_e1()(**ids, output_hidden_states=True)
    for state in output.hidden_states:
        state.retain_grad()
    output.logits.square().sum().backward()
    assert all(state.grad is not None and state.grad.any() for state in output.hidden_states)


def test_the_encoder_passes_over_the_head_in_silence_and_nothing_else(
    tiny_e1: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    model = tiny_e1()
    model.save_pretrained(tmp_path)
    loaded = E1Model.from_pretrained(tmp_path)
    assert all(torch.equal(weight, model.model.state_dict()[name]) for name, weight in loaded.state_dict().items())
    assert caplog.messages == []
    assert model._keys_to_ignore_on_load_unexpected == set()


def test_more_tokens(tiny_e1: Make, ids: dict[str, Tensor], tmp_path: Path) -> None:
    model = tiny_e1()
    before = model(**ids).logits
    model.resize_token_embeddings(40, mean_resizing=False)
    model.save_pretrained(tmp_path)
    loaded = E1ForMaskedLM.from_pretrained(tmp_path)
    assert loaded.config.vocab_size == 40
    after = loaded(**ids).logits
    assert after.shape[-1] == 40
    torch.testing.assert_close(after[..., :34], before, atol=ATOL, rtol=0)


def test_settings_of_attention_come_from_the_caller_alone() -> None:
    assert E1Config(attn_implementation="eager")._attn_implementation == "eager"
    stored = {"rope_theta_within_seq": 10000.0, "attn_implementation": "flash_attention_2"}
    assert E1Config.from_dict(stored)._attn_implementation is None
    assert E1Config.from_dict(stored, attn_implementation="sdpa")._attn_implementation == "sdpa"


class TestExport:
    """The traced model computes on padded rows; `test_e1` holds the packed one to the formulas."""

    @pytest.mark.parametrize(
        "changes",
        [{}, {"num_key_value_heads": 1, "clip_qkv": None}, {"global_attention_every_n_layers": 0}],
        ids=str,
    )
    def test_any_batch_gives_the_same(self, tiny_e1: Make, batch: dict[str, Tensor], changes: dict[str, Any]) -> None:
        model = tiny_e1(**changes)
        rows, columns = torch.export.Dim("rows"), torch.export.Dim("columns")
        axes = {name: {0: rows, 1: columns} for name in batch}
        exported = torch.export.export(model, (), batch, dynamic_shapes=axes).module()
        unlike = E1BatchPreparer().get_batch_kwargs(["ACDEFGHIKLMNPQRSTV,WY", "MK,A,C,D,E", "MKT"])
        for inputs in (batch, {name: unlike[name] for name in batch}):  # type: ignore[literal-required]
            actual, expected = exported(**inputs), model(**inputs)
            torch.testing.assert_close(actual.logits, expected.logits, atol=ATOL, rtol=1e-4)
            torch.testing.assert_close(actual.embeddings, expected.embeddings, atol=ATOL, rtol=1e-4)
            torch.testing.assert_close(actual.loss, expected.loss)

    def test_the_query_alone(self, tiny_e1: Make, ids: dict[str, Tensor]) -> None:
        model = tiny_e1()
        inputs = {**ids, "query_only": True}
        exported = torch.export.export(model.model, (), inputs).module()
        torch.testing.assert_close(exported(**inputs)[0], model.model(**inputs)[0], atol=ATOL, rtol=1e-4)

    def test_it_can_be_trained(self, tiny_e1: Make, batch: dict[str, Tensor]) -> None:
        model = tiny_e1()
        exported = torch.export.export(model, (), batch).module()
        exported(**batch).loss.backward()
        actual = {name: parameter.grad for name, parameter in exported.named_parameters()}
        model.zero_grad()
        model(**batch).loss.backward()
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(actual[name], parameter.grad, atol=1e-5, rtol=1e-3, msg=name)

    def test_a_cached_context_is_refused(self, tiny_e1: Make, ids: dict[str, Tensor]) -> None:
        model = tiny_e1()
        context = E1BatchPreparer().get_batch_kwargs(["MK"])
        cache = model.model.cache_context(**{name: context[name] for name in ids})  # type: ignore[literal-required]

        class WithContext(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.model = model

            def forward(self, input_ids: Tensor) -> Tensor:
                return self.model(input_ids, context_cache=cache).logits

        with torch.no_grad(), pytest.raises(ValueError, match="cached context cannot be exported"):
            torch.export.export(WithContext(), (ids["input_ids"],))


@pytest.mark.filterwarnings("ignore")  # torch warns itself of what it does while it compiles
@pytest.mark.slow
def test_compiling_changes_no_number(tiny_e1: Make, batch: dict[str, Tensor]) -> None:
    model = tiny_e1()
    compiled = torch.compile(model, backend="aot_eager")
    gradients = []
    for one in (model, compiled):
        model.zero_grad()
        one(**batch).loss.backward()
        gradients.append({name: parameter.grad.clone() for name, parameter in model.named_parameters()})
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-5, rtol=1e-3)
