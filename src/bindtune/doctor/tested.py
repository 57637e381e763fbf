"""The versions that bindtune was tested with, and warnings about others.

Only this module names tested versions. A test compares them with the lower bounds in pyproject.toml and with the lock.
"""

import re

TESTED = {
    "Python": ("3.11", "3.14"),
    "torch": ("2.8", "2.14.1"),  # the lock holds back at 2.13.0; `make test-newest` ran with this one
    "transformers": ("5.23", "5.24.0"),
    "peft": ("0.19", "0.21.2"),
    "accelerate": ("1.12", "1.15.0"),
    "datasets": ("4.4", "5.2.0"),
    "huggingface-hub": ("1.31", "2.4.0"),
    "tokenizers": ("0.23.1", "0.23.3"),
    "safetensors": ("0.8", "0.8.0"),
    "numpy": ("2.0", "2.5.5"),
    "pyarrow": ("21", "26.0.1"),
    "scikit-learn": ("1.6", "1.9.1"),
}
"""The lowest and the highest version of each."""


def doubt(name: str, version: str) -> str | None:
    """The reason to doubt a version; None for a version between the tested ones.

    Examples:
        >>> doubt("torch", "2.13.0+cpu")
        >>> doubt("torch", "2.7.1")
        'older than the tested versions'
        >>> doubt("Python", "3.15.0")
        'newer than the tested versions'
    """
    lowest, highest = TESTED[name]
    if _numbers(version) < _numbers(lowest):
        return "older than the tested versions"
    if _numbers(version)[: len(highest.split("."))] > _numbers(highest):
        return "newer than the tested versions"
    return None


def _numbers(version: str) -> tuple[int, ...]:
    """The release of a version: 2.13.0 of 2.13.0+cu128, and of 2.13.0.dev20260101."""
    release = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(map(int, release[0].split("."))) if release else ()
