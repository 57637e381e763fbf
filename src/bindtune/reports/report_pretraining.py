"""The report of a pretraining run: losses in peaks and flanks, actual masking rates, relaxed sequences, padding."""

import math
from pathlib import Path
from typing import Any

from bindtune.data.masking_strategies import STRATEGIES
from bindtune.errors import InputError
from bindtune.evaluation.figure_text import UNDEFINED, exact_percent, number, percent
from bindtune.reports.charts import Band, Level, Line, LineChart
from bindtune.reports.page import Block, Chart, Charts, Collapsed, Notice, Page, Section, Table, Text, Tile
from bindtune.reports.report_run import FOOTER, inputs_section, provenance, settings_section, started, version
from bindtune.reports.run_settings import masking_goals, masking_mode, masking_words
from bindtune.reports.svg_charts import svg
from bindtune.reports.window_browser import windows_section
from bindtune.runs.eval_records import KINDS as RECORD_KINDS
from bindtune.runs.eval_records import RecordLosses, read_record_losses
from bindtune.runs.names import ALL_RESULTS, EVAL_RECORDS, PROVENANCE, TRAINER_STATE, checkpoint_folders
from bindtune.runs.reading import as_number, read_json

_ALL, _FLANK, _PEAK = 0, 1, 2  # colours
_FEW = 100  # masked tokens
_KINDS = {"": ("all masked tokens", _ALL), "flank_": ("flanks", _FLANK), "peak_": ("peaks", _PEAK)}
Rows = list[dict[str, Any]]


def build(run: Path, config: dict[str, Any]) -> Page:
    """The page of a pretraining run.

    Args:
        run: the run folder.
        config: what its config.yaml holds.

    Raises:
        InputError: a file in the folder is damaged.
    """
    origin = provenance(run)
    state, where = _state(run)
    results = read_json(run / ALL_RESULTS) or {}
    trained, evaluated = _history(state, where)
    mode = masking_mode(config)
    records = read_record_losses(run / EVAL_RECORDS) if (run / EVAL_RECORDS).is_file() else None
    counts = _masked_counts(records)
    return Page(
        title=run.resolve().name,
        kind="report of a pretraining run",
        lead=_lead(config),
        facts=(
            ("Status", _status(state, results)),
            ("Started", started(origin)),
            ("Masking", mode),
            ("Steps", _steps(state)),
            ("bindtune", version(origin)),
        ),
        tiles=_tiles(results, evaluated, config, counts),
        notices=(*_few_tokens(counts), *_notices(run, state, results, config)),
        sections=(
            _losses(trained, evaluated, counts),
            *windows_section(records, config),
            _masking(trained, results, config, mode),
            _efficiency(trained, results),
            inputs_section(origin),
            settings_section(config),
        ),
        footer=FOOTER,
    )


def _lead(config: dict[str, Any]) -> str:
    model = Path(str(config.get("model_name_or_path"))).name
    windows = Path(str(config.get("train_file"))).name
    limit = config.get("max_train_samples")
    windows = f"the windows of {windows}" if limit is None else f"at most {limit} windows of {windows}"
    target = exact_percent(as_number(config.get("target_mlm_prob")))
    return (
        f"Continued masked-language-model training of {model} on {windows}. {masking_words(config)}, with an exact "
        f"total of {target} of every sequence."
    )


def _state(run: Path) -> tuple[dict[str, Any], Path]:
    """The trainer's state: of the finished run, or of its newest checkpoint."""
    folders = [run, *reversed(checkpoint_folders(run))]
    for folder in folders:
        state = read_json(folder / TRAINER_STATE)
        if state is not None:
            return state, folder / TRAINER_STATE
    return {}, run / TRAINER_STATE


def _history(state: dict[str, Any], where: Path) -> tuple[Rows, Rows]:
    """Training and evaluation lines of the log, one a step."""
    lines = state.get("log_history", [])
    if not isinstance(lines, list) or not all(isinstance(line, dict) and "step" in line for line in lines):
        raise InputError(where, None, "log_history is not a list of log lines with their step")
    trained: dict[int, dict[str, Any]] = {}
    evaluated: dict[int, dict[str, Any]] = {}
    for line in lines:
        if "loss" in line:
            trained[line["step"]] = line
        elif "eval_loss" in line:
            evaluated.setdefault(line["step"], line)  # older runs end with a second line for the chosen checkpoint
    return list(trained.values()), list(evaluated.values())


def _status(state: dict[str, Any], results: dict[str, Any]) -> str:
    if results:
        step, last = as_number(state.get("global_step")), as_number(state.get("max_steps"))
        return "stopped early" if step < last else "finished"
    return "not finished" if state else "no checkpoint yet"


def _steps(state: dict[str, Any]) -> str:
    if not state:
        return UNDEFINED
    return f"{state.get('global_step', UNDEFINED)} of {state.get('max_steps', UNDEFINED)}"


def _masked_counts(records: RecordLosses | None) -> dict[str, int]:
    """Masked tokens of an evaluation: all, in peaks and in flanks; empty if the run has no record of them."""
    if records is None:
        return {}
    return dict(zip(RECORD_KINDS, records.masked.sum(axis=0).tolist(), strict=True))


def _counted(counts: dict[str, int]) -> str:
    """The number of masked tokens of an evaluation, as text; empty if the run has no record of it."""
    regions = {"": "in all", "peak_": "in peaks", "flank_": "in flanks"}
    parts = [f"{counts[kind]:,} {name}" for kind, name in regions.items() if kind in counts]
    return f" Masked tokens of an evaluation: {', '.join(parts)}." if parts else ""


def _few_tokens(counts: dict[str, int]) -> tuple[str, ...]:
    """A warning for each figure from few masked tokens."""
    return tuple(
        f"Evaluation figures of {name} come from only {counts[kind]:,} masked tokens, so they are uncertain."
        for kind, (name, _) in _KINDS.items()
        if kind in counts and counts[kind] < _FEW
    )


def _tiles(
    results: dict[str, Any], evaluated: Rows, config: dict[str, Any], counts: dict[str, int]
) -> tuple[Tile, ...]:
    nothing: dict[str, Any] = {}
    best = min(evaluated, key=lambda line: _worst_last(line.get("eval_loss")), default=nothing)
    source = results if "eval_loss" in results else best
    tiles = []
    if "eval_loss" in source:
        loss = as_number(source["eval_loss"])
        # If some evaluations have no checkpoint, the kept model may not be the best evaluated one.
        lowest = math.isclose(loss, as_number(best.get("eval_loss", loss)), rel_tol=1e-5)
        checkpoint = f"lowest, at step {best.get('step', UNDEFINED)}" if lowest else "lowest of the checkpoints"
        checkpoint = (
            f"at step {best.get('step', UNDEFINED)}, the only evaluation" if len(evaluated) == 1 else checkpoint
        )
        tiles += [
            Tile("Evaluation loss", number(loss), checkpoint),
            Tile("Perplexity", number(as_number(source.get("eval_perplexity")), 2), "exp of that loss"),
            Tile("Loss in peaks", number(as_number(source.get("eval_peak_loss"))), _accuracy(source, "peak_", counts)),
            Tile(
                "Loss in flanks", number(as_number(source.get("eval_flank_loss"))), _accuracy(source, "flank_", counts)
            ),
        ]
    if "train_masked_rate" in results:
        target = exact_percent(as_number(config.get("target_mlm_prob")))
        tiles.append(Tile("Masked in all", percent(as_number(results["train_masked_rate"])), f"target {target}"))
    if "train_padding_efficiency" in results:
        share = percent(as_number(results["train_padding_efficiency"]), 1)
        tiles.append(Tile("Padding efficiency", share, "of the batches' places hold tokens"))
    return tuple(tiles)


def _accuracy(source: dict[str, Any], kind: str, counts: dict[str, int]) -> str:
    of = f" of {counts[kind]:,} masked tokens" if kind in counts else ""
    return f"{percent(as_number(source.get(f'eval_{kind}accuracy')), 1)}{of} predicted right"


def _worst_last(value: Any) -> float:
    loss = as_number(value)
    return math.inf if math.isnan(loss) else loss


def _notices(run: Path, state: dict[str, Any], results: dict[str, Any], config: dict[str, Any]) -> tuple[str, ...]:
    notices = []
    if not state:
        notices.append(
            "The run has written no checkpoint yet: there are no losses to show. Settings and inputs are below."
        )
    elif not results:
        notices.append(
            f"The run is not finished: the newest checkpoint is of step {state.get('global_step')} of "
            f"{state.get('max_steps')}. The curves end there, and figures over the whole run are missing."
        )
    if config.get("validation_file") is None:
        notices.append("Nothing was evaluated: the run had no validation file. Training losses alone say little.")
    if not (run / PROVENANCE).is_file():
        notices.append("provenance.json is missing: what the run was made from is not known.")
    return tuple(notices)


def _losses(trained: Rows, evaluated: Rows, counts: dict[str, int]) -> Section:
    if not trained and not evaluated:
        return Section("losses", "Losses", (Notice("No losses have been logged yet."),))
    drawn = [
        _loss_chart("Loss, all masked tokens", trained, evaluated, ""),
        _loss_chart("Loss in peaks", trained, evaluated, "peak_"),
        _loss_chart("Loss in flanks", trained, evaluated, "flank_"),
        _accuracy_chart(evaluated, counts),
    ]
    same_masks = (
        "Evaluation uses the same windows under the same masks each time, so its curves are not blurred by the draw of "
        "masks. "
    )
    blocks: list[Block] = [
        Text(
            "Cross entropy in nats, the mean over masked tokens; lower is better. "
            f"{same_masks if evaluated else ''}Training losses are of the steps since the log line before."
        ),
        Charts(tuple(chart for chart in drawn if chart)),
    ]
    if evaluated:
        blocks.append(_evaluations(evaluated, counts))
    return Section("losses", "Losses", tuple(blocks))


def _loss_chart(title: str, trained: Rows, evaluated: Rows, kind: str) -> Chart | None:
    colour = _KINDS[kind][1]
    curves = [
        _curve(trained, f"{kind}loss", "training", 7 if colour == _ALL else colour, style="--", width=1.2),
        _curve(evaluated, f"eval_{kind}loss", "evaluation", colour, points=len(evaluated) < 40),
    ]
    drawn = [curve for curve in curves if curve is not None]
    if not drawn:
        return None
    drawing = svg(LineChart(drawn, "optimiser step", "loss (nats)"))
    return Chart(
        title, drawing, f"{title} by step. {_loss_sentence(evaluated or trained, f'eval_{kind}loss', f'{kind}loss')}"
    )


def _loss_sentence(rows: Rows, *names: str) -> str:
    name = next((name for name in names if name in rows[0]), None)
    if name is None:
        return ""
    first, last = (number(as_number(row.get(name))) for row in (rows[0], rows[-1]))
    return f"It goes from {first} at step {rows[0]['step']} to {last} at step {rows[-1]['step']}."


def _accuracy_chart(evaluated: Rows, counts: dict[str, int]) -> Chart | None:
    curves = [
        _curve(evaluated, f"eval_{kind}accuracy", name, colour, points=len(evaluated) < 40)
        for kind, (name, colour) in _KINDS.items()
    ]
    drawn = [curve for curve in curves if curve is not None]
    if not drawn:
        return None
    drawing = svg(LineChart(drawn, "optimiser step", "share predicted right"))
    described = f"Evaluation accuracy by step. {_loss_sentence(evaluated, 'eval_accuracy')}"
    return Chart(
        "Accuracy in evaluation",
        drawing,
        described,
        f"Share of the masked tokens whose likeliest token is right.{_counted(counts)}",
    )


def _curve(
    rows: Rows, name: str, label: str, colour: int, *, style: str = "-", width: float = 1.7, points: bool = False
) -> Line | None:
    logged = [(row["step"], as_number(row[name])) for row in rows if name in row]
    if not logged:
        return None
    steps, values = zip(*logged, strict=True)
    return Line(
        steps, values, label, colour, style=style, width=width, marker="o" if points or len(logged) == 1 else ""
    )


def _evaluations(evaluated: Rows, counts: dict[str, int]) -> Collapsed:
    names = ("eval_loss", "eval_peak_loss", "eval_flank_loss")
    shares = ("eval_accuracy", "eval_peak_accuracy", "eval_flank_accuracy")
    rows = tuple(
        (
            str(line["step"]),
            *(number(as_number(line.get(name)), 4) for name in names),
            *(percent(as_number(line.get(name))) for name in shares),
        )
        for line in evaluated
    )
    heads = ("Step", "Loss", "in peaks", "in flanks", "Accuracy", "in peaks", "in flanks")
    table = Table("Evaluations", heads, rows, numeric=frozenset(range(7)), note=_counted(counts).strip())
    return Collapsed("Every evaluation as a table", (table,))


def _masking(trained: Rows, results: dict[str, Any], config: dict[str, Any], mode: str) -> Section:
    text = f"{masking_words(config)}. The total of each sequence is exact. The rates below are counted in the run."
    blocks: list[Block] = [Text(text)]
    chart = _rates_chart(trained, results, config, draws_rates=STRATEGIES[mode].uses_rates)
    if chart:
        blocks.append(Charts((chart,)))
    if results:
        blocks.append(_rates_table(results, config))
    else:
        blocks.append(Notice("Rates over the whole run are written when it ends."))
    return Section("masking", "Masking", tuple(blocks))


def _rates_chart(trained: Rows, results: dict[str, Any], config: dict[str, Any], *, draws_rates: bool) -> Chart | None:
    curves = [_curve(trained, f"{kind}masked_rate", name, colour) for kind, (name, colour) in _KINDS.items()]
    drawn = [curve for curve in curves if curve is not None]
    if not drawn:
        return None
    target, lo, hi = (as_number(config.get(name)) for name in ("target_mlm_prob", "eclip_mlm_lo", "eclip_mlm_hi"))
    bands = [Band(lo, hi, _PEAK)] if draws_rates and lo < hi else []
    chart = LineChart(drawn, "optimiser step", "share masked", levels=[Level(target)], bands=bands, y_range=(0, None))
    note = "Dashed: the target of the whole." + (" Shaded: the range that peak rates are drawn from." if bands else "")
    rates = [
        f"{name} {percent(as_number(results.get(f'train_{kind}masked_rate')))}" for kind, (name, _) in _KINDS.items()
    ]
    return Chart("Realised masking rates in training", svg(chart), f"Realised rates: {', '.join(rates)}.", note)


def _rates_table(results: dict[str, Any], config: dict[str, Any]) -> Table:
    in_peaks, in_flanks = masking_goals(config)
    whole = f"{exact_percent(as_number(config.get('target_mlm_prob')))} of every sequence"
    goals = {"": whole, "peak_": in_peaks, "flank_": in_flanks}
    rows = [(name, goals[kind], *_both(results, f"{kind}masked_rate")) for kind, (name, _) in _KINDS.items()]
    rows.append(("sequences relaxed", "0, where windows allow it", *_both(results, "relaxed_sequences")))
    was_evaluated = "eval_loss" in results
    evaluation = f"evaluation ({config.get('eval_masking', 'uniform')} masks)" if was_evaluated else "evaluation (none)"
    return Table(
        "Masked tokens against their targets",
        ("Tokens", "Wanted in training", "Realised in training", f"Realised in {evaluation}"),
        tuple(rows),
        numeric=frozenset({2, 3}),
        note="Each sequence has the whole number of masked tokens that is nearest to its target, so a mean over "
        "sequences may differ from the target in the third digit. A sequence is relaxed where its peaks leave no room "
        "for the peak range, as in windows that are mostly peak; with peak-only masking, where they hold fewer tokens "
        "than the total.",
    )


def _both(results: dict[str, Any], name: str) -> tuple[str, str]:
    return percent(as_number(results.get(f"train_{name}"))), percent(as_number(results.get(f"eval_{name}")))


def _efficiency(trained: Rows, results: dict[str, Any]) -> Section:
    blocks: list[Block] = []
    drawn = [
        _one(trained, "learning_rate", "Learning rate", "learning rate"),
        _one(trained, "grad_norm", "Gradient norm", "norm before clipping"),
        _one(trained, "padding_efficiency", "Padding efficiency", "share of places with tokens", (0, 1.02)),
    ]
    if any(drawn):
        blocks.append(Charts(tuple(chart for chart in drawn if chart)))
    figures = (
        ("Training time", _duration(as_number(results.get("train_runtime")))),
        ("Windows a second, training", number(as_number(results.get("train_samples_per_second")), 1)),
        ("Windows a second, evaluation", number(as_number(results.get("eval_samples_per_second")), 1)),
        ("Padding efficiency, training", percent(as_number(results.get("train_padding_efficiency")))),
        ("Padding efficiency, evaluation", percent(as_number(results.get("eval_padding_efficiency")))),
    )
    if results:
        blocks.append(Table("Time and padding", ("Figure", "Value"), figures, numeric=frozenset({1})))
    if not blocks:
        blocks.append(Notice("Nothing has been logged yet."))
    return Section("efficiency", "Training", tuple(blocks))


def _one(
    rows: Rows, name: str, title: str, label: str, y_range: tuple[float | None, float | None] | None = None
) -> Chart | None:
    curve = _curve(rows, name, "", _ALL)
    if curve is None:
        return None
    drawing = svg(LineChart([curve], "optimiser step", label, y_range=y_range))
    return Chart(title, drawing, f"{title} by step. {_loss_sentence(rows, name)}")


def _duration(seconds: float) -> str:
    if math.isnan(seconds):
        return UNDEFINED
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
