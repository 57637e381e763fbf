"""Collation: labels on the residues they belong to, masks on residues of the query alone."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bindtune import E1BatchPreparer
from bindtune.data.chunks import Chunk
from bindtune.data.keyed_random import digest
from bindtune.data.masking import Replacement
from bindtune.data.protein.collate import JointCollator, ResidueCollator
from bindtune.data.protein.protein_rows import ResidueRow
from bindtune.models.e1_tokens import MASK, VOCABULARY

SEQUENCE = st.text("ACDEFGHIKLMNPQRSTVWYXUOBZ?", min_size=1, max_size=30)
ROWS = st.lists(st.lists(SEQUENCE, min_size=1, max_size=4).map(",".join), min_size=1, max_size=5)
PREPARER: Any = E1BatchPreparer()
REPLACEMENT = Replacement(mask=0.8, random=0.1)


def row(text: str, *, name: str = "p", key: int | None = None) -> ResidueRow:
    """Labels of three ions: place modulo two, unknown, place modulo three with every fifth unknown."""
    length = len(text.rpartition(",")[2])
    position = np.arange(length)
    labels = np.stack([position % 2, np.full(length, -1), np.where(position % 5 == 0, -1, position % 3 == 0)], axis=1)
    return ResidueRow(
        name, text.split(","), Chunk(0, length, 0, length), labels.astype(np.int8), digest(text) if key is None else key
    )


def joint(probability: float = 0.15, **options: Any) -> JointCollator:
    return JointCollator(PREPARER, mlm_probability=probability, **{"replacement": REPLACEMENT} | options)


@settings(max_examples=80, deadline=None)
@given(texts=ROWS)
def test_labels_stand_on_the_residues_of_the_query(texts: list[str]) -> None:
    rows = [row(text) for text in texts]
    batch = ResidueCollator(PREPARER)(rows)
    assert batch["rows"] == rows
    assert (batch["input_ids"] == PREPARER.get_batch_kwargs(texts)["input_ids"]).all()
    assert "mlm_labels" not in batch
    for number, (text, made) in enumerate(zip(texts, rows, strict=True)):
        context, _, query = text.rpartition(",")
        first = sum(len(part) + 4 for part in context.split(",") if part) + 2
        residues = batch["residue_mask"][number]
        assert residues.nonzero().flatten().tolist() == list(range(first, first + len(query)))
        letters = "".join(VOCABULARY[token] for token in batch["input_ids"][number][residues].tolist())
        assert letters == query
        expected = torch.from_numpy(made.labels).long()
        assert (batch["labels"][number][residues] == expected.masked_fill(expected == -1, -100)).all()
        assert (batch["labels"][number][~residues] == -100).all()


@settings(max_examples=120, deadline=None)
@given(texts=ROWS, probability=st.sampled_from([0.0, 0.15, 0.5, 0.99]))
def test_masks_are_exact_and_agree_with_the_labels(texts: list[str], probability: float) -> None:
    rows = [row(text) for text in texts]
    plain, batch = ResidueCollator(PREPARER)(rows), joint(probability)(rows)
    masked = batch["mlm_labels"] != -100
    for number, text in enumerate(texts):
        query = text.rpartition(",")[2]
        informative = [letter not in "X?" for letter in query]
        chosen = masked[number][batch["residue_mask"][number]]
        assert int(masked[number].sum()) == int(chosen.sum()) == round(probability * sum(informative))
        assert not chosen[~torch.tensor(informative)].any()
    assert (batch["mlm_labels"][masked] == plain["input_ids"][masked]).all()
    assert (batch["mlm_labels"][masked] > 0).all()
    assert (batch["input_ids"][~masked] == plain["input_ids"][~masked]).all()
    assert (batch["labels"][masked] == -100).all()
    assert (batch["labels"][~masked] == plain["labels"][~masked]).all()
    for name in ("within_seq_position_ids", "global_position_ids", "sequence_ids", "residue_mask"):
        assert (batch[name] == plain[name]).all()


@settings(max_examples=60, deadline=None)
@given(texts=ROWS, data=st.data())
def test_a_mask_is_a_function_of_the_row_alone(texts: list[str], data: Any) -> None:
    rows = [row(text) for text in texts]
    order = data.draw(st.permutations(range(len(rows))))
    together = joint(0.3)([rows[position] for position in order])
    for number, position in enumerate(order):
        alone = joint(0.3)([rows[position]])
        width = alone["input_ids"].shape[1]
        for name in ("input_ids", "mlm_labels", "labels"):
            assert (together[name][number, :width] == alone[name][0]).all()


def test_another_key_masks_other_residues() -> None:
    text = "MRTA," + "ACDEFGHIKLMNPQRSTVWY" * 5
    masks = {tuple((joint()([row(text, key=key)])["mlm_labels"][0] != -100).tolist()) for key in range(20)}
    assert len(masks) == 20
    assert all(sum(mask) == 15 for mask in masks)


def test_masked_residues_become_what_was_asked_for() -> None:
    text = "ACDEFGHIKLMNPQRSTVWY" * 40
    rows = [row(text, key=key) for key in range(8)]
    batch = joint(0.5)(rows)
    masked = batch["mlm_labels"] != -100
    tokens, true = batch["input_ids"][masked], batch["mlm_labels"][masked]
    assert len(tokens) == 8 * 400
    assert (tokens == MASK).float().mean().item() == pytest.approx(0.8, abs=0.03)
    assert (tokens == true).float().mean().item() == pytest.approx(0.1 + 0.1 / 20, abs=0.02)
    others = {VOCABULARY[token] for token in tokens[tokens != MASK].tolist()}
    assert others == set("ACDEFGHIKLMNPQRSTVWY")
    all_masked = joint(0.5, replacement=Replacement(mask=1.0, random=0.0))(rows)
    assert (all_masked["input_ids"][masked] == MASK).all()


def test_every_residue_is_masked_about_equally_often() -> None:
    text = "MKV,ACDEFGHIKLMNPQRSTVWY"
    counts = sum((joint(0.25)([row(text, key=digest(key))])["mlm_labels"][0] != -100).long() for key in range(600))
    assert counts[:7].sum() == 0
    assert counts[9:29].min() > 100
    assert counts[9:29].max() < 200
    assert int(counts.sum()) == 600 * 5


def test_without_ions_there_are_masks_and_no_labels() -> None:
    made = row("MKTAYIAKQR")._replace(labels=np.empty((10, 0), np.int8))
    batch = joint(0.3)([made])
    assert batch["labels"].shape == (1, 14, 0)
    assert (batch["mlm_labels"] != -100).sum() == 3


def test_a_row_that_cannot_be_read_is_named() -> None:
    from bindtune.errors import InputError

    with pytest.raises(InputError, match="P7"):
        ResidueCollator(PREPARER)([row("MKT", name="P3"), row("mkt", name="P7")])
