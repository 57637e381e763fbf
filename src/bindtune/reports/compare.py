"""`bindtune compare`: compare runs, as a table for the terminal and as a page. It gives figures and no verdict."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bindtune import __version__
from bindtune.data.protein.site_rules import STANDARD_RULES, SiteRules
from bindtune.evaluation.figure_text import aligned, number
from bindtune.outputs import output_file
from bindtune.reports import compare_binding, compare_pretraining, compare_probe, page
from bindtune.reports.charts import Span
from bindtune.reports.compared_runs import Comparison, Difference, Run, Setting, differing_settings, read_runs
from bindtune.reports.comparison_tables import table_files, write_tables
from bindtune.reports.page import Chart, Charts, Page, Section, Table, Text
from bindtune.reports.report_run import started, version
from bindtune.reports.run_settings import shown
from bindtune.reports.site_tables import pair_table, pair_text
from bindtune.reports.svg_charts import spans_svg

_HEADS = ("figure", "run", "reference", "difference", "95 % interval", "p", "higher", "lower")
_ONE_RUN = (
    "Each run is one training run: the intervals cover other {unit} of the same kind, and not other training "
    "seeds. --arm compares several seeds."
)


_JOBS = {
    "binding": (compare_binding.compare, "Binding-site runs compared"),
    "pretraining": (compare_pretraining.compare, "Pretraining runs compared"),
    "probe": (compare_probe.compare, "Probes compared"),
}


def compare_runs(
    folders: Sequence[Path], out: Path, *, draws: int = 500, seed: int = 1, rules: SiteRules = STANDARD_RULES
) -> str:
    """Compare runs with the first of them.

    Args:
        folders: run folders of one job.
        out: the page to write. Tables of the same name, with the endings .csv and .json, stand beside it.
        draws: bootstrap draws.
        seed: of the draws.
        rules: how residues of binding-site runs are linked into sites.

    Returns:
        The same as a table of text.

    Raises:
        ConfigError: there are too few runs, or they are of different jobs.
        InputError: a run is not finished, the runs are not comparable, or `out` is no file that can be written.
    """
    page_file, tables = output_file(out), table_files(out)
    runs, kind = read_runs(folders)
    compare, title = _JOBS[kind]
    options: dict[str, Any] = {"rules": rules} if kind == "binding" else {}
    comparison = compare(runs, draws=draws, seed=seed, **options)
    changed = {run.name: differing_settings(runs[0], run) for run in runs[1:]}
    notes = _notes(comparison, draws)
    page.write(_page(runs, comparison, changed, title=title, notes=notes), page_file)
    about = {
        "runs": {run.name: str(run.folder) for run in runs},
        "scope": comparison.scope,
        "notes": [*notes, *_doubts(runs, comparison)],
        "sites": {run: {ion: pair._asdict() for ion, pair in own.items()} for run, own in comparison.sites.items()},
    }
    write_tables(tables, [_table_row(row) for row in comparison.rows], about)
    return _text(runs, comparison, changed, notes=notes)


def _table_row(row: Difference) -> dict[str, Any]:
    gap = row.compared.difference
    return {
        "pool": row.pool,
        "against": row.against,
        "figure": row.figure,
        "run": row.run,
        "reference": "A",
        "value": row.compared.first.value,
        "reference_value": row.compared.second.value,
        "difference": gap.value,
        "low": gap.low,
        "high": gap.high,
        "p_value": row.test.p_value,
        "tested": row.test.proteins,
        "higher": row.test.higher,
        "lower": row.test.lower,
    }


def _sentences(changed: dict[str, list[Setting]]) -> list[str]:
    """The settings in which each run differs from the reference."""
    sentences = []
    for name, settings in changed.items():
        listed = ", ".join(f"{each.name} ({each.first} in A, {each.second} in {name})" for each in settings)
        if not settings:
            sentences.append(f"{name} differs from A in no setting that can change the figures.")
        elif len(settings) == 1:
            sentences.append(f"{name} differs from A in one setting: {listed}.")
        else:
            sentences.append(
                f"{name} differs from A in {len(settings)} settings, so no single setting explains a difference: "
                f"{listed}."
            )
    return sentences


def _doubts(runs: Sequence[Run], comparison: Comparison) -> list[str]:
    versions = [run.origin.get("versions") for run in runs]
    installed = [each if isinstance(each, dict) else {} for each in versions]
    packages = sorted(
        {name for each in installed for name in each if len({str(one.get(name)) for one in installed}) > 1}
    )
    differences = [
        f"{name} {', '.join(f'{shown(own.get(name))} ({run.name})' for run, own in zip(runs, installed, strict=True))}"
        for name in packages
    ]
    version_doubts = [f"The runs were made with different versions: {'; '.join(differences)}."] if differences else []
    return [*comparison.doubts, *version_doubts, _ONE_RUN.format(unit=comparison.unit)]


_AUPRC_NOTE = " Intervals of AUPRC need no draws: they are Student's t, from the influence of each of the {unit}."


_UNIT_NOTES = {
    "windows": " Overlapping windows are not independent; with such windows, intervals are too narrow.",
    "groups of windows": " Intervals are widened, because a group also trains the models of the other folds.",
}
"""Notes on the intervals, by the drawn unit."""


def _has_auprc(comparison: Comparison) -> bool:
    return any(row.figure == "AUPRC" for row in comparison.rows)


def _notes(comparison: Comparison, draws: int) -> list[str]:
    unit = comparison.unit
    method = "Student's t with the bootstrap's spread" if unit == "groups of windows" else "percentile bootstrap"
    return [
        "difference: the run's figure less the reference's (A).",
        f"95 % interval: {method} of the difference, {draws} draws of {unit} with replacement, the same draws for both "
        f"runs.{_AUPRC_NOTE.format(unit=unit) if _has_auprc(comparison) else ''}"
        f"{_UNIT_NOTES.get(unit, '')}",
        f"test: Wilcoxon's signed-rank test, two-sided, over {unit} that have the figure; higher and lower: in how "
        f"many of them the run's figure is. {len(comparison.rows)} tests, and no correction for their number.",
    ]


def _cells(row: Difference, digits: int) -> tuple[str, ...]:
    gap = row.compared.difference
    ends = "-" if gap.low != gap.low else f"{gap.low:+.{digits}f} to {gap.high:+.{digits}f}"
    return (
        row.figure,
        f"{row.run}: {_number(row.compared.first.value, digits)}",
        f"A: {_number(row.compared.second.value, digits)}",
        _number(gap.value, digits, sign="+"),
        ends,
        "-" if row.test.p_value != row.test.p_value else f"{row.test.p_value:.2g}",
        f"{row.test.higher:,} of {row.test.proteins:,}",
        f"{row.test.lower:,}",
    )


def _number(value: float, digits: int, *, sign: str = "") -> str:
    return "-" if value != value else f"{value:{sign}.{digits}f}"


def _text(
    runs: Sequence[Run], comparison: Comparison, changed: dict[str, list[Setting]], *, notes: Sequence[str]
) -> str:
    """The comparison for a terminal."""
    pool, against = comparison.heads
    rows = [
        (pool, against, *_HEADS),
        *((row.pool, row.against, *_cells(row, comparison.digits)) for row in comparison.rows),
    ]
    lines = aligned(rows)
    lines.insert(1, "-" * len(lines[0]))
    names = [f"{run.name}  {run.folder}{'  (reference)' if run is runs[0] else ''}" for run in runs]
    head = [*names, *_sentences(changed), comparison.scope]
    sites = [
        f"{ion}, {run} and A: {pair_text(pair, (run, 'A'))}"
        for run, pairs in comparison.sites.items()
        for ion, pair in pairs.items()
    ]
    sites += [comparison.site_definition, ""] if sites else []
    return "\n".join([*head, "", *lines, "", *sites, *notes, *_doubts(runs, comparison)])


def _page(
    runs: Sequence[Run],
    comparison: Comparison,
    changed: dict[str, list[Setting]],
    *,
    title: str,
    notes: Sequence[str],
) -> Page:
    many = len({setting.name for settings in changed.values() for setting in settings}) > 1
    sentences = _sentences(changed)
    return Page(
        title=title,
        kind="comparison",
        lead=" ".join([comparison.scope, *([] if many else sentences)]),
        facts=tuple((f"{run.name}, the reference" if run is runs[0] else run.name, str(run.folder)) for run in runs),
        notices=(*(sentences if many else ()), *_doubts(runs, comparison)),
        sections=(_figures(comparison, notes), *_sites(comparison), _settings(runs, changed), _about(runs, comparison)),
        footer=f"Made by bindtune {__version__} from the files in the run folders. This page is one file and loads "
        "nothing from elsewhere.",
    )


def _figures(comparison: Comparison, notes: Sequence[str]) -> Section:
    pool, against = comparison.heads
    heads = tuple(head[0].upper() + head[1:] if len(head) > 1 else head for head in (pool, against, *_HEADS))
    rows = [(row.pool, row.against, *_cells(row, comparison.digits)) for row in comparison.rows]
    tables = (
        Table(
            "Every run against the reference", heads[:7], tuple(row[:7] for row in rows), numeric=frozenset(range(3, 7))
        ),
        Table(
            f"Signed-rank test over {comparison.unit}",
            (heads[0], heads[2], "Run", *heads[7:]),
            tuple((row[0], row[2], each.run, *row[7:]) for row, each in zip(rows, comparison.rows, strict=True)),
            numeric=frozenset(range(3, 6)),
        ),
    )
    drawn = [_chart(name, [row for row in comparison.rows if row.pool == name]) for name in _pools(comparison)]
    texts = [Text(note[0].upper() + note[1:]) for note in notes]
    return Section(
        "figures", "Differences", (tables[0], Charts(tuple(each for each in drawn if each)), tables[1], *texts)
    )


def _sites(comparison: Comparison) -> tuple[Section, ...]:
    """The sites that each run and the reference find, at the thresholds of the runs."""
    if not comparison.sites:
        return ()
    text = Text(
        "Calls are those of each run's own threshold, which was chosen on the same residues. A site that one run finds "
        "and the other misses is new to it."
    )
    tables = [pair_table(pairs, (run, "A"), comparison.site_definition) for run, pairs in comparison.sites.items()]
    return (Section("sites", "Sites", (text, *tables)),)


def _pools(comparison: Comparison) -> list[str]:
    return list(dict.fromkeys(row.pool for row in comparison.rows))


def _chart(pool: str, rows: Sequence[Difference]) -> Chart | None:
    gaps = [
        (row, row.compared.difference) for row in rows if row.compared.difference.low == row.compared.difference.low
    ]
    if not gaps:
        return None
    # Letters and figures' names are ours; the ion, which is the user's, stands outside of the drawing.
    spans = [Span(f"{row.figure}, {row.run} - A", *gap[:3], 1 + ord(row.run) - ord("B")) for row, gap in gaps]
    text = "; ".join(f"{span.name} {number(span.value)} ({number(span.low)} to {number(span.high)})" for span in spans)
    return Chart(f"{pool}: differences from A", spans_svg(spans, x_label="difference"), f"{pool}: {text}.")


def _settings(runs: Sequence[Run], changed: dict[str, list[Setting]]) -> Section:
    values: dict[str, dict[str, str]] = {}
    for name, settings in changed.items():
        for setting in settings:
            values.setdefault(setting.name, {"A": setting.first})[name] = setting.second
    rows = tuple(
        (name, *(by_run.get(run.name, by_run["A"]) for run in runs)) for name, by_run in values.items()
    )  # a run that does not differ has the reference's value
    heads = ("Setting", *(run.name for run in runs))
    code = frozenset(range(len(heads)))
    note = "Settings without a part in the figures, such as folders and numbers of workers, are left out."
    blocks = (Table("Settings that differ", heads, rows, code=code, note=note),) if rows else ()
    return Section("settings", "What differs", (*(Text(sentence) for sentence in _sentences(changed)), *blocks))


def _about(runs: Sequence[Run], comparison: Comparison) -> Section:
    rows = (
        ("folder", *(str(run.folder) for run in runs)),
        ("started", *(started(run.origin) for run in runs)),
        ("bindtune", *(version(run.origin) for run in runs)),
        *((name, *values) for name, values in comparison.about),
    )
    table = Table("The runs", ("", *(run.name for run in runs)), rows)
    return Section("runs", "Runs", (table,))
