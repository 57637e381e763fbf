"""How tests draw contexts: as `sample_context` does, but for what a test changes."""

import inspect
from typing import Any

from bindtune import sample_context
from bindtune.data.protein.contexts import ContextSpec

PUBLIC_DEFAULTS = {
    name: parameter.default
    for name, parameter in inspect.signature(sample_context).parameters.items()
    if name not in ("msa_path", "cache_dir")
}


def context_spec(**changes: Any) -> ContextSpec:
    return ContextSpec(**PUBLIC_DEFAULTS | changes)
