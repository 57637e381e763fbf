"""Examples in the docstrings of the probe run."""

import doctest
import importlib
import pkgutil

import pytest

import bindtune.data.dna
import bindtune.probing

MODULES = [
    f"{package.__name__}.{module.name}"
    for package in (bindtune.probing, bindtune.data.dna)
    for module in pkgutil.iter_modules(package.__path__)
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0
