"""Weights load completely or not at all, and what does not fit is named."""

import json
import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM
from transformers.utils import logging as transformers_logging

import tiny_dnabert2
from bindtune.errors import CheckpointError
from bindtune.models.dnabert2 import DNABert2Config, DNABert2ForMaskedLM, DNABert2Model
from bindtune.models.dnabert2_classifiers import DNABert2ForSequenceClassification
from bindtune.models.dnabert2_export import write_hub_layout

DECODER, EMBEDDINGS = "cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"
IDS = torch.tensor([[1, 7, 8, 9, 2]])
Weights = dict[str, Tensor]
Store = Callable[[Weights], Path]


@pytest.fixture
def model() -> DNABert2ForMaskedLM:
    sizes = {"hidden_size": 12, "num_attention_heads": 3, "intermediate_size": 16, "initializer_range": 0.02}
    return tiny_dnabert2.build(vocab_size=30, **sizes, alibi_starting_size=16)


@pytest.fixture(params=["pytorch_model.bin", "model.safetensors", "model.safetensors without a format"])
def store(request: pytest.FixtureRequest, tmp_path: Path, model: DNABert2ForMaskedLM) -> Store:
    """Write weights into a folder with the hub's config, in each form that exists."""
    folder = tmp_path / "hub"
    write_hub_layout(model, folder)
    (folder / "pytorch_model.bin").unlink()

    def write(weights: Weights) -> Path:
        if request.param == "pytorch_model.bin":
            torch.save(weights, folder / request.param)
        else:
            metadata = None if "without" in request.param else {"format": "pt"}
            save_file({name: t.clone() for name, t in weights.items()}, folder / "model.safetensors", metadata=metadata)
        return folder

    return write


def weights_of(model: DNABert2ForMaskedLM) -> Weights:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def refusal(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        DNABert2ForMaskedLM.from_pretrained(folder)
    message = str(caught.value)
    assert str(folder) in message
    assert "\n" not in message
    return message


def test_whole_weights_load_from_every_form(store: Store, model: DNABert2ForMaskedLM) -> None:
    loaded = DNABert2ForMaskedLM.from_pretrained(store(weights_of(model)))
    assert not loaded.training
    assert torch.equal(loaded(IDS).logits, model(IDS).logits)
    assert loaded.config.pad_token_id == 3
    assert loaded.get_output_embeddings().weight is loaded.get_input_embeddings().weight


@pytest.mark.parametrize("left_out", [DECODER, EMBEDDINGS])
def test_one_of_two_tied_names_is_enough(store: Store, model: DNABert2ForMaskedLM, left_out: str) -> None:
    weights = weights_of(model)
    del weights[left_out]
    loaded = DNABert2ForMaskedLM.from_pretrained(store(weights))
    assert torch.equal(loaded(IDS).logits, model(IDS).logits)
    assert loaded.get_output_embeddings().weight is loaded.get_input_embeddings().weight


def test_a_decoder_that_differs_is_refused(store: Store, model: DNABert2ForMaskedLM) -> None:
    weights = weights_of(model)
    weights[DECODER][3, 3] += 1e-3
    assert f"{DECODER} differs from {EMBEDDINGS}" in refusal(store(weights))


KEYS = [
    "bert.encoder.layer.1.attention.self.Wqkv.bias",
    "bert.embeddings.LayerNorm.weight",
    "cls.predictions.transform.dense.weight",
    "cls.predictions.decoder.bias",
]


@pytest.mark.parametrize("name", KEYS)
def test_a_missing_key_is_named(store: Store, model: DNABert2ForMaskedLM, name: str) -> None:
    weights = weights_of(model)
    del weights[name]
    assert f"nothing for parameter {name}" in refusal(store(weights))


def test_both_tied_names_missing(store: Store, model: DNABert2ForMaskedLM) -> None:
    weights = {name: t for name, t in weights_of(model).items() if name not in (DECODER, EMBEDDINGS)}
    assert f"nothing for parameter {EMBEDDINGS}" in refusal(store(weights))


@pytest.mark.parametrize(
    "name", ["bert.pooler.dense.weight", "classifier.bias", "bert.encoder.layer.2.mlp.wo.bias", "surprise"]
)
def test_a_left_over_key_is_named(store: Store, model: DNABert2ForMaskedLM, name: str) -> None:
    assert f"no parameter for {name}" in refusal(store({**weights_of(model), name: torch.zeros(12)}))


@pytest.mark.parametrize("name", KEYS)
def test_a_wrong_shape_is_named(store: Store, model: DNABert2ForMaskedLM, name: str) -> None:
    weights = weights_of(model)
    shape = tuple(weights[name].shape)
    wrong = (shape[0] + 1, *shape[1:])
    weights[name] = torch.zeros(wrong)
    message = refusal(store(weights))
    assert f"{name} has shape {wrong}, expected {shape}" in message
    assert "nothing for" not in message


@pytest.mark.parametrize("names", [(DECODER, EMBEDDINGS), (EMBEDDINGS,), (DECODER,)])
def test_another_vocabulary_size_is_named(store: Store, model: DNABert2ForMaskedLM, names: tuple[str, ...]) -> None:
    weights = weights_of(model)
    for name in names:
        weights[name] = torch.zeros(31, 12)
    message = refusal(store(weights))
    for name in names:
        assert f"{name} has shape (31, 12), expected (30, 12)" in message


def test_a_misfit_is_said_once_and_new_heads_still_are(store: Store, model: DNABert2ForMaskedLM) -> None:
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    transformers_logging.add_handler(handler)
    try:
        weights = weights_of(model)
        folder = store(weights)
        DNABert2ForSequenceClassification.from_pretrained(folder)
        assert ["classifier.weight" in record.getMessage() for record in records] == [True]
        records.clear()
        folder = store({name: tensor for name, tensor in weights.items() if "layer.1" not in name})
        with pytest.raises(CheckpointError, match="nothing for parameter"):
            DNABert2ForMaskedLM.from_pretrained(folder)
        assert records == []
    finally:
        transformers_logging.remove_handler(handler)


def test_many_problems_are_counted(store: Store, model: DNABert2ForMaskedLM) -> None:
    message = refusal(store({**weights_of(model), **{f"extra.{n:02}": torch.zeros(1) for n in range(15)}}))
    assert "extra.09" in message
    assert "extra.10" not in message
    assert message.endswith("and 5 more")


def test_an_encoder_leaves_the_head_behind_and_nothing_else(store: Store, model: DNABert2ForMaskedLM) -> None:
    weights = weights_of(model)
    encoder = DNABert2Model.from_pretrained(store(weights))
    assert torch.equal(encoder(IDS).last_hidden_state, model.bert(IDS).last_hidden_state)
    folder = store({**weights, "classified.weight": torch.zeros(2, 12)})
    with pytest.raises(CheckpointError, match=r"no parameter for classified\.weight"):
        DNABert2Model.from_pretrained(folder)


def test_an_encoder_is_no_masked_language_model(tmp_path: Path, model: DNABert2ForMaskedLM) -> None:
    model.bert.save_pretrained(tmp_path)
    assert r"nothing for parameter cls.predictions.decoder.bias" in refusal(tmp_path)


@pytest.mark.parametrize("cut", [0, 5, 0.5, 0.999])
@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
def test_a_truncated_file(tmp_path: Path, model: DNABert2ForMaskedLM, name: str, cut: float) -> None:
    write_hub_layout(model, tmp_path)
    if name == "model.safetensors":
        (tmp_path / "pytorch_model.bin").unlink()
        model.save_pretrained(tmp_path)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(cut if cut >= 1 else cut * len(whole))])
    refusal(tmp_path)


def test_a_pickle_with_code_is_not_run(tmp_path: Path, model: DNABert2ForMaskedLM) -> None:
    write_hub_layout(model, tmp_path)
    witness = tmp_path / "witness"

    class Attack:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (witness,)

    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps({"bert": Attack()}, protocol=2))
    refusal(tmp_path)
    assert not witness.exists()


def test_folders_without_a_model(tmp_path: Path, model: DNABert2ForMaskedLM) -> None:
    refusal(tmp_path / "missing")
    refusal(tmp_path)
    write_hub_layout(model, tmp_path / "hub")
    (tmp_path / "hub" / "pytorch_model.bin").unlink()
    refusal(tmp_path / "hub")
    (tmp_path / "hub" / "config.json").write_text("{")
    refusal(tmp_path / "hub")


def test_saved_weights_load_through_the_auto_classes(tmp_path: Path, model: DNABert2ForMaskedLM) -> None:
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "dnabert2"
    config = AutoConfig.from_pretrained(tmp_path)
    assert isinstance(config, DNABert2Config)
    assert config.alibi_starting_size == 16
    loaded = AutoModelForMaskedLM.from_pretrained(tmp_path)
    assert isinstance(loaded, DNABert2ForMaskedLM)
    assert torch.equal(loaded(IDS).logits, model(IDS).logits)
    assert isinstance(AutoModel.from_pretrained(tmp_path), DNABert2Model)


def test_a_model_that_came_from_the_hub_layout_loads_through_the_auto_classes(
    tmp_path: Path, model: DNABert2ForMaskedLM
) -> None:
    write_hub_layout(model, tmp_path / "hub")  # its config names remote code, which must not be asked for
    DNABert2ForMaskedLM.from_pretrained(tmp_path / "hub").save_pretrained(tmp_path / "saved")
    loaded = AutoModelForMaskedLM.from_pretrained(tmp_path / "saved")
    assert torch.equal(loaded(IDS).logits, model(IDS).logits)


def test_loading_info_and_types(tmp_path: Path, model: DNABert2ForMaskedLM) -> None:
    model.to(torch.bfloat16).save_pretrained(tmp_path)
    loaded, info = DNABert2ForMaskedLM.from_pretrained(tmp_path, output_loading_info=True)
    assert loaded.dtype == torch.float32
    assert not info["missing_keys"]
    for name in ("dtype", "torch_dtype"):
        assert DNABert2ForMaskedLM.from_pretrained(tmp_path, **{name: torch.bfloat16}).dtype == torch.bfloat16
