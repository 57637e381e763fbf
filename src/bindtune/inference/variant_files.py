"""Files of scored variants: parts while a command runs, and the table or the VCF at the end."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bindtune.inference.variant_scores import VariantScore
from bindtune.inference.variant_source import Allele
from bindtune.io.vcf import BgzipWriter, annotate
from bindtune.outputs import LONGEST_NAME
from bindtune.runs.cells import tsv_name
from bindtune.runs.names import part_files
from bindtune.runs.parquet import read_row_groups
from bindtune.runs.writing import atomic_path, atomic_stream

_SCORES = pa.schema(
    [
        ("chrom", pa.string()),
        ("pos", pa.int64()),
        ("ref", pa.string()),
        ("alt", pa.string()),
        ("strand", pa.string()),
        ("score", pa.float64()),
        ("tokens_ref", pa.float64()),
        ("tokens_alt", pa.float64()),
        ("method", pa.string()),
    ]
)
COLUMNS = tuple(_SCORES.names)
"""Columns of a table of scores."""
UNSCORED_COLUMNS = ("chrom", "pos", "ref", "alt", "reason", "line")
_PART = _SCORES.append(pa.field("reason", pa.string())).append(pa.field("line", pa.int64()))
_UNSCORED = ".unscored.tsv"
_LONGEST_ALLELE = 60
"""Most letters of an allele in the list of unscored alleles."""


class ScoredAllele(NamedTuple):
    """An allele with its score, or with the reason for a missing score.

    Args:
        allele: the allele.
        strand: "+", "-", or "." where both were read.
        score: None without a score.
        method: method of the score.
        reason: empty with a score.
    """

    allele: Allele
    strand: str
    score: VariantScore | None
    method: str
    reason: str


def write_part(path: Path, rows: Sequence[ScoredAllele]) -> None:
    """Write a part: a row for each allele, scored or not, in the order of the file; unscored alleles are shortened."""
    records = [row.allele.record for row in rows]
    names = [
        (record.ref, row.allele.alt) if row.score else (_shortened(record.ref), _shortened(row.allele.alt))
        for record, row in zip(records, rows, strict=True)
    ]
    columns = {
        "chrom": [record.chrom for record in records],
        "pos": [record.position for record in records],
        "ref": [ref for ref, _ in names],
        "alt": [alt for _, alt in names],
        "strand": [row.strand for row in rows],
        "score": [None if row.score is None else row.score.score for row in rows],
        "tokens_ref": [None if row.score is None else row.score.tokens_ref for row in rows],
        "tokens_alt": [None if row.score is None else row.score.tokens_alt for row in rows],
        "method": [row.method for row in rows],
        "reason": [row.reason for row in rows],
        "line": [record.line for record in records],
    }
    with atomic_stream(path) as stream:
        pq.write_table(pa.table(columns, schema=_PART), stream)


def unscored_path(out: Path) -> Path:
    """The file beside the output that lists the alleles without a score.

    Examples:
        >>> unscored_path(Path("scores.tsv")).name
        'scores.tsv.unscored.tsv'
    """
    name = f"{out.name}{_UNSCORED}"
    if len(name.encode()) > LONGEST_NAME:
        name = hashlib.sha256(out.name.encode()).hexdigest()[:32] + _UNSCORED
    return out.with_name(name)


class JoinedCounts(NamedTuple):
    """Counts of the parts.

    Args:
        scored: alleles with a score.
        single: scored alleles that change exactly one token in every reading.
        unscored: alleles without a score, by reason.
    """

    scored: int
    single: int
    unscored: Counter[str]


def join_parts(
    folder: Path, out: Path, *, vcf: Path | None, info_field: str, description: str, metadata: dict[str, str]
) -> JoinedCounts:
    """Write the output and the list of alleles without a score, each completely or not at all.

    Args:
        folder: of the parts.
        out: .tsv, .parquet, .vcf or .vcf.gz.
        vcf: the input, for the last two.
        info_field: name of the INFO field.
        description: description of the field.
        metadata: metadata of a Parquet file.
    """
    counts = _write_unscored(folder, unscored_path(out))
    if out.suffix == ".parquet":
        with atomic_stream(out) as stream, pq.ParquetWriter(stream, _SCORES.with_metadata(metadata)) as writer:
            for table in _scored(folder):
                writer.write_table(table.cast(_SCORES.with_metadata(metadata)))
    elif vcf is not None and out.name.endswith((".vcf", ".vcf.gz")):
        with atomic_stream(out) as stream:
            target = BgzipWriter(stream) if out.suffix == ".gz" else stream
            annotate(vcf, target, name=info_field, description=description, values=_info_values(folder))
            if isinstance(target, BgzipWriter):
                target.close()
    else:
        with atomic_path(out) as temporary, temporary.open("w", encoding="utf-8", newline="") as text:
            text.write("\t".join(COLUMNS) + "\n")
            for table in _scored(folder):
                _write_rows(text, table)
    return counts


def _parts(folder: Path) -> Iterator[pa.Table]:
    for path in part_files(folder):
        yield from read_row_groups(path, "no part of a table of scores")


def _scored(folder: Path) -> Iterator[pa.Table]:
    for table in _parts(folder):
        yield table.filter(pc.equal(table["reason"], "")).select(list(COLUMNS))


def _write_rows(text: IO[str], table: pa.Table) -> None:
    for row in zip(*(table[name].to_pylist() for name in COLUMNS), strict=True):
        chrom, pos, ref, alt, strand, score, tokens_ref, tokens_alt, method = row
        text.write(
            f"{tsv_name(chrom)}\t{pos}\t{ref}\t{alt}\t{strand}\t{_number(score)}\t{_count(tokens_ref)}"
            f"\t{_count(tokens_alt)}\t{method}\n"
        )


def _number(score: float) -> str:
    return f"{score:.6f}"


def _count(tokens: float | None) -> str:
    return "" if tokens is None or math.isnan(tokens) else f"{tokens:g}"


def _write_unscored(folder: Path, path: Path) -> JoinedCounts:
    scored, single, unscored = 0, 0, Counter[str]()
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as text:
        text.write("\t".join(UNSCORED_COLUMNS) + "\n")
        for table in _parts(folder):
            rows = table.to_pydict()
            for index, reason in enumerate(rows["reason"]):
                if not reason:
                    scored += 1
                    single += rows["tokens_ref"][index] == 1 == rows["tokens_alt"][index]
                    continue
                unscored[reason] += 1
                names = [tsv_name(rows[name][index]) for name in ("chrom", "ref", "alt")]
                cells = (names[0], rows["pos"][index], *names[1:], reason)
                text.write("\t".join(map(str, cells)) + f"\t{rows['line'][index]}\n")
    return JoinedCounts(scored, single, unscored)


def _shortened(allele: str) -> str:
    if len(allele) <= _LONGEST_ALLELE:
        return allele
    return f"{allele[:_LONGEST_ALLELE]}...({len(allele)})"


def _info_values(folder: Path) -> Iterator[list[str]]:
    """For each record the text of each allele's score."""
    line, values = 0, list[str]()
    for table in _parts(folder):
        for number, score in zip(table["line"].to_pylist(), table["score"].to_pylist(), strict=True):
            if number != line and values:
                yield values
                values = []
            line = number
            values.append("." if score is None else _number(score))
    if values:
        yield values
