"""The native encoders against plain NumPy versions, on small random weights that need no reference data.

The plain versions are themselves held against outputs of the upstream code, where the reference data is.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import plain_encoders
import rounding
import tiny_dnabert2
from bindtune import DNABert2ForMaskedLM, E1BatchPreparer, E1Config, E1ForMaskedLM

IDS = ("input_ids", "within_seq_position_ids", "global_position_ids", "sequence_ids")
SEQUENCES = ["MKTAYIAKQR", "MCHEW,MKVCD,MKTCDHW", "MRT,MKTAYIAKQRQISFVKSHFSRQ"]
E1_SIZES: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 6, "num_attention_heads": 4,
    "num_key_value_heads": 2, "global_attention_every_n_layers": 3, "gated_mlp": True, "clip_qkv": 0.7,
    "rope_theta_global": 500000.0, "initializer_range": 0.3, "max_num_sequences": 8,
}  # fmt: skip


def doubled(model: nn.Module) -> dict[str, plain_encoders.Array]:
    """The weights by their names in the hub, in double precision."""
    return {name: weight.double().numpy() for name, weight in model.state_dict().items()}


def roughened(model: nn.Module) -> nn.Module:
    """Norms and biases away from 1 and 0, so that a mistake in any of them shows."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 1:
                weight += 0.2 * torch.randn(weight.shape, generator=generator)
    return model.eval()


def new_e1() -> E1ForMaskedLM:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return roughened(E1ForMaskedLM(E1Config(**E1_SIZES)))


class Rows(NamedTuple):
    """A batch, and what the plain version says of each of its rows."""

    batch: dict[str, Tensor]
    real: Tensor
    """(B, T) what is no padding."""
    plain: list[Tensor]

    def native(self, model: nn.Module) -> list[Tensor]:
        """Logits of each row without its padding."""
        with torch.no_grad():
            logits = model(**self.batch).logits.double()
        return [logits[row, real] for row, real in enumerate(self.real)]


def dnabert2_rows(model: DNABert2ForMaskedLM) -> Rows:
    """Rows of several lengths."""
    generator = torch.Generator().manual_seed(2)
    ids = torch.randint(5, model.config.vocab_size, (3, 23), generator=generator)
    types = torch.randint(2, ids.shape, generator=generator)
    real = torch.arange(23) < torch.tensor([23, 1, 14])[:, None]
    weights = doubled(model)
    logits = [
        plain_encoders.dnabert2(weights, model.config, ids[row, chosen].numpy(), types[row, chosen].numpy())
        for row, chosen in enumerate(real)
    ]
    batch = {"input_ids": ids, "attention_mask": real.long(), "token_type_ids": types}
    return Rows(batch, real, [torch.from_numpy(each) for each in logits])


def e1_rows(model: E1ForMaskedLM, sequences: list[str] = SEQUENCES) -> Rows:
    """Proteins, with homologs before them or without."""
    tensors = E1BatchPreparer().get_batch_kwargs(sequences)
    batch = {name: tensors[name] for name in IDS}
    real, weights = batch["sequence_ids"] >= 0, doubled(model)
    logits = [
        plain_encoders.e1(weights, model.config, *(batch[name][row, chosen].numpy() for name in IDS))
        for row, chosen in enumerate(real)
    ]
    return Rows(batch, real, [torch.from_numpy(each) for each in logits])


MODELS: dict[str, tuple[Callable[[], Any], Callable[[Any], Rows]]] = {
    "dnabert2": (lambda: roughened(tiny_dnabert2.build()), dnabert2_rows),
    "e1": (new_e1, e1_rows),
}


@pytest.mark.parametrize("kind", MODELS)
def test_native_is_plain(kind: str) -> None:
    build, rows_of = MODELS[kind]
    model = build()
    rows = rows_of(model)
    for native, plain in zip(rows.native(model), rows.plain, strict=True):
        torch.testing.assert_close(native, plain, **rounding.of(model, plain))


@pytest.mark.parametrize("kind", MODELS)
def test_every_single_weight_matters(kind: str) -> None:
    """A changed number in any tensor of the native model alone is noticed."""
    build, rows_of = MODELS[kind]
    model = build()
    rows = rows_of(model)
    limit = rounding.of(model, *rows.plain)["atol"]
    unnoticed = []
    for name, weight in model.named_parameters():
        entry = used_entry(name, weight)
        before = weight.data[entry].clone()
        weight.data[entry] += 0.1
        pairs = zip(rows.native(model), rows.plain, strict=True)
        if max(float((native - plain).abs().max()) for native, plain in pairs) <= limit:
            unnoticed.append(name)
        weight.data[entry] = before
    assert unnoticed == []


def used_entry(name: str, weight: Tensor) -> tuple[int, ...]:
    """An entry that the rows use: of a table of tokens, that of a token which they hold."""
    if "embed_tokens" in name:
        return (E1BatchPreparer().get_batch_kwargs(["M"])["input_ids"][0, 2].item(), 0)
    if "word_embeddings" in name:
        ids = torch.randint(5, len(weight), (3, 23), generator=torch.Generator().manual_seed(2))
        return (int(ids[0, 0]), 0)
    return (0,) * weight.ndim


@pytest.mark.parametrize("name", ["right_pad", "left_pad", "token_type_1_no_pad", "longer_than_alibi_starting_size"])
def test_the_plain_dnabert2_is_the_upstream_one(shared: Path, name: str) -> None:
    folder = shared / "golden" / "dnabert2"
    model = DNABert2ForMaskedLM.from_pretrained(folder)
    case = next(each for each in json.loads((folder / "inputs.json").read_text())["cases"] if each["name"] == name)
    upstream = load_file(folder / "outputs.safetensors")[f"{name}.logits"].double()
    weights = doubled(model)
    for row, mask in enumerate(np.array(case["attention_mask"], bool)):
        ids, types = (np.array(case[key])[row][mask] for key in ("input_ids", "token_type_ids"))
        logits = torch.from_numpy(plain_encoders.dnabert2(weights, model.config, ids, types))
        torch.testing.assert_close(logits, upstream[row, torch.from_numpy(mask)], atol=5e-5, rtol=0)


@pytest.mark.parametrize("name", ["single", "batch_padded", "multi_ctx", "multi_batch_padded", "long_ctx"])
def test_the_plain_e1_is_the_upstream_one(shared: Path, name: str) -> None:
    folder = shared / "golden" / "e1"
    model = E1ForMaskedLM.from_pretrained(folder)
    case = next(each for each in json.loads((folder / "inputs.json").read_text())["cases"] if each["name"] == name)
    upstream = load_file(folder / "outputs.safetensors")[f"case/{name}/logits"].double()
    rows = e1_rows(model, case["sequences"])
    for number, plain in enumerate(rows.plain):
        expected = upstream[number, rows.real[number]]
        torch.testing.assert_close(plain, expected, **rounding.of(model, expected))
