"""Every line of a sequence is compared with the index."""

import io

import pytest

from bindtune.io import fasta_index
from bindtune.io.fasta_index import Lines, lines_fit


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b">a\nACGT\nACGT\nAC\n", Lines(3, 10, 4, 5)),
        (b">a\nACGT\nACGT", Lines(3, 8, 4, 5)),
        (b">a\r\nACGT\r\nA\r\n", Lines(4, 5, 4, 6)),
        (b">a\nACGT", Lines(3, 4, 4, 4)),
        (b">a\n", Lines(3, 0, 0, 0)),
    ],
)
def test_lines_as_the_index_says(content: bytes, lines: Lines) -> None:
    assert lines_fit(io.BytesIO(content), lines)


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b">a\nAAAAA\nCCCCC\nGGGGG\nTTTTT\n", Lines(3, 20, 10, 11)),
        (b">a\nACGT\nACG\nACGTA\nACGT\n", Lines(3, 16, 4, 5)),  # two lines that make up for each other
        (b">a\nACGT\nACGTAACGT\nACGT\n", Lines(3, 16, 4, 5)),  # a letter for a line end
        (b">a\nACGT\nACGT\nA\nG\n", Lines(3, 11, 4, 5)),
        (b">a\nACGT\r\nACGT\n", Lines(3, 8, 4, 5)),
        (b">a\nACGTNNACGT\n", Lines(3, 8, 4, 6)),
        (b">a\nACGT\nACGT\n", Lines(3, 8, 4, 8)),
        (b">a\nACGT\nAC", Lines(3, 8, 4, 5)),
        (b">a\nACGT", Lines(3, 8, 4, 5)),
    ],
)
@pytest.mark.parametrize("block", [7, 1 << 22])
def test_lines_that_end_elsewhere(content: bytes, lines: Lines, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fasta_index, "_BLOCK", block)
    assert not lines_fit(io.BytesIO(content), lines)
