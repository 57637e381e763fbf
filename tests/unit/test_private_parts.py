"""Private parts of other libraries are used in the files of FENCES alone, and in each for the names beside it.

ruff's SLF rule sees `other._name`. It does not see `super()._name`, methods that override private ones, inherited names
behind `self`, private keywords, or private modules. So the source is walked here.
"""

import ast
import importlib
import inspect
import pkgutil
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
import torch
from transformers import PreTrainedModel, Trainer

import bindtune

SOURCE = Path(bindtune.__file__).parent
FENCES = {
    "models/cpu_flash.py": {
        "_scaled_dot_product_flash_attention_for_cpu",
        "_scaled_dot_product_flash_attention_for_cpu_backward",
    },
    "training/accelerate_state.py": {"_reset_state"},
}
MODEL_CONTRACT = {
    "_attn_implementation",
    "_can_record_outputs",
    "_init_weights",
    "_input_embed_layer",
    "_keep_in_fp32_modules",
    "_keys_to_ignore_on_load_missing",
    "_keys_to_ignore_on_load_unexpected",
    "_keys_to_ignore_on_save",
    "_no_split_modules",
    "_supports_attention_backend",
    "_supports_flash_attn",
    "_supports_flex_attn",
    "_supports_sdpa",
    "_tied_weights_keys",
}
"""Attributes and methods that transformers asks authors of models to set or read; there is no other way to say it."""

PUBLIC = {"_asdict", "_replace", "_fields", "_make", "_missing_", "_value_"}  # Python documents them
OURS = {"_original_model"}  # of our own classes, used across modules


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__") and name.strip("_") != "" and name not in PUBLIC


def is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def is_super(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super"


def used_in(tree: ast.AST) -> Iterator[str]:
    """Private names of other objects than `self`, of modules, and of keywords."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (part for alias in node.names for part in alias.name.split("."))
        elif isinstance(node, ast.ImportFrom) and node.module and not node.module.startswith("bindtune"):
            yield from [*node.module.split("."), *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Attribute) and not is_self(node.value):
            yield node.attr
        elif isinstance(node, ast.keyword):
            yield node.arg or ""
        elif isinstance(node, ast.arg) and node.arg != "_":
            yield node.arg
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "setattr", "hasattr", "delattr"):
            yield str(getattr(node.args[1], "value", "")) if len(node.args) > 1 else ""


def private_in(text: str) -> set[str]:
    tree = ast.parse(text)
    defined = {
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)
    }  # `inherited_in` looks at these
    return {name for name in used_in(tree) if is_private(name)} - defined - OURS


def is_ours(cls: type) -> bool:
    return cls.__module__.startswith("bindtune") or cls.__module__ == __name__


def is_foreign(cls: type) -> bool:
    return not is_ours(cls) and cls.__module__ not in ("builtins", "typing", "abc", "enum")


def inherited_in(cls: type) -> set[str]:
    """Private names of foreign base classes that a class overrides, or reads behind `self`."""
    theirs = {
        name for base in cls.__mro__ if is_foreign(base) for name in [*vars(base), *inspect.get_annotations(base)]
    }
    own = {name for base in cls.__mro__ if is_ours(base) for name in vars(base)}
    tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    read = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and is_self(node.value)}
    stored = {
        node.attr
        for base in cls.__mro__
        if is_ours(base)
        for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(base))))
        if isinstance(node, ast.Attribute) and is_self(node.value) and isinstance(node.ctx, ast.Store)
    }
    written = {name for name in vars(cls) if name in theirs} | (read & theirs) | (read - own - stored)
    generated = {"_abc_impl", "_backward_cls"}  # Python's and torch's own, made with each class
    contract = MODEL_CONTRACT if issubclass(cls, PreTrainedModel) else set()
    return {name for name in written if is_private(name)} - generated - contract - OURS


@cache
def modules() -> list[ModuleType]:
    names = [each.name for each in pkgutil.walk_packages(bindtune.__path__, "bindtune.")]
    return [importlib.import_module(name) for name in names if not name.endswith("__main__")]


def classes() -> list[type]:
    return [
        cls
        for module in modules()
        for cls in vars(module).values()
        if inspect.isclass(cls) and cls.__module__ == module.__name__ and any(map(is_foreign, cls.__mro__))
    ]


def test_private_names_stand_behind_their_fence() -> None:
    uses = {path.relative_to(SOURCE): private_in(path.read_text("utf-8")) for path in SOURCE.rglob("*.py")}
    beyond = {
        str(path): names - (MODEL_CONTRACT if path.parts[0] == "models" else set()) for path, names in uses.items()
    }
    assert {path: names for path, names in beyond.items() if names} == FENCES


def test_no_class_overrides_or_reads_what_its_foreign_bases_keep_private() -> None:
    uses = {f"{cls.__module__}.{cls.__qualname__}": inherited_in(cls) for cls in classes()}
    assert len(uses) > 50
    assert {cls: names for cls, names in uses.items() if names} == {}


def test_the_contract_of_models_is_the_one_that_transformers_reads() -> None:
    used = {name for cls in classes() if issubclass(cls, PreTrainedModel) for name in vars(cls) if is_private(name)}
    missing = {name for name in used & MODEL_CONTRACT if not hasattr(PreTrainedModel, name)}
    assert missing == set()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("import torch._dynamo", {"_dynamo"}),
        ("from transformers.trainer_utils import _private", {"_private"}),
        ("model._parameters", {"_parameters"}),
        ("super()._save(folder)", {"_save"}),
        ("make(_internal_call=True)", {"_internal_call"}),
        ("def save_model(self, folder, _internal_call=False): ...", {"_internal_call"}),
        ("getattr(model, '_hooks')", {"_hooks"}),
        ("self._own + row._asdict() + model.__class__ + _name", set()),
    ],
)
def test_the_walk_sees_every_kind(text: str, names: set[str]) -> None:
    assert private_in(text) == names


class Overrides(Trainer):
    def _save_checkpoint(self, *_: object) -> None: ...


class Reads(Trainer):
    def size(self) -> int:
        return self._train_batch_size + self._own  # type: ignore[attr-defined,no-any-return]


class Keeps(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self._rows = [1]

    def rows(self) -> list[int]:
        return [*self._rows, *self._parameters]


def test_overrides_and_inherited_names_are_seen() -> None:
    assert inherited_in(Overrides) == {"_save_checkpoint"}
    assert inherited_in(Reads) == {"_train_batch_size", "_own"}
    assert inherited_in(Keeps) == {"_parameters"}
