"""A small generated data set and model, made once for all integration tests of pretraining."""

from pathlib import Path

import pytest

from bindtune.demo.pretraining import make_windows_and_model


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Training windows, validation windows and a random two-layer model with its tokenizer."""
    folder = tmp_path_factory.mktemp("generated")
    return make_windows_and_model(folder, small=True, notify=lambda _: None)
