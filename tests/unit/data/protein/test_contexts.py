"""Weights, filters, draws and the cache of alignments."""

import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.context_specs import PUBLIC_DEFAULTS, context_spec

from bindtune import sample_context
from bindtune.config import EmbedConfig
from bindtune.data.protein import contexts
from bindtune.data.protein.contexts import draw_context, read_homologs
from bindtune.errors import InputError

ALIGNMENT = """>q
MKTAYIAKQR
>same
MKTAYIAKQR
>same
MKTAYIAKQW
>ins
MKTAaaYIAKQR
>gap
MK--YIAKQR
>none
----------
>far
WWWWWWWWWW
"""


@pytest.fixture
def alignment(tmp_path: Path) -> Path:
    path = tmp_path / "p.a3m"
    path.write_text(ALIGNMENT)
    return path


def as_a2m(text: str) -> str:
    """The alignment with each insertion padded with dots to the longest of its place, as A2M has it."""
    names, rows = text.splitlines()[::2], text.splitlines()[1::2]
    pieces = [re.findall(r"[a-z]*[A-Z-]|[a-z]+$", row) for row in rows]
    columns = sum(not letter.islower() for letter in rows[0])
    inserted = [[piece.rstrip("ABCDEFGHIKLMNPQRSTVWXYZ-") for piece in row] for row in pieces]
    inserted = [row + [""] * (columns + 1 - len(row)) for row in inserted]
    widths = [max(map(len, column)) for column in zip(*inserted, strict=True)]
    padded = []
    for row, own in zip(rows, inserted, strict=True):
        letters = [letter for letter in row if not letter.islower()] + [""]
        padded.append("".join(
            part.ljust(width, ".") + letter for part, width, letter in zip(own, widths, letters, strict=True)
        ))  # fmt: skip
    assert len(set(map(len, padded))) == 1
    return "".join(f"{name}\n{row}\n" for name, row in zip(names, padded, strict=True))


def test_a2m_files_are_the_same_alignment(tmp_path: Path) -> None:
    text = ALIGNMENT + ">more\nwMK-AYcIAccKQRd\n>end\nMKTAYIAKQRdef\n"
    a2m = as_a2m(text)
    assert a2m.splitlines()[1] == ".MKTA..Y.IA..KQR..." and "MK-A..YcIAccKQRd.." in a2m
    (tmp_path / "p.a3m").write_text(text)
    (tmp_path / "p2.a3m").write_text(a2m)
    expected, context = (
        read_homologs(tmp_path / name, neighbor_similarity_lower_bound=0.8) for name in ("p.a3m", "p2.a3m")
    )
    assert context.names == expected.names
    for part in ("text", "bounds", "similarity", "neighbours", "query"):
        np.testing.assert_array_equal(getattr(context, part), getattr(expected, part))
    assert context.similarity[7] == np.float32(0.9) and context.residues(7) == "WMKAYCIACCKQRD"


def test_equal_headers_are_kept_apart_and_gaps_are_never_drawn(alignment: Path) -> None:
    sequences, names = sample_context(alignment)
    assert sorted(names) == ["far", "gap", "ins", "q", "same", "same"]
    assert sorted(sequences.split(",")) == sorted(
        ["MKTAYIAKQR", "MKTAYIAKQR", "MKTAYIAKQW", "MKTAAAYIAKQR", "MKYIAKQR", "WWWWWWWWWW"]
    )


def test_the_query_and_its_copies_can_be_left_out(alignment: Path) -> None:
    assert sorted(sample_context(alignment, exclude_query=True)[1]) == ["far", "gap", "same"]


def test_the_budget_stops_at_the_first_row_that_does_not_fit(alignment: Path) -> None:
    homologs = read_homologs(alignment, neighbor_similarity_lower_bound=0.8)
    whole = draw_context(homologs, context_spec()).sequences
    for budget in range(70):
        drawn = draw_context(homologs, context_spec(max_token_length=budget))
        expected = [row for end, row in enumerate(whole, 1) if sum(map(len, whole[:end])) <= budget]
        assert drawn.sequences == list(expected)
        assert bool(drawn.reason) == (not expected)


def test_no_context_comes_with_its_reason(alignment: Path, caplog: pytest.LogCaptureFixture) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"min_query_similarity": 0.5, "max_query_similarity": 0.6}, "none of 7 rows has a similarity to the query"),
        ({"max_token_length": 3}, "at most 3 residues fit; the first row drawn has"),
        ({"max_num_samples": 0}, "max_num_samples is 0"),
    ]
    for options, reason in cases:
        with caplog.at_level(logging.WARNING):
            assert sample_context(alignment, **options) == ("", [])
        assert reason in caplog.text


@pytest.mark.parametrize(
    "wrong", [{"max_query_similarity": 1.5}, {"min_query_similarity": -0.1}, {"max_num_samples": -1}, {"seed": -1}]
)
def test_impossible_numbers_are_refused(alignment: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        sample_context(alignment, **wrong)


def test_the_signature_has_the_defaults_of_the_original_and_shares_others_with_the_settings() -> None:
    assert PUBLIC_DEFAULTS == {
        "max_num_samples": 511,
        "max_token_length": 32768,
        "max_query_similarity": 1.0,
        "min_query_similarity": 0.0,
        "neighbor_similarity_lower_bound": 0.8,
        "seed": 0,
        "exclude_query": False,
    }
    settings = {name: field.default for name, field in EmbedConfig.model_fields.items()}
    shared = {name for name, value in PUBLIC_DEFAULTS.items() if settings.get(name) == value}
    # Commands have a smaller budget, and leave out rows that are nearly the query.
    assert settings.keys() & PUBLIC_DEFAULTS.keys() - shared == {"max_token_length", "max_query_similarity"}


def test_draws_differ_by_seed_and_repeat(alignment: Path) -> None:
    draws = {seed: sample_context(alignment, seed=seed)[0] for seed in range(12)}
    assert len(set(draws.values())) > 6
    assert all(sample_context(alignment, seed=seed)[0] == drawn for seed, drawn in draws.items())


def test_the_cache_is_by_content(alignment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    first = read_homologs(alignment, neighbor_similarity_lower_bound=0.8, cache_dir=cache)
    copy = tmp_path / "copy.a3m"
    copy.write_text(ALIGNMENT)

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("counted again")

    monkeypatch.setattr(contexts, "neighbour_counts", refuse)
    second = read_homologs(copy, neighbor_similarity_lower_bound=0.8, cache_dir=cache)
    assert second.names == first.names
    for name in ("text", "bounds", "similarity", "neighbours"):
        np.testing.assert_array_equal(getattr(second, name), getattr(first, name))
    assert draw_context(second, context_spec(seed=3)) == draw_context(first, context_spec(seed=3))
    with pytest.raises(RuntimeError, match="counted again"):  # another bound is another entry
        read_homologs(copy, neighbor_similarity_lower_bound=0.9, cache_dir=cache)
    copy.write_text(ALIGNMENT.replace("WWWWW", "WWWWY"))
    with pytest.raises(RuntimeError, match="counted again"):
        read_homologs(copy, neighbor_similarity_lower_bound=0.8, cache_dir=cache)


def test_a_damaged_cache_entry_is_written_anew(alignment: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = read_homologs(alignment, neighbor_similarity_lower_bound=0.8, cache_dir=cache)
    (entry,) = cache.iterdir()
    whole = entry.read_bytes()
    entry.write_bytes(whole[:20])
    assert read_homologs(alignment, neighbor_similarity_lower_bound=0.8, cache_dir=cache).names == first.names
    assert entry.read_bytes() == whole


def test_errors_name_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.a3m"
    path.write_text(">q\nMKTAY\n>r\nMKTA\n")
    with pytest.raises(InputError, match=r"bad\.a3m:3: 4 columns without insertions, the query has 5"):
        sample_context(path)
    with pytest.raises(InputError, match=r"none\.a3m: cannot be read"):
        sample_context(tmp_path / "none.a3m", cache_dir=tmp_path)
