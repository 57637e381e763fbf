"""The report of an explanation: motifs with logos, sequences with letters as high as their values."""

from pathlib import Path
from typing import Any

import numpy as np

from bindtune.errors import InputError
from bindtune.reports.letter_charts import logo_svg, values_svg
from bindtune.reports.page import Block, Chart, Charts, Page, Section, Table, Text, Tile
from bindtune.reports.report_run import FOOTER, inputs_section, provenance, settings_section, started, version
from bindtune.runs.names import EXPLAINED_LETTERS, MOTIF_SITES, MOTIFS, SUMMARY
from bindtune.runs.reading import read_yaml

_METHODS = {
    "mutate": "A letter's value is the mean fall of the binding logit when the letter is replaced by each of the three "
    "others. A letter with a high value supports binding.",
    "gradients": "A letter's value is its part in the difference between the binding logit of the sequence and that "
    "of an empty sequence (integrated gradients). The letters of a token share its value.",
}


def build(run: Path, config: dict[str, Any]) -> Page:
    """The page of an explanation.

    Args:
        run: its folder.
        config: what its config.yaml holds.

    Raises:
        InputError: a file in the folder is damaged.
    """
    origin = provenance(run)
    summary = read_yaml(run / SUMMARY) or {}
    models = _models(run, summary)
    return Page(
        title=run.resolve().name,
        kind="report of an explanation",
        lead="Which letters make the models of a probe call a sequence bound?",
        facts=(
            ("Status", "finished" if summary else "not finished"),
            ("Started", started(origin)),
            ("Probe", str(config.get("probe"))),
            ("bindtune", version(origin)),
        ),
        tiles=_tiles(models),
        notices=() if summary else (f"The explanation is not finished: {SUMMARY} is missing.",),
        sections=(
            _about(summary, str(config.get("method"))),
            *(_section(index, name, model, summary) for index, (name, model) in enumerate(models.items(), start=1)),
            inputs_section(origin),
            settings_section(config),
        ),
        footer=FOOTER,
    )


def _models(run: Path, summary: dict[str, Any]) -> dict[str, dict[str, Any]]:
    models = summary.get("models", {})
    if not isinstance(models, dict) or not all(isinstance(model, dict) for model in models.values()):
        raise InputError(run / SUMMARY, None, "holds no models: run the same command again")
    return {str(name): model for name, model in models.items()}


def _motifs(model: dict[str, Any]) -> list[dict[str, Any]]:
    motifs = model.get("motifs")
    return [motif for motif in motifs if isinstance(motif, dict)] if isinstance(motifs, list) else []


def _tiles(models: dict[str, dict[str, Any]]) -> tuple[Tile, ...]:
    """The best motif of each model."""
    best = {name: own[0] for name, model in models.items() if (own := _motifs(model))}
    return tuple(
        Tile(f"Best motif, {name}", str(motif.get("consensus")), f"{motif.get('sites')} places")
        for name, motif in list(best.items())[:4]
    )


def _about(summary: dict[str, Any], method: str) -> Section:
    counts = (
        ("sequences", "Sequences"),
        ("letters", "Letters"),
        ("held_out_in_a_fold", "Sequences that were held out in a fold; models of that fold explain them"),
        ("overlapping_several_folds", "Sequences that overlap windows of several folds; the mean over folds"),
        ("new_to_the_probe", "Sequences new to the probe; the mean over folds"),
    )
    rows = tuple((text, str(summary[name])) for name, text in counts if name in summary)
    note = f"Values of all letters stand in {EXPLAINED_LETTERS}, motifs in {MOTIFS}, their places in {MOTIF_SITES}."
    table = Table("Sequences and letters", ("What", "Count"), rows, numeric=frozenset({1}), note=note)
    return Section("about", "What was explained", (Text(_METHODS.get(method, "")), table))


def _section(index: int, name: str, model: dict[str, Any], summary: dict[str, Any]) -> Section:
    blocks: list[Block] = []
    charts = []
    for number, motif in enumerate(_motifs(model), start=1):
        counts = np.asarray(motif.get("counts"), np.int64).reshape(-1, 4)
        sentence = f"{motif.get('sites')} places in {motif.get('sequences')} of {summary.get('sequences')} sequences"
        title = f"Motif {number}: {motif.get('consensus')}"
        total = f"The values at its places sum to {motif.get('value')}."
        note = f"{sentence}. Letters are as high as their information. {total}"
        charts.append(Chart(title, logo_svg(counts), f"{title}, {sentence}.", note=note))
    if charts:
        blocks.append(Charts(tuple(charts)))
    else:
        blocks.append(Text("No motif: no stretches are higher than shuffled values."))
    completeness = model.get("completeness")
    if isinstance(completeness, dict):
        gap, over = completeness.get("largest_gap"), completeness.get("sequences_over_tolerance")
        sentence = (
            f"The sum of a sequence's values misses the difference of its logits by {gap} at most, as a share of it."
        )
        blocks.append(Text(f"{sentence} It misses it by more than the tolerance in {over} sequences."))
    examples = model.get("examples")
    shown = [_example(each) for each in examples if isinstance(each, dict)] if isinstance(examples, list) else []
    if shown:
        blocks.append(Charts(tuple(shown)))
    return Section(f"model-{'i' * index}", f"Model {name}", tuple(blocks))


def _example(example: dict[str, Any]) -> Chart:
    """The letters of one sequence."""
    letters, first = str(example.get("letters", "")), int(example.get("first", 1))
    values = [float("nan") if value is None else float(value) for value in example.get("values", [])]
    title = f"Sequence {example.get('sequence')}"
    highest = first + int(np.nanargmax(values)) if np.isfinite(values).any() else first
    description = (
        f"{title}, positions {first} to {first + len(letters) - 1}; the highest value is at position {highest}."
    )
    note = f"Binding logit {example.get('logit')}."
    return Chart(title, values_svg(letters, values, first=first), description, note=note)
