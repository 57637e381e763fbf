"""YAML and JSON documents: settings, and what a run noted. Nothing is made of them but plain values.

Plain words of YAML are read as YAML 1.2 reads them: only `true` and `false` are truth values, so that NO is nitric
oxide. What may be a name as well as a number (1E10, 007, 0x10, 12:30) stays text; a setting that is a number takes text
as far as it is one.
"""

import codecs
import contextlib
import json
import math
import re
import sys
from collections import Counter
from collections.abc import Hashable
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from bindtune.errors import InputError, library_text
from bindtune.wrong_files import refuse_wrong_file

_LARGEST = 1 << 26
_LARGEST_YAML = 1 << 23  # PyYAML takes seconds for a megabyte
_BLOCK = 1 << 16
_MOST_VALUES = 100_000
_MOST_NODES = 2 * _MOST_VALUES  # names and values
_TOO_MANY = f"more than {_MOST_VALUES:,} values"
_MOST_IN_JSON = 5_000_000  # commas and brackets, for each of which some 60 bytes of memory are taken
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
    text = read_text(path, largest=_LARGEST_YAML)
    try:
        _refuse_many_values(text)
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
        raise InputError(path, None, f"not YAML: {library_text(error)}") from error
    _check_size(path, content)
    return content


def read_value(text: str) -> Any:
    """Read a YAML value that was typed, as it would be read from a file.

    Raises:
        ValueError: it is not YAML, or is too large.

    Examples:
        >>> read_value("[NO, ZN]"), read_value("1e-4"), read_value("1E10"), read_value("null")
        (['NO', 'ZN'], 0.0001, '1E10', None)
    """
    try:
        content = _Loader(text).get_single_data()
        _check_size(None, content)
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error
    except InputError as error:
        raise ValueError(error.problem) from error
    except yaml.MarkedYAMLError as error:
        raise ValueError(str(error.problem)) from error
    except yaml.YAMLError as error:
        raise ValueError(library_text(error, 400)) from error
    return content


def write_document(content: Any) -> str:
    """YAML text of plain values, in which every text is quoted that another reader might take for something else.

    Examples:
        >>> print(write_document({"ions": ["NO", "1e-4"], "rate": 0.5}), end="")
        ions:
        - 'NO'
        - '1e-4'
        rate: 0.5
    """
    text: str = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text


def write_value(value: Any) -> str:
    """One plain value as YAML on one line, which `read_value` reads back.

    Examples:
        >>> write_value(["NO", "ZN"]), write_value("1e-4"), write_value(None)
        ("['NO', ZN]", "'1e-4'", 'null')
    """
    text: str = yaml.dump([value], Dumper=_Dumper, default_flow_style=True, width=1 << 16, allow_unicode=True)
    return text.strip()[1:-1]


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: the file cannot be read, is not JSON, gives a name twice, or holds too many values.
    """
    text = read_text(path)
    if sum(map(text.count, ",[{")) > _MOST_IN_JSON:
        raise InputError(path, None, f"cannot be read: more than {_MOST_IN_JSON:,} values")
    try:
        return json.loads(text, object_pairs_hook=_distinct)
    except json.JSONDecodeError as error:
        raise InputError(path, error.lineno, f"not JSON: {error.msg}") from error
    except RecursionError as error:
        raise InputError(path, None, f"not JSON: {_TOO_DEEP}") from error
    except ValueError as error:
        raise InputError(path, None, f"not JSON: {library_text(error)}") from error


def read_names_and_values(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds names and values.

    Raises:
        InputError: as in `read_json`, or it holds something else.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(path, None, f"expected names and values, found {type(content).__name__}")
    return content


def checked_number(path: Path, name: str, value: Any, *, low: float = -math.inf, high: float = math.inf) -> float:
    """A number of a document; truth values, text, nan and infinity are none.

    Args:
        path: the document, for the message.
        name: where the number stands in it, such as "thresholds.ZN.threshold".
        value: what stands there.
        low: the least that it may be.
        high: the most.

    Raises:
        InputError: it is something else, or too small or too large.

    Examples:
        >>> checked_number(Path("global_thresholds.yaml"), "thresholds.ZN.threshold", 0.5, low=0, high=1)
        0.5
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and low <= value <= high and abs(value) <= sys.float_info.max:
        return float(value)
    bounds = "" if math.isinf(low) and math.isinf(high) else f" of at least {low:g}"
    bounds = bounds if math.isinf(high) else f" from {low:g} to {high:g}"
    raise InputError(path, None, f"{name}: expected a number{bounds}, found {value!r}")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, whose names must differ: libraries take the first or the last of two."""
    content = dict(pairs)
    if len(content) < len(pairs):
        (name, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"{name!r} comes twice")
    return content


def read_text(path: Path, *, largest: int = _LARGEST) -> str:
    """Read a text file whole; a byte order mark is removed.

    Args:
        path: the file.
        largest: bytes that it may have.

    Raises:
        InputError: the file cannot be read, is not text, or is too large to be a document.
    """
    refuse_wrong_file(path)
    try:
        with path.open("rb") as handle:
            content = _read_bounded(handle, largest)
    except OSError as error:
        raise InputError(path, None, f"cannot be read: {error.strerror or error}") from error
    if len(content) > largest:
        raise InputError(path, None, f"cannot be read: more than {largest:,} bytes")
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(path, line, f"cannot be read: not text (UTF-8): {error.reason}") from error


def _read_bounded(handle: BinaryIO, largest: int) -> bytes:
    """What a file holds, up to a byte more than a document may have; a small file needs little memory."""
    content = bytearray()
    while len(content) <= largest and (block := handle.read(min(_BLOCK, largest + 1 - len(content)))):
        content += block
    return bytes(content)


_PLAIN_WORDS = {
    "null": (r"(?:~|null|Null|NULL|)$", ("~", "n", "N", "")),
    "bool": (r"(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    "int": (r"[-+]?(?:0|[1-9][0-9]*)$", "-+0123456789"),
    "float": (
        r"(?:[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+][0-9]+"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        "-+.0123456789",
    ),
    "merge": (r"<<$", "<"),
}
"""What is more than text without quotes: its pattern, and the characters that it may begin with.

Numbers are those of YAML 1.2, except what may be a name: octal and hexadecimal ones, leading zeros, and whole numbers
with an exponent that has no sign (1E10 is an entry of the PDB).
"""


def _refuse_many_values(text: str) -> None:
    """Count the values of a large document with libyaml, where it is there: PyYAML's own parser takes a minute.

    Text that libyaml cannot read is left to PyYAML, which says why.
    """
    if len(text) <= 4 * _MOST_VALUES or not hasattr(yaml, "CSafeLoader"):  # a value takes two characters or more
        return
    nodes = 0
    with contextlib.suppress(yaml.MarkedYAMLError, ValueError, RecursionError):
        for event in yaml.parse(text, yaml.CSafeLoader):
            if isinstance(event, yaml.DocumentEndEvent):
                return
            nodes += isinstance(event, yaml.NodeEvent)
            if nodes > _MOST_NODES:
                break
    if nodes > _MOST_NODES:
        raise yaml.YAMLError(_TOO_MANY)


class _Loader(yaml.SafeLoader):
    """Plain values only; a name that comes twice is refused, where YAML libraries silently take the last."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 - filled below
    _nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """As in PyYAML, as long as there are not too many."""
        self._nodes += 1
        if self._nodes > _MOST_NODES:
            raise yaml.YAMLError(_TOO_MANY)
        return super().compose_node(parent, index)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """As in PyYAML, but no mapping grows beyond all bounds by what is merged into it again and again."""
        size = len(node.value)
        for name, value in node.value:
            if name.tag == "tag:yaml.org,2002:merge":
                for part in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    if isinstance(part, yaml.MappingNode):
                        self.flatten_mapping(part)
                        size += len(part.value)
        if size > _MOST_VALUES:
            raise yaml.YAMLError(f"more than {_MOST_VALUES:,} values, merged")
        super().flatten_mapping(node)

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


class _Dumper(yaml.SafeDumper):
    """Text that PyYAML or `_Loader` would read as something else gets quotes."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        """As in PyYAML, but separators of lines that are no newline (U+0085, U+2028) are written as escapes."""
        style = None if data.isprintable() else '"'
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _Dumper.represent_str)


for _kind, (_pattern, _first) in _PLAIN_WORDS.items():
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(_pattern), list(_first))


def _check_size(path: Path | None, content: Any) -> None:
    """Count values as if aliases were written out; one that holds itself has no end."""
    left, waiting = _MOST_VALUES, [content]
    while waiting:
        value = waiting.pop()
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple | set) else ()
        left -= len(inside)
        if left < 0:
            raise InputError(path, None, f"not settings: more than {_MOST_VALUES:,} values, aliases written out")
        waiting.extend(inside)
