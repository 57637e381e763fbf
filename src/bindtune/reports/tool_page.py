"""Write the comparison of a run with other tools as text for the terminal, as a page and as tables."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bindtune import __version__
from bindtune.evaluation.figure_text import aligned, exact_percent, few_proteins, number
from bindtune.evaluation.tool_comparison import ToolRow, conclusion
from bindtune.reports import page
from bindtune.reports.charts import Span
from bindtune.reports.compared_tools import ToolComparison
from bindtune.reports.comparison_tables import write_tables
from bindtune.reports.page import Chart, Charts, Page, Section, Table, Text
from bindtune.reports.report_run import inputs_section
from bindtune.reports.site_tables import pair_table, pair_text
from bindtune.reports.svg_charts import spans_svg
from bindtune.runs.provenance import provenance

_PACKAGES = ("numpy",)
_HEADS = ("ion", "proteins of", "number", "positives", "base rate", "figure", "run", "tool", "difference", "interval")


def write_tool_page(
    comparisons: Sequence[ToolComparison],
    page_file: Path,
    tables: tuple[Path, Path],
    *,
    inputs: Mapping[str, Path],
    scope: str,
    level: float,
) -> str:
    """Write the page and the tables, and return the same as text.

    Args:
        comparisons: one for each tool.
        page_file: the page.
        tables: CSV and JSON file.
        inputs: files that were compared, by what they hold; page and JSON file have their hashes.
        scope: a sentence about the data of the run's figures.
        level: of the intervals.
    """
    notes = _notes(comparisons, level)
    origin = provenance(inputs, _PACKAGES)
    page.write(_page(comparisons, scope=scope, notes=notes, origin=origin), page_file)
    counts = {each.predictions.name: each.counts for each in comparisons}
    rows = [_table_row(row) for each in comparisons for row in each.rows]
    sites = {each.predictions.name: {ion: pair._asdict() for ion, pair in each.sites.items()} for each in comparisons}
    about = {
        "scope": scope,
        "notes": [*notes, *_few(comparisons)],
        "counts": counts,
        "sites": sites,
        "provenance": origin,
    }
    write_tables(tables, rows, about)
    lines = [scope]
    for each in comparisons:
        lines += [
            "",
            f"{each.predictions.name}: {each.predictions.path}",
            *each.counts,
            *aligned([_HEADS, *map(_cells, each.rows)], left=2),
        ]
        lines += [conclusion(row) for row in each.rows]
        lines += [f"{ion}: {pair_text(pair, ('the run', each.predictions.name))}" for ion, pair in each.sites.items()]
        lines += [each.definition] if each.sites else [no_calls(each.predictions.name)]
    return "\n".join([*lines, "", *notes, *_few(comparisons)])


def _few(comparisons: Sequence[ToolComparison]) -> list[str]:
    """A warning about intervals that rest on few proteins."""
    names = [each.predictions.name for each in comparisons]
    return few_proteins({
        f"{row.ion}{f' with {name}' if len(names) > 1 else ''}, {row.subset}": row.proteins
        for name, each in zip(names, comparisons, strict=True)
        for row in each.rows
    })  # fmt: skip


def _notes(comparisons: Sequence[ToolComparison], level: float) -> list[str]:
    count = sum(len(each.rows) for each in comparisons)
    return [
        "difference: the run's figure less the tool's, on the same residues.",
        f"interval: {exact_percent(level)}, by protein; studentised for AUPRC, percentiles of bootstrap draws for the "
        f"others. It covers other proteins like these, and no other training seeds. {count} intervals, and no "
        "correction for their number.",
    ]


def _cells(row: ToolRow) -> tuple[str, ...]:
    gap = row.compared.difference
    ends = "-" if math.isnan(gap.low) else f"{gap.low:+.3f} to {gap.high:+.3f}"
    values = (row.compared.first.value, row.compared.second.value)
    return (
        row.ion, row.subset, f"{row.proteins:,}", f"{row.positives:,}",
        "-" if math.isnan(row.base_rate) else f"{row.base_rate:.4f}", row.figure,
        *("-" if math.isnan(value) else f"{value:.3f}" for value in values),
        "-" if math.isnan(gap.value) else f"{gap.value:+.3f}", ends,
    )  # fmt: skip


def _page(comparisons: Sequence[ToolComparison], *, scope: str, notes: Sequence[str], origin: dict[str, Any]) -> Page:
    return Page(
        title="A run and other tools on the same proteins",
        kind="comparison",
        lead=scope,
        facts=tuple((each.predictions.name, str(each.predictions.path)) for each in comparisons),
        notices=(*_few(comparisons),),
        sections=(
            *(_section(number_, each, notes) for number_, each in enumerate(comparisons, start=1)),
            inputs_section(origin),
        ),
        footer=f"Made by bindtune {__version__}. This page is one file and loads nothing from elsewhere.",
    )


def _section(number: int, comparison: ToolComparison, notes: Sequence[str]) -> Section:
    heads = tuple(head[0].upper() + head[1:] for head in _HEADS)
    name = comparison.predictions.name
    table = Table(
        f"The run and {name}", heads, tuple(map(_cells, comparison.rows)), numeric=frozenset({2, 3, 4, 6, 7, 8, 9})
    )
    ions = dict.fromkeys(row.ion for row in comparison.rows)
    charts = [_chart(ion, name, [row for row in comparison.rows if row.ion == ion], colour=number) for ion in ions]
    drawn = tuple(chart for chart in charts if chart is not None)
    below = [*comparison.counts, *(note[0].upper() + note[1:] for note in notes)]
    sentences = [Text(conclusion(row)) for row in comparison.rows]
    sites = (
        [pair_table(comparison.sites, ("the run", name), comparison.definition)]
        if comparison.sites
        else [Text(no_calls(name))]
    )
    return Section(
        f"tool{number}", name, (*sentences, table, *([Charts(drawn)] if drawn else []), *sites, *map(Text, below))
    )


def no_calls(name: str) -> str:
    """The reason why no sites are counted."""
    return f"Sites are not counted: {name} has no calls (a column call), or the run has no threshold."


def _chart(ion: str, name: str, rows: Sequence[ToolRow], *, colour: int) -> Chart | None:
    spans = [
        Span(f"{row.figure}, {row.subset}", *row.compared.difference[:3], colour)
        for row in rows
        if not math.isnan(row.compared.difference.low)
    ]
    if not spans:
        return None
    text = "; ".join(f"{span.name} {number(span.value)} ({number(span.low)} to {number(span.high)})" for span in spans)
    return Chart(f"{ion}: the run less {name}", spans_svg(spans, x_label="difference"), f"{ion}: {text}.")


def _table_row(row: ToolRow) -> dict[str, Any]:
    gap = row.compared.difference
    return {
        "tool": row.tool, "ion": row.ion, "subset": row.subset, "proteins": row.proteins, "positives": row.positives,
        "base_rate": row.base_rate, "figure": row.figure, "run": row.compared.first.value,
        "tool_value": row.compared.second.value, "difference": gap.value, "low": gap.low, "high": gap.high,
        "conclusion": conclusion(row),
    }  # fmt: skip
