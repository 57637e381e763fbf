"""YAML and JSON documents: settings, and what a run noted. Nothing is made of them but plain values."""

import codecs
import json
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from bindtune.errors import InputError
from bindtune.wrong_files import refuse_wrong_file

_LARGEST = 1 << 26
_MOST_VALUES = 100_000
_TOO_DEEP = "too many brackets are open"


def read_document(path: Path, *, notes: bool = False) -> Any:
    """Read a YAML file.

    Args:
        path: the file.
        notes: further documents in the file are notes, and are not read.

    Raises:
        InputError: the file cannot be read, is not YAML, gives a name twice, or is too large (also when its aliases are
            written out).
    """
    text = read_text(path)
    try:
        documents = yaml.load_all(text, _Loader)
        content = next(documents, None)
        if not notes and next(documents, None) is not None:
            raise InputError(path, None, "expected one YAML document, found several, which are parted by '---'")
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise InputError(path, line, f"not YAML: {error.problem}") from error
    except RecursionError as error:
        raise InputError(path, None, f"not YAML: {_TOO_DEEP}") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: no date, or thousands of digits
        raise InputError(path, None, f"not YAML: {' '.join(str(error).split())[:200]}") from error
    _check_size(path, content)
    return content


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: the file cannot be read, or is not JSON.
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(path, error.lineno, f"not JSON: {error.msg}") from error
    except RecursionError as error:
        raise InputError(path, None, f"not JSON: {_TOO_DEEP}") from error
    except ValueError as error:
        raise InputError(path, None, f"not JSON: {' '.join(str(error).split())[:200]}") from error


def read_text(path: Path) -> str:
    """Read a text file whole; a byte order mark is removed.

    Raises:
        InputError: the file cannot be read, is not text, or is too large to be a document.
    """
    refuse_wrong_file(path)
    try:
        with path.open("rb") as handle:
            content = handle.read(_LARGEST + 1)
    except OSError as error:
        raise InputError(path, None, f"cannot be read: {error.strerror or error}") from error
    if len(content) > _LARGEST:
        raise InputError(path, None, f"cannot be read: more than {_LARGEST:,} bytes")
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(path, line, f"cannot be read: not text (UTF-8): {error.reason}") from error


class _Loader(yaml.SafeLoader):
    """Plain values only; a name that comes twice is refused, where YAML libraries silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """As in PyYAML."""
        seen: set[tuple[str, str]] = set()
        for name, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if not isinstance(name, yaml.ScalarNode) or name.tag == "tag:yaml.org,2002:merge":
                continue
            if (name.tag, name.value) in seen:
                raise yaml.constructor.ConstructorError(None, None, f"'{name.value}' comes twice", name.start_mark)
            seen.add((name.tag, name.value))
        return super().construct_mapping(node, deep=deep)


def _check_size(path: Path, content: Any) -> None:
    """Count values as if aliases were written out; one that holds itself has no end."""
    left, waiting = _MOST_VALUES, [content]
    while waiting:
        value = waiting.pop()
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple | set) else ()
        left -= len(inside)
        if left < 0:
            raise InputError(path, None, f"not settings: more than {_MOST_VALUES:,} values, aliases written out")
        waiting.extend(inside)
