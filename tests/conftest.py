"""Shared fixtures: where the reference data lies, and one thread for each test process."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

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
