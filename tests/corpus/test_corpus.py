"""Every broken file is refused by name and line, and every odd one read whole; nothing is left half written."""

import math
import re
from pathlib import Path
from typing import Any

import pytest

from bindtune.errors import BindtuneError
from corpus.case import Case, counts
from corpus.cases import CASES
from corpus.readers import READERS
from corpus.wrong import READ_AS_TEXT


def _plain(value: Any) -> Any:
    """Values that can be compared: nan equals nan, and tuples lists."""
    if isinstance(value, float) and math.isnan(value):
        return "nan"
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return {name: _plain(each) for name, each in value.items()} if isinstance(value, dict) else value


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("case", [pytest.param(case, id=f"{case.format}-{case.name}") for case in CASES])
def test_a_file(case: Case, tmp_path: Path) -> None:
    path = case.write(tmp_path)
    before = _files(tmp_path)
    if case.problem is None:
        assert _plain(case.reader.read(path)) == _plain(case.value)
    else:
        with pytest.raises(BindtuneError) as caught:
            case.reader.read(path)
        named = path if case.at is None else tmp_path / case.at
        message = str(caught.value)
        assert re.match(f"{re.escape(str(named))}(?:{case.problem})", message), message
        assert "\n" not in message or message.splitlines()[0].endswith(" problems")
        assert len(message) < 1000
    assert _files(tmp_path) == before


@pytest.mark.parametrize("format", READ_AS_TEXT)
def test_a_folder(format: str, tmp_path: Path) -> None:
    reader = READERS[format]
    path = tmp_path / reader.file
    path.mkdir()
    with pytest.raises(BindtuneError, match=f"^{re.escape(str(path))}: is a folder, expected a file$"):
        reader.read(path)


def test_every_format_has_cases() -> None:
    case_counts = counts(CASES)
    assert case_counts.keys() == READERS.keys()
    assert sum(broken + sound for broken, sound in case_counts.values()) >= 150
    assert all(broken for broken, _ in case_counts.values())
    names = [(case.format, case.name, case.file) for case in CASES]
    assert len(set(names)) == len(names)
