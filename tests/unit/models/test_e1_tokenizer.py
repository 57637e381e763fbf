"""E1's vocabulary as a tokenizer: the ids of `E1BatchPreparer`, with and without files."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import DataCollatorForLanguageModeling, PreTrainedTokenizerFast

from bindtune import E1BatchPreparer, E1ForMaskedLM, E1Tokenizer
from bindtune.errors import InputError
from bindtune.models.e1_tokens import VOCABULARY

TEXTS = ["MFC,AY?", "ACDEFGHIKLMNOPQRSTUVWXYZB", "A"]


def test_the_vocabulary_is_e1s() -> None:
    tokenizer = E1Tokenizer()
    assert tokenizer.get_vocab() == {token: number for number, token in enumerate(VOCABULARY)}
    names = ("pad_token_id", "bos_token_id", "eos_token_id", "mask_token_id")
    assert [getattr(tokenizer, name) for name in names] == [0, 1, 2, 5]


def test_ids_are_those_of_the_preparer_and_enough_for_the_model(tiny_e1: Callable[..., E1ForMaskedLM]) -> None:
    model = tiny_e1()
    batch = E1Tokenizer()(TEXTS, padding=True, return_tensors="pt")
    prepared = E1BatchPreparer().get_batch_kwargs(TEXTS)
    assert list(batch) == ["input_ids"]
    assert torch.equal(batch["input_ids"], prepared["input_ids"])
    assert torch.equal(model(**batch).logits, model(**prepared).logits)


def test_text_comes_back() -> None:
    tokenizer = E1Tokenizer()
    ids = tokenizer("MFC,AY?").input_ids
    assert tokenizer.decode(ids) == "<bos>1MFC2<eos><bos>1AY?2<eos>"
    assert tokenizer.decode(ids, skip_special_tokens=True) == "MFCAY"


@pytest.mark.parametrize(
    ("text", "problem"), [("MKt", "'t' at character 3"), ("M K", "' ' at character 2"), ("É", "'É'")]
)
def test_other_characters_are_refused(text: str, problem: str) -> None:
    with pytest.raises(InputError, match=f"text 2: found {problem}"):
        E1Tokenizer()(["MK", text])
    with pytest.raises(InputError, match="text 1: "):
        E1Tokenizer()(text)


def test_saved_files_hold_it_all(tmp_path: Path) -> None:
    E1Tokenizer().save_pretrained(tmp_path)
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["tokenizer_class"] == "E1Tokenizer"
    expected = E1Tokenizer()(TEXTS).input_ids
    for kind in (E1Tokenizer, PreTrainedTokenizerFast):
        again = kind.from_pretrained(tmp_path)
        assert again(TEXTS).input_ids == expected
        assert (again.mask_token_id, again.pad_token_id) == (5, 0)


def test_the_stock_collator_masks_residues_alone() -> None:
    tokenizer = E1Tokenizer()
    torch.manual_seed(0)
    collator = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.5)
    batch = collator([tokenizer(text) for text in TEXTS * 20])
    asked = batch["labels"] != -100
    assert asked.sum() > 100
    assert batch["labels"][asked].min() >= 8  # letters
