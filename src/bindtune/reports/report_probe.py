"""The report of a probe: conclusions, figures of every model, windows and arms, leaks."""

from pathlib import Path
from string import ascii_uppercase
from typing import Any

from bindtune.evaluation.figure_text import interval, number
from bindtune.reports.charts import Span
from bindtune.reports.page import Block, Chart, Charts, Notice, Page, Section, Table, Text, Tile
from bindtune.reports.report_run import FOOTER, inputs_section, provenance, settings_section, started, version
from bindtune.reports.run_settings import flatten
from bindtune.reports.svg_charts import spans_svg
from bindtune.runs.names import LEAKS, METRICS, SUMMARY
from bindtune.runs.reading import as_number, read_csv, read_json, read_yaml

_COLUMNS = ("dataset", "arm", "model", "figure", "value", "low", "high", "n", "positives", "base_rate", "against")
_GAIN = "gain_over_composition"
_MOST_DRAWN = 12
Rows = list[dict[str, str]]


def build(run: Path, config: dict[str, Any]) -> Page:
    """The page of a probe.

    Args:
        run: its folder.
        config: what its config.yaml holds.

    Raises:
        InputError: a file in the folder is damaged.
    """
    origin = provenance(run)
    summary = read_yaml(run / SUMMARY) or {}
    rows = read_csv(run / METRICS, _COLUMNS) or []
    notices = () if rows and summary else (f"The probe is not finished: {METRICS} or {SUMMARY} is missing.",)
    return Page(
        title=run.resolve().name,
        kind="report of a probe",
        lead="Which models tell bound windows from unbound ones? Scores are out of fold: a model "
        "scores windows of folds that it was not trained on.",
        facts=(
            ("Status", "not finished" if notices else "finished"),
            ("Started", started(origin)),
            ("Folds", _folds(summary)),
            ("bindtune", version(origin)),
        ),
        tiles=_tiles(rows, _models(config)),
        notices=notices,
        sections=(
            _conclusions(summary),
            *_arms(rows, summary),
            _windows(summary),
            _leaks(read_json(run / LEAKS) or {}),
            inputs_section(origin),
            settings_section(config),
        ),
        footer=FOOTER,
    )


def _models(config: dict[str, Any]) -> list[str]:
    models = config.get("model")
    return [str(value).partition("=")[0] for value in models] if isinstance(models, list) else []


def _dict(value: Any, *keys: str) -> dict[str, Any]:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _folds(summary: dict[str, Any]) -> str:
    folds = _dict(summary, "windows", "folds")
    return f"{folds.get('folds')}, grouped by {folds.get('grouped_by')}" if folds else "not known"


def _tiles(rows: Rows, models: list[str]) -> tuple[Tile, ...]:
    """The difference of the second model from the first, in each arm of the first data set."""
    if len(models) < 2 or not rows:
        return ()
    drawn = [
        row for row in rows
        if (row["figure"], row["model"], row["against"]) == ("auroc_difference", models[1], models[0])
        and row["dataset"] == rows[0]["dataset"]
    ]  # fmt: skip
    return tuple(
        Tile(
            f"{models[1]} less {models[0]}, {row['arm']}",
            f"{as_number(row['value']):+.3f}",
            f"AUROC; 95 % interval {number(as_number(row['low']))} to {number(as_number(row['high']))}",
        )
        for row in drawn
    )


def _conclusions(summary: dict[str, Any]) -> Section:
    blocks: list[Block] = []
    easy = _dict(summary, "arms")
    for dataset, arms in _dict(summary, "conclusions").items():
        for arm, sentences in _dict(arms).items():
            about = str(easy.get(arm, "The negatives that the user gave."))
            table = tuple((str(sentence),) for sentence in sentences) if isinstance(sentences, list) else ()
            blocks.append(Table(f"{dataset}, arm {arm}", ("Conclusion",), table, note=about))
    return Section("conclusions", "Conclusions", tuple(blocks) or (Text("No models are compared."),))


def _arms(rows: Rows, summary: dict[str, Any]) -> list[Section]:
    """A section for each data set."""
    sections = []
    for index, dataset in enumerate(dict.fromkeys(row["dataset"] for row in rows), start=1):
        blocks: list[Block] = []
        for arm in dict.fromkeys(row["arm"] for row in rows if row["dataset"] == dataset):
            own = [row for row in rows if (row["dataset"], row["arm"]) == (dataset, arm)]
            blocks += [_figures(arm, own, _dict(summary, "models")), *_seeds(own), *_differences(arm, own)]
        sections.append(Section(f"data-set-{'i' * index}", f"Data set {dataset}", tuple(blocks)))
    return sections


def _interval(row: dict[str, str] | None) -> str:
    if row is None:
        return number(None)
    return interval(as_number(row["value"]), [as_number(row["low"]), as_number(row["high"])])


def _figures(arm: str, rows: Rows, about: dict[str, Any]) -> Table:
    by_model: dict[str, dict[str, dict[str, str]]] = {}
    for row in rows:
        if not row["against"]:
            by_model.setdefault(row["model"], {})[row["figure"]] = row
    cells = [
        (model, str(about.get(model, "")), *(_interval(own.get(figure)) for figure in ("auroc", "auprc", _GAIN)))
        for model, own in by_model.items()
    ]
    first = rows[0]
    base = f"{number(as_number(first['base_rate']))}, {first['positives']} of {first['n']} windows are bound"
    return Table(
        f"Arm {arm}",
        ("Model", "What it is", "AUROC", "AUPRC", "Gain over composition"),
        tuple(cells),
        numeric=frozenset({2, 3, 4}),
        note=f"Base rate {base}. Intervals (95 %) draw groups of windows with replacement. A random order has an AUROC "
        "of 0.5 and the base rate as its AUPRC.",
    )


def _seeds(rows: Rows) -> list[Block]:
    own = [row for row in rows if row["figure"].endswith("_over_seeds")]
    if not own:
        return []
    cells = tuple((row["model"], row["figure"].removesuffix("_over_seeds").upper(), _interval(row)) for row in own)
    note = "Intervals are Student's t; with fewer than three seeds there is none."
    return [Table("Mean over seeds", ("Model", "Figure", "Mean"), cells, numeric=frozenset({2}), note=note)]


def _differences(arm: str, rows: Rows) -> list[Block]:
    """Differences in AUROC; names of models are the user's, so letters stand for them in the drawing."""
    differences = [row for row in rows if row["figure"] == "auroc_difference" and row["low"]][:_MOST_DRAWN]
    if not differences:
        return []
    names = list(dict.fromkeys(name for row in differences for name in (row["model"], row["against"])))
    if len(names) > len(ascii_uppercase):
        return []
    letter = dict(zip(names, ascii_uppercase, strict=False))
    spans = [
        Span(
            f"{letter[row['model']]} - {letter[row['against']]}",
            as_number(row["value"]),
            as_number(row["low"]),
            as_number(row["high"]),
            1 + names.index(row["model"]),
        )
        for row in differences
    ]
    key = "; ".join(f"{letter[name]}: {name}" for name in names)
    description = "; ".join(f"{row['model']} less {row['against']} {_interval(row)}" for row in differences)
    drawing = spans_svg(spans, x_label="difference in AUROC")
    return [Charts((Chart(f"Arm {arm}: differences in AUROC", drawing, f"{description}.", note=key),))]


def _windows(summary: dict[str, Any]) -> Section:
    counts = _dict(summary, "windows")
    if not counts:
        return Section("windows", "Windows", (Notice("The counts of windows are missing."),))
    table = Table(
        "Used and dropped peaks and windows", ("Count", "Value"), tuple(flatten(counts)), code=frozenset({0}),
        note="All windows are in windows.parquet.",
    )  # fmt: skip
    return Section("windows", "Windows and arms", (table,))


def _leaks(record: dict[str, Any]) -> Section:
    counts = _dict(record, "counts")
    if not counts:
        return Section("leaks", "Leaks", (Notice(f"{LEAKS} is missing."),))
    rows = tuple((name.replace("_", " "), str(value)) for name, value in counts.items())
    left_out, dropped = (record.get(name, 0) for name in ("negatives_left_out", "dropped"))
    sentence = (
        f"{left_out} negatives shared something with another fold and were left out with their positives. {dropped} "
        f"further windows were left out (--leaks {record.get('what_was_done')})."
    )
    table = Table("Windows that share something with another fold", ("What", "Windows"), rows, numeric=frozenset({1}))
    return Section("leaks", "Leaks between folds", (table, Text(sentence)))
