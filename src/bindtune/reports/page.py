"""A report as a page: sections of text, tables, charts and drawings, rendered into one HTML file that loads nothing.

Everything a page is given is text, and is shown as text: the template escapes it. Charts alone are markup;
`svg_charts.py` makes them and escapes the texts in them. The page's own scripts stand in it. Its policy names their
hash, so that a browser runs no other script and asks no network for anything.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bindtune.reports.molstar import HOW_TO_GET, Viewer
from bindtune.reports.structure_views import StructureViews
from bindtune.runs.names import OUT_OF_FOLD
from bindtune.runs.writing import write_text


@dataclass(frozen=True)
class Tile:
    """One of the first figures of a page, with its name and values to compare with."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Notice:
    """A warning, for example about a missing file."""

    text: str


@dataclass(frozen=True)
class Preformatted:
    """Text whose lines stay as they are, such as a licence notice."""

    text: str


@dataclass(frozen=True)
class Table:
    """A table. The first column names its row.

    Args:
        caption: its title.
        columns: column heads.
        rows: one cell a column.
        numeric: columns (by index) that hold numbers and are set flush right.
        code: columns (by index) that hold names of settings, paths or hashes.
        note: small print below.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: frozenset[int] = frozenset()
    code: frozenset[int] = frozenset()
    note: str = ""


@dataclass(frozen=True)
class Chart:
    """A drawing made by `charts.py`.

    Args:
        title: its title.
        svg: the drawing.
        described: the same in words, for readers who cannot see it.
        note: a sentence about how to read it.
    """

    title: str
    svg: Markup
    described: str
    note: str = ""


@dataclass(frozen=True)
class Charts:
    """Charts beside each other, as many as there is room for; three of the small, square ones."""

    charts: tuple[Chart, ...]
    small: bool = False


@dataclass(frozen=True)
class Bar:
    """One residue, or the highest of several neighbours: its position and height, as shares of the drawing."""

    left: float
    width: float
    height: float
    kind: str


@dataclass(frozen=True)
class Mark:
    """An entry in a list of residues: its name, and its kind (hit, missed or false)."""

    name: str
    probability: str
    kind: str


@dataclass(frozen=True)
class Track:
    """One protein with its sites along the sequence.

    Args:
        title: protein and ion.
        note: the reason why it is shown, and its figures.
        described: the same in words, for readers who cannot see it.
        bars: probabilities.
        sites: places of true sites.
        calls: places that are called.
        threshold: height of the calling threshold as a share of the drawing, or None.
        ticks: (place as a share of the width, residue number).
        marks: every true or called residue.
        more: how many marks are left out.
    """

    title: str
    note: str
    described: str
    bars: tuple[Bar, ...]
    sites: tuple[Bar, ...]
    calls: tuple[Bar, ...]
    threshold: float | None
    ticks: tuple[tuple[float, str], ...]
    marks: tuple[Mark, ...]
    more: int = 0


@dataclass(frozen=True)
class Collapsed:
    """Blocks that a reader opens with a click."""

    title: str
    blocks: "tuple[Block, ...]"


@dataclass(frozen=True)
class ProteinBrowser:
    """A table of all proteins, and the section of the opened protein.

    Args:
        data: data for `templates/proteins.js`; `protein_browser.py` makes and describes it.
        proteins: of the run.
        rows: proteins in the table.
        with_residues: proteins whose residues the page holds.
        structures: of some of the proteins; None where none is known.
        table: the file that has all residues.
    """

    data: Mapping[str, Any]
    proteins: int
    rows: int
    with_residues: int
    structures: StructureViews | None = None
    table: str = OUT_OF_FOLD

    @property
    def viewer(self) -> Viewer | None:
        """The viewer of structures."""
        return None if self.structures is None else self.structures.viewer


@dataclass(frozen=True)
class WindowBrowser:
    """A table of the evaluated windows of a run.

    Args:
        data: columns of equal length, which `templates/windows.js` reads.
        windows: of the evaluation.
        rows: windows in the table.
        named: windows whose name is known.
    """

    data: Mapping[str, Any]
    windows: int
    rows: int
    named: int


Block = Text | Notice | Preformatted | Table | Charts | Track | ProteinBrowser | WindowBrowser | Collapsed


@dataclass(frozen=True)
class Section:
    """A part of the page that the table of contents lists.

    Args:
        key: its anchor; letters and hyphens.
        title: its heading.
        blocks: its blocks.
    """

    key: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Page:
    """A whole report.

    Args:
        title: heading and title.
        kind: kind of the page, above the heading, such as "report of a binding-site run".
        lead: one or two sentences about the run.
        facts: (name, value) pairs below the heading.
        tiles: the most important figures.
        notices: warnings at the top.
        sections: the rest.
        footer: who made the page.
    """

    title: str
    lead: str
    kind: str = "report"
    facts: tuple[tuple[str, str], ...] = ()
    tiles: tuple[Tile, ...] = ()
    notices: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()
    footer: str = ""


def render(page: Page) -> str:
    """The page as HTML."""
    environment = Environment(
        loader=PackageLoader("bindtune.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["kind"] = lambda block, name: type(block).__name__ == name
    environment.filters["data"] = _data
    script = _script(page)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    template = environment.get_template("page.html.j2")
    text = template.render(
        page=page,
        script=Markup(script),  # noqa: S704 (the package's own)
        script_hash=digest,
        viewer=next((block.viewer for block in _blocks(page) if isinstance(block, ProteinBrowser)), None),
        how_to_get_viewer=HOW_TO_GET,
    )
    return text.strip() + "\n"


_SCRIPTS: dict[type, tuple[str, ...]] = {
    Charts: ("charts.js",),
    ProteinBrowser: ("tables.js", "structure.js", "proteins.js"),
    WindowBrowser: ("tables.js", "windows.js"),
}


def _blocks(page: Page) -> Iterator[Block]:
    return (block for section in page.sections for block in _all_blocks(section.blocks))


def _script(page: Page) -> str:
    """The scripts that the blocks of the page need."""
    kinds = {type(block) for block in _blocks(page)}
    names = dict.fromkeys(name for kind, scripts in _SCRIPTS.items() if kind in kinds for name in scripts)
    folder = files("bindtune.reports") / "templates"
    return (
        "(() => {\n"
        + "\n".join((folder / name).read_text(encoding="utf-8") for name in ("page.js", *names))
        + "})();\n"
    )


def _all_blocks(blocks: Sequence[Block]) -> Iterator[Block]:
    for block in blocks:
        yield block
        if isinstance(block, Collapsed):
            yield from _all_blocks(block.blocks)


def _data(values: Mapping[str, Any]) -> Markup:
    """Values as JSON inside a script element, which no text in it can end."""
    text = json.dumps(values, ensure_ascii=True, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return Markup(text)  # noqa: S704 (JSON without "<")


def write(page: Page, path: Path) -> None:
    """Write the page completely or not at all."""
    write_text(path, render(page))
