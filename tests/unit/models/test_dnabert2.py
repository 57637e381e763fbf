"""The DNABERT-2 network on small random weights: packing, padding, precision, dropout, checkpointing, tying, export."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import rounding
import tiny_dnabert2
from bindtune.models.dnabert2 import DNABert2Config, DNABert2ForMaskedLM, DNABert2Model, Layer, alibi_slopes, lay_out
from bindtune.models.dnabert2_export import write_hub_layout
from bindtune.models.fused import dropout, gated_gelu
from tiny_dnabert2 import SIZES

DECODER, EMBEDDINGS = "cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"


def build(seed: int = 0, **changes: Any) -> DNABert2ForMaskedLM:
    torch.manual_seed(seed)  # of the numbers that a test draws after it
    return tiny_dnabert2.build(seed=seed, **changes)


def rows(*lengths: int, left: bool = False, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Random ids and the mask of rows with these lengths, padded to the longest."""
    generator = torch.Generator().manual_seed(seed)
    width = max(lengths)
    ids, mask = torch.full((len(lengths), width), 3), torch.zeros(len(lengths), width, dtype=torch.int64)
    for row, length in enumerate(lengths):
        attended = slice(width - length, width) if left else slice(0, length)
        ids[row, attended] = torch.randint(5, 60, (length,), generator=generator)
        mask[row, attended] = 1
    return ids, mask


def some_labels(ids: Tensor, mask: Tensor) -> Tensor:
    chosen = (torch.arange(ids.numel()).view_as(ids) % 3 == 1) & (mask != 0)
    return torch.where(chosen, ids, -100)


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


class TestPadding:
    def test_a_batch_equals_its_rows_one_by_one(self) -> None:
        model = build()
        ids, mask = rows(9, 4, 1, 7)
        together = model(ids, mask).logits
        for row, length in enumerate(mask.sum(1).tolist()):
            alone = model(ids[row : row + 1, :length]).logits
            torch.testing.assert_close(together[row, :length], alone[0], **rounding.of(model, together))

    def test_left_and_right_padding_agree(self) -> None:
        model = build()
        (right_ids, right), (left_ids, left) = rows(9, 4, 1, 7), rows(9, 4, 1, 7, left=True)
        logits, expected = model(right_ids, right).logits[right.bool()], model(left_ids, left).logits[left.bool()]
        torch.testing.assert_close(logits, expected, **rounding.of(model, expected))

    def test_what_stands_at_padding_does_not_matter(self) -> None:
        model = build()
        ids, mask = rows(9, 4)
        other = torch.where(mask.bool(), ids, 17)
        assert torch.equal(model(ids, mask).logits, model(other, mask).logits)

    def test_a_hole_counts_as_distance(self) -> None:
        model = build()
        ids, _ = rows(6)
        hole = torch.tensor([[1, 1, 0, 1, 1, 1]])
        closed = ids[hole.bool()][None]
        assert (model(ids, hole).logits[hole.bool()] - model(closed).logits[0]).abs().max() > 1e-3

    def test_padding_holds_zeros_and_the_head_of_zeros(self) -> None:
        model = build()
        ids, mask = rows(9, 4)
        output = model(ids, mask, output_hidden_states=True)
        assert len(output.hidden_states) == 3
        for state in output.hidden_states:
            assert not state[mask == 0].any()
            assert state[mask == 1].abs().min() > 0
        head = model.cls.predictions(torch.zeros(24))
        torch.testing.assert_close(output.logits[1, 4:], head.expand(5, -1), **rounding.of(model, head))

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
    def test_a_row_without_tokens_gives_no_nan(self, dtype: torch.dtype) -> None:
        model = build().to(dtype)
        ids, mask = rows(9, 5)
        mask[1] = 0
        labels = some_labels(ids, mask)
        output = model(ids, mask, labels=labels, output_hidden_states=True)
        assert output.logits.isfinite().all()
        assert output.loss.isfinite()
        assert all(state.isfinite().all() for state in output.hidden_states)
        model(ids, mask, labels=labels, logits_at=labels != -100).loss.backward()
        assert all(grad.isfinite().all() for grad in gradients(model).values())

    def test_a_row_without_tokens_leaves_the_others_alone(self) -> None:
        model = build()
        ids, mask = rows(9, 5)
        alone = model(ids[:1], mask[:1]).logits
        mask[1] = 0
        torch.testing.assert_close(model(ids, mask).logits[:1], alone, **rounding.of(model, alone))

    def test_token_types_default_to_zero_and_matter(self) -> None:
        model = build()
        ids, mask = rows(9, 4)
        plain = model(ids, mask).logits
        assert torch.equal(plain, model(ids, mask, token_type_ids=torch.zeros_like(ids)).logits)
        assert (plain - model(ids, mask, token_type_ids=torch.ones_like(ids)).logits)[0].abs().max() > 1e-3


class TestBias:
    @pytest.mark.parametrize(
        ("heads", "exponents"),
        [
            (1, [8]),
            (4, [2, 4, 6, 8]),
            (6, [2, 4, 6, 8, 1, 3]),
            (8, [1, 2, 3, 4, 5, 6, 7, 8]),
            (12, [1, 2, 3, 4, 5, 6, 7, 8, 0.5, 1.5, 2.5, 3.5]),
        ],
    )
    def test_slopes(self, heads: int, exponents: list[float]) -> None:
        assert alibi_slopes(heads) == pytest.approx([2.0**-e for e in exponents], rel=1e-12)

    def test_it_falls_with_the_distance_and_is_shared_where_nothing_is_padded(self) -> None:
        bias = lay_out(torch.ones(5, 7), heads=6, dtype=torch.float32).bias
        assert bias.shape == (1, 6, 7, 7)
        for head, slope in enumerate(alibi_slopes(6)):
            for i in range(7):
                for j in range(7):
                    assert bias[0, head, i, j].item() == pytest.approx(-slope * abs(i - j))

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
    def test_it_is_finite_in_every_type_and_shuts_padding_out(self, dtype: torch.dtype) -> None:
        bias = lay_out(torch.tensor([[1, 1, 0], [0, 0, 0]]), heads=6, dtype=dtype).bias
        assert bias.dtype == dtype
        assert bias.isfinite().all()
        assert bias[0, :, :, 2].max() <= -1e4
        assert bias[0, :, :, :2].min() > -10


class TestLoss:
    def test_it_is_the_mean_over_labelled_tokens(self) -> None:
        model = build()
        ids, mask = rows(9, 4)
        labels = some_labels(ids, mask)
        output = model(ids, mask, labels=labels)
        terms = -output.logits.log_softmax(-1)[labels != -100, labels[labels != -100]]
        assert output.loss.item() == pytest.approx(terms.mean().item(), rel=1e-6)

    def test_labels_on_padding_are_ignored(self) -> None:
        model = build()
        ids, mask = rows(9, 4)
        labels = some_labels(ids, mask)
        more = torch.where(mask == 0, 11, labels)
        for logits_at in (None, more != -100):
            plain = model(ids, mask, labels=labels, logits_at=logits_at)
            padded = model(ids, mask, labels=more, logits_at=logits_at)
            assert padded.loss.item() == plain.loss.item()
            assert torch.equal(padded.logits, plain.logits)

    @pytest.mark.parametrize("chosen", [None, False, True])
    def test_without_a_label_it_is_zero_and_still_goes_backward(self, chosen: bool | None) -> None:
        model = build()
        ids, mask = rows(9, 4)
        logits_at = None if chosen is None else torch.full_like(ids, chosen, dtype=torch.bool)
        loss = model(ids, mask, labels=torch.full_like(ids, -100), logits_at=logits_at).loss
        assert loss.item() == 0.0
        loss.backward()
        assert all(not grad.any() for grad in gradients(model).values())

    def test_label_zero_counts(self) -> None:
        model = build()
        ids, mask = rows(5)
        labels = torch.tensor([[-100, 0, -100, -100, -100]])
        output = model(ids, mask, labels=labels)
        assert output.loss.item() == pytest.approx(-output.logits[0, 1].log_softmax(-1)[0].item(), rel=1e-6)

    @pytest.mark.parametrize("padded", [True, False])
    def test_labelled_tokens_alone_give_the_same_logits_loss_and_gradients(self, padded: bool) -> None:
        ids, mask = rows(9, 4 if padded else 9)
        labels = some_labels(ids, mask)
        chosen = labels != -100
        results = []
        for logits_at in (None, chosen):
            model = build()
            output = model(ids, mask, labels=labels, logits_at=logits_at)
            output.loss.backward()
            logits = output.logits[chosen] if logits_at is None else output.logits
            results.append((logits.detach(), output.loss.detach(), gradients(model)))
        assert results[1][0].shape == (int(chosen.sum()), 60)
        for full, part in zip(*results, strict=True):
            values = tuple(full.values()) if isinstance(full, dict) else (full,)
            close = rounding.of(model, *values, tokens=ids.numel() if isinstance(full, dict) else 0)
            torch.testing.assert_close(part, full, **close)

    @pytest.mark.parametrize("training", [False, True])
    def test_logits_stand_at_every_token_unless_some_are_chosen(self, training: bool) -> None:
        model = build().train(training)
        ids, mask = rows(9, 4)
        labels = some_labels(ids, mask)
        assert model(ids, mask, labels=labels).logits.shape == (2, 9, 60)
        assert model(ids, mask, labels=labels, output_hidden_states=True).logits.shape == (2, 9, 60)
        assert model(ids, mask).logits.shape == (2, 9, 60)
        some = model(ids, mask, logits_at=labels != -100)
        assert some.loss is None
        assert some.logits.shape == (int((labels != -100).sum()), 60)

    def test_padding_gets_no_logits_even_where_it_is_chosen(self) -> None:
        model = build()
        ids, mask = rows(9, 4)
        every = model(ids, mask, logits_at=torch.ones_like(ids, dtype=torch.bool)).logits
        assert torch.equal(every, model(ids, mask, logits_at=mask != 0).logits)
        assert every.shape == (13, 60)

    def test_chosen_tokens_must_hold_all_labels_and_leave_no_states(self) -> None:
        model = build()
        ids, mask = rows(5)
        chosen = torch.tensor([[True, True, False, True, True]])
        with pytest.raises(ValueError, match="labels stand where no logits are computed"):
            model(ids, mask, labels=ids, logits_at=chosen)
        with pytest.raises(ValueError, match="output_hidden_states"):
            model(ids, mask, logits_at=chosen, output_hidden_states=True)

    def test_tuple_output(self) -> None:
        model = build()
        ids, mask = rows(5)
        loss, logits = model(ids, mask, labels=ids, return_dict=False)
        output = model(ids, mask, labels=ids)
        assert torch.equal(loss, output.loss)
        assert torch.equal(logits, output.logits)
        (last,) = model.bert(ids, mask, return_dict=False)
        assert torch.equal(last, model.bert(ids, mask).last_hidden_state)


class TestPrecision:
    @pytest.mark.parametrize("lengths", [(9, 4), (9, 9)])
    def test_bf16_weights_run_and_agree_roughly(self, lengths: tuple[int, int]) -> None:
        model = build()
        ids, mask = rows(*lengths)
        labels = some_labels(ids, mask)
        full = model(ids, mask, labels=labels)
        model = model.to(torch.bfloat16)
        half = model(ids, mask, labels=labels)
        half.loss.backward()
        assert half.logits.dtype == torch.bfloat16
        assert half.loss.dtype == torch.float32
        real = mask.bool()
        spread = full.logits[real].std()
        error = (half.logits.float() - full.logits)[real].abs().max()
        assert 0 < error < 0.25 * spread
        assert half.loss.item() == pytest.approx(full.loss.item(), rel=0.05)

    def test_autocast_trains(self) -> None:
        model = build().train()
        ids, mask = rows(9, 4)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(ids, mask, labels=some_labels(ids, mask)).loss
        loss.backward()
        grads = gradients(model)
        assert len(grads) == len(list(model.parameters()))
        assert all(grad.isfinite().all() and grad.dtype == torch.float32 for grad in grads.values())

    def test_the_gated_gelu_is_exact(self) -> None:
        x = torch.randn(7, 12, dtype=torch.float64, requires_grad=True)
        gate, value = x.chunk(2, dim=-1)
        expected = 0.5 * gate * (1 + torch.erf(gate / math.sqrt(2))) * value
        torch.testing.assert_close(gated_gelu(x), expected, atol=1e-14, rtol=1e-12)
        assert torch.autograd.gradcheck(gated_gelu, (x,))


class TestDropout:
    @pytest.mark.parametrize("p", [0.1, 0.3, 0.5])
    def test_rate_and_scale(self, p: float) -> None:
        torch.manual_seed(5)
        n = 400_000
        out = dropout(torch.ones(n), p, training=True)
        nonzero = out != 0
        # Five standard deviations of a binomial count: false alarms below 1e-6.
        assert abs(int((~nonzero).sum()) - p * n) < 5 * math.sqrt(n * p * (1 - p)) + n * 2**-17
        assert out[nonzero].unique().numel() == 1
        assert out[nonzero][0].item() == pytest.approx(1 / (1 - p), rel=2**-15)

    def test_neighbours_are_independent(self) -> None:
        torch.manual_seed(6)
        n = 400_000
        gone = dropout(torch.ones(n), 0.1, training=True) == 0
        for lag in (1, 2, 3, 4, 8):
            both = int((gone[lag:] & gone[:-lag]).sum())
            assert abs(both - 0.01 * n) < 5.5 * math.sqrt(n * 0.01), lag

    def test_gradient_is_the_mask(self) -> None:
        torch.manual_seed(7)
        x = torch.randn(50, 33, requires_grad=True)
        out = dropout(x, 0.2, training=True)
        out.backward(torch.ones_like(out))
        assert x.grad is not None
        torch.testing.assert_close(x.grad, torch.where(out == 0, 0.0, out / x).detach(), atol=1e-5, rtol=1e-5)
        assert (x.grad == 0).any()

    def test_it_follows_the_seed_and_moves_on(self) -> None:
        draws = []
        for seed in (3, 3, 4):
            torch.manual_seed(seed)
            draws.append([dropout(torch.ones(1001), 0.5, training=True) for _ in range(2)])
        assert torch.equal(draws[0][0], draws[1][0])
        assert torch.equal(draws[0][1], draws[1][1])
        assert not torch.equal(draws[0][0], draws[0][1])
        assert not torch.equal(draws[0][0], draws[2][0])

    def test_it_is_off_in_evaluation_and_at_zero_and_total_at_one(self) -> None:
        x = torch.randn(9)
        assert dropout(x, 0.5, training=False) is x
        assert dropout(x, 0.0, training=True) is x
        assert not dropout(x, 1.0, training=True).any()

    @pytest.mark.parametrize("shape", [(0, 4), (1,), (3, 5), (2, 3, 7)])
    def test_shapes_and_types(self, shape: tuple[int, ...]) -> None:
        for dtype in (torch.float32, torch.bfloat16, torch.float64):
            out = dropout(torch.ones(shape, dtype=dtype), 0.5, training=True)
            assert out.shape == shape
            assert out.dtype == dtype

    def test_a_training_pass_follows_the_seed(self) -> None:
        model = build(hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.1).train()
        ids, mask = rows(9, 4)
        outputs = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            outputs.append(model(ids, mask).logits.detach())
        assert torch.equal(outputs[0], outputs[1])
        assert (outputs[0] - outputs[2]).abs().max() > 1e-2

    def test_it_stands_where_the_upstream_code_has_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Embeddings, attention output and gated product: widths D, then D and F in each layer."""
        seen: list[int] = []

        def note(x: Tensor, p: float, training: bool) -> Tensor:
            seen.append(x.shape[-1])
            return x

        monkeypatch.setattr("bindtune.models.dnabert2.dropout", note)
        build().train()(*rows(5))
        assert seen == [24, 24, 40, 24, 40]


# The name that people know; newer transformers have another one beside it.
@pytest.mark.filterwarnings("ignore:`gradient_checkpointing_:FutureWarning")
class TestGradientCheckpointing:
    @pytest.mark.parametrize("p", [0.0, 0.3])
    @pytest.mark.parametrize("reentrant", [False, True])
    def test_gradients_are_equal_and_layers_run_twice(self, p: float, reentrant: bool) -> None:
        ids, mask = rows(9, 4)
        labels = some_labels(ids, mask)
        outputs, calls = [], []
        for checkpointed in (False, True):
            model = build(hidden_dropout_prob=p).train()
            if checkpointed:
                model.gradient_checkpointing_enable({"use_reentrant": reentrant})
            count = [0]
            for layer in model.bert.encoder.layer:
                layer.attention.self.register_forward_pre_hook(
                    lambda *_, count=count: count.__setitem__(0, count[0] + 1)
                )
            torch.manual_seed(8)
            model(ids, mask, labels=labels).loss.backward()
            outputs.append(gradients(model))
            calls.append(count[0])
        assert calls == [2, 4]
        assert list(outputs[0]) == list(outputs[1])
        for name, grad in outputs[0].items():
            assert torch.equal(outputs[1][name], grad), name

    def test_fewer_activations_are_kept(self) -> None:
        ids, mask = rows(40, 40)
        tensors = []
        for checkpointed in (False, True):
            model = build(num_hidden_layers=4).train()
            if checkpointed:
                model.gradient_checkpointing_enable({"use_reentrant": False})
            stored: dict[int, int] = {}

            def note(tensor: Tensor, stored: dict[int, int] = stored) -> Tensor:
                stored[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
                return tensor

            with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
                model(ids, mask, labels=ids)
            tensors.append(sum(stored.values()))
        assert tensors[1] < 0.6 * tensors[0]

    def test_it_can_be_switched_off(self) -> None:
        model = build().train()
        model.gradient_checkpointing_enable()
        assert all(layer.gradient_checkpointing for layer in model.modules() if isinstance(layer, Layer))
        model.gradient_checkpointing_disable()
        assert not any(layer.gradient_checkpointing for layer in model.modules() if isinstance(layer, Layer))


class TestTying:
    def one(self, model: DNABert2ForMaskedLM) -> bool:
        assert model.cls.predictions.decoder.weight is model.get_output_embeddings().weight
        return model.cls.predictions.decoder.weight is model.get_input_embeddings().weight

    def test_it_is_one_parameter_after_everything(self, tmp_path: Path) -> None:
        model = build()
        assert self.one(model)
        assert len(list(model.parameters())) == len(dict(model.named_parameters())) == 4 + 11 * 2 + 5
        model.save_pretrained(tmp_path)
        loaded = DNABert2ForMaskedLM.from_pretrained(tmp_path)
        assert self.one(loaded)
        loaded = loaded.to(torch.float64)
        assert self.one(loaded)
        loaded.load_state_dict(loaded.state_dict())
        assert self.one(loaded)
        assert DNABert2ForMaskedLM.from_pretrained(tmp_path, dtype=torch.bfloat16).dtype == torch.bfloat16

    def test_one_step_moves_the_shared_matrix_once(self, tmp_path: Path) -> None:
        build().save_pretrained(tmp_path)
        model = DNABert2ForMaskedLM.from_pretrained(tmp_path)
        before = model.get_input_embeddings().weight.detach().clone()
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)
        ids, mask = rows(9, 4)
        model(ids, mask, labels=ids).loss.backward()
        optimiser.step()
        assert self.one(model)
        moved = (model.get_input_embeddings().weight - before).abs().max().item()
        assert moved == pytest.approx(1e-2, rel=1e-3)  # Adam's first step is the rate; two parameters would move by two

    def test_gradients_of_both_uses_add_up(self) -> None:
        model = build()
        ids = torch.tensor([[7, 8, 9]])
        model(ids, labels=torch.tensor([[20, -100, -100]])).loss.backward()
        grad = model.get_input_embeddings().weight.grad
        assert grad is not None
        assert grad[20].any()  # as a target
        assert grad[50].any()  # as another class
        assert (grad[7] - grad[51]).abs().max() > 1e-4  # looked up as well

    def test_more_words(self) -> None:
        model = build()
        model.resize_token_embeddings(64, mean_resizing=False)
        assert self.one(model)
        ids = torch.tensor([[7, 63, 9]])
        assert model(ids).logits.shape == (1, 3, 64)
        assert model.config.vocab_size == 64


class TestStoredForms:
    def test_the_real_shape_has_the_hub_names_and_shapes(self) -> None:
        with torch.device("meta"):
            model = DNABert2ForMaskedLM(DNABert2Config())
        v, d, f = 4096, 768, 3072
        expected: dict[str, tuple[int, ...]] = {
            EMBEDDINGS: (v, d),
            "bert.embeddings.token_type_embeddings.weight": (2, d),
            "bert.embeddings.LayerNorm.weight": (d,),
            "bert.embeddings.LayerNorm.bias": (d,),
            "cls.predictions.transform.dense.weight": (d, d),
            "cls.predictions.transform.dense.bias": (d,),
            "cls.predictions.transform.LayerNorm.weight": (d,),
            "cls.predictions.transform.LayerNorm.bias": (d,),
            DECODER: (v, d),
            "cls.predictions.decoder.bias": (v,),
        }
        for layer in range(12):
            expected |= {
                f"bert.encoder.layer.{layer}.{name}": shape
                for name, shape in {
                    "attention.self.Wqkv.weight": (3 * d, d),
                    "attention.self.Wqkv.bias": (3 * d,),
                    "attention.output.dense.weight": (d, d),
                    "attention.output.dense.bias": (d,),
                    "attention.output.LayerNorm.weight": (d,),
                    "attention.output.LayerNorm.bias": (d,),
                    "mlp.gated_layers.weight": (2 * f, d),
                    "mlp.wo.weight": (d, f),
                    "mlp.wo.bias": (d,),
                    "mlp.layernorm.weight": (d,),
                    "mlp.layernorm.bias": (d,),
                }.items()
            }
        assert {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()} == expected
        assert len(expected) == 142
        assert sum(p.numel() for p in model.parameters()) == 117_074_176

    def test_fresh_weights(self) -> None:
        model = DNABert2ForMaskedLM(DNABert2Config(**{**SIZES, "hidden_size": 96, "initializer_range": 0.02}))
        for name, parameter in model.named_parameters():
            values = parameter.detach()
            if "layernorm" in name.lower():
                assert values.unique().tolist() == [1.0 if name.endswith("weight") else 0.0], name
            elif name.endswith("bias"):
                assert not values.any(), name
            else:
                n = values.numel()
                assert abs(values.std().item() / 0.02 - 1) < 5 / math.sqrt(2 * n) + 1e-3, name
                assert abs(values.mean().item()) < 5 * 0.02 / math.sqrt(n), name

    def test_export_holds_every_hub_key_and_shares_the_tied_storage(self, tmp_path: Path) -> None:
        model = build(alibi_starting_size=16)
        write_hub_layout(model, tmp_path / "hub")
        weights = torch.load(tmp_path / "hub" / "pytorch_model.bin", weights_only=True)
        assert set(weights) == set(model.state_dict())
        assert weights[DECODER].data_ptr() == weights[EMBEDDINGS].data_ptr()
        assert (tmp_path / "hub" / "pytorch_model.bin").stat().st_size < 4.2 * sum(
            p.numel() for p in model.parameters()
        ) + 40_000
        config = json.loads((tmp_path / "hub" / "config.json").read_text())
        assert not {"model_type", "pad_token_id", "tie_word_embeddings"} & set(config)
        assert config["alibi_starting_size"] == 16
        assert {name: config[name] for name in SIZES} == SIZES
        loaded = DNABert2ForMaskedLM.from_pretrained(tmp_path / "hub")
        ids, mask = rows(9, 4)
        assert torch.equal(loaded(ids, mask).logits, model(ids, mask).logits)

    def test_export_of_half_precision_is_fp32(self, tmp_path: Path) -> None:
        write_hub_layout(build().to(torch.bfloat16), tmp_path)
        weights = torch.load(tmp_path / "pytorch_model.bin", weights_only=True)
        assert {tensor.dtype for tensor in weights.values()} == {torch.float32}
        assert weights[DECODER].data_ptr() == weights[EMBEDDINGS].data_ptr()

    def test_golden_weights_come_back_key_by_key(self, shared: Path, tmp_path: Path) -> None:
        folder = shared / "golden" / "dnabert2"
        model = DNABert2ForMaskedLM.from_pretrained(folder)
        model.save_pretrained(tmp_path / "saved")
        write_hub_layout(DNABert2ForMaskedLM.from_pretrained(tmp_path / "saved"), tmp_path / "hub")
        expected = torch.load(folder / "pytorch_model.bin", weights_only=True)
        weights = torch.load(tmp_path / "hub" / "pytorch_model.bin", weights_only=True)
        assert sorted(weights) == sorted(expected)
        for name, tensor in expected.items():
            assert torch.equal(weights[name], tensor), name
        original = json.loads((folder / "config.json").read_text())
        exported = json.loads((tmp_path / "hub" / "config.json").read_text())
        same = set(original) - {"_name_or_path", "auto_map", "transformers_version", "use_cache"}
        assert {name: exported.get(name) for name in same} == {name: original[name] for name in same}

    def test_the_encoder_alone(self, tmp_path: Path) -> None:
        model = build()
        model.save_pretrained(tmp_path)
        encoder = DNABert2Model.from_pretrained(tmp_path)
        ids, mask = rows(9, 4)
        expected = model.bert(ids, mask).last_hidden_state
        assert torch.equal(encoder(ids, mask).last_hidden_state, expected)
        encoder.save_pretrained(tmp_path / "encoder")
        again = DNABert2Model.from_pretrained(tmp_path / "encoder")
        assert torch.equal(again(ids, mask).last_hidden_state, expected)

    def test_heads_must_divide_the_width(self) -> None:
        with pytest.raises(ValueError, match="hidden_size 24 is not a multiple of num_attention_heads 5"):
            DNABert2Config(**{**SIZES, "num_attention_heads": 5})


def test_attention_matches_the_formula() -> None:
    """One layer's attention, written out from the definition."""
    model = build(num_attention_heads=4)
    attention = model.bert.encoder.layer[0].attention.self
    x = torch.randn(5, 24)
    q, k, v = attention.Wqkv(x).split(24, dim=-1)
    parts = []
    for head, slope in enumerate(alibi_slopes(4)):
        one = slice(6 * head, 6 * head + 6)
        distance = torch.tensor([[abs(i - j) for j in range(5)] for i in range(5)])
        parts.append(F.softmax(q[:, one] @ k[:, one].T / math.sqrt(6) - slope * distance, dim=-1) @ v[:, one])
    output, _ = attention(x, lay_out(torch.ones(1, 5), heads=4, dtype=torch.float32))
    torch.testing.assert_close(output, torch.cat(parts, dim=-1), **rounding.of(model, x))
