from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bindtune.data.keyed_random import digest
from bindtune.reports import window_browser
from bindtune.runs.eval_records import RecordLosses

NAMES = ("chr1:0-9", "chr1:9-18", "</script>")


def records(count: int = 3) -> RecordLosses:
    keys = [digest(NAMES[n % 3], "ACGT" + "T" * n) - 2**63 for n in range(count)]
    masked = np.array([[5, 2, 3], [4, 0, 4], [0, 0, 0]])[np.arange(count) % 3]
    loss = np.array([[10.0, 2.5, 7.5], [8.0, 0.0, 8.0], [0.0, 0.0, 0.0]])[np.arange(count) % 3]
    return RecordLosses(np.array(keys), np.zeros(count, np.int64), masked, loss)


def windows(path: Path) -> Path:
    sequences = ["acgu", "ACGTT", "ACGTTT"]  # lower case and U are read as the model reads them
    pq.write_table(pa.table({"seq_id": NAMES, "sequence": sequences}), path)
    return path


def test_windows_have_their_names_and_mean_losses(tmp_path: Path) -> None:
    browser = window_browser.window_browser(records(), windows(tmp_path / "w.parquet"))
    assert (browser.windows, browser.rows, browser.named) == (3, 3, 3)
    assert browser.data["names"] == list(NAMES)
    assert browser.data["all_masked"] == [5, 4, 0]
    assert browser.data["all_loss"] == [2000, 2000, -1]
    assert browser.data["peaks_loss"] == [1250, -1, -1]
    assert browser.data["flanks_loss"] == [2500, 2000, -1]


@pytest.mark.parametrize("content", [None, b"[]", b"PAR1"])
def test_windows_are_numbered_where_their_file_is_gone(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "w.parquet"
    if content is not None:
        path.write_bytes(content)
    browser = window_browser.window_browser(records(), path)
    assert browser.data["names"] == ["window 1", "window 2", "window 3"]
    assert browser.named == 0


def test_windows_beyond_the_room_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window_browser, "MOST_ROWS", 2)
    browser = window_browser.window_browser(records(5), None)
    assert (browser.windows, browser.rows, len(browser.data["all_loss"])) == (5, 2, 2)


def test_a_run_without_evaluation_has_no_table() -> None:
    assert window_browser.windows_section(None, {}) == ()
    assert window_browser.windows_section(records(0), {}) == ()
