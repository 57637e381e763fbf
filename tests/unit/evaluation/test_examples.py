"""The examples in docstrings give what they say."""

import doctest
from importlib import import_module

import pytest

MODULES = ("evaluation.binding_sites", "evaluation.guarantees", "evaluation.seed_interval", "reports.arms",
           "reports.site_tables")  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    result = doctest.testmod(import_module(f"bindtune.{name}"))
    assert result.attempted and not result.failed
