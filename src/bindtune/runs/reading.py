"""Read the files of a run folder for reports: a file may be missing, but a damaged file is an error."""

import csv
import math
from pathlib import Path
from typing import Any

from bindtune import yaml_json
from bindtune.errors import InputError
from bindtune.runs.cells import read_cell


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object, or None where the file is missing.

    Raises:
        InputError: the file cannot be read or holds something else.
    """
    return _mapping(path, yaml_json.read_json(path)) if path.exists() else None


def read_yaml(path: Path) -> dict[str, Any] | None:
    """A YAML mapping, or None where the file is missing.

    Raises:
        InputError: the file cannot be read or holds something else.
    """
    return _mapping(path, yaml_json.read_document(path)) if path.exists() else None


def read_csv(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]] | None:
    """Rows of a CSV file with a header, or None where the file is missing; names are read as `io.cells` wrote them.

    Args:
        path: the file.
        columns: names that its header must have; it may have more.

    Raises:
        InputError: a column is missing, or a row has not as many fields as the header.
    """
    text = read_text(path)
    if text is None:
        return None
    reader = csv.DictReader(text.splitlines(), strict=True)
    rows = []
    try:
        missing = [name for name in columns if name not in (reader.fieldnames or ())]
        if missing:
            raise InputError(path, 1, f"the header lacks {', '.join(missing)}")
        for row in reader:
            if None in row or None in row.values():
                raise InputError(path, reader.line_num, f"has not {len(reader.fieldnames or ())} fields")
            rows.append({name: read_cell(cell) for name, cell in row.items()})
    except csv.Error as error:
        raise InputError(path, reader.line_num, f"is not CSV: {error}") from error
    return rows


def read_text(path: Path) -> str | None:
    """The text of a file, or None where it is missing.

    Raises:
        InputError: the file cannot be read.
    """
    return yaml_json.read_text(path) if path.exists() else None


def as_number(value: Any) -> float:
    """A number, or nan for anything else (an empty field, a missing key, infinity, 400 digits)."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
    return number if math.isfinite(number) else math.nan


def _mapping(path: Path, content: Any) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise InputError(path, None, f"expected names and values, found {type(content).__name__}")
    return {str(name): value for name, value in content.items()}
