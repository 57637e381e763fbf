"""ESM-2 as an encoder: labels on the right residues, adapters that train, files that are refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import EsmForMaskedLM, EsmModel

import rounding
from bindtune.data.chunks import Chunk
from bindtune.data.masking import Replacement
from bindtune.data.protein.collate import JointCollator, ResidueCollator
from bindtune.data.protein.protein_rows import ResidueRow
from bindtune.errors import CheckpointError, ConfigError, InputError
from bindtune.models.adapter_check import check_lora
from bindtune.models.adapters import add_lora, read_adapters, restore_adapters, save_adapters
from bindtune.models.backbones import load_backbone
from bindtune.models.esm2 import Esm2BatchPreparer, Esm2ForMaskedLM
from bindtune.models.residue import E1ForJointBindingMLM

TARGETS = ["query", "key", "value", "dense"]
REPLACEMENT = Replacement(mask=0.8, random=0.1)
INPUTS = ("input_ids", "within_seq_position_ids", "global_position_ids", "sequence_ids")
TEXTS = ("MKTACDHWEHXGK", "UOACDBZXY", "ACDEFGHIKLMNPQRSTVWY")


def rows(*, labelled: bool = True) -> list[ResidueRow]:
    """Rows whose labels spell the place of each residue: binding where it is divisible by three."""
    made = []
    for number, text in enumerate(TEXTS):
        labels = np.full((len(text), 1), -1, np.int8)
        if labelled:
            labels[:, 0] = np.arange(len(text)) % 3 == 0
        made.append(ResidueRow(f"p{number}", [text], Chunk(0, len(text), 0, len(text)), labels, number))
    return made


def inputs(preparer: Any, options: list[ResidueRow], probability: float = 0.3) -> dict[str, Tensor]:
    batch = JointCollator(preparer, mlm_probability=probability, replacement=REPLACEMENT)(options)
    return {name: batch[name] for name in (*INPUTS, "labels", "mlm_labels")}


def adapted(encoder: Any, **options: Any) -> Any:
    torch.manual_seed(1)
    return add_lora(encoder, **{"r": 2, "alpha": 4, "dropout": 0.0, "target_modules": TARGETS, **options})


def test_hidden_states_are_those_of_transformers(esm_folder: Path) -> None:
    encoder, preparer = load_backbone(str(esm_folder))
    assert isinstance(encoder, Esm2ForMaskedLM)
    assert isinstance(preparer, Esm2BatchPreparer)
    assert not encoder.training
    stock = EsmForMaskedLM.from_pretrained(esm_folder).eval()
    batch = preparer.get_batch_kwargs(TEXTS)
    with torch.no_grad():
        hidden = encoder.encode(**batch)
        for number, text in enumerate(TEXTS):
            alone = stock.esm(preparer.get_batch_kwargs([text])["input_ids"]).last_hidden_state[0]
            torch.testing.assert_close(hidden[number, : len(alone)], alone, **rounding.of(encoder, alone))
            assert (hidden[number, len(alone) :] == 0).all()


def test_every_letter_is_one_token_and_a_residue(esm_folder: Path) -> None:
    preparer = Esm2BatchPreparer(str(esm_folder))
    names = (esm_folder / "vocab.txt").read_text().split("\n")
    text = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    batch = preparer.get_batch_kwargs([text, "MK"])
    tokens = [names[token] for token in batch["input_ids"][0].tolist()]
    assert tokens == [*["<cls>", *text.replace("J", "*"), "<eos>"][:10], "<unk>", *text[10:], "<eos>"]
    residues = preparer.residue_mask(batch["input_ids"], batch["sequence_ids"])
    assert residues[0].tolist() == [False, *[True] * 26, False]
    assert residues[1].tolist() == [False, True, True, *[False] * 25]
    assert [names[token] for token in preparer.amino_acids] == list("ACDEFGHIKLMNPQRSTVWY")
    assert names[preparer.mask_id] == "<mask>"


def test_labels_stand_on_their_residues(esm_folder: Path) -> None:
    _, preparer = load_backbone(str(esm_folder))
    batch = ResidueCollator(preparer)(rows())
    names = (esm_folder / "vocab.txt").read_text().split("\n")
    for number, text in enumerate(TEXTS):
        residues = batch["residue_mask"][number]
        assert "".join(names[token] for token in batch["input_ids"][number][residues].tolist()) == text
        expected = [int(position % 3 == 0) for position in range(len(text))]
        assert batch["labels"][number, :, 0][residues].tolist() == expected
        assert (batch["labels"][number, :, 0][~residues] == -100).all()
        assert residues.nonzero()[0].item() == 1


def test_masks_leave_uninformative_letters(esm_folder: Path) -> None:
    _, preparer = load_backbone(str(esm_folder))
    batch = JointCollator(preparer, mlm_probability=0.9, replacement=REPLACEMENT)(rows())
    for number, text in enumerate(TEXTS):
        masked = (batch["mlm_labels"][number] != -100)[batch["residue_mask"][number]]
        places = [position for position, letter in enumerate(text) if letter != "X"]
        assert masked.sum() == round(0.9 * len(places))
        assert set(masked.nonzero().flatten().tolist()) <= set(places)


@pytest.mark.parametrize(
    "options", [{}, {"train_mlm_head": True}, {"bias": "all"}, {"target_modules": "all-linear"}], ids=str
)
def test_adapters_train_with_a_gradient_for_every_parameter(esm_folder: Path, options: dict[str, Any]) -> None:
    encoder, preparer = load_backbone(str(esm_folder))
    model = E1ForJointBindingMLM(adapted(encoder, **options), ["ZN"], 0.0).train()
    optimizer = torch.optim.Adam([tensor for tensor in model.parameters() if tensor.requires_grad], lr=0.03)
    losses = []
    for batch_rows in (rows(), rows(labelled=False), *[rows()] * 12):
        optimizer.zero_grad()
        loss = model(**inputs(preparer, batch_rows)).loss
        loss.backward()
        losses.append(loss.item())
        trained = {name: tensor.grad for name, tensor in model.named_parameters() if tensor.requires_grad}
        assert [name for name, tensor in trained.items() if tensor is None] == []
        optimizer.step()
    assert losses[-1] < 0.6 * losses[0]
    assert any("lora_B" in name for name in trained)
    assert not any("contact_head" in name for name in trained)
    assert any("lm_head" in name for name in trained) == bool(options.get("train_mlm_head"))


def test_without_adapters_every_weight_is_trained(esm_folder: Path) -> None:
    encoder, preparer = load_backbone(str(esm_folder))
    model = E1ForJointBindingMLM(encoder, ["ZN"], 0.0, train_mlm_head=False).train()
    # The masked-LM head shares its last weight with the embedding, which is the encoder's.
    assert encoder.esm.embeddings.word_embeddings.weight.requires_grad
    model(**inputs(preparer, rows())).loss.backward()
    trained = {name: tensor.grad for name, tensor in model.named_parameters() if tensor.requires_grad}
    assert [name for name, tensor in trained.items() if tensor is None] == []
    assert not any("lm_head" in name for name in trained)
    frozen = E1ForJointBindingMLM(load_backbone(str(esm_folder))[0], ["ZN"], 0.0, True, train_mlm_head=True)
    assert not any(tensor.requires_grad for tensor in frozen.encoder.parameters())
    assert frozen._original_model.lm_head.dense.weight.requires_grad


def test_checkpointing_changes_no_gradient(esm_folder: Path) -> None:
    encoder, preparer = load_backbone(str(esm_folder))
    model = E1ForJointBindingMLM(adapted(encoder), ["ZN"], 0.0).train()
    outputs = []
    for again in (False, True):
        if again:
            model._original_model.activation_checkpointing_enable()
        model.zero_grad()
        model(**inputs(preparer, rows())).loss.backward()
        outputs.append({name: tensor.grad for name, tensor in model.named_parameters() if tensor.requires_grad})
    close = rounding.of(encoder, *outputs[0].values(), tokens=inputs(preparer, rows())["input_ids"].numel())
    for name, tensor in outputs[0].items():
        torch.testing.assert_close(outputs[1][name], tensor, **close)


@pytest.mark.parametrize("head", [False, True])
def test_adapters_and_a_trained_head_come_back(esm_folder: Path, tmp_path: Path, head: bool) -> None:
    model = adapted(load_backbone(str(esm_folder))[0], train_mlm_head=head).eval()
    with torch.no_grad():
        for tensor in model.parameters():
            if tensor.requires_grad:
                tensor += 0.2 * torch.randn_like(tensor)
    save_adapters(model, tmp_path, base=str(esm_folder))
    other, preparer = load_backbone(str(esm_folder))
    other = adapted(other, train_mlm_head=head).eval()
    restore_adapters(other, read_adapters(tmp_path), source=tmp_path)
    batch = preparer.get_batch_kwargs(TEXTS)
    with torch.no_grad():
        expected, logits = (each.mlm_head(each.encode(**batch)) for each in (model, other))
    torch.testing.assert_close(logits, expected, atol=1e-6, rtol=0)


def test_the_check_says_that_adapters_are_live(esm_folder: Path) -> None:
    encoder, preparer = load_backbone(str(esm_folder))
    report = check_lora(adapted(encoder), preparer.get_batch_kwargs(TEXTS))
    assert all(report.statements.values())
    assert report.gradient_b > 1e-4
    with pytest.raises(ConfigError, match=r"no linear layer q_proj; it has dense, key, query, value"):
        adapted(load_backbone(str(esm_folder))[0], target_modules=["q_proj"])


def test_a_checkpoint_without_the_masked_lm_head_is_refused(esm_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(esm_folder, tmp_path, dirs_exist_ok=True)
    EsmModel.from_pretrained(esm_folder, add_pooling_layer=False).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"nothing for parameters lm_head\.bias"):
        load_backbone(str(tmp_path))


@pytest.mark.parametrize("damage", ["truncated", "missing", "shapes", "vocabulary", "letters"])
def test_damaged_checkpoints_are_refused(esm_folder: Path, tmp_path: Path, damage: str) -> None:
    shutil.copytree(esm_folder, tmp_path, dirs_exist_ok=True)
    weights = tmp_path / "model.safetensors"
    if damage == "truncated":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif damage == "missing":
        weights.unlink()
    elif damage == "shapes":
        config = json.loads((tmp_path / "config.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps({**config, "hidden_size": 32}))
    elif damage == "letters":
        for path in tmp_path.glob("tokenizer*.json"):
            path.unlink()
        (tmp_path / "vocab.txt").write_text((tmp_path / "vocab.txt").read_text().replace("\nW\n", "\n$\n"))
    else:
        for name in ("vocab.txt", "tokenizer_config.json", "tokenizer.json", "special_tokens_map.json"):
            (tmp_path / name).unlink(missing_ok=True)
    with pytest.raises(CheckpointError, match=str(tmp_path)) as caught:
        load_backbone(str(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "MKV,ACD", "A" * 1023])
def test_what_is_not_one_protein_of_fitting_length_is_refused(esm_folder: Path, text: str) -> None:
    preparer = Esm2BatchPreparer(str(esm_folder))
    with pytest.raises(InputError, match="P12345: expected one protein of at most 1022 residues"):
        preparer.get_batch_kwargs(["MK", text], names=["first", "P12345"])
    assert preparer.get_batch_kwargs(["A" * 1022])["input_ids"].shape == (1, 1022 + preparer.frame)


def test_a_tokenizer_whose_pattern_takes_for_ever_is_named(esm_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(esm_folder, folder)
    split = {"type": "Split", "pattern": {"Regex": "([A-Z ]+)+([A-Z ]+)+!"}, "behavior": "Isolated", "invert": False}
    words = {
        "type": "WordLevel", "unk_token": "<unk>",
        "vocab": {name: number for number, name in enumerate((folder / "vocab.txt").read_text().split("\n"))},
    }  # fmt: skip
    (folder / "tokenizer.json").write_text(json.dumps({"pre_tokenizer": split, "model": words, "added_tokens": []}))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(
        json.dumps({**settings, "tokenizer_class": "PreTrainedTokenizerFast"})
    )
    preparer = Esm2BatchPreparer(str(folder))
    with pytest.raises(CheckpointError, match=r"model: the tokenizer fails: .*retry-limit-in-match over"):
        preparer.get_batch_kwargs(["ACDEFGHIKLMNPQRSTVWY" * 3])
