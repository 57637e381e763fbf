"""Tables of a comparison beside its page: the same rows as CSV and as JSON."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bindtune.errors import ConfigError
from bindtune.outputs import output_file
from bindtune.runs.cells import name_cell
from bindtune.runs.writing import write_text

Row = Mapping[str, Any]


def table_files(page: Path) -> tuple[Path, Path]:
    """The CSV and the JSON file beside a page, checked before anything is computed.

    Raises:
        ConfigError: the page has the name of one of them.
        InputError: one of them is no file that can be written.
    """
    if page.suffix in (".csv", ".json"):
        raise ConfigError(f"--out {page}: expected the name of a page, such as {page.with_suffix('.html')}")
    names = [page.with_name(f"{page.stem}{ending}") for ending in (".csv", ".json")]
    return output_file(names[0]), output_file(names[1])


def write_tables(files: tuple[Path, Path], rows: Sequence[Row], about: Mapping[str, Any]) -> None:
    """Write rows of equal columns.

    Args:
        files: of `table_files`.
        rows: text, numbers, lists of numbers; nan and None are empty cells, and null in JSON.
        about: entries of the JSON document besides `rows`.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer.writerow(columns)
    writer.writerows([[_cell(row.get(name)) for name in columns] for row in rows])
    write_text(files[0], text.getvalue())
    document = {**about, "rows": [{name: _plain(value) for name, value in row.items()} for row in rows]}
    write_text(files[1], json.dumps(document, indent=2) + "\n")


def _cell(value: Any) -> Any:
    value = _plain(value)
    if isinstance(value, list):
        return " ".join("-" if each is None else f"{each:.8g}" for each in value)
    if isinstance(value, float):
        return f"{value:.8g}"
    return name_cell(value) if isinstance(value, str) else value


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value
