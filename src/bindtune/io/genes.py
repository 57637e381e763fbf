"""Genes from GTF and GFF3, as Ensembl, GENCODE and RefSeq write them; plain or gzipped.

Positions there are 1-based and inclusive; they are converted here, once. Formats:
https://www.ensembl.org/info/website/upload/gff.html, https://github.com/The-Sequence-Ontology/Specifications.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote

from bindtune.errors import InputError
from bindtune.io.intervals import STRANDS, IntervalColumns, Intervals, read_position
from bindtune.io.text import numbered_lines
from bindtune.wrong_files import refuse_bin_column

# GTF: `gene_type "lncRNA"; level 2;` (a quoted value may hold a semicolon). GFF3: `biotype=lncRNA;Name=a%3Bb`.
_GTF = re.compile(r'\s*([^\s;="]+)\s+(?:"([^"]*)"|([^;"]*))\s*(?:;|$)')
_GFF3 = re.compile(r"\s*([^;=]+)=([^;]*)(?:;|$)")
# GENCODE says gene_type; Ensembl and RefSeq gene_biotype; Ensembl's GFF3 biotype.
_TYPE_KEYS = ("gene_type", "gene_biotype", "biotype")


def read_genes(path: Path, *, features: Collection[str], types: Collection[str] = ()) -> Intervals:
    """Read the span of every gene.

    Args:
        path: the annotation.
        features: what column 3 must say, such as "gene"; case counts.
        types: gene types to keep, such as "protein_coding"; empty keeps all.

    Raises:
        InputError: names the first line that is not what the format says, or says which features there are instead.
    """
    columns = IntervalColumns()
    seen: Counter[str] = Counter()
    seen_types: Counter[str] = Counter()
    for number, fields in _rows(path):
        seen[fields[2]] += 1
        if fields[2] not in features:
            continue
        if types:
            kind = gene_type(fields[8])
            seen_types[kind or "(none)"] += 1
            if kind not in types:
                continue
        columns.add(
            fields[0], _span(path, number, fields=fields), strand=_strand(path, number, fields=fields), line=number
        )
    genes = columns.freeze(path)
    if not len(genes):
        raise InputError(path, None, _nothing(features, types=types, seen=seen, seen_types=seen_types))
    return genes


def read_features(path: Path, kinds: Mapping[str, Collection[str]]) -> dict[str, Intervals]:
    """Read the stretches of several kinds in one pass.

    Args:
        path: the annotation.
        kinds: features (column 3) by the name of their kind, such as {"exon": {"exon"}}.

    Returns:
        The stretches of each kind; a kind may have none.

    Raises:
        InputError: names the first line that is not what the format says.
    """
    columns = {kind: IntervalColumns() for kind in kinds}
    kind_of = {feature: kind for kind, features in kinds.items() for feature in features}
    for number, fields in _rows(path):
        kind = kind_of.get(fields[2])
        if kind is not None:
            span, strand = _span(path, number, fields=fields), _strand(path, number, fields=fields)
            columns[kind].add(fields[0], span, strand=strand, line=number)
    return {kind: each.freeze(path) for kind, each in columns.items()}


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (1-based line, its nine columns)."""
    for number, line in numbered_lines(path):
        if not line or line.isspace():
            continue
        if line[0] == "#":
            if line.startswith("##FASTA"):
                return
            continue
        fields = line.split("\t")
        if len(fields) != 9:
            refuse_bin_column(path, number, line)
            raise InputError(path, number, f"expected 9 columns separated by tabs, found {len(fields)}")
        yield number, fields


def gene_type(attributes: str) -> str | None:
    """The type of a gene from column 9 in any of the dialects, or None where it is not given."""
    attribute_of = parse_attributes(attributes)
    return next((attribute_of[key] for key in _TYPE_KEYS if key in attribute_of), None)


def parse_attributes(text: str) -> dict[str, str]:
    """Column 9 by key; where a key comes twice (`tag`, `db_xref`) the first counts."""
    attribute_of: dict[str, str] = {}
    first = re.match(r"\s*[^\s;=\"]+(=)?", text)
    if first and first.group(1):
        for key, value in _GFF3.findall(text):
            attribute_of.setdefault(key.strip(), unquote(value))
    else:
        for key, quoted, bare in _GTF.findall(text):
            attribute_of.setdefault(key, quoted or bare.strip())
    return attribute_of


def _span(path: Path, line: int, *, fields: list[str]) -> tuple[int, int]:
    first, last = (
        read_position(path, line, name=name, text=text) for name, text in (("start", fields[3]), ("end", fields[4]))
    )
    if first < 1:
        raise InputError(path, line, f"start {first} is less than 1, where this format begins to count")
    if last < first:
        raise InputError(path, line, f"end {last} is less than start {first}")
    return first - 1, last


def _strand(path: Path, line: int, *, fields: list[str]) -> int:
    strand = 0 if fields[6] == "?" else STRANDS.get(fields[6])
    if strand is None:
        raise InputError(path, line, f"strand is {fields[6]!r}, expected '+', '-', '.' or '?'")
    return strand


def _nothing(features: Collection[str], *, types: Collection[str], seen: Counter[str], seen_types: Counter[str]) -> str:
    if not seen:
        return "holds no annotation lines"
    if seen_types:
        return f"no gene is of type {_list(types)}; there are {_list([name for name, _ in seen_types.most_common(8)])}"
    there = _list([name for name, _ in seen.most_common(8)])
    return f"no line is a {_list(features)} (column 3); there are {there}: choose one with --gene-feature"


def _list(names: Collection[str]) -> str:
    return ", ".join(names)
