"""Framing of sequences, and what is refused."""

import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bindtune import E1BatchPreparer, E1Config
from bindtune.errors import InputError
from bindtune.models.e1_tokens import VOCABULARY, query_residue_mask

PROTEIN = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ?", min_size=1, max_size=12)


def test_vocabulary() -> None:
    assert len(VOCABULARY) == 34
    assert VOCABULARY[5] == "?"
    assert [VOCABULARY.index(letter) for letter in "AXZ"] == [8, 31, 33]


def test_the_example_of_two_sequences() -> None:
    batch = E1BatchPreparer().get_batch_kwargs(["MFC,AY?"])
    assert batch["input_ids"].tolist() == [[1, 6, 20, 13, 10, 7, 2, 1, 6, 8, 32, 5, 7, 2]]
    assert batch["within_seq_position_ids"].tolist() == [[*range(7), *range(7)]]
    assert batch["global_position_ids"].tolist() == [[*range(14)]]
    assert batch["sequence_ids"].tolist() == [[0] * 7 + [1] * 7]
    assert batch["labels"].tolist() == [[0] * 7 + [1, 6, 8, 32, 5, 7, 2]]
    assert batch["context_len"] == [7]
    assert batch["context"] == ["<bos>1MFC2<eos>"]
    residues = query_residue_mask(batch["input_ids"], batch["sequence_ids"])
    assert residues.nonzero()[:, 1].tolist() == [9, 10, 11]


def test_x_that_is_removed_leaves_a_hole() -> None:
    batch = E1BatchPreparer(remove_X_tokens=True).get_batch_kwargs(["AXC,XD"])
    assert batch["within_seq_position_ids"].tolist() == [[0, 1, 2, 4, 5, 6, 0, 1, 3, 4, 5]]
    assert batch["global_position_ids"].tolist() == [[0, 1, 2, 4, 5, 6, 7, 8, 10, 11, 12]]
    assert batch["context_len"] == [6]


@given(rows=st.lists(st.lists(PROTEIN, min_size=1, max_size=4), min_size=1, max_size=4), remove=st.booleans())
def test_rows_hold_their_text_and_padding_is_marked(rows: list[list[str]], remove: bool) -> None:
    batch = E1BatchPreparer(remove_X_tokens=remove).get_batch_kwargs([",".join(row) for row in rows])
    for number, row in enumerate(rows):
        real = batch["sequence_ids"][number] >= 0
        shown = "".join(VOCABULARY[token] for token in batch["input_ids"][number][real])
        sequences = [sequence.replace("X", "") if remove else sequence for sequence in row]
        assert shown == "".join(f"<bos>1{sequence}2<eos>" for sequence in sequences)
        assert batch["global_position_ids"][number][real][-1] == sum(len(sequence) + 4 for sequence in row) - 1
        for key, filler in (("input_ids", 0), ("labels", 0), ("within_seq_position_ids", -1), ("sequence_ids", -1)):
            assert (batch[key][number][~real] == filler).all()  # type: ignore[literal-required]


@given(context=st.lists(PROTEIN, max_size=3), queries=st.lists(PROTEIN, min_size=1, max_size=3))
def test_queries_alone_are_the_ends_of_whole_rows(context: list[str], queries: list[str]) -> None:
    preparer = E1BatchPreparer()
    alone = preparer.get_query_kwargs(queries, ",".join(context))
    for number, query in enumerate(queries):
        whole = preparer.get_batch_kwargs([",".join([*context, query])])
        for key in ("input_ids", "within_seq_position_ids", "global_position_ids", "sequence_ids"):
            expected = whole[key][0, whole["context_len"][0] :]  # type: ignore[literal-required]
            assert torch.equal(alone[key][number, : len(expected)], expected)  # type: ignore[literal-required]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "row 2: the sequence is empty"),
        ("AC,", "row 2, sequence 2: the sequence is empty"),
        ("AC,,AC", "row 2, sequence 2: the sequence is empty"),
        ("ACd", "'d' at residue 3, expected A-Z or \\?; write it in upper case"),
        ("A-C", "'-' at residue 2"),
        ("A*", r"'\*' at residue 2"),
        ("AC,A1", "row 2, sequence 2: '1' at residue 2"),
        ("AÄ", "'Ä' at residue 2"),
        ("A\u0391", "at residue 2"),  # a Greek capital alpha
        ("A C", "' ' at residue 2"),
        ("A" * 13, "13 residues, at most 12 fit"),
        ("A,C,D,E", "4 sequences, at most 3 fit"),
    ],
)
def test_odd_input_is_refused(text: str, problem: str) -> None:
    preparer = E1BatchPreparer(max_num_positions_within_seq=16, max_num_sequences=3)
    with pytest.raises(InputError, match=problem):
        preparer.get_batch_kwargs(["A" * 12, text])


def test_a_mistake_of_the_caller() -> None:
    for wrong in ("MK", []):
        with pytest.raises(ValueError, match="expected"):
            E1BatchPreparer().get_batch_kwargs(wrong)
    with pytest.raises(ValueError, match="comma"):
        E1BatchPreparer().get_query_kwargs(["A,C"], "D")


def test_a_row_of_masks_is_a_sequence() -> None:
    assert E1BatchPreparer().get_batch_kwargs(["???"])["input_ids"].tolist() == [[1, 6, 5, 5, 5, 7, 2]]


def test_the_longest_sequence_fits() -> None:
    batch = E1BatchPreparer().get_batch_kwargs(["A" * 8188])
    assert int(batch["within_seq_position_ids"].max()) == 8191
    with pytest.raises(InputError, match="8189 residues, at most 8188"):
        E1BatchPreparer().get_batch_kwargs(["A" * 8189])


def test_long_rows_are_warned_of_and_limits_come_from_the_model() -> None:
    config = E1Config(max_num_positions_global=20, max_num_sequences=2)
    preparer = E1BatchPreparer.for_model(config)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        preparer.get_batch_kwargs(["A" * 6 + "," + "C" * 6])
    with pytest.warns(UserWarning, match="row 1 spans 21 positions, the model was made for 20"):
        preparer.get_batch_kwargs(["A" * 6 + "," + "C" * 7])
    with pytest.raises(InputError, match="at most 2"):
        preparer.get_batch_kwargs(["A,C,D"])
