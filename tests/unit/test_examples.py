"""The examples in docstrings of all modules give what they say."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import bindtune

SOURCE = Path(bindtune.__file__).parent
MODULES = [
    ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts)
    for path in sorted(SOURCE.rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    result = doctest.testmod(import_module(name))
    assert result.attempted and not result.failed
