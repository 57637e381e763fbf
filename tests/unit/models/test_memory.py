"""The prediction of memory against what autograd really keeps, and against what is known without counting."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import tiny_dnabert2
import tiny_e1
from bindtune import E1BatchPreparer, E1ForJointBindingMLM
from bindtune.models.activation_bytes import WIDE, Arithmetic, BatchShape
from bindtune.models.adapters import add_lora
from bindtune.models.dnabert2 import DNABert2ForMaskedLM
from bindtune.models.memory import predict_memory, saved_for_backward

TOLERANCE = 0.01
"""Of the bytes kept: what is not counted are single numbers, and flags of (B, T)."""
PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "w1", "w2", "w3"]
CPU = Arithmetic()


@contextmanager
def counting(model: nn.Module, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """Count the storages, each once, that are kept inside, the model's own left out; hooks of the model included."""
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    held: dict[int, Tensor] = {}  # held, so that no address comes twice
    stock = torch.autograd.graph.saved_tensors_hooks

    def note(tensor: Any) -> Any:
        if tensor is not None and tensor.untyped_storage().data_ptr() not in own:
            held[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    def composed(put: Callable[[Tensor], Any], get: Callable[[Any], Tensor]) -> Any:
        return stock(lambda tensor: note(put(tensor)), get)

    with monkeypatch.context() as patch, stock(note, lambda tensor: tensor):
        patch.setattr(torch.autograd.graph, "saved_tensors_hooks", composed)
        yield lambda: sum(tensor.untyped_storage().nbytes() for tensor in held.values())


def protein(length: int, seed: int) -> str:
    return "".join(random.Random(seed).choices("ACDEFGHIKLMNPQRSTVWY", k=length))


ALONE = (protein(150, 1), protein(120, 2))
IN_CONTEXT = tuple(",".join(protein(60, 10 * row + n) for n in range(4 - row)) for row in range(2))


def e1(
    texts: tuple[str, ...], *, lora: float | None, checkpointing: bool, **changes: Any
) -> tuple[Any, Any, BatchShape]:
    """A small E1 with two ions, a batch, and its shape; `lora` is the adapters' dropout."""
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4, "num_attention_heads": 4}
    sizes |= {"num_key_value_heads": 4, "max_num_sequences": 8, **changes}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder: Any = tiny_e1.build(**sizes).train()
        if lora is not None:
            targets = PROJECTIONS if encoder.config.gated_mlp else PROJECTIONS[:-1]
            encoder = add_lora(encoder, r=4, alpha=8, dropout=lora, target_modules=targets)
        model = E1ForJointBindingMLM(encoder, ["ZN", "CA"]).train()
    if checkpointing:
        encoder.activation_checkpointing_enable()
    made = E1BatchPreparer().get_batch_kwargs(list(texts))
    batch: dict[str, Tensor] = {name: made[name] for name in made if name.endswith("ids")}  # type: ignore[literal-required]
    numbers = batch["sequence_ids"]
    query = numbers == numbers.amax(dim=1, keepdim=True)
    masked = query & (torch.arange(query.shape[1]) % 7 == 0)
    batch["labels"] = torch.where(query[..., None], 0, -100).expand(-1, -1, 2).contiguous()
    batch["mlm_labels"] = torch.where(masked, batch["input_ids"], -100)
    shape = BatchShape(
        rows=len(texts), columns=query.shape[1], tokens=int((numbers >= 0).sum()), queries=int(query.sum()),
        masked=int(masked.sum()),
    )  # fmt: skip
    return model, batch, shape


def dnabert2(lengths: tuple[int, ...], *, checkpointing: bool = False) -> tuple[Any, Any, BatchShape]:
    """A small DNABERT-2, a batch with rows of these lengths, and its shape."""
    sizes = {"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 96}
    model = tiny_dnabert2.build(vocab_size=256, initializer_range=0.02, **sizes).train()
    if checkpointing:
        model.activation_checkpointing_enable()
    attended = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    ids = torch.arange(attended.numel()).view(attended.shape) % 250 + 5
    chosen = attended & (torch.arange(attended.shape[1]) % 7 == 3)
    batch = {"input_ids": ids, "attention_mask": attended.long(), "labels": ids.masked_fill(~chosen, -100)}
    shape = BatchShape(rows=len(lengths), columns=max(lengths), tokens=sum(lengths), masked=int(chosen.sum()))
    return model, batch, shape


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("lora", [None, 0.0, 0.1])
@pytest.mark.parametrize("texts", [ALONE, IN_CONTEXT], ids=["alone", "in context"])
def test_e1_keeps_what_is_predicted(
    texts: tuple[str, ...], lora: float | None, checkpointing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, batch, shape = e1(texts, lora=lora, checkpointing=checkpointing)
    with counting(model, monkeypatch) as measured:
        model(**batch)
    predicted = saved_for_backward(model, shape, replace(CPU, checkpointing=checkpointing))
    assert predicted == pytest.approx(measured(), rel=TOLERANCE)


@pytest.mark.parametrize(
    "changes",
    [{"clip_qkv": None}, {"num_key_value_heads": 2}, {"gated_mlp": False}, {"hidden_act": "gelu"}],
    ids=lambda changes: next(iter(changes)),
)
def test_other_shapes_of_e1(changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch, shape = e1(ALONE, lora=0.1, checkpointing=False, **changes)
    with counting(model, monkeypatch) as measured:
        model(**batch)
    assert saved_for_backward(model, shape, CPU) == pytest.approx(measured(), rel=TOLERANCE)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("lengths", [(90, 70, 100), (80, 80)], ids=["padded", "even"])
def test_dnabert2_keeps_what_is_predicted(
    lengths: tuple[int, ...], checkpointing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, batch, shape = dnabert2(lengths, checkpointing=checkpointing)
    labels = batch.pop("labels")
    with counting(model, monkeypatch) as measured:
        logits = model(**batch, logits_at=labels != -100).logits
        F.cross_entropy(logits, labels[labels != -100], reduction="none")
    predicted = saved_for_backward(model, shape, replace(CPU, checkpointing=checkpointing))
    assert predicted == pytest.approx(measured(), rel=TOLERANCE)


def test_parts_that_are_parameters_are_exact() -> None:
    model, _, shape = e1(ALONE, lora=0.1, checkpointing=False)
    memory = predict_memory(model, shape, CPU)
    assert memory is not None
    sizes = {name: WIDE * parameter.numel() for name, parameter in model.named_parameters()}
    trained = sum(WIDE * one.numel() for one in model.parameters() if one.requires_grad)
    assert memory.adapters == sum(size for name, size in sizes.items() if "lora_" in name)
    assert memory.weights + memory.adapters == sum(sizes.values())
    assert 0 <= memory.gradients <= trained
    assert memory.optimiser == 2 * trained
    assert memory.casts == 0
    parts = (memory.activations, memory.logits, memory.working)
    assert memory.total == sum(sizes.values()) + memory.gradients + 2 * trained + sum(parts)


def test_the_meta_device_gives_the_same() -> None:
    model, _, shape = dnabert2((90, 70))
    with torch.device("meta"):
        empty = DNABert2ForMaskedLM(model.config).train()
    assert predict_memory(empty, shape, CPU) == predict_memory(model, shape, CPU)


def test_gradients_come_while_activations_go() -> None:
    """With many tokens the peak is where no gradient is yet; accumulated batches find them all."""
    model, _, shape = dnabert2((40,) * 20)
    once = predict_memory(model, shape, CPU)
    summed = predict_memory(model, shape, Arithmetic(accumulated=2))
    assert once is not None
    assert summed is not None
    assert once.gradients < summed.gradients == WIDE * sum(one.numel() for one in model.parameters())
    half = predict_memory(model, shape, Arithmetic(on_gpu=True, half=True))
    assert half is not None
    assert half.activations < 0.75 * once.activations
    assert half.casts == 2 * sum(one.weight.numel() for one in model.modules() if isinstance(one, nn.Linear))


def test_other_encoders_are_not_guessed() -> None:
    assert predict_memory(nn.Linear(3, 4), BatchShape(rows=1, columns=2, tokens=2, masked=0), CPU) is None
