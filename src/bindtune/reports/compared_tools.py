"""Predictions of other tools paired with those of a run, on the residues that both predict."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindtune.data.protein.proteins import Proteins
from bindtune.data.protein.seen_proteins import Seen, seen_proteins
from bindtune.errors import ConfigError, InputError
from bindtune.evaluation.tool_comparison import ALL, UNSEEN, Residues, ToolRow, compare_with_tool
from bindtune.io.tool_predictions import ToolPredictions, read_tool_predictions
from bindtune.io.training_proteins import TrainingProteins, read_training_proteins


@dataclass(frozen=True)
class ToolSources:
    """Files of other tools.

    Args:
        predictions: file or folder by the name of the tool.
        training: file of training proteins by the name of the tool.
        position_base: number of the first residue in their tables.
        identity: lowest identity of similar proteins; None looks for equal sequences.
    """

    predictions: Mapping[str, Path]
    training: Mapping[str, Path]
    position_base: int
    identity: float | None


@dataclass(frozen=True)
class ToolComparison:
    """What came out for one tool.

    Args:
        predictions: of the tool.
        rows: figures of all proteins and of those in nobody's training set.
        counts: sentences on what was paired and what was left out.
    """

    predictions: ToolPredictions
    rows: tuple[ToolRow, ...]
    counts: tuple[str, ...]


def tool_sources(
    tools: Sequence[str], training: Sequence[str], *, position_base: int, identity: float | None
) -> ToolSources:
    """The files of tools, as users write them.

    Args:
        tools: NAME=PATH of each tool.
        training: NAME=PATH of training proteins.
        position_base: as in `ToolSources`.
        identity: as in `ToolSources`.

    Raises:
        ConfigError: a text is not NAME=PATH, a name comes twice, or training proteins are of no such tool.
    """
    predictions, learned = (_named(setting, texts) for setting, texts in (("tool", tools), ("tool_training", training)))
    unknown = [name for name in learned if name not in predictions]
    if unknown:
        listed = ", ".join(predictions) or "none"
        raise ConfigError(f"tool_training: no predictions of {unknown[0]!r} are given, only of: {listed}")
    return ToolSources(predictions, learned, position_base, identity)


def _named(setting: str, texts: Sequence[str]) -> dict[str, Path]:
    paths: dict[str, Path] = {}
    for text in texts:
        name, separator, path = text.partition("=")
        if not separator or not name.strip() or not path.strip():
            raise ConfigError(f"{setting}: expected NAME=PATH, found {text[:80]!r}")
        if name.strip() in paths:
            raise ConfigError(f"{setting}: {name.strip()!r} is given twice")
        paths[name.strip()] = Path(path.strip())
    return paths


def compare_tools(
    residues: Mapping[str, Residues],
    proteins: Proteins,
    sources: ToolSources,
    *,
    learned: TrainingProteins | None,
    **options: Any,
) -> list[ToolComparison]:
    """Set a run beside other tools on the residues that both predict.

    Args:
        residues: labelled residues of the run, by ion.
        proteins: of the residues.
        sources: files of the tools.
        learned: the run's training proteins; None where each protein was held out of the model that predicts it.
        options: draws, seed and level of the intervals.

    Raises:
        InputError: a file is malformed, or lacks labelled residues of a protein that it predicts.
    """
    sequences = dict(zip(proteins.names, proteins.sequences, strict=True))
    comparisons = []
    for name, path in sources.predictions.items():
        predictions = read_tool_predictions(
            name, path, proteins=sequences, ions=tuple(residues), position_base=sources.position_base
        )
        training = [read_training_proteins(sources.training[name])] if name in sources.training else []
        seen = seen_proteins(proteins, [*training, *([learned] if learned else [])], identity=sources.identity)
        comparisons.append(_compare(predictions, residues, seen, has_training=bool(training), options=options))
    return comparisons


def _compare(
    predictions: ToolPredictions,
    residues: Mapping[str, Residues],
    seen: Seen,
    *,
    has_training: bool,
    options: Mapping[str, Any],
) -> ToolComparison:
    paired, counts = {}, list[str]()
    for ion, all_residues in residues.items():
        own = predictions.proteins(ion)
        if not own:
            counts.append(f"{ion}: {predictions.name} has no predictions.")
            continue
        both = all_residues.take(np.isin(all_residues.protein, sorted(own)))
        _check_complete(predictions, ion, both)
        names, all_names = set(both.protein.tolist()), set(all_residues.protein.tolist())
        text = f"{ion}: {len(names):,} of {len(all_names):,} proteins are predicted by both"
        if has_training:
            text += f", {len(names - seen.names):,} of them are in nobody's training set (by {seen.how})"
        counts.append(f"{text}.")
        paired[ion] = both
    if not has_training:
        counts.append(
            f"No training proteins of {predictions.name} are given (--tool-training), so it may have been trained on "
            "some of these proteins."
        )
    for noun, left in (("proteins", predictions.other_proteins), ("ions", predictions.other_ions)):
        if left:
            shown = ", ".join(sorted(left)[:5]) + (", ..." if len(left) > 5 else "")
            counts.append(f"{len(left):,} {noun} of {predictions.path} are not compared: {shown}.")
    subsets: dict[str, Callable[[NDArray[np.str_]], NDArray[np.bool_]]] = {ALL: lambda names: np.ones(len(names), bool)}
    if has_training:
        subsets[UNSEEN] = lambda names: ~np.isin(names, sorted(seen.names))
    rows = compare_with_tool(
        predictions.name, paired, lambda ion, own: tool_scores(predictions, ion, own), subsets, **options
    )
    return ToolComparison(predictions, tuple(rows), tuple(counts))


def tool_scores(predictions: ToolPredictions, ion: str, residues: Residues) -> NDArray[np.float32]:
    """What a tool predicts for residues (R,) of proteins that it has."""
    return _looked_up(predictions.probability, ion, residues, np.float32)


def tool_calls(predictions: ToolPredictions, ion: str, residues: Residues) -> NDArray[np.bool_] | None:
    """Which residues (R,) a tool calls; None where it does not say so for each of them."""
    names = set(residues.protein.tolist())
    if any((name, ion) not in predictions.call for name in names):
        return None
    calls = _looked_up(predictions.call, ion, residues, np.int8)
    return None if (calls < 0).any() else calls == 1


def _looked_up(
    columns: Mapping[tuple[str, str], NDArray[Any]], ion: str, residues: Residues, kind: Any
) -> NDArray[Any]:
    values = np.zeros(len(residues.protein), kind)
    breaks = np.flatnonzero(residues.protein[1:] != residues.protein[:-1]) + 1
    for rows in np.split(np.arange(len(values)), breaks):
        if len(rows):
            values[rows] = columns[str(residues.protein[rows[0]]), ion][residues.position[rows]]
    return values


def _check_complete(predictions: ToolPredictions, ion: str, residues: Residues) -> None:
    """Refuse a protein of which a tool predicts a part."""
    lacking = np.isnan(tool_scores(predictions, ion, residues))
    if lacking.any():
        first = int(np.flatnonzero(lacking)[0])
        name = str(residues.protein[first])
        own = residues.protein == name
        raise InputError(
            predictions.path,
            predictions.line[name, ion],
            f"{name!r}: no prediction for {ion} of residue {int(residues.position[first]) + 1} (counted from 1), one "
            f"of {int(lacking[own].sum())} that lack one; expected all {int(own.sum())} labelled residues",
        )
