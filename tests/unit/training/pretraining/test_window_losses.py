"""Losses window by window against loops, and what the file of them refuses."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from bindtune.data.masking import FLANK, PEAK
from bindtune.errors import InputError
from bindtune.models.token_loss import IGNORED
from bindtune.runs.eval_records import RecordLosses, read_record_losses, write_record_losses
from bindtune.training.pretraining.window_losses import WindowLosses


def batch(places: list[int], width: int) -> dict[str, torch.Tensor]:
    """Rows that depend on their window alone; those of even windows are shorter."""
    rows = []
    for index in places:
        generator = torch.Generator().manual_seed(index)
        ids = torch.randint(5, 30, (12,), generator=generator)
        region = torch.randint(0, 3, (12,), generator=generator)
        chosen = (torch.rand(12, generator=generator) < 0.6) & (region != 0)
        length = 12 if index % 2 else 9
        row = torch.stack([ids, region, torch.where(chosen, ids, IGNORED), torch.arange(12) < length])
        row[1, length:], row[2, length:] = 0, IGNORED
        padding = torch.tensor([3, 0, IGNORED, 0])[:, None].expand(4, width - 12)
        rows.append(torch.cat([row, padding], dim=1))
    table = torch.stack(rows)
    return {name: table[:, n] for n, name in enumerate(("input_ids", "region", "labels", "attention_mask"))}


def losses(one: dict[str, torch.Tensor]) -> torch.Tensor:
    """A loss for each token that depends on the token alone."""
    return torch.sin(one["labels"].double()).abs().float()


def filled(groups: list[list[int]], width: int) -> RecordLosses:
    tally = WindowLosses(np.arange(6) * 1000)
    for places in groups:
        one = batch(places, width)
        chosen = one["labels"] != IGNORED
        tally.see(places, one)
        tally.add(region=one["region"], masked=chosen, loss=losses(one)[chosen])
    return tally.gathered()


def test_sums_equal_a_loop_over_tokens() -> None:
    tables = filled([[3, 0], [5], [1, 2, 4]], 12)
    assert tables.record.tolist() == [0, 1000, 2000, 3000, 4000, 5000]
    for position in range(6):
        one = batch([position], 12)
        sums = {PEAK: [0, 0.0], FLANK: [0, 0.0]}
        for kind, label, loss in zip(
            *(t[0].tolist() for t in (one["region"], one["labels"], losses(one))), strict=True
        ):
            if label != IGNORED:
                sums[kind] = [sums[kind][0] + 1, sums[kind][1] + loss]
        (peaks, in_peaks), (flanks, in_flanks) = sums[PEAK], sums[FLANK]
        assert tables.masked[position].tolist() == [peaks + flanks, peaks, flanks]
        assert tables.loss[position].tolist() == pytest.approx([in_peaks + in_flanks, in_peaks, in_flanks], rel=1e-12)


def test_neither_batches_nor_padding_matter() -> None:
    first, second = filled([[0, 1, 2, 3, 4, 5]], 12), filled([[4], [0, 5, 2], [3, 1]], 19)
    for left, right in zip(first, second, strict=True):
        np.testing.assert_array_equal(left, right)


def test_the_hash_tells_masks_apart() -> None:
    one = batch([1, 3], 12)
    changed = {**one, "input_ids": one["input_ids"].clone()}
    changed["input_ids"][1, 0] += 1
    tallies = [WindowLosses(np.arange(2)) for _ in range(2)]
    for tally, shown in zip(tallies, (one, changed), strict=True):
        tally.see([0, 1], shown)
        chosen = shown["labels"] != IGNORED
        tally.add(region=shown["region"], masked=chosen, loss=losses(shown)[chosen])
    left, right = (tally.gathered().masks for tally in tallies)
    assert left[0] == right[0]
    assert left[1] != right[1]


@pytest.mark.parametrize("groups", [[[0, 1, 2]], [[0, 1, 2, 3, 4, 5], [2]]])
def test_a_window_that_is_missing_or_comes_twice_raises(groups: list[list[int]]) -> None:
    with pytest.raises(RuntimeError, match="6 windows were to be evaluated once each"):
        filled(groups, 12)


class TestFile:
    def test_what_is_written_is_read(self, tmp_path: Path) -> None:
        losses = filled([[0, 1, 2, 3, 4, 5]], 12)
        write_record_losses(tmp_path / "e.parquet", losses)
        for left, right in zip(losses, read_record_losses(tmp_path / "e.parquet"), strict=True):
            np.testing.assert_array_equal(left, right)
        names = ["record", "masks", "masked", "loss", "peak_masked", "peak_loss", "flank_masked", "flank_loss"]
        assert pq.read_schema(tmp_path / "e.parquet").names == names

    def test_what_is_damaged_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "e.parquet"
        with pytest.raises(InputError, match="not a readable Parquet file"):
            read_record_losses(path)
        write_record_losses(path, filled([[0, 1, 2, 3, 4, 5]], 12))
        table = pq.read_table(path)
        for changed, message in (
            (table.drop_columns(["masks"]), "lacks the columns masks"),
            (table.set_column(2, "masked", [[1] * 6]), "do not add up"),
            (table.set_column(3, "loss", [[float("nan")] * 6]), "not numbers"),
            (table.set_column(0, "record", [["x"] * 6]), "wrong type"),
            (table.set_column(0, "record", [[None, 1, 2, 3, 4, 5]]), "empty fields"),
        ):
            pq.write_table(changed, path)
            with pytest.raises(InputError, match=message):
                read_record_losses(path)
