"""Shared fixtures: where the reference data lies, a small tokenizer, one thread and a cache of its own for each run."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
# Read when `datasets` is imported: no test writes into the user's cache.
os.environ["HF_DATASETS_CACHE"] = tempfile.mkdtemp(prefix="bindtune-tests-")
atexit.register(shutil.rmtree, os.environ["HF_DATASETS_CACHE"], ignore_errors=True)

SHARED = Path(os.environ.get("BINDTUNE_REFERENCE", Path(__file__).parents[1].parent / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The reference data (golden outputs, real peaks and proteins): beside the checkout or at BINDTUNE_REFERENCE."""
    if not SHARED.is_dir():
        message = f"reference data not found at {SHARED}; set BINDTUNE_REFERENCE to its folder"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return SHARED


@pytest.fixture
def datasets_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for this test alone."""
    import datasets

    cache = tmp_path / "datasets-cache"
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
    return cache


@pytest.fixture(scope="session")
def tokenizer() -> "PreTrainedTokenizerFast":
    """A DNA tokenizer of DNABERT-2's kind: [UNK] to [MASK] are 0 to 4, letters 5 to 8, then 18 merges."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    merges = [(a, b) for a in "ACGT" for b in "ACGT"] + [("AC", "GT"), ("TA", "TA")]
    words = [*special, *"ACGT", *("".join(pair) for pair in merges)]
    backend = Tokenizer(models.BPE({word: place for place, word in enumerate(words)}, merges, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    names = ("unk_token", "cls_token", "sep_token", "pad_token", "mask_token")
    return PreTrainedTokenizerFast(tokenizer_object=backend, **dict(zip(names, special, strict=True)))
