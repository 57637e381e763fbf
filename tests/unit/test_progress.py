"""Progress of long tasks in a log file: a line each minute, with what is left."""

import logging
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

import bindtune
from bindtune.progress import progress, tracked

LOG = logging.getLogger("bindtune.test")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every look at the clock is 40 seconds after the one before."""
    seconds = count(0, 40)
    monkeypatch.setattr("bindtune.progress.time.monotonic", lambda: float(next(seconds)))
    monkeypatch.setattr("sys.stderr.isatty", lambda: False, raising=False)
    yield


@pytest.mark.usefixtures("clock")
def test_a_line_each_minute_with_the_time_left(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, LOG.name), progress("reading", 1000, unit="files", log=LOG) as advance:
        advance(400, skipped=True)
        for _ in range(4):
            advance(100)
    # 80 seconds for 200 of 600 files: 400 take 160 more. 160 seconds for 400: 200 take 80 more.
    assert [record.getMessage() for record in caplog.records] == [
        "reading: 200 files of 600, 3 min left", "reading: 400 files of 600, 1 min left",
    ]  # fmt: skip


@pytest.mark.usefixtures("clock")
def test_a_task_of_unknown_size(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, LOG.name), progress("reading", None, unit="files", log=LOG) as advance:
        advance(1)
        advance(1)
    assert [record.getMessage() for record in caplog.records] == ["reading: 2 files"]


@pytest.mark.usefixtures("clock")
def test_one_of_several_processes_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.INFO, LOG.name),
        progress("reading", 4, unit="files", log=LOG, shown=False) as advance,
    ):
        for _ in range(4):
            advance(1)
    assert not caplog.records


@pytest.mark.usefixtures("clock")
def test_a_loop_says_how_far_it_is(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, LOG.name):
        letters = list(tracked("ABCD", "reading", 4, unit="letters", log=LOG))
    assert letters == list("ABCD")
    # The letters after 80 and 160 seconds get a line.
    assert [record.getMessage() for record in caplog.records] == [
        "reading: 2 letters of 4, 1 min left", "reading: 4 letters of 4, 0 s left",
    ]  # fmt: skip


def test_only_progress_draws_bars() -> None:
    """A bar of its own would leave log files without lines; the bar of pretraining stands beside lines of its steps."""
    source = Path(bindtune.__file__).parent
    drawing = {str(path.relative_to(source)) for path in source.rglob("*.py") if "import tqdm" in path.read_text()}
    assert drawing == {"progress.py", "training/pretraining/progress_lines.py"}
