"""The command that is named after a report."""

from pathlib import Path

import pytest

from bindtune.reports.report import next_words


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("target_mlm_prob: 0.15\n", ["export", "RUN", "--out", "model"]),
        ("training: {}\n", ["predict", "--run", "RUN", "--fasta", "PROTEINS.fa", "--out", "predictions"]),
        ("pooling: mean\nleaks: refuse\n", []),
        (None, []),
    ],
)
def test_the_kind_of_the_folder_says_it(settings: str | None, expected: list[str], tmp_path: Path) -> None:
    if settings is not None:
        (tmp_path / "config.yaml").write_text(settings)
    assert [str(word).replace(str(tmp_path), "RUN") for word in next_words(tmp_path)] == expected
