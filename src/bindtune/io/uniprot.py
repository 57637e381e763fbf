"""Read UniProtKB entries with their binding features from UniProt's flat text, JSON and tables.

Formats: https://www.uniprot.org/docs/userman.htm, https://www.uniprot.org/help/return_fields. Since 2022 metals are
BINDING features that name their ligand.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import ijson

from bindtune.errors import InputError, library_text
from bindtune.io.components import METALS
from bindtune.io.shallow_json import ShallowJson
from bindtune.io.text import ODD_LETTER, line_blocks, name_problem, numbered_lines, open_bytes

_ION = re.compile(r"([A-Z][a-z]?)(?:\(([0-9]*)\+\)| cations?)")
_BETWEEN = re.compile(r"\s*(?:,|;|/|\bor\b|\band\b)\s*")
_ANY_METAL = re.compile(
    r"\b(?:metal|divalent|monovalent|trivalent|lanthanide|rare.earth)\b.*\b(?:cations?|ions?)\b", re.IGNORECASE
)
_LOCATION = re.compile(r"(?:([A-Z0-9]+-[0-9]+):)?(\?|[<>?]?[0-9]{1,7})(?:\.\.(\?|[<>?]?[0-9]{1,7}))?")
_CELL = re.compile(r'\s*(?:BINDING\s+([^;\s]+)|/([a-z_]+)="((?:[^"]|"")*)")\s*;?')
_BOM = b"\xef\xbb\xbf"
_LEVELS = {"": 0, "item": 1, "results.item": 2}
"""Paths of entries in JSON, and the number of brackets around each."""
_COLUMNS = ("Entry", "Sequence", "Binding site")
_OLD_COLUMN = "Metal binding"
_OLD = "METAL features are of releases before 2022, expected BINDING features with a ligand: fetch the entry again"
_KEY, _CONTINUED = slice(5, 21), " " * 16


class Feature(NamedTuple):
    """A binding feature.

    Args:
        line: 1-based line, or number of the entry in JSON.
        start: first residue, from 1.
        end: last residue.
        isoform: isoform of the positions, or "" for the sequence of the entry.
        ligand: name of the ligand, such as Zn(2+).
        part: part of the ligand, such as Fe of a heme, or "".
        label: number of the ion if there are several, or "".
        exact: whether all residues from start to end bind; otherwise the site lies somewhere among them.
    """

    line: int
    start: int
    end: int
    isoform: str
    ligand: str
    part: str
    label: str
    exact: bool = True


class _Position(NamedTuple):
    """A position of a feature: `<5`, `>5`, `?5` or `?` are not exact.

    Args:
        value: from 1, or None.
        modifier: `<`, `>`, `?` or "".
    """

    value: int | None
    modifier: str


class UniProtEntry(NamedTuple):
    """An entry.

    Args:
        line: 1-based first line, or number of the entry in JSON.
        accession: primary accession.
        sequence: L letters.
        features: binding features.
    """

    line: int
    accession: str
    sequence: str
    features: tuple[Feature, ...]


def ligand_elements(ligand: str) -> tuple[str, ...]:
    """Symbols of the metal ions in a ligand's name; empty for other ligands and for unnamed metals.

    Examples:
        >>> ligand_elements("Zn(2+)"), ligand_elements("Mg(2+) or Mn(2+)"), ligand_elements("Fe cation")
        (('ZN',), ('MG', 'MN'), ('FE',))
        >>> ligand_elements("heme b"), ligand_elements("a divalent metal cation"), ligand_elements("NAD(+)")
        ((), (), ())
    """
    matches = [_ION.fullmatch(part) for part in _BETWEEN.split(ligand.strip())]
    symbols = [match[1].upper() for match in matches if match is not None]
    if len(symbols) < len(matches) or not set(symbols) <= METALS:
        return ()
    return tuple(dict.fromkeys(symbols))


def is_unnamed_metal(ligand: str) -> bool:
    """Whether a ligand may be a metal ion, but the name does not say that it is, or which one.

    Examples:
        >>> is_unnamed_metal("a divalent metal cation"), is_unnamed_metal("Zn(2+)"), is_unnamed_metal("Zn(2+) or ATP")
        (True, False, True)
    """
    if ligand_elements(ligand):
        return False
    return _ANY_METAL.search(ligand) is not None or any(map(ligand_elements, _BETWEEN.split(ligand.strip())))


def read_uniprot(path: Path) -> Iterator[UniProtEntry]:
    """Yield the entries of a file, plain or gzipped; the format follows from the content.

    Raises:
        InputError: a line (in JSON, a record) is malformed.
    """
    first = next((line for _, block in line_blocks(path) for line in block if line.strip()), "")
    if first.lstrip().startswith(("{", "[")):
        entries = _json(path)
    elif first.startswith("ID   "):
        entries = _flat(path)
    elif "\t" in first and "Entry" in _cells(first):
        entries = _tsv(path)
    else:
        expected = "expected UniProt's flat text, JSON, or a table with the column Entry"
        raise InputError(path, 1, f"{expected}, found {first[:40]!r}")
    number = 0
    for number, entry in enumerate(entries, start=1):  # noqa: B007 - counted
        yield entry
    if not number:
        raise InputError(path, None, "holds no entry")


@dataclass
class _Draft:
    """An entry of flat text while it is read."""

    line: int
    accession: str = ""
    letters: list[str] = field(default_factory=list)
    features: list[tuple[int, str, dict[str, str]]] = field(default_factory=list)
    in_feature: bool = False
    in_sequence: bool = False
    open_name: str = ""

    def add(self, path: Path, number: int, line: str) -> None:
        """Add a line."""
        code = line[:5].rstrip()
        if code == "AC" and not self.accession:
            self.accession = line[5:].split(";")[0].strip()
        elif code == "FT":
            self._add_feature(path, number, line)
        elif code == "SQ":
            self.in_sequence, self.in_feature = True, False
        elif self.in_sequence and line.startswith("     "):
            self.letters.append(line.replace(" ", ""))

    def _add_feature(self, path: Path, number: int, line: str) -> None:
        key, rest = line[_KEY].strip(), line[21:].strip()
        if key:
            if key == "METAL":
                raise InputError(path, number, _OLD)
            self.in_feature, self.open_name = key == "BINDING", ""
            if self.in_feature:
                self.features.append((number, rest, {}))
        elif self.in_feature:
            qualifiers = self.features[-1][2]
            if rest.startswith("/") and not self.open_name:
                name, _, value = rest[1:].partition("=")
                qualifiers[name] = value.strip('"')
                self.open_name = "" if value.count('"') != 1 else name
            elif self.open_name:
                before = qualifiers[self.open_name]
                qualifiers[self.open_name] = f"{before}{'' if before.endswith('-') else ' '}{rest.rstrip(chr(34))}"
                if rest.endswith('"'):
                    self.open_name = ""

    def entry(self, path: Path) -> UniProtEntry:
        """The finished entry."""
        sequence = "".join(self.letters)
        features = [_feature(path, line, where, named, len(sequence)) for line, where, named in self.features]
        return _entry(path, self.line, self.accession, sequence, features)


def _flat(path: Path) -> Iterator[UniProtEntry]:
    draft: _Draft | None = None
    for number, line in numbered_lines(path):
        if line.startswith("ID   "):
            if draft is not None:
                raise InputError(path, number, f"the entry that begins in line {draft.line} has no end (//)")
            draft = _Draft(number)
        elif line.startswith("//"):
            if draft is not None:
                yield draft.entry(path)
            draft = None
        elif draft is not None:
            draft.add(path, number, line)
        elif line.strip():
            raise InputError(path, number, f"expected an entry that begins with ID, found {line[:40]!r}")
    if draft is not None:
        raise InputError(path, draft.line, "the entry has no end (//): the file is cut short")


def _tsv(path: Path) -> Iterator[UniProtEntry]:
    columns: Mapping[str, int] | None = None
    width = 0
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        cells = _cells(line)
        if columns is None:
            if _OLD_COLUMN in cells:
                raise InputError(path, number, f"column {_OLD_COLUMN}: {_OLD}")
            missing = [name for name in _COLUMNS if name not in cells]
            if missing:
                raise InputError(path, number, f"lacks the column {' and '.join(missing)}")
            columns, width = {name: cells.index(name) for name in _COLUMNS}, len(cells)
            continue
        if len(cells) != width:
            raise InputError(path, number, f"expected {width} columns, found {len(cells)}")
        accession, sequence, cell = (cells[columns[name]].strip() for name in _COLUMNS)
        yield _entry(path, number, accession, sequence, _cell_features(path, number, cell, len(sequence)))


def _cells(line: str) -> list[str]:
    """The cells of a line; a spreadsheet writes quotes around a cell that holds quotes, and doubles these."""
    return [
        cell[1:-1].replace('""', '"') if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell
        for cell in line.split("\t")
    ]


def _cell_features(path: Path, line: int, cell: str, length: int) -> list[Feature]:
    features: list[tuple[str, dict[str, str]]] = []
    position = 0
    while position < len(cell):
        match = _CELL.match(cell, position)
        if match is None or (match[1] is None and not features):
            raise InputError(
                path, line, f"column Binding site: expected BINDING and qualifiers, found {cell[position:][:40]!r}"
            )
        if match[1] is not None:
            features.append((match[1], {}))
        else:
            features[-1][1].setdefault(match[2], match[3])
        position = match.end()
    return [_feature(path, line, where, qualifiers, length) for where, qualifiers in features]


def _json(path: Path) -> Iterator[UniProtEntry]:
    number = 0
    try:
        with _json_stream(path) as stream:
            prefix = _json_prefix(ShallowJson(stream))
        with _json_stream(path) as stream:
            shallow = ShallowJson(stream, level=_LEVELS[prefix])
            for number, content in enumerate(ijson.items(shallow, prefix, use_float=True), start=1):
                yield _json_entry(path, number, content)
    except (ijson.JSONError, ValueError, EOFError, OSError) as error:
        raise InputError(path, number + 1, f"not JSON: {library_text(error)}", unit="record") from error


@contextmanager
def _json_stream(path: Path) -> Iterator[BinaryIO]:
    """The file after its byte order mark, which ijson does not accept."""
    with open_bytes(path) as stream:
        stream.seek(len(_BOM) if stream.read(len(_BOM)) == _BOM else 0)
        yield stream


def _json_prefix(stream: Any) -> str:
    """The path of the entries: a list, the results of a search, or a single entry."""
    for prefix, event, value in ijson.parse(stream):
        if not prefix and event == "start_array":
            return "item"
        if not prefix and event == "map_key" and value in ("results", "primaryAccession"):
            return "results.item" if value == "results" else ""
    return ""


def _json_entry(path: Path, number: int, content: Any) -> UniProtEntry:
    try:
        sites = [each for each in content.get("features", ()) if each["type"] in ("Binding site", "Metal binding")]
        old = any(each["type"] == "Metal binding" for each in sites)
        accession, sequence = str(content["primaryAccession"]), str(content["sequence"]["value"])
        features = [] if old else [_json_feature(number, each, len(sequence)) for each in sites]
    except (LookupError, TypeError, AttributeError) as error:
        problem = f"is no entry of UniProt: {library_text(error)}"
        raise InputError(path, number, problem, unit="record") from error
    if old:
        raise InputError(path, number, _OLD, unit="record")
    return _entry(path, number, accession, sequence, features, unit="record")


def _json_feature(number: int, feature: Any, length: int) -> Feature:
    location, ligand = feature["location"], feature.get("ligand", {})
    start = _json_position(location["start"], outside="<")
    end = _json_position(location["end"], outside=">")
    isoform, part = str(location.get("sequence") or ""), str(feature.get("ligandPart", {}).get("name", ""))
    name, label = str(ligand.get("name", "")), str(ligand.get("label", ""))
    return Feature(number, *_stretch(start, end, length), isoform, name, part, label, _is_exact(start, end))


def _json_position(position: Mapping[str, Any], *, outside: str) -> _Position:
    value = position.get("value")
    modifier = position.get("modifier", "EXACT")
    symbol = "" if modifier == "EXACT" else outside if modifier == "OUTSIDE" else "?"
    return _Position(value if isinstance(value, int) and not isinstance(value, bool) else None, symbol)


def _is_exact(start: _Position, end: _Position) -> bool:
    return None not in (start.value, end.value) and not (start.modifier or end.modifier)


def _stretch(start: _Position, end: _Position, length: int) -> tuple[int, int]:
    """First and last residue of a feature; where a position is open or missing, the end of the sequence."""
    first = 1 if start.value is None or start.modifier == "<" else start.value
    return first, length if end.value is None or end.modifier == ">" else end.value


def _feature(path: Path, line: int, location: str, qualifiers: Mapping[str, str], length: int) -> Feature:
    match = _LOCATION.fullmatch(location)
    if match is None:
        raise InputError(path, line, f"expected a position such as 94 or 94..97, found {location[:40]!r}")
    start = _position(match[2])
    end = start if match[3] is None else _position(match[3])
    return Feature(
        line,
        *_stretch(start, end, length),
        match[1] or "",
        qualifiers.get("ligand", ""),
        qualifiers.get("ligand_part", ""),
        qualifiers.get("ligand_label", ""),
        _is_exact(start, end),
    )


def _position(text: str) -> _Position:
    digits = text.lstrip("<>?")
    return _Position(int(digits) if digits else None, text[:1] if not text[:1].isdecimal() else "")


def _entry(
    path: Path, line: int, accession: str, sequence: str, features: Iterable[Feature], *, unit: str = ""
) -> UniProtEntry:
    """Check an entry.

    Raises:
        InputError: the entry has no accession or sequence, or a feature lies outside the sequence.
    """
    letters = sequence.upper()
    if not accession or name_problem(accession) or accession.split() != [accession]:
        raise InputError(path, line, f"expected an accession, found {accession[:40]!r}", unit=unit)
    if not letters or ODD_LETTER.search(letters):
        raise InputError(path, line, f"{accession}: expected a sequence of letters, found {letters[:40]!r}", unit=unit)
    entry = UniProtEntry(line, accession, letters, tuple(features))
    for each in entry.features:
        if each.isoform:
            continue
        if not 1 <= each.start <= each.end <= len(letters):
            where = f"{each.start}..{each.end}"
            problem = f"{accession}: the feature {where} does not lie in the sequence of {len(letters)} residues"
            raise InputError(path, each.line, problem, unit=unit)
    return entry
