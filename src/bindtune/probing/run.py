"""`bindtune probe`: windows, models, figures, files. A killed command can be given again."""

import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from bindtune import __version__
from bindtune.config import ProbeConfig, dump
from bindtune.data.keyed_random import digest
from bindtune.evaluation.figure_text import aligned
from bindtune.evaluation.ranking import area_under_roc, average_precision, sort
from bindtune.models.base_files import base_files
from bindtune.outputs import output_folder
from bindtune.probing import run_folder as files
from bindtune.probing.contestants import ArmData, Contestant, contestants
from bindtune.probing.encoders import check_probed
from bindtune.probing.figures import (
    AREAS,
    DIFFERENCE,
    Figure,
    Labelled,
    compare_scores,
    conclusion,
    over_seeds,
)
from bindtune.probing.heads import Heads, heads_path, scores_path, write_heads
from bindtune.probing.negative_arms import ARMS
from bindtune.probing.window_rows import arms_of, rows_of
from bindtune.probing.windows import LeakError, make_windows
from bindtune.progress import tracked
from bindtune.reports.report import write_report
from bindtune.runs.exclusive import only_writer
from bindtune.runs.kinds import refuse_other_job
from bindtune.runs.names import (
    CONFIG,
    EMBEDDING_CACHE,
    LEAKS,
    METRICS,
    PREDICTIONS,
    PROBE_COUNTS,
    PROBE_HEADS,
    PROBE_UNFINISHED,
    PROBE_WINDOWS,
    PROVENANCE,
    REPORT,
    SCORES,
    SEED_PREDICTIONS,
    SUMMARY,
)
from bindtune.runs.parquet import read_parquet
from bindtune.runs.provenance import provenance
from bindtune.runs.writing import sweep, write_text, writing
from bindtune.yaml_json import write_document

Floats = NDArray[np.float64]
log = logging.getLogger(__name__)
_PACKAGES = ("torch", "transformers", "scikit-learn", "numpy", "peft")
_COMPOSITION = "composition"
_Scores = dict[tuple[str, str, str], list[Floats]]
"""By data set, arm and model: (N,) log odds of each seed."""


def probe(config: ProbeConfig, *, notify: Callable[[str], None]) -> str:
    """Run a probe, or go on with a stopped one.

    Args:
        config: the settings.
        notify: gets a sentence about each slow step.

    Returns:
        The table and the conclusions, for the terminal.

    Raises:
        InputError: a file is not what it should be.
        ConfigError: the settings do not fit the files, or the folder holds another probe.
        CheckError: folds leak.
    """
    folder = output_folder(config.out)
    with only_writer(folder), writing(folder):
        for swept in (folder, *(folder / name for name in (SCORES, PROBE_HEADS, EMBEDDING_CACHE, PROBE_UNFINISHED))):
            sweep(swept)
        refuse_other_job(folder, "probe", "probe --out")
        if config.overwrite:
            files.clear(folder)
        origin = provenance(_inputs(config), _PACKAGES)
        files.refuse_others(folder, config, origin)
        for name, model in config.models.items():  # before windows are made, which takes long with a genome
            check_probed(name, model, layer=config.layer)
        table, counts, leaks = _windows(folder, config, origin, notify=notify)
        sequences = list(dict.fromkeys(table["sequence"].to_pylist()))
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        players = contestants(
            config, sequences, cache=folder / EMBEDDING_CACHE, unfinished=folder / PROBE_UNFINISHED, device=device
        )
        scores = _scores(folder, config, table=table, players=players, sequences=sequences)
        files.write_table(folder / PREDICTIONS, _predictions(table, scores))
        if config.seeds > 1:
            files.write_table(folder / SEED_PREDICTIONS, _seed_predictions(table, scores, first=config.seed))
        notify("computing figures and intervals")
        rows = _figures(config, table, players, scores)
        write_text(folder / METRICS, files.metrics_text(rows))
        summary = _summary(config, rows, players, counts=counts, leaks=leaks)
        write_text(folder / SUMMARY, write_document(summary))
        write_report(folder)
    return _text(config, rows, summary)


def _write_json(path: Path, content: Any) -> None:
    write_text(path, json.dumps(content, indent=2, default=str) + "\n")


def _inputs(config: ProbeConfig) -> dict[str, Path]:
    """The input files by the settings that name them."""
    named = ("positives", "negatives", "genome", "region_fasta", "genes", "regions", "chromosome_aliases")
    inputs = {name: getattr(config, name) for name in named if getattr(config, name) is not None}
    for name, paths in config.data_sets.items():
        inputs |= {f"peaks {name} {number}": path for number, path in enumerate(paths, start=1)}
    for name, model in config.models.items():
        inputs |= {f"model {name} {part.removeprefix('base ')}": path for part, path in base_files(model).items()}
    return inputs


def _windows(
    folder: Path, config: ProbeConfig, origin: Mapping[str, Any], *, notify: Callable[[str], None]
) -> tuple[pa.Table, dict[str, Any], dict[str, Any]]:
    """The windows, made now or read from the folder."""
    path = folder / PROBE_WINDOWS
    if path.is_file():
        notify(f"going on with {path}")
        return read_parquet(path), files.read_counts(folder / PROBE_COUNTS), files.read_counts(folder / LEAKS)
    try:
        made = make_windows(config, notify=notify)
    except LeakError as error:
        _write_json(folder / LEAKS, error.record)
        raise
    if not (folder / CONFIG).is_file():
        _write_json(folder / PROVENANCE, origin)
        write_text(folder / CONFIG, dump(config))
    _write_json(folder / LEAKS, made.leaks)
    _write_json(folder / PROBE_COUNTS, made.counts)
    files.write_table(path, made.table)  # written last, so the two other files are there too
    return made.table, made.counts, made.leaks


def _scores(
    folder: Path, config: ProbeConfig, *, table: pa.Table, players: Sequence[Contestant], sequences: Sequence[str]
) -> _Scores:
    """Out-of-fold scores of all models, computed now or read from the folder. Each model is loaded once."""
    number = {sequence: index for index, sequence in enumerate(sequences)}
    arms = {pair: _arm(table, *pair, number=number) for pair in arms_of(table)}
    tasks = [
        (player, seed, pair)
        for player in players
        for seed in range(config.seed, config.seed + (config.seeds if player.drawn else 1))
        for pair in arms
    ]
    scores: _Scores = {}
    for player, seed, pair in tracked(tasks, "probing", len(tasks), unit="models x arms", log=log):
        arm = arms[pair]
        names = {"dataset": pair[0], "arm": pair[1], "model": player.name}
        path, heads = scores_path(folder, **names, seed=seed), heads_path(folder, **names, seed=seed)
        fold_scores = files.read_scores(path, count=len(arm.labels)) if heads.is_file() else None
        if fold_scores is None:
            fold_scores, learned = player.score(arm, seed)
            write_heads(heads, Heads(learned.states, {**learned.facts, **names, "seed": seed}))
            files.write_scores(
                path, fold_scores
            )  # written last, so heads are there too, except in probes of older versions
            files.remove_parts(folder / PROBE_UNFINISHED)
        scores.setdefault((*pair, player.name), []).append(fold_scores)
    return scores


def _arm(table: pa.Table, dataset: str, arm: str, *, number: Mapping[str, int]) -> ArmData:
    own = table.take(rows_of(table, dataset, arm))
    sequences = own["sequence"].to_pylist()
    places = np.array([number[sequence] for sequence in sequences], np.int64)
    labels, folds = own["label"].to_numpy(), own["fold"].to_numpy().astype(np.int64)
    return ArmData(f"{dataset}\x1f{arm}", sequences, labels, folds, places)


def _predictions(table: pa.Table, scores: _Scores) -> pa.Table:
    """A row for each window and model; of models that are trained several times, the first."""
    return pa.concat_tables(
        [_scored(table, dataset, arm, model, values[0]) for (dataset, arm, model), values in scores.items()]
    )


def _seed_predictions(table: pa.Table, scores: _Scores, *, first: int) -> pa.Table:
    """A row for each window, seed, and model that begins with random numbers."""
    parts = []
    for (dataset, arm, model), values in scores.items():
        for seed, own in enumerate(values if len(values) > 1 else [], start=first):
            part = _scored(table, dataset, arm, model, own)
            parts.append(part.append_column("seed", pa.array(np.full(len(part), seed, np.int64))))
    return pa.concat_tables(parts)


def _scored(table: pa.Table, dataset: str, arm: str, model: str, values: Floats) -> pa.Table:
    own = table.take(rows_of(table, dataset, arm)).select(["dataset", "arm", "window", "label", "fold"])
    columns = {name: own[name] for name in own.schema.names}
    columns |= {"model": pa.array([model] * len(own)), "score": pa.array(values)}
    return pa.table({name: columns[name] for name in _PREDICTION_COLUMNS})


_PREDICTION_COLUMNS = ("dataset", "arm", "model", "window", "label", "score", "fold")


def _figures(
    config: ProbeConfig, table: pa.Table, players: Sequence[Contestant], scores: _Scores
) -> list[dict[str, Any]]:
    """Rows of metrics.csv."""
    rows: list[dict[str, Any]] = []
    pairs = compared_pairs(list(config.models), [player.name for player in players])
    arms = arms_of(table)
    for dataset, arm in tracked(arms, "computing figures", len(arms), unit="arms", log=log):
        own = table.take(rows_of(table, dataset, arm))
        labels = own["label"].to_numpy()
        windows = Labelled(labels, own["fold"].to_numpy().astype(np.int64), own["group"].to_numpy())
        of_seeds = {player.name: scores[dataset, arm, player.name] for player in players}
        figures = compare_scores(
            windows, {name: values[0] for name, values in of_seeds.items()}, composition=_COMPOSITION, pairs=pairs,
            draws=config.draws, key=digest(config.seed, "figures", dataset, arm),
        )  # fmt: skip
        for name, values in of_seeds.items():
            if len(values) > 1:
                figures += [over_seeds(name, area, [_area(area, labels, each) for each in values]) for area in AREAS]
        counts = {"n": len(labels), "positives": int(labels.sum()), "base_rate": float(labels.mean())}
        rows += [{"dataset": dataset, "arm": arm, **figure._asdict(), **counts} for figure in figures]
    return rows


def compared_pairs(models: Sequence[str], names: Sequence[str]) -> list[tuple[str, str]]:
    """Which models are compared: the user's later models with the first, then each of them with each baseline.

    Example:
        >>> compared_pairs(["base", "adapted"], ["4-mer", "base", "adapted"])
        [('adapted', 'base'), ('base', '4-mer'), ('adapted', '4-mer')]
    """
    baselines = [name for name in names if name not in models]
    among = [(later, models[0]) for later in models[1:]]
    return among + [(model, baseline) for model in models for baseline in baselines]


def _area(area: str, labels: NDArray[np.int8], values: Floats) -> float:
    figure = {"auroc": area_under_roc, "auprc": average_precision}[area]
    return figure(sort(labels, values).ranking())


def _summary(
    config: ProbeConfig,
    rows: Sequence[Mapping[str, Any]],
    players: Sequence[Contestant],
    *,
    counts: Mapping[str, Any],
    leaks: Mapping[str, Any],
) -> dict[str, Any]:
    """The content of summary.yaml."""
    results: dict[str, Any] = {}
    for row in rows:
        if row["against"]:
            continue
        model = results.setdefault(row["dataset"], {}).setdefault(row["arm"], {}).setdefault(row["model"], {})
        model[row["figure"]] = {name: _plain(row[name]) for name in ("value", "low", "high")}
    conclusions: dict[str, Any] = {}
    for row in rows:
        if row["figure"] == "auroc" + DIFFERENCE:
            figure = Figure(*(row[name] for name in Figure._fields))
            conclusions.setdefault(row["dataset"], {}).setdefault(row["arm"], []).append(conclusion(figure))
    return {
        "version": __version__, "windows": dict(counts), "leaks": dict(leaks["counts"]),
        "models": {player.name: player.about for player in players},
        "arms": {arm: ARMS[arm].about for arm in ARMS if any(row["arm"] == arm for row in rows)},
        "seeds": config.seeds, "results": results, "conclusions": conclusions,
    }  # fmt: skip


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 6)


def _text(config: ProbeConfig, rows: Sequence[Mapping[str, Any]], summary: Mapping[str, Any]) -> str:
    """The table and the conclusions."""
    heads = ("data set", "arm", "model", "AUROC", "95 % interval", "AUPRC", "gain", "base rate", "n")
    by_model: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in rows:
        if not row["against"]:
            by_model.setdefault((row["dataset"], row["arm"], row["model"]), {})[row["figure"]] = row
    cells = [heads]
    for (dataset, arm, model), own in by_model.items():
        area, gain = own["auroc"], own.get("gain_over_composition")
        cells.append((
            dataset, arm, model, f"{area['value']:.3f}",
            "-" if math.isnan(area["low"]) else f"{area['low']:.3f} to {area['high']:.3f}",
            f"{own['auprc']['value']:.3f}", "-" if gain is None else f"{gain['value']:+.3f}",
            f"{area['base_rate']:.2f}", f"{area['n']:,}",
        ))  # fmt: skip
    lines = aligned(cells, left=3)
    lines.insert(1, "-" * len(lines[0]))
    for dataset, arms in summary["conclusions"].items():
        for arm, sentences in arms.items():
            easy = arm in ARMS and ARMS[arm].easy
            lines += [
                "",
                f"{dataset}, arm {arm}{' (easy to beat)' if easy else ''}:",
                *(f"  {each}" for each in sentences),
            ]
    return "\n".join([*lines, "", f"report: {config.out / REPORT}"])
