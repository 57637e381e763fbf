"""The sections that the reports of both jobs share: inputs, versions, settings."""

import shlex
from pathlib import Path
from typing import Any

from bindtune import __version__
from bindtune.reports.page import Block, Collapsed, Notice, Section, Table, Text
from bindtune.reports.run_settings import flatten, shown
from bindtune.runs.names import PROVENANCE
from bindtune.runs.reading import read_json

FOOTER = (
    f"Made by bindtune {__version__} from the files in the run folder. This page is one file and loads nothing from "
    "elsewhere."
)


def provenance(run: Path) -> dict[str, Any]:
    """Content of provenance.json; empty if it is missing."""
    return read_json(run / PROVENANCE) or {}


def inputs_section(origin: dict[str, Any], first: tuple[Block, ...] = ()) -> Section:
    """Inputs of the run: files with hashes, versions, the command."""
    if not origin:
        return Section("inputs", "Inputs and versions", (*first, Notice("provenance.json is missing from the run.")))
    blocks: list[Block] = list(first)
    inputs = origin.get("inputs")
    if isinstance(inputs, dict) and inputs:
        rows = [(name, *(shown(_get(entry, key)) for key in ("path", "sha256"))) for name, entry in inputs.items()]
        blocks.append(Table("Input files", ("Setting", "File", "SHA-256"), tuple(rows), code=frozenset({0, 1, 2})))
    versions = {"python": origin.get("python"), **_dict(origin.get("versions"))}
    software = tuple((name, shown(version)) for name, version in versions.items())
    command = Text(f"Command: {_command(origin.get('command'))}")
    start = Text(f"Started {shown(origin.get('started'))} on {shown(origin.get('platform'))}.")
    table = Table("Versions", ("Package", "Version"), software, code=frozenset({0}))
    return Section(
        "inputs", "Inputs and versions", (*blocks, Collapsed("Versions and command", (start, command, table)))
    )


def settings_section(config: dict[str, Any]) -> Section:
    """Every setting of the run."""
    table = Table("Every setting", ("Setting", "Value"), tuple(flatten(config)), code=frozenset({0, 1}))
    return Section("settings", "Settings", (Collapsed("Show all settings", (table,)),))


def started(origin: dict[str, Any]) -> str:
    """When the run began, to the minute."""
    when = str(origin.get("started") or "")
    return when[:16].replace("T", " ") + " UTC" if when.endswith("+00:00") else when or "not recorded"


def version(origin: dict[str, Any]) -> str:
    """The version of bindtune that made the run."""
    return shown(_dict(origin.get("versions")).get("bindtune"))


def _command(words: Any) -> str:
    """The command, quoted for a shell."""
    return shlex.join(map(str, words)) if isinstance(words, list) and words else "not recorded"


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _get(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None
