"""Batches: shapes, labels, what may be masked, and where the random numbers come from."""

import copy
import inspect
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerFast

from bindtune import EclipAdaptiveMLMCollator
from bindtune.config import PretrainConfig
from bindtune.data.masking import FLANK, PEAK
from bindtune.errors import ConfigError
from bindtune.models.token_loss import IGNORED

SPECIAL = range(5)
Example = dict[str, Any]


def example(length: int, *spans: tuple[int, int], seed: int = 0, **more: Any) -> Example:
    """[CLS], `length` ordinary tokens, [SEP], and peaks on tokens."""
    ids = np.random.default_rng((seed, length)).integers(5, 27, length).tolist()
    return {
        "input_ids": [1, *ids, 2],
        "attention_mask": [1] * (length + 2),
        "eclip_token_starts": [start for start, _ in spans],
        "eclip_token_ends": [end for _, end in spans],
        **more,
    }


def keyed(number: int, *, first: int = 0) -> list[Example]:
    return [example(20 + n % 9, (3, 9), seed=n, mask_key=n * 7919) for n in range(first, first + number)]


class TestContract:
    def test_signature_and_defaults(self) -> None:
        defaults = {
            name: parameter.default
            for name, parameter in inspect.signature(EclipAdaptiveMLMCollator).parameters.items()
            if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        }
        assert defaults == {
            "tokenizer": inspect.Parameter.empty,
            "target_mlm_prob": 0.15,
            "eclip_mlm_range": (0.20, 0.25),
            "min_flanking_prob": 0.05,
            "adaptive": True,
            "mask_replace_prob": 0.8,
            "random_replace_prob": 0.1,
            "seed": None,
        }

    def test_defaults_are_those_of_the_configuration(self) -> None:
        config = {name: field.default for name, field in PretrainConfig.model_fields.items()}
        defaults = {name: p.default for name, p in inspect.signature(EclipAdaptiveMLMCollator).parameters.items()}
        assert defaults["eclip_mlm_range"] == (config["eclip_mlm_lo"], config["eclip_mlm_hi"])
        for name in ("target_mlm_prob", "min_flanking_prob", "mask_replace_prob", "random_replace_prob"):
            assert defaults[name] == config[name], name

    @pytest.mark.parametrize("report", [False, True])
    def test_keys_shapes_and_types(self, tokenizer: PreTrainedTokenizerFast, report: bool) -> None:
        batch = EclipAdaptiveMLMCollator(tokenizer, report=report)([example(30, (2, 9)), example(12), example(3)])
        names = ["input_ids", "attention_mask", "labels"]
        assert list(batch) == ([*names, "region", "relaxed"] if report else names)
        for name in names:
            assert batch[name].shape == (3, 32)
            assert batch[name].dtype == torch.int64
        assert batch["attention_mask"].sum(1).tolist() == [32, 14, 5]
        assert (batch["input_ids"][1, 14:] == 3).all()

    @pytest.mark.parametrize(
        "rates",
        [
            {"target_mlm_prob": 1.5},
            {"eclip_mlm_range": (0.3, 0.2)},
            {"min_flanking_prob": 0.2},
            {"mask_replace_prob": 0.95},
            {"random_replace_prob": -0.1},
        ],
    )
    def test_impossible_rates_are_refused(self, tokenizer: PreTrainedTokenizerFast, rates: dict[str, Any]) -> None:
        with pytest.raises(ConfigError):
            EclipAdaptiveMLMCollator(tokenizer, **rates)

    @pytest.mark.parametrize("name", ["mask_token", "pad_token"])
    def test_a_tokenizer_must_have_both_tokens(self, tokenizer: PreTrainedTokenizerFast, name: str) -> None:
        without = copy.deepcopy(tokenizer)
        setattr(without, name, None)
        with pytest.raises(ConfigError, match=name.replace("_", " ")):
            EclipAdaptiveMLMCollator(without)

    def test_adaptive_masking_needs_peaks_and_uniform_does_not(self, tokenizer: PreTrainedTokenizerFast) -> None:
        bare = {"input_ids": [1, *range(5, 25), 2]}
        with pytest.raises(ValueError, match="eclip_token_starts"):
            EclipAdaptiveMLMCollator(tokenizer)([bare])
        batch = EclipAdaptiveMLMCollator(tokenizer, adaptive=False)([bare])
        assert int((batch["labels"] != IGNORED).sum()) == 3


class TestMasks:
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(data=st.data())
    def test_any_batch(self, tokenizer: PreTrainedTokenizerFast, data: st.DataObject) -> None:
        examples = data.draw(
            st.lists(
                st.builds(
                    lambda ids, mask, spans, key: {
                        "input_ids": ids,
                        "attention_mask": (mask * 2)[: len(ids)],
                        "eclip_token_starts": [a for a, _ in spans],
                        "eclip_token_ends": [a + b for a, b in spans],
                        "mask_key": key,
                    },
                    st.lists(st.integers(0, 26), max_size=30),
                    st.lists(st.integers(0, 1), min_size=15, max_size=15),
                    st.lists(st.tuples(st.integers(0, 35), st.integers(0, 12)), max_size=4),
                    st.integers(0, 2**64 - 1),
                ),
                min_size=1,
                max_size=5,
            )
        )
        adaptive = data.draw(st.booleans())
        before = copy.deepcopy(examples)
        batch = EclipAdaptiveMLMCollator(tokenizer, adaptive=adaptive, report=True)(examples)
        assert examples == before
        for row, one in enumerate(examples):
            ids, attended = one["input_ids"], one["attention_mask"]
            spans = list(zip(one["eclip_token_starts"], one["eclip_token_ends"], strict=True))
            inside = [any(a <= index < b for a, b in spans) for index in range(len(ids))]
            asked = batch["labels"][row].tolist()
            seen = batch["input_ids"][row].tolist()
            region = batch["region"][row].tolist()
            for index, (token, on) in enumerate(zip(ids, attended, strict=True)):
                maskable = on and token not in SPECIAL
                assert region[index] == (0 if not maskable else PEAK if inside[index] else FLANK)
                if asked[index] == IGNORED:
                    assert seen[index] == token
                else:
                    assert maskable
                    assert asked[index] == token
                    assert seen[index] == 4 or seen[index] >= 5
            width = batch["labels"].shape[1]
            assert batch["attention_mask"][row].tolist() == attended + [0] * (width - len(ids))
            assert asked[len(ids) :] == [IGNORED] * (width - len(ids))
            assert seen[len(ids) :] == [3] * (width - len(ids))
            maskable_tokens = sum(kind != 0 for kind in region)
            assert sum(label != IGNORED for label in asked) == round(0.15 * maskable_tokens)

    def test_unknown_tokens_are_no_targets_even_where_only_the_tokenizer_file_names_them(
        self, tokenizer: PreTrainedTokenizerFast
    ) -> None:
        special = tokenizer.backend_tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        special.add_special_tokens(["[UNK]", "[CLS]", "[SEP]"])
        undeclared = PreTrainedTokenizerFast(tokenizer_object=special, mask_token="[MASK]", pad_token="[PAD]")
        assert undeclared.unk_token_id is None
        unknown = example(200)
        unknown["input_ids"][5:100] = [0] * 95
        batch = EclipAdaptiveMLMCollator(undeclared, target_mlm_prob=1.0, adaptive=False)([unknown])
        asked = batch["labels"][0] != IGNORED
        assert not asked[5:100].any()
        assert not asked[0]
        assert int(asked.sum()) == 105

    def test_random_tokens_are_ordinary(self, tokenizer: PreTrainedTokenizerFast) -> None:
        collate = EclipAdaptiveMLMCollator(
            tokenizer, target_mlm_prob=1.0, adaptive=False, mask_replace_prob=0.0, random_replace_prob=1.0, seed=1
        )
        counts = torch.bincount(collate([example(500)] * 40)["input_ids"][:, 1:-1].flatten(), minlength=27)
        assert not counts[:5].any()
        assert counts[5:].min() > 0.8 * 20_000 / 22

    def test_peaks_are_masked_more(self, tokenizer: PreTrainedTokenizerFast) -> None:
        collate = EclipAdaptiveMLMCollator(tokenizer, seed=1, report=True)
        batch = collate([example(100, (11, 31), seed=n) for n in range(2000)])
        asked = batch["labels"] != IGNORED
        peak = asked[batch["region"] == PEAK].double().mean().item()
        flank = asked[batch["region"] == FLANK].double().mean().item()
        assert peak == pytest.approx(0.225, abs=0.003)
        assert flank == pytest.approx((15 - 4.5) / 80, abs=0.001)
        assert not batch["relaxed"].any()

    @pytest.mark.parametrize("adaptive", [True, False])
    def test_a_mode_by_name_is_the_switch(self, tokenizer: PreTrainedTokenizerFast, adaptive: bool) -> None:
        examples = keyed(40)
        switched = EclipAdaptiveMLMCollator(tokenizer, adaptive=adaptive)(examples)
        named = EclipAdaptiveMLMCollator(tokenizer, masking="adaptive" if adaptive else "uniform")(examples)
        for name, values in switched.items():
            assert torch.equal(values, named[name])

    def test_peak_only_masks_peaks_and_then_flanks(self, tokenizer: PreTrainedTokenizerFast) -> None:
        examples = [example(100, (11, 31), seed=n, mask_key=n) for n in range(50)]
        examples += [example(100, (11, 15), seed=n, mask_key=n) for n in range(50)]
        batch = EclipAdaptiveMLMCollator(tokenizer, masking="peak-only", report=True)(examples)
        asked, peak = batch["labels"] != IGNORED, batch["region"] == PEAK
        assert (asked & peak).sum(1).tolist() == [15] * 50 + [4] * 50
        assert asked.sum(1).tolist() == [15] * 100
        assert batch["relaxed"].tolist() == [False] * 50 + [True] * 50
        with pytest.raises(ValueError, match="eclip_token_starts"):
            EclipAdaptiveMLMCollator(tokenizer, masking="peak-only")([{"input_ids": [1, 5, 2]}])

    def test_relaxed_sequences_are_reported(self, tokenizer: PreTrainedTokenizerFast) -> None:
        batch = EclipAdaptiveMLMCollator(tokenizer, report=True)([example(100, (1, 90)), example(100, (1, 20))])
        assert batch["relaxed"].tolist() == [True, False]

    @pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor])
    def test_rows_may_be_lists_arrays_or_tensors(self, tokenizer: PreTrainedTokenizerFast, kind: Any) -> None:
        plain = [example(20, (3, 9), mask_key=5), example(10, mask_key=6)]
        other = [
            {name: kind(values) if isinstance(values, list) else values for name, values in one.items()}
            for one in plain
        ]
        collate = EclipAdaptiveMLMCollator(tokenizer)
        for name, values in collate(plain).items():
            assert torch.equal(collate(other)[name], values)

    def test_peaks_may_be_empty_float_arrays(self, tokenizer: PreTrainedTokenizerFast) -> None:
        empty = {**example(10), "eclip_token_starts": np.array([]), "eclip_token_ends": np.array([])}
        other = {name: np.array(values) for name, values in example(9, (2, 5)).items()}
        for examples in ([empty], [empty, other], [other, empty]):
            assert EclipAdaptiveMLMCollator(tokenizer)(examples)["labels"].shape[0] == len(examples)


class TestRandomness:
    def test_a_key_decides_the_mask_in_any_batch(self, tokenizer: PreTrainedTokenizerFast) -> None:
        collate = EclipAdaptiveMLMCollator(tokenizer)
        examples = keyed(12)
        whole = collate(examples)
        for start, step in ((0, 1), (3, 2), (11, -1)):
            chosen = list(range(12))[start::step]
            part = collate([examples[n] for n in chosen])
            width = part["labels"].shape[1]
            for name, values in part.items():
                assert torch.equal(values, whole[name][chosen, :width]), name

    def test_the_torch_seed_decides_without_a_collator_seed(self, tokenizer: PreTrainedTokenizerFast) -> None:
        collate = EclipAdaptiveMLMCollator(tokenizer)
        examples = [example(60, (3, 20))] * 4
        masks = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            masks.append([collate(examples)["labels"] for _ in range(2)])
        assert torch.equal(masks[0][0], masks[1][0])
        assert torch.equal(masks[0][1], masks[1][1])
        assert not torch.equal(masks[0][0], masks[0][1])
        assert not torch.equal(masks[0][0], masks[2][0])
        assert not torch.equal(masks[0][0][0], masks[0][0][1])

    @pytest.mark.parametrize("seed", [None, 3])
    def test_ranks_differ(
        self, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch, seed: int | None
    ) -> None:
        masks = []
        for rank in ("0", "1", "2"):
            monkeypatch.setenv("RANK", rank)
            torch.manual_seed(0)
            masks.append(EclipAdaptiveMLMCollator(tokenizer, seed=seed)([example(80, (3, 20))])["labels"])
        assert not torch.equal(masks[0], masks[1])
        assert not torch.equal(masks[1], masks[2])
        monkeypatch.delenv("RANK")
        torch.manual_seed(0)
        alone = EclipAdaptiveMLMCollator(tokenizer, seed=seed)([example(80, (3, 20))])["labels"]
        assert torch.equal(alone, masks[0])

    def test_a_seed_gives_the_same_run_of_batches_and_other_ones_in_it(
        self, tokenizer: PreTrainedTokenizerFast
    ) -> None:
        examples = [example(60, (3, 20))] * 2
        runs = []
        for seed in (5, 5, 6):
            collate = EclipAdaptiveMLMCollator(tokenizer, seed=seed)
            runs.append([collate(examples)["labels"] for _ in range(3)])
        for first, again in zip(runs[0], runs[1], strict=True):
            assert torch.equal(first, again)
        assert not torch.equal(runs[0][0], runs[0][1])
        assert not torch.equal(runs[0][0], runs[2][0])

    @pytest.mark.parametrize("seed", [None, 3])
    @pytest.mark.parametrize("workers", [0, 2])
    def test_loaders_repeat_and_epochs_workers_and_batches_differ(
        self, tokenizer: PreTrainedTokenizerFast, seed: int | None, workers: int
    ) -> None:
        examples = [example(60, (3, 20), seed=1)] * 8  # all alike: masks differ only by their random numbers

        def epochs(torch_seed: int) -> list[torch.Tensor]:
            torch.manual_seed(torch_seed)
            collate = EclipAdaptiveMLMCollator(tokenizer, seed=seed)
            loader = DataLoader(examples, batch_size=2, num_workers=workers, collate_fn=collate)  # type: ignore[arg-type]
            return [torch.cat([batch["labels"] for batch in loader]) for _ in range(2)]

        first, again, other = epochs(0), epochs(0), epochs(1)
        for one, two in zip(first, again, strict=True):
            assert torch.equal(one, two)
        masks = {tuple(row.tolist()) for epoch in first for row in epoch}
        assert len(masks) == 16
        if workers or seed is None:
            assert not torch.equal(first[0], other[0])

    def test_keyed_masks_do_not_depend_on_workers(self, tokenizer: PreTrainedTokenizerFast) -> None:
        examples, masks = keyed(12), []
        for workers in (0, 2):
            torch.manual_seed(workers)
            collate = EclipAdaptiveMLMCollator(tokenizer, seed=workers)
            loader = DataLoader(examples, batch_size=4, num_workers=workers, collate_fn=collate)  # type: ignore[arg-type]
            masks.append(list(loader))
        for one, two in zip(*masks, strict=True):
            for name, values in one.items():
                assert torch.equal(two[name], values), name
