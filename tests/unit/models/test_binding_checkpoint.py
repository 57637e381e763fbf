"""The best model of a fold: whole after a reload, refused when damaged, never executed."""

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from bindtune import E1ForMaskedLM, load_lora_checkpoint
from bindtune.errors import CheckpointError
from bindtune.models.adapters import add_lora
from bindtune.models.binding_checkpoint import read_heads, restore_best, save_best
from bindtune.models.hub_names import ADAPTER_FILES
from bindtune.models.residue import E1ForJointBindingMLM
from bindtune.runs.names import BEST

ABOUT = {"epoch": 3, "fold": 1, "lora_config": {"r": 2}, "metrics": {"auprc": 0.5, "hra": 0.25}}
HEADS, ADAPTERS = f"{BEST}_heads.pt", f"{BEST}_lora"
Make = Callable[..., E1ForMaskedLM]
Batch = Callable[[list[str]], dict[str, Tensor]]


def model_of(encoder: Any, *, seed: int, ions: tuple[str, ...] = ("ZN", "CA"), r: int = 2, lora: bool = True) -> Any:
    """A model whose trainable weights follow from the seed."""
    wrapped = add_lora(encoder, r=r, alpha=4, dropout=0.0, target_modules=["q_proj", "w2"]) if lora else encoder
    model = E1ForJointBindingMLM(wrapped, ions, 0.0).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in model.parameters():
            if tensor.requires_grad:
                tensor += 0.3 * torch.randn(tensor.shape, generator=generator)
    return model


def scores(model: Any, batch: dict[str, Tensor]) -> Tensor:
    with torch.no_grad():
        logits: Tensor = model(**batch).logits
    return logits


@pytest.fixture
def fold(tmp_path: Path, tiny_e1: Make) -> Path:
    save_best(tmp_path / "fold_1", model_of(tiny_e1(), seed=1), base="some/base", about=ABOUT)
    return tmp_path / "fold_1"


@pytest.mark.parametrize("lora", [True, False])
def test_what_is_saved_comes_back(tmp_path: Path, tiny_e1: Make, e1_batch: Batch, lora: bool) -> None:
    batch = e1_batch(["MKTAYIAKQR", "MK,ACDEF"])
    best, other = (model_of(tiny_e1(), seed=seed, lora=lora) for seed in (1, 2))
    assert not torch.allclose(scores(best, batch), scores(other, batch), atol=1e-2)
    save_best(tmp_path, best, base="some/base", about=ABOUT)
    restore_best(tmp_path, other)
    torch.testing.assert_close(scores(other, batch), scores(best, batch), atol=1e-6, rtol=0)
    # A later best takes its place; nothing else is left behind.
    later = model_of(tiny_e1(), seed=3, lora=lora)
    save_best(tmp_path, later, base="some/base", about=ABOUT)
    restore_best(tmp_path, other)
    torch.testing.assert_close(scores(other, batch), scores(later, batch), atol=1e-6, rtol=0)
    assert {path.name for path in tmp_path.iterdir()} == {ADAPTERS if lora else BEST, HEADS}


def test_an_encoder_that_was_not_trained_is_not_written(tmp_path: Path, tiny_e1: Make, e1_batch: Batch) -> None:
    tiny_e1().save_pretrained(tmp_path / "base")
    batch = e1_batch(["MKTAYIAKQR", "ACDEF"])
    best, other = (
        E1ForJointBindingMLM(E1ForMaskedLM.from_pretrained(tmp_path / "base"), ("ZN",), 0.0, True).eval()
        for _ in (1, 2)
    )
    assert not torch.allclose(scores(best, batch), scores(other, batch), atol=1e-3)
    fold = tmp_path / "fold_1"
    save_best(fold, best, base=str(tmp_path / "base"), about=ABOUT)
    assert sorted(path.name for path in fold.rglob("*") if path.is_file()) == [HEADS, "config.json"]
    restore_best(fold, other)
    for model in (other, load_lora_checkpoint(fold)):
        torch.testing.assert_close(scores(model, batch), scores(best, batch), atol=1e-6, rtol=0)


def test_the_heads_file_is_plain_and_small(fold: Path) -> None:
    content = torch.load(fold / HEADS, weights_only=True)
    assert {name: content[name] for name in ABOUT} == ABOUT
    assert content["ions"] == ["ZN", "CA"]
    assert content["base_model_checkpoint"] == "some/base"
    assert set(content["classifier_heads"]) == {
        f"{ion}.{part}.{kind}" for ion in ("ZN", "CA") for part in ("norm", "score") for kind in ("weight", "bias")
    }
    assert (fold / HEADS).stat().st_size < 20_000
    assert set(ADAPTER_FILES) <= {path.name for path in (fold / ADAPTERS).iterdir()}
    assert not any(path.stat().st_size > 100_000 for path in fold.rglob("*"))


class _Executes:
    """A pickle that writes a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.path, "executed")


@pytest.mark.parametrize("inside", [True, False])
def test_code_in_the_heads_file_is_refused_and_not_executed(fold: Path, tmp_path: Path, inside: bool) -> None:
    trace = tmp_path / "trace"
    if inside:
        content = torch.load(fold / HEADS, weights_only=True)
        torch.save({**content, "classifier_heads": _Executes(trace)}, fold / HEADS)
    else:
        (fold / HEADS).write_bytes(pickle.dumps(_Executes(trace)))
    with pytest.raises(CheckpointError, match="no heads of a binding model"):
        read_heads(fold / HEADS)
    assert not trace.exists()
    pickle.loads(pickle.dumps(_Executes(trace)))  # noqa: S301 - shows that it would
    assert trace.exists()


def test_other_content_is_refused(fold: Path, tiny_e1: Make) -> None:
    content = torch.load(fold / HEADS, weights_only=True)
    without = {name: value for name, value in content.items() if name != "ions"}
    for other in (without, [1, 2], torch.zeros(3), {**content, "classifier_heads": [1]}, {**content, "ions": "ZN"}):
        torch.save(other, fold / HEADS)
        with pytest.raises(CheckpointError, match="no heads of a binding model"):
            restore_best(fold, model_of(tiny_e1(), seed=2))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=60), start=st.sampled_from([b"", b"\x80\x02", b"PK\x03\x04", b"\x80\x02}q\x00(X"]))
def test_any_bytes_are_refused(tmp_path: Path, content: bytes, start: bytes) -> None:
    path = tmp_path / HEADS
    path.write_bytes(start + content)
    with pytest.raises(CheckpointError, match="no heads of a binding model"):
        read_heads(path)


def test_damaged_and_missing_heads_are_refused(fold: Path) -> None:
    whole = (fold / HEADS).read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 1):
        (fold / HEADS).write_bytes(whole[:size])
        with pytest.raises(CheckpointError, match="no heads of a binding model"):
            read_heads(fold / HEADS)
    (fold / HEADS).unlink()
    with pytest.raises(CheckpointError, match=HEADS):
        read_heads(fold / HEADS)
    empty = io.BytesIO()
    zipfile.ZipFile(empty, "w").close()
    (fold / HEADS).write_bytes(empty.getvalue())
    with pytest.raises(CheckpointError, match="no heads of a binding model"):
        read_heads(fold / HEADS)


def test_weights_of_another_model_are_refused(fold: Path, tiny_e1: Make) -> None:
    with pytest.raises(CheckpointError, match="the heads do not fit"):
        restore_best(fold, model_of(tiny_e1(), seed=2, ions=("ZN", "MG")))
    with pytest.raises(CheckpointError, match="the heads do not fit"):
        restore_best(fold, model_of(tiny_e1(hidden_size=32), seed=2))
    with pytest.raises(CheckpointError, match="the adapters do not fit"):
        restore_best(fold, model_of(tiny_e1(), seed=2, r=4))
    with pytest.raises(CheckpointError):
        restore_best(fold, model_of(tiny_e1(), seed=2, lora=False))


def test_damaged_adapters_are_refused(fold: Path, tiny_e1: Make) -> None:
    path = fold / ADAPTERS / ADAPTER_FILES[1]
    whole, weights = path.read_bytes(), load_file(path)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match=ADAPTER_FILES[1]):
        restore_best(fold, model_of(tiny_e1(), seed=2))
    weights.pop(next(iter(weights)))
    save_file(weights, path)
    with pytest.raises(CheckpointError, match="nothing for"):
        restore_best(fold, model_of(tiny_e1(), seed=2))
