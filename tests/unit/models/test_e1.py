"""The encoder against a dense one, and what packing, caching and checkpointing must not change."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.activations import ACT2FN

import rounding
import tiny_e1
from bindtune import E1BatchPreparer, E1Config, E1ForMaskedLM, E1Model
from bindtune.errors import CheckpointError, ConfigError
from bindtune.models.e1_tokens import last_sequence_mask

IDS = ("input_ids", "within_seq_position_ids", "global_position_ids", "sequence_ids")
MIXED = ["MFCATEEKL,MCCASDF,MFCC?SEF", "ACD", "MK,ACDEFGHIKL", "WYV,ACDEFGHIKL", "MKTAYIAKQR"]
SETTINGS: dict[str, Any] = {
    **tiny_e1.SIZES, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 4, "clip_qkv": 0.7, "rope_theta_global": 500.0, "max_num_sequences": 8,
}  # fmt: skip


def tiny(*, seed: int = 0, scale: float = 0.3, **changes: Any) -> E1ForMaskedLM:
    """A small model with weights large enough for every part to matter."""
    return tiny_e1.build(seed=seed, noise=scale, **{**SETTINGS, **changes})


def tensors(sequences: list[str], **options: Any) -> dict[str, Tensor]:
    batch = E1BatchPreparer(**options).get_batch_kwargs(sequences)
    return {key: batch[key] for key in IDS}  # type: ignore[literal-required]


def rotated(x: Tensor, positions: Tensor, theta: float) -> Tensor:
    half = x.shape[-1] // 2
    angle = positions[:, None, None].float() * theta ** (-torch.arange(half).float() / half)
    x1, x2 = x[..., :half], x[..., half:]
    return torch.cat([x1 * angle.cos() - x2 * angle.sin(), x2 * angle.cos() + x1 * angle.sin()], dim=-1)


def dense_row(model: E1ForMaskedLM, row: dict[str, Tensor]) -> Tensor:
    """Logits (n, V) of the real tokens of one row, by the formulas and with full masks."""
    config, weights = model.config, model.state_dict()
    real = row["sequence_ids"] >= 0
    ids, within, across, sequence = (row[key][real] for key in IDS)

    def norm(x: Tensor, name: str) -> Tensor:
        return x / (x.square().mean(-1, keepdim=True) + config.rms_norm_eps).sqrt() * weights[f"{name}.weight"]

    hidden = weights["model.embed_tokens.weight"][ids] + weights["model.embed_seq_id.weight"][sequence]
    for layer in range(config.num_hidden_layers):
        name = f"model.layers.{layer}.norm_attn_norm"
        every = config.global_attention_every_n_layers
        is_global = every > 0 and (layer + 1) % every == 0
        x = norm(hidden, f"{name}.input_layernorm")
        heads = {}
        for part, count in (("q", config.num_attention_heads), *((p, config.num_key_value_heads) for p in "kv")):
            head = (x @ weights[f"{name}.self_attn.{part}_proj.weight"].T).view(len(x), count, -1)
            heads[part] = head if config.clip_qkv is None else head.clamp(-config.clip_qkv, config.clip_qkv)
        positions, theta = (across, config.rope_theta_global) if is_global else (within, config.rope_theta_within_seq)
        query, key = rotated(heads["q"], positions, theta), rotated(heads["k"], positions, theta)
        group = config.num_attention_heads // config.num_key_value_heads
        seen = sequence[:, None] >= sequence if is_global else sequence[:, None] == sequence
        out = []
        for head in range(config.num_attention_heads):
            scores = query[:, head] @ key[:, head // group].T / query.shape[-1] ** 0.5
            out.append(scores.masked_fill(~seen, -torch.inf).softmax(-1) @ heads["v"][:, head // group])
        hidden = hidden + torch.cat(out, -1) @ weights[f"{name}.self_attn.o_proj.weight"].T
        x = norm(hidden, f"{name}.post_attention_layernorm")
        mlp = {part: weights.get(f"model.layers.{layer}.ffn.mlp.{part}.weight") for part in ("w1", "w2", "w3")}
        inner = ACT2FN[config.hidden_act](x @ mlp["w1"].T)
        hidden = hidden + (inner * (x @ mlp["w3"].T) if config.gated_mlp else inner) @ mlp["w2"].T
    x = F.gelu(norm(hidden, "model.norm") @ weights["mlm_head.0.weight"].T + weights["mlm_head.0.bias"])
    x = F.layer_norm(x, x.shape[-1:], weights["mlm_head.2.weight"], weights["mlm_head.2.bias"], config.rms_norm_eps)
    return x @ weights["mlm_head.3.weight"].T + weights["mlm_head.3.bias"]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"num_key_value_heads": 2},
        {"num_key_value_heads": 1, "clip_qkv": None},
        {"gated_mlp": False, "intermediate_size": None},
        {"hidden_act": "gelu"},
        {"gated_mlp": False, "hidden_act": "relu"},
        {"rms_norm_eps": 0.3},
        {"global_attention_every_n_layers": 0},
        {"global_attention_every_n_layers": 1},
        {"global_attention_every_n_layers": 2, "rope_theta_within_seq": 7.0},
        {"num_hidden_layers": 3},
        {"intermediate_size": None},
    ],
    ids=str,
)
def test_every_setting_against_the_formulas(changes: dict[str, Any]) -> None:
    model, batch = tiny(**changes), tensors(MIXED)
    with torch.no_grad():
        logits = model(**batch).logits
    for row in range(len(MIXED)):
        expected = dense_row(model, {key: value[row] for key, value in batch.items()})
        torch.testing.assert_close(logits[row, : len(expected)], expected, **rounding.of(model, expected))
        assert (logits[row, len(expected) :] == 0).all()


def test_intermediate_size_none_is_three_or_four_widths() -> None:
    for gated, expected in ((True, 96), (False, 128)):
        assert E1Config(**{**SETTINGS, "intermediate_size": None, "gated_mlp": gated}).intermediate_size == expected
    assert E1Config(**{**SETTINGS, "num_key_value_heads": None}).num_key_value_heads == 4


@settings(max_examples=25, deadline=None)
@given(
    rows=st.lists(
        st.lists(st.text("ACDEFGHIKLMNPQRSTVWY?", min_size=1, max_size=9), min_size=1, max_size=4).map(",".join),
        min_size=1,
        max_size=6,
    ),
    extra=st.integers(0, 5),
    left=st.booleans(),
)
def test_a_row_does_not_depend_on_its_batch(rows: list[str], extra: int, left: bool) -> None:
    model, batch = tiny(), tensors(rows)
    padding = (extra, 0) if left else (0, extra)
    padded = {key: F.pad(value, padding, value=0 if key == "input_ids" else -1) for key, value in batch.items()}
    with torch.no_grad():
        together = model(**padded)
        for row, text in enumerate(rows):
            alone = model(**tensors([text]))
            real = padded["sequence_ids"][row] >= 0
            for first, second in ((together.logits, alone.logits), (together.embeddings, alone.embeddings)):
                torch.testing.assert_close(first[row][real], second[0], **rounding.of(model, second))
            assert (together.embeddings[row][~real] == 0).all()


def test_260_equal_rows_are_equal() -> None:
    with torch.no_grad():
        loss = tiny()(**tensors(["MFCATEEKLMKT,MCCASDFW"] * 260))
    torch.testing.assert_close(loss.logits, loss.logits[:1].expand_as(loss.logits), atol=1e-6, rtol=0)
    torch.testing.assert_close(loss.embeddings, loss.embeddings[:1].expand_as(loss.embeddings), atol=1e-6, rtol=0)


def test_nothing_depends_on_later_sequences_and_the_order_of_tokens() -> None:
    model = tiny()
    batch = tensors(["MFCATEEKL,MCCASDF,MFCC?SEF"])
    first = {key: value[:, :13] for key, value in batch.items()}
    shuffled = torch.randperm(batch["input_ids"].shape[1])
    with torch.no_grad():
        whole = model(**batch).logits
        torch.testing.assert_close(whole[:, :13], model(**first).logits, **rounding.of(model, whole))
        mixed = model(**{key: value[:, shuffled] for key, value in batch.items()}).logits
    torch.testing.assert_close(whole[:, shuffled], mixed, **rounding.of(model, whole))


@pytest.mark.parametrize("changes", [{}, {"num_hidden_layers": 3}, {"global_attention_every_n_layers": 0}], ids=str)
def test_query_only_gives_the_same_queries_and_gradients(changes: dict[str, Any]) -> None:
    model, batch = tiny(**changes), tensors(MIXED)
    query = last_sequence_mask(batch["sequence_ids"])
    model(**batch).logits[query].square().sum().backward()
    expected = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    whole = model(**batch).logits
    model.zero_grad()
    only = model(**batch, query_only=True)
    torch.testing.assert_close(only.logits[query], whole[query], **rounding.of(model, whole))
    assert (only.logits[~query] == 0).all()
    assert (only.embeddings[~query] == 0).all()
    only.logits.square().sum().backward()
    close = rounding.of(model, *expected.values(), tokens=query.numel())
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], **close, msg=name)


def test_query_only_runs_fewer_tokens_through_the_last_layers() -> None:
    model, seen = tiny(), []
    for layer in model.model.layers:
        layer.ffn.register_forward_hook(lambda _module, args, _out: seen.append(len(args[0])))
    with torch.no_grad():
        model(**tensors(["MFCATEEKL,MCCASDF,MFC"]), query_only=True)
    assert seen == [31, 31, 7, 7]


@pytest.mark.parametrize("changes", [{}, {"num_key_value_heads": 2}, {"num_hidden_layers": 6}], ids=str)
def test_a_cached_context_gives_what_whole_rows_give(changes: dict[str, Any]) -> None:
    model, preparer = tiny(**changes), E1BatchPreparer()
    context, queries = "MFCATEEKL,MCCASDF", ["MFCC?SEF", "AC", "MKTAYIAKQR", "MK"]
    cache = model.model.cache_context(**tensors([context]))
    assert sorted(cache.layers) == [layer for layer in range(model.config.num_hidden_layers) if layer % 3 == 2]
    keys, values = cache.layers[2]
    assert keys.shape == values.shape == (24, model.config.num_key_value_heads, 8)
    batch = preparer.get_query_kwargs(queries, context)
    with torch.no_grad():
        output = model(**batch, context_cache=cache)
        whole = tensors([f"{context},{query}" for query in queries])
        expected = model(**whole)
    query = last_sequence_mask(whole["sequence_ids"])
    real = batch["sequence_ids"] >= 0
    for first, second in ((output.logits, expected.logits), (output.embeddings, expected.embeddings)):
        torch.testing.assert_close(first[real], second[query], **rounding.of(model, second))


def test_a_cache_is_refused_where_it_would_be_wrong() -> None:
    model = tiny()
    cache = model.model.cache_context(**tensors(["MFCATEEKL,MCCASDF"]))
    with pytest.raises(ValueError, match="no_grad"):
        model(**tensors(["MK"]), context_cache=cache)
    with torch.no_grad(), pytest.raises(ValueError, match="overlap"):
        model(**tensors(["MK"]), context_cache=cache)
    with pytest.raises(ValueError, match="one row"):
        model.model.cache_context(**tensors(["MK", "AC"]))


def test_the_head_runs_only_where_asked() -> None:
    model, batch = tiny(), tensors(MIXED)
    masked = batch["input_ids"] == 5
    rows = []
    model.mlm_head.register_forward_hook(lambda _module, args, _out: rows.append(len(args[0])))
    with torch.no_grad():
        everywhere, asked = model(**batch).logits, model(**batch, logits_at=masked).logits
    torch.testing.assert_close(asked[masked], everywhere[masked], **rounding.of(model, everywhere))
    assert (asked[~masked] == 0).all()
    assert rows == [int((batch["sequence_ids"] >= 0).sum()), 1]


def test_loss_leaves_out_0_and_minus_100() -> None:
    model, batch = tiny(), tensors(MIXED)
    labels = torch.full_like(batch["input_ids"], -100)
    labels[:, 2:4] = batch["input_ids"][:, 2:4]
    labels[0, 5] = 0
    with torch.no_grad():
        output = model(**batch, labels=labels)
        expected = F.cross_entropy(output.logits[:, 2:4].flatten(0, 1), labels[:, 2:4].flatten())
        nothing = model(**batch, labels=torch.zeros_like(labels)).loss
    torch.testing.assert_close(output.loss, expected)
    assert nothing == 0
    with pytest.raises(ValueError, match="no logits"):
        model(**batch, labels=labels, logits_at=torch.zeros_like(labels, dtype=torch.bool))


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointing_changes_no_gradient_and_recomputes(reentrant: bool) -> None:
    batch = tensors(MIXED)
    plain, checkpointed = tiny().train(), tiny().train()
    checkpointed.activation_checkpointing_enable({"use_reentrant": reentrant})
    calls = []
    checkpointed.model.layers[0].norm_attn_norm.register_forward_hook(lambda *_: calls.append(1))
    for model in (plain, checkpointed):
        model(**batch, labels=batch["input_ids"]).loss.backward()
    assert len(calls) == 2
    gradients = [parameter.grad for parameter in plain.parameters()]
    close = rounding.of(plain, *gradients, tokens=batch["input_ids"].numel())
    for (name, one), two in zip(plain.named_parameters(), checkpointed.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad, **close, msg=name)


def test_checkpointing_keeps_one_tensor_a_layer() -> None:
    grads = {}
    for checkpointing in (False, True):
        model, batch = tiny().train(), tensors(MIXED)
        if checkpointing:
            model.activation_checkpointing_enable()
        sizes: dict[int, int] = {}

        def keep(tensor: Tensor, sizes: dict[int, int] = sizes) -> Tensor:
            if not isinstance(tensor, nn.Parameter):
                sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            model.model(**batch)
        grads[checkpointing] = sum(sizes.values())
    assert grads[True] < 0.4 * grads[False]


class Adapted(nn.Module):
    """A linear layer with a low-rank adapter around it, as PEFT builds them."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base_layer = base.requires_grad_(False)
        self.lora_A = nn.Linear(base.in_features, 2, bias=False)
        self.lora_B = nn.Linear(2, base.out_features, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.base_layer(x) + self.lora_B(self.lora_A(x))


@pytest.mark.parametrize("checkpointing", [False, True])
def test_adapters_get_the_gradients_of_plain_autograd(checkpointing: bool) -> None:
    model = tiny(hidden_act="silu")
    batch = tensors(MIXED)
    for module in list(model.model.modules()):
        for name in ("q_proj", "k_proj", "v_proj", "o_proj", "w1", "w2", "w3"):
            if isinstance(getattr(module, name, None), nn.Linear):
                setattr(module, name, Adapted(getattr(module, name)))
    model.train()
    if checkpointing:
        model.activation_checkpointing_enable()
    model(**batch, labels=batch["input_ids"]).loss.backward()
    adapter = model.model.layers[1].ffn.mlp.w2.lora_B.weight
    gradient, step = adapter.grad, 1e-2
    direction = torch.randn_like(adapter)
    with torch.no_grad():
        losses = []
        for sign in (1, -1):
            adapter += sign * step * direction
            losses.append(model(**batch, labels=batch["input_ids"]).loss.item())
            adapter -= sign * step * direction
    assert (gradient * direction).sum().item() == pytest.approx((losses[0] - losses[1]) / (2 * step), rel=2e-2)


def test_autocast_keeps_the_residual_in_bf16() -> None:
    model, batch = tiny(scale=0.05), tensors(MIXED)
    real = batch["sequence_ids"] >= 0
    with torch.no_grad():
        exact = model(**batch).embeddings[real]
        with torch.autocast("cpu", torch.bfloat16):
            output = model(**batch, output_hidden_states=True)
    assert {state.dtype for state in output.hidden_states} == {torch.bfloat16}
    assert output.logits.dtype == torch.float32
    assert (output.embeddings[real].float() - exact).norm() < 0.05 * exact.norm()
    model.train()
    with torch.autocast("cpu", torch.bfloat16):
        loss = model(**batch, labels=batch["input_ids"]).loss
    loss.backward()
    assert all(parameter.grad.dtype == torch.float32 for parameter in model.parameters())


def test_outputs_as_a_tuple_and_carried_arguments() -> None:
    model, batch = tiny(), E1BatchPreparer().get_batch_kwargs(["MK"])
    with torch.no_grad():
        loss, _, logits, *_ = model(**batch, return_dict=False, use_cache=False, output_attentions=False)
        torch.testing.assert_close(loss, model(**batch).loss)
        assert logits.shape == (1, 6, 34)
        with pytest.raises(ValueError, match="never computed"):
            model(**batch, output_attentions=True)
        with pytest.raises(ValueError, match="cache_context"):
            model(**batch, use_cache=True)
        with pytest.raises(TypeError, match="seqence_ids"):
            model(**batch, seqence_ids=None)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"num_attention_heads": 5}, "multiple of num_attention_heads"),
        ({"num_attention_heads": 32, "num_key_value_heads": 32}, "odd"),
        ({"num_key_value_heads": 3}, "multiple of num_key_value_heads"),
        ({"clip_qkv": 0}, "positive"),
        ({"hidden_act": "swoosh"}, "swoosh"),
        ({"global_attention_every_n_layers": -1}, "negative"),
        ({"num_hidden_layers": 0}, "positive"),
    ],
)
def test_impossible_settings_are_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        E1Config(**{**SETTINGS, **changes})


def test_configuration_reads_foreign_keys_and_forces_token_ids() -> None:
    content = {
        **SETTINGS,
        "model_type": "E1",
        "pad_token_id": 7,
        "auto_map": {"AutoModel": "x"},
        "attn_backend": "flex",
    }
    config = E1Config.from_dict({**content, "tie_word_embeddings": True, "no_ffn_gradient_checkpointing": True})
    assert (config.pad_token_id, config.bos_token_id, config.eos_token_id) == (0, 1, 2)
    assert not config.tie_word_embeddings
    assert not config.to_dict().keys() & {"auto_map", "attn_backend", "no_ffn_gradient_checkpointing"}
    with pytest.raises(CheckpointError, match="'bert'"):
        E1Config.from_dict({**content, "model_type": "bert"})
    with pytest.raises(CheckpointError, match="no model type"):
        E1Config.from_dict({"hidden_size": 768})
    assert E1Config.from_dict({**SETTINGS, "rope_theta_within_seq": 5.0}).rope_theta_within_seq == 5.0


def test_parameters_of_the_released_sizes() -> None:
    sizes = {(768, 2304, 20, 12): 154_423_330, (1024, 3072, 20, 16): 274_317_346, (1280, 3840, 30, 20): 641_438_754}
    for (width, inner, layers, heads), count in sizes.items():
        config = E1Config(
            hidden_size=width,
            intermediate_size=inner,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=None,
            gated_mlp=True,
        )
        with torch.device("meta"):
            assert E1ForMaskedLM(config).num_parameters() == count


def test_initialisation() -> None:
    model = E1ForMaskedLM(E1Config(**{**SETTINGS, "initializer_range": 0.5}))
    assert model.model.layers[0].ffn.mlp.w1.weight.std().item() == pytest.approx(0.5, rel=0.1)
    assert (model.model.embed_tokens.weight[0] == 0).all()
    assert (model.model.norm.weight == 1).all()
    assert (model.mlm_head[3].bias == 0).all()


def test_a_sequence_id_beyond_the_model_is_refused() -> None:
    batch = tensors(["MK"])
    batch["sequence_ids"] += 8
    with pytest.raises(ValueError, match="sequence id 8"):
        tiny()(**batch)
    with pytest.raises(ValueError, match=r"\(B, T\)"):
        tiny()(**{key: value[0] for key, value in batch.items()})


def test_the_encoder_alone() -> None:
    model, batch = tiny(), tensors(MIXED)
    assert isinstance(model.model, E1Model)
    with torch.no_grad():
        torch.testing.assert_close(model.model(**batch).last_hidden_state, model(**batch).embeddings)
        prepared = E1BatchPreparer().get_batch_kwargs(MIXED)
        (last,) = model.model(**prepared, return_dict=False)
        assert torch.equal(last, model(**batch).embeddings)
    with pytest.raises(TypeError, match="seqence_ids"):
        model.model(**batch, seqence_ids=None)
