"""Sums by region against loops, whatever the batches are."""

import math

import pytest
import torch

from bindtune.training.pretraining.region_losses import RegionLosses


def add(tally: RegionLosses, region: torch.Tensor, chosen: torch.Tensor, loss: torch.Tensor, hit: torch.Tensor) -> None:
    tally.add(
        region=region,
        relaxed=torch.tensor([True] + [False] * (len(region) - 1)),
        attended=(region != 0).long(),
        masked=chosen,
        loss=loss[chosen],
        hit=hit[chosen],
    )


@pytest.fixture
def batches() -> list[tuple[torch.Tensor, ...]]:
    generator = torch.Generator().manual_seed(0)
    made = []
    for shape in ((4, 9), (2, 20), (1, 3)):
        region = torch.randint(0, 3, shape, generator=generator)
        chosen = (torch.rand(shape, generator=generator) < 0.5) & (region != 0)
        made.append(
            (region, chosen, torch.rand(shape, generator=generator), torch.rand(shape, generator=generator) < 0.3)
        )
    return made


def test_means_over_batches_equal_a_loop_over_tokens(batches: list[tuple[torch.Tensor, ...]]) -> None:
    tally = RegionLosses(torch.device("cpu"))
    for batch in batches:
        add(tally, *batch)
    figures = tally.metrics()
    for name, kinds in (("", (1, 2)), ("flank_", (1,)), ("peak_", (2,))):
        tokens = [
            (loss, hit, chosen)
            for batch in batches
            for region, chosen, loss, hit in zip(*(part.flatten().tolist() for part in batch), strict=True)
            if region in kinds
        ]
        masked = [(loss, hit) for loss, hit, chosen in tokens if chosen]
        assert figures[f"{name}loss"] == pytest.approx(math.fsum(loss for loss, _ in masked) / len(masked))
        assert figures[f"{name}accuracy"] == pytest.approx(sum(hit for _, hit in masked) / len(masked))
        assert figures[f"{name}masked_rate"] == pytest.approx(len(masked) / len(tokens))
    assert figures["relaxed_sequences"] == pytest.approx(3 / 7)
    attended = sum(int((batch[0] != 0).sum()) for batch in batches)
    assert figures["padding_efficiency"] == pytest.approx(attended / (36 + 40 + 3))


def test_merging_equals_adding(batches: list[tuple[torch.Tensor, ...]]) -> None:
    whole, first, second = (RegionLosses(torch.device("cpu")) for _ in range(3))
    for number, batch in enumerate(batches):
        add(whole, *batch)
        add(second if number else first, *batch)
    first.merge(second)
    assert first.metrics() == pytest.approx(whole.metrics())
    first.reset()
    assert first.metrics() == {}


def test_what_was_never_seen_is_left_out() -> None:
    tally = RegionLosses(torch.device("cpu"))
    region = torch.tensor([[1, 1, 0]])
    add(tally, region, torch.tensor([[False, True, False]]), torch.ones(1, 3), torch.ones(1, 3).bool())
    assert set(tally.metrics()) == {
        "loss", "accuracy", "masked_rate", "flank_loss", "flank_accuracy", "flank_masked_rate",
        "relaxed_sequences", "padding_efficiency",
    }  # fmt: skip
    tally.reset()
    add(tally, region, torch.zeros(1, 3).bool(), torch.ones(1, 3), torch.ones(1, 3).bool())
    assert set(tally.metrics()) == {"masked_rate", "flank_masked_rate", "relaxed_sequences", "padding_efficiency"}
