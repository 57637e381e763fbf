"""Write a comparison of arms as text for the terminal, as a page and as rows of a table."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bindtune import __version__
from bindtune.evaluation.figure_text import aligned, number
from bindtune.evaluation.seed_interval import FEWEST, FEWEST_DRAWN
from bindtune.outputs import output_file
from bindtune.reports import page
from bindtune.reports.arms import Arm, ArmComparison, ArmDifference, compare_arms, read_arm_text
from bindtune.reports.charts import Span
from bindtune.reports.comparison_tables import table_files, write_tables
from bindtune.reports.page import Chart, Charts, Page, Section, Table, Text
from bindtune.reports.svg_charts import spans_svg

_TITLES = {"binding": "Binding-site runs", "pretraining": "Pretraining runs", "probe": "Probes"}
_HEADS = ("figure", "arm", "first arm", "difference", "95 % interval", "seeds")


def write_arms(arms: Sequence[str], out: Path, *, seed: int = 1) -> str:
    """Compare arms, and write the page, the CSV and the JSON file.

    Args:
        arms: NAME=RUN,RUN,... of each arm; the first is the reference.
        out: the page. The tables stand beside it.
        seed: of bootstrap draws.

    Returns:
        The same as a table of text.

    Raises:
        ConfigError: an arm is malformed, or as in `compare_arms`.
        InputError: a run cannot be compared, or `out` is no file that can be written.
    """
    page_file, tables = output_file(out), table_files(out)
    comparison = compare_arms([read_arm_text(text) for text in arms], seed=seed)
    page.write(_page(comparison), page_file)
    write_tables(tables, _table_rows(comparison), _about(comparison))
    return _text(comparison)


def conclusion(row: ArmDifference, arms: Sequence[Arm]) -> str:
    """The conclusion that the interval of one difference supports, in words."""
    first = arms[0].name
    name = next(arm.name for arm in arms if arm.letter == row.arm)
    what, gap = f"{row.figure} of {row.pool}", row.difference
    if math.isnan(gap.value):
        return f"{what}: {name} and {first} cannot be compared, because an arm does not have the figure."
    if gap.method == "none":
        return (
            f"{what}: {name} less {first} is {gap.value:+.4f}. With fewer than {FEWEST} seeds in an arm there is no "
            "interval, so nothing follows for other seeds."
        )
    ends = f"{gap.value:+.4f} ({gap.low:+.4f} to {gap.high:+.4f})"
    if gap.low > 0 or gap.high < 0:
        return f"{what} is {'higher' if gap.low > 0 else 'lower'} with {name} than with {first}: {ends}."
    return f"{what}: the seeds do not tell {name} from {first}: {ends}."


def _notes(comparison: ArmComparison) -> list[str]:
    methods = {row.difference.method for row in comparison.rows}
    pairing = "seed by seed" if comparison.is_paired else "without pairs"
    ways = {
        "t": "Student's t",
        "Welch's t": "Welch's t",
        "bootstrap": "percentile bootstrap of seeds",
        "none": f"none where an arm has fewer than {FEWEST} seeds",
    }
    listed = ", ".join(text for method, text in ways.items() if method in methods)
    return [
        f"difference: mean over the seeds of an arm less that of the first arm ({comparison.arms[0].name}), {pairing}.",
        f"95 % interval: {listed}. From {FEWEST} to {FEWEST_DRAWN - 1} seeds it is Student's t, from "
        f"{FEWEST_DRAWN} on a bootstrap.",
        f"The interval covers training seeds. It does not cover other data: {comparison.figures.held_fixed} are the "
        "same in all runs. Two runs without --arm are compared over these.",
        f"{len(comparison.rows)} intervals, and no correction for their number.",
    ]


def _changes(comparison: ArmComparison) -> list[str]:
    first, sentences = comparison.arms[0].name, []
    for arm in comparison.arms[1:]:
        settings = comparison.changed[arm.letter]
        listed = ", ".join(f"{each.name} ({each.first} in {first}, {each.second} in {arm.name})" for each in settings)
        many = f" in {len(settings)} settings, so no single setting explains a difference" if len(settings) > 1 else ""
        sentences.append(
            f"{arm.name} differs from {first}{many}: {listed}."
            if settings
            else f"{arm.name} differs from {first} in no setting that can change the figures."
        )
    return sentences


def _cells(row: ArmDifference, digits: int) -> tuple[str, ...]:
    gap = row.difference
    ends = "-" if math.isnan(gap.low) else f"{gap.low:+.{digits}f} to {gap.high:+.{digits}f}"
    return (
        row.figure,
        f"{row.arm}: {_number(gap.first, digits)}",
        f"A: {_number(gap.second, digits)}",
        "-" if math.isnan(gap.value) else f"{gap.value:+.{digits}f}",
        ends,
        f"{gap.seeds[0]}" if gap.seeds[0] == gap.seeds[1] else f"{gap.seeds[0]} and {gap.seeds[1]}",
    )


def _seeds(arm: Arm) -> str:
    return f"seed{'s' if len(arm.seeds) > 1 else ''} {', '.join(map(str, arm.seeds))}"


def _number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def _text(comparison: ArmComparison) -> str:
    rows = [
        (*comparison.figures.heads, *_HEADS),
        *((row.pool, row.against, *_cells(row, comparison.figures.digits)) for row in comparison.rows),
    ]
    lines = aligned(rows)
    lines.insert(1, "-" * max(map(len, lines)))
    names = [
        f"{arm.letter}  {arm.name}: {_seeds(arm)}{'  (first arm)' if arm.letter == 'A' else ''}"
        for arm in comparison.arms
    ]
    return "\n".join([
        *names, *_changes(comparison), comparison.figures.scope, "", *lines, "",
        *(conclusion(row, comparison.arms) for row in comparison.rows), "",
        *_notes(comparison), *comparison.doubts,
    ])  # fmt: skip


def _page(comparison: ArmComparison) -> Page:
    conclusions = [conclusion(row, comparison.arms) for row in comparison.rows]
    first = comparison.arms[0]
    return Page(
        title=f"{_TITLES[comparison.kind]} compared over seeds",
        kind="comparison",
        lead=" ".join([comparison.figures.scope, *_changes(comparison)]),
        facts=tuple(
            (
                f"{arm.letter}, {arm.name}{', the first arm' if arm is first else ''}",
                _seeds(arm),
            )
            for arm in comparison.arms
        ),
        notices=comparison.doubts,
        sections=(
            Section("conclusions", "What the intervals support", tuple(map(Text, conclusions))),
            _figures(comparison),
            _runs(comparison),
        ),
        footer=f"Made by bindtune {__version__} from the files in the run folders. This page is one file and loads "
        "nothing from elsewhere.",
    )


def _figures(comparison: ArmComparison) -> Section:
    digits = comparison.figures.digits
    heads = tuple(head[0].upper() + head[1:] for head in (*comparison.figures.heads, *_HEADS))
    rows = tuple((row.pool, row.against, *_cells(row, digits)) for row in comparison.rows)
    table = Table("Every arm against the first", heads, rows, numeric=frozenset(range(3, 8)))
    pools = list(dict.fromkeys(row.pool for row in comparison.rows))
    charts = [_chart(pool, [row for row in comparison.rows if row.pool == pool]) for pool in pools]
    drawn = tuple(chart for chart in charts if chart is not None)
    notes = [Text(note[0].upper() + note[1:]) for note in _notes(comparison)]
    return Section("figures", "Differences", (table, *((Charts(drawn),) if drawn else ()), *notes))


def _chart(pool: str, rows: Sequence[ArmDifference]) -> Chart | None:
    gaps = [(row, row.difference) for row in rows if not math.isnan(row.difference.low)]
    if not gaps:
        return None
    spans = [
        Span(f"{row.figure}, {row.arm} - A", gap.value, gap.low, gap.high, 1 + ord(row.arm) - ord("B"))
        for row, gap in gaps
    ]
    text = "; ".join(f"{span.name} {number(span.value)} ({number(span.low)} to {number(span.high)})" for span in spans)
    return Chart(f"{pool}: differences from A", spans_svg(spans, x_label="difference"), f"{pool}: {text}.")


def _runs(comparison: ArmComparison) -> Section:
    digits = comparison.figures.digits
    rows, at = [], 0
    for arm in comparison.arms:
        for run, seed in zip(arm.runs, arm.seeds, strict=True):
            values = [_number(each[at], digits) for each in comparison.figures.values.values()]
            rows.append((run.name, arm.name, str(seed), str(run.folder), *values))
            at += 1
    heads = ("Run", "Arm", "Seed", "Folder", *(f"{pool} {figure}" for pool, figure in comparison.figures.values))
    numeric = frozenset(range(4, len(heads)))
    return Section("runs", "Runs", (Table("Every run", heads, tuple(rows), numeric=numeric, code=frozenset({3})),))


def _table_rows(comparison: ArmComparison) -> list[dict[str, Any]]:
    names = {arm.letter: arm.name for arm in comparison.arms}
    return [
        {
            "pool": row.pool,
            "figure": row.figure,
            "arm": names[row.arm],
            "first_arm": names["A"],
            "mean": row.difference.first,
            "first_mean": row.difference.second,
            "difference": row.difference.value,
            "low": row.difference.low,
            "high": row.difference.high,
            "method": row.difference.method,
            "paired": row.difference.is_paired,
            "seeds": row.difference.seeds[0],
            "first_seeds": row.difference.seeds[1],
            "values": row.values,
            "first_values": row.reference_values,
            "conclusion": conclusion(row, comparison.arms),
        }
        for row in comparison.rows
    ]


def _about(comparison: ArmComparison) -> dict[str, Any]:
    arms = {arm.name: {str(seed): str(run.folder) for seed, run in zip(arm.seeds, arm.runs, strict=True)}
            for arm in comparison.arms}  # fmt: skip
    return {"job": comparison.kind, "arms": arms, "notes": [*_notes(comparison), *comparison.doubts]}
