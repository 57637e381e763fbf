"""Folders of this machine and secrets in what is published."""

from pathlib import Path
from typing import Any

import pytest

from bindtune.publishing.private import find_private, without_folders


@pytest.mark.parametrize(
    ("value", "cleaned"),
    [
        ("/home/me/labels/{ION}_train.fa", "{ION}_train.fa"),
        ("/home/my folder/ä.fa", "ä.fa"),
        ("~/runs/one", "one"),
        ("--out=/scratch/me/out", "--out=out"),
        ("data.fasta_path={ZN: /home/me/a.fa, CA: ~/b.fa}", "data.fasta_path={ZN: a.fa, CA: b.fa}"),
        ("file:///home/me/mlruns", "mlruns"),
        ("see '/home/me/a b", "see 'a b"),
        # no folders of this machine
        ("data/train.fa", "data/train.fa"),
        ("../a.fa", "../a.fa"),
        ("Profluent-Bio/E1-150m", "Profluent-Bio/E1-150m"),
        ("https://huggingface.co/a/b", "https://huggingface.co/a/b"),
        ("(.*\\.)?mlm_head(\\..*)?", "(.*\\.)?mlm_head(\\..*)?"),
        ("and / or", "and / or"),
        (3, 3),
        (None, None),
        ({"a": ["/b/c", {"d": "/e/f"}]}, {"a": ["c", {"d": "f"}]}),
    ],
)
def test_folders_are_left_out(value: Any, cleaned: Any) -> None:
    assert without_folders(value) == cleaned
    assert without_folders(cleaned) == cleaned


def test_what_must_not_be_published() -> None:
    home = Path("/home/me")
    assert find_private(b"a run in /home/me/x", (home,)) == "the path /home/me"
    assert find_private(b"a run in /home/you/x", (home,)) is None
    assert (
        find_private(b"under / there is everything", (Path("/"), Path("/root"))) is None
    )  # says nothing about anybody
    assert find_private(b"HF_TOKEN=hf_" + b"a1" * 17, ()) == "a token of the Hugging Face hub"
    assert find_private(b"hf_home, hf_hub_cache_of_all", ()) is None
    assert find_private(b'"password": "correct-horse"', ()) == "an API key"
