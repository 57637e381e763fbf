"""The order of rows is a function of (seed, epoch), and the keys of their masks of (seed, epoch, record)."""

from typing import Any

import datasets
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerFast

from bindtune.data.dna.collate import EclipAdaptiveMLMCollator
from bindtune.data.dna.row_order import MUTED, KeyedRows, LengthGroupedSampler


def sampler(lengths: Any, *, group: int = 8, seed: int = 0, epoch: int = 0, by_length: bool = True) -> list[int]:
    made = LengthGroupedSampler(np.asarray(lengths), group=group, seed=seed, by_length=by_length)
    made.set_epoch(epoch)
    assert len(made) == len(lengths)
    return list(made)


@pytest.fixture
def lengths() -> NDArray[np.int64]:
    return np.random.default_rng(0).integers(70, 120, 3000)


class TestOrder:
    @given(
        lengths=st.lists(st.integers(3, 200), min_size=1, max_size=300),
        group=st.integers(1, 40),
        seed=st.integers(0, 2**32 - 1),
        epoch=st.integers(0, 9),
        by_length=st.booleans(),
    )
    def test_every_row_comes_once_with_its_epoch(
        self, lengths: list[int], group: int, seed: int, epoch: int, by_length: bool
    ) -> None:
        order = sampler(lengths, group=group, seed=seed, epoch=epoch, by_length=by_length)
        assert sorted(order) == list(range(epoch * len(lengths), (epoch + 1) * len(lengths)))
        assert {type(index) for index in order} == {int}

    @pytest.mark.parametrize("by_length", [True, False])
    def test_it_follows_seed_and_epoch_alone(self, lengths: NDArray[np.int64], by_length: bool) -> None:
        def places(**changes: int) -> list[int]:
            return [index % 3000 for index in sampler(lengths, by_length=by_length, **changes)]

        first = places(seed=4, epoch=2)
        np.random.seed(1)
        torch.manual_seed(1)
        assert places(seed=4, epoch=2) == first
        assert places(seed=4, epoch=1) != first
        assert places(seed=5, epoch=2) != first

    def test_an_epoch_may_be_set_twice(self, lengths: NDArray[np.int64]) -> None:
        made = LengthGroupedSampler(lengths, group=8, seed=0)
        made.set_epoch(3)
        made.set_epoch(3)
        assert list(made) == list(made) == sampler(lengths, epoch=3)

    def test_a_group_holds_similar_lengths(self, lengths: NDArray[np.int64]) -> None:
        def padding(order: list[int]) -> float:
            groups = lengths[np.array(order)].reshape(-1, 8)
            return float(1 - lengths.sum() / (groups.max(axis=1).sum() * 8))

        assert padding(sampler(lengths)) < 0.012
        assert padding(sampler(lengths, by_length=False)) > 0.1

    def test_groups_come_in_random_order(self, lengths: NDArray[np.int64]) -> None:
        firsts = lengths[np.array(sampler(lengths)).reshape(-1, 8)[:, 0]]
        assert abs(np.corrcoef(firsts[1:], firsts[:-1])[0, 1]) < 5 / np.sqrt(len(firsts))
        assert abs(np.corrcoef(firsts, np.arange(len(firsts)))[0, 1]) < 5 / np.sqrt(len(firsts))

    def test_the_group_that_is_not_full_comes_last(self) -> None:
        order = sampler(np.arange(100, 121), group=8)
        assert len(order) == 21
        assert set(np.array(order[:16]).reshape(2, 8).max(axis=1) - np.array(order[:16]).reshape(2, 8).min(axis=1)) == {
            7
        }
        assert sorted(order[16:]) == [0, 1, 2, 3, 4]  # the shortest of all

    def test_batches_of_several_processes_are_filled_up(self) -> None:
        alone = sampler([9] * 21, group=16, epoch=2)
        made = LengthGroupedSampler(np.full(21, 9), group=16, seed=0, share=16)
        made.set_epoch(2)
        assert list(made) == [*alone, *[MUTED] * 11]
        assert len(made) == 32
        assert len(LengthGroupedSampler(np.full(32, 9), group=16, seed=0, share=16)) == 32

    def test_every_row_may_come_first(self) -> None:
        firsts = np.bincount([sampler([9] * 10, group=1, seed=seed)[0] for seed in range(3000)], minlength=10)
        assert abs(firsts - 300).max() < 5 * np.sqrt(300)


@pytest.fixture
def rows() -> datasets.Dataset:
    rng = np.random.default_rng(1)
    table: dict[str, list[Any]] = {
        "input_ids": [[1, *rng.integers(5, 27, 40 + n).tolist(), 2] for n in range(12)],
        "eclip_token_starts": [[2, 7] if n % 2 else [] for n in range(12)],
        "eclip_token_ends": [[4, 12] if n % 2 else [] for n in range(12)],
        "length": [42 + n for n in range(12)],
        "record": rng.integers(-(2**63), 2**63, 12).tolist(),
    }
    return datasets.Dataset.from_dict(table)


class TestKeyedRows:
    def test_rows_come_back_whatever_the_epoch(self, rows: datasets.Dataset) -> None:
        keyed = KeyedRows(rows, seed=("training", 1))
        assert len(keyed) == 12
        assert keyed.lengths().tolist() == list(range(42, 54))
        for index in (0, 5, 12 + 5, 7 * 12 + 11):
            example = keyed[index]
            for name in ("input_ids", "eclip_token_starts", "eclip_token_ends"):
                assert example[name].tolist() == rows[index % 12][name]

    def test_keys_follow_seed_epoch_and_record(self, rows: datasets.Dataset) -> None:
        def keys(seed: object, source: datasets.Dataset = rows) -> list[int]:
            return [int(row["mask_key"]) for row in KeyedRows(source, seed=seed).__getitems__(range(36))]

        first = keys(("training", 1))
        assert len(set(first)) == 36  # a row has another key in each epoch
        assert keys(("training", 1)) == first
        assert not set(first) & set(keys(("training", 2)))
        assert not set(first) & set(keys(("evaluation", 1)))
        assert all(0 <= key < 2**64 for key in first)
        reordered = keys(("training", 1), rows.select(range(11, -1, -1)))
        assert reordered[:12] == first[11::-1]

    def test_one_by_one_equals_together(self, rows: datasets.Dataset) -> None:
        keyed = KeyedRows(rows, seed=1)
        together = keyed.__getitems__([3, 12 + 3, 11])
        for index, row in zip([3, 15, 11], together, strict=True):
            assert keyed[index]["mask_key"] == row["mask_key"]
            assert np.array_equal(keyed[index]["input_ids"], row["input_ids"])

    @pytest.mark.parametrize("places", [[0, 2, 4], [1, 3], [0, 1], [0]])
    def test_batches_with_and_without_peaks_collate(
        self, rows: datasets.Dataset, tokenizer: PreTrainedTokenizerFast, places: list[int]
    ) -> None:
        batch = EclipAdaptiveMLMCollator(tokenizer, report=True)(KeyedRows(rows, seed=1).__getitems__(places))
        assert (batch["region"] == 2).sum(1).tolist() == [7 if index % 2 else 0 for index in places]

    def test_rows_that_fill_up_change_nothing(self, rows: datasets.Dataset, tokenizer: PreTrainedTokenizerFast) -> None:
        keyed, collate = KeyedRows(rows, seed=1), EclipAdaptiveMLMCollator(tokenizer, report=True)
        alone, filled, empty = (collate(keyed.__getitems__(one)) for one in ([15, 4], [15, MUTED, 4, MUTED], [MUTED]))
        for name, values in alone.items():
            assert torch.equal(filled[name][[0, 2]], values)
        assert empty["input_ids"].tolist() == [[1]]
        for batch in (filled["labels"][[1, 3]], empty["labels"]):
            assert (batch == -100).all()
        assert filled["attention_mask"].sum(dim=1).tolist() == [45, 1, 46, 1]
        assert not filled["region"][[1, 3]].any()

    def test_masks_are_the_same_with_any_workers_and_new_in_each_epoch(
        self, rows: datasets.Dataset, tokenizer: PreTrainedTokenizerFast
    ) -> None:
        def epoch(workers: int, number: int) -> list[torch.Tensor]:
            keyed = KeyedRows(rows, seed=1)
            made = LengthGroupedSampler(keyed.lengths(), group=4, seed=3)
            made.set_epoch(number)
            collate = EclipAdaptiveMLMCollator(tokenizer)
            loader = DataLoader(keyed, batch_size=4, sampler=made, num_workers=workers, collate_fn=collate)
            return [batch["labels"] for batch in loader]

        for number in (0, 1):
            for one, two in zip(epoch(0, number), epoch(2, number), strict=True):
                assert torch.equal(one, two)
        assert {tuple(row.tolist()) for batch in epoch(0, 0) for row in batch}.isdisjoint(
            tuple(row.tolist()) for batch in epoch(0, 1) for row in batch
        )
