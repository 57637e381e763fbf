"""Mol* (https://molstar.org, MIT licence), the viewer of structures, from the package molstar-cli.

The page holds the viewer's script packed, and unpacks it when a reader opens a structure. The script runs in a scope of
its own (`templates/viewer_scope.js`), where it can neither make code of text nor compile WebAssembly. The page's policy
forbids both. Only its export of films
needs them, and pages do not use it.
"""

import base64
import zlib
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from bindtune.errors import InputError

PACKAGE = "molstar_cli"
HOW_TO_GET = "pip install 'bindtune[viewer]'"
_FOLDER = "static/molstar"


@dataclass(frozen=True)
class Viewer:
    """A viewer for a page.

    Args:
        script: packed by zlib, in base64.
        style: of its parts, likewise.
        script_hash: SHA-256 of the script in base64, as a page's policy names it.
        licence: its notice.
        version: of Mol*.
    """

    script: str
    style: str
    script_hash: str
    licence: str
    version: str

    @property
    def size(self) -> int:
        """Letters that it adds to a page."""
        return len(self.script) + len(self.style) + len(self.licence)


@cache
def installed_viewer() -> Viewer | None:
    """The viewer, or None where `bindtune[viewer]` is not installed.

    Raises:
        InputError: the package lacks a file.
    """
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    return read_viewer(Path(spec.submodule_search_locations[0]) / _FOLDER)


def read_viewer(folder: Path) -> Viewer:
    """Read the files of Mol* and set its script into its scope.

    Raises:
        InputError: a file is missing.
    """
    texts = {}
    for name in ("molstar.js", "molstar.css", "LICENSE.molstar", "VERSION"):
        path = folder / name
        if not path.is_file():
            raise InputError(path, None, f"is missing from the package {PACKAGE.replace('_', '-')}: {HOW_TO_GET}")
        texts[name] = path.read_text(encoding="utf-8")
    scope = (files("bindtune.reports") / "templates" / "viewer_scope.js").read_text(encoding="utf-8")
    script = _inside(scope, texts["molstar.js"])
    return Viewer(
        script=_packed(script),
        style=_packed(texts["molstar.css"]),
        script_hash=base64.b64encode(sha256(script.encode()).digest()).decode("ascii"),
        licence=texts["LICENSE.molstar"].strip(),
        version=texts["VERSION"].strip(),
    )


def _inside(scope: str, script: str) -> str:
    before, after = scope.split("/* the viewer's script */")
    return before + script + after


def _packed(text: str) -> str:
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode("ascii")
