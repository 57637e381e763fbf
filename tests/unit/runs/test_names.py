"""Names of a run's files stand in one module, and those of a model's files in another."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import bindtune
from bindtune.models import hub_names
from bindtune.runs import names
from bindtune.runs.names import checkpoint_folders, fold_folders, fold_number, in_folds, is_part_of_run, part_files

SOURCE = Path(bindtune.__file__).parent
NUMBERED = re.compile(r"(fold_|checkpoint-|part-)[\d*]*|calls_|\w*_results\.json|random_state\w*\.pt")
"""Names that functions of the module make, or a part of them."""


def constants(module: object) -> set[str]:
    values = [value for name, value in vars(module).items() if name.isupper() and not name.startswith("_")]
    return {text for value in values for text in ([value] if isinstance(value, str) else value)}


def literals(tree: ast.Module) -> Iterator[tuple[int, str, bool]]:
    """Line, text and whether it is joined to a path, of each literal that is no docstring."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    joined = {
        id(side)
        for node in ast.walk(tree)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)
        for side in (node.left, node.right)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value, id(node) in joined


def names_of_files(text: str, listed: set[str], *, joined: bool) -> list[str]:
    """Names in a literal. One with spaces is a sentence; a plain word is a name where it is joined to a path."""
    if any(letter.isspace() for letter in text):
        return []
    parts = [part for part in text.split("/") if part]
    return [
        part
        for part in parts
        if (part in listed and (joined or "." in part or len(parts) > 1)) or NUMBERED.fullmatch(part)
    ]


def strays(source: str) -> list[tuple[int, str]]:
    listed = constants(names) | constants(hub_names)
    return [
        (line, name)
        for line, text, joined in literals(ast.parse(source))
        for name in names_of_files(text, listed, joined=joined)
    ]


def test_no_other_module_spells_the_name_of_a_file() -> None:
    homes = {Path(module.__file__ or "") for module in (names, hub_names)}
    literals = {
        f"{path.relative_to(SOURCE)}:{line}: {name}"
        for path in SOURCE.rglob("*.py")
        if path not in homes
        for line, name in strays(path.read_text(encoding="utf-8"))
    }
    assert literals == set()


def test_a_stray_name_is_seen() -> None:
    source = '''
"""Reads config.yaml."""
a = run / "config.yaml", run / f"fold_{number}" / "oof.parquet", run.glob("fold_*/history.csv"), run / "logs"
b = f"{run} holds no config.yaml", "fold_count", "logs", ".json"
'''
    assert {line for line, _ in strays(source)} == {3}
    assert {name for _, name in strays(source)} == {
        "config.yaml", "oof.parquet", "logs", "fold_*", "history.csv", "fold_",
    }  # fmt: skip


def test_checkpoints_come_by_step_and_other_folders_are_left_out(tmp_path: Path) -> None:
    for name in ("checkpoint-200", "checkpoint-30", "checkpoint-1000", "checkpoint-final", "logs"):
        (tmp_path / name).mkdir()
    assert [path.name for path in checkpoint_folders(tmp_path)] == [
        "checkpoint-30", "checkpoint-200", "checkpoint-1000",
    ]  # fmt: skip
    assert checkpoint_folders(tmp_path / "nowhere") == []


def test_folds_are_folders_of_their_name(tmp_path: Path) -> None:
    for name in ("fold_2", "fold_1", "plots"):
        (tmp_path / name).mkdir()
    (tmp_path / "fold_3").touch()
    (tmp_path / "fold_2" / "oof.parquet").touch()
    assert [path.name for path in fold_folders(tmp_path)] == ["fold_1", "fold_2"]
    assert in_folds(tmp_path, "oof.parquet") == [tmp_path / "fold_2" / "oof.parquet"]
    assert [fold_number(tmp_path / name) for name in ("fold_10", "fold_x", "fold_", "plots")] == [10, None, None, None]
    assert [is_part_of_run(Path(name)) for name in ("fold_1", "checkpoint-5", "plots")] == [True, True, False]


def test_parts_come_by_number(tmp_path: Path) -> None:
    for number in (100_000, 2, 99_999):
        (tmp_path / names.part_file(number)).touch()
    assert [path.name for path in part_files(tmp_path)] == [
        "part-00002.parquet", "part-99999.parquet", "part-100000.parquet",
    ]  # fmt: skip
