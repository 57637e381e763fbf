"""Pair the predictions of other tools with those of a run, on the residues that both predict."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindtune.data.protein.proteins import Proteins
from bindtune.data.protein.residue_contacts import Linking, read_linking
from bindtune.data.protein.seen_proteins import Seen, seen_proteins
from bindtune.data.protein.site_rules import STANDARD_RULES, SiteRules
from bindtune.errors import ConfigError, InputError
from bindtune.evaluation.binding_sites import SitePair, definition, find_sites, pair_sites
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
        rules: how residues are linked into sites.
    """

    predictions: Mapping[str, Path]
    training: Mapping[str, Path]
    position_base: int
    identity: float | None
    rules: SiteRules = STANDARD_RULES


@dataclass(frozen=True)
class ToolInputs:
    """The content of the files of tools.

    Args:
        tools: predictions of each tool, with its training proteins or None.
        linking: how residues are linked into sites.
        identity: as in `ToolSources`.
        files: that were read, by what they hold.
    """

    tools: tuple[tuple[ToolPredictions, TrainingProteins | None], ...]
    linking: Linking
    identity: float | None
    files: Mapping[str, Path]


@dataclass(frozen=True)
class ToolComparison:
    """The comparison with one tool.

    Args:
        predictions: of the tool.
        rows: figures of all proteins and of those in nobody's training set.
        counts: sentences about paired and left-out proteins.
        sites: by ion, who finds which site: the run first. Ions without calls of both are left out.
        definition: of a site.
    """

    predictions: ToolPredictions
    rows: tuple[ToolRow, ...]
    counts: tuple[str, ...]
    sites: Mapping[str, SitePair]
    definition: str


def tool_sources(
    tools: Sequence[str],
    training: Sequence[str],
    *,
    position_base: int,
    identity: float | None,
    rules: SiteRules = STANDARD_RULES,
) -> ToolSources:
    """The files of tools, as users write them.

    Args:
        tools: NAME=PATH of each tool.
        training: NAME=PATH of training proteins.
        position_base: as in `ToolSources`.
        identity: as in `ToolSources`.
        rules: as in `ToolSources`.

    Raises:
        ConfigError: a text is not NAME=PATH, a name comes twice, or training proteins are of no such tool.
    """
    predictions, learned = (_named(setting, texts) for setting, texts in (("tool", tools), ("tool_training", training)))
    unknown = [name for name in learned if name not in predictions]
    if unknown:
        listed = ", ".join(predictions) or "none"
        raise ConfigError(f"tool_training: no predictions of {unknown[0]!r} are given, only of: {listed}")
    return ToolSources(predictions, learned, position_base, identity, rules)


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


def read_tools(sources: ToolSources, proteins: Proteins, ions: Sequence[str]) -> ToolInputs:
    """Read the files of tools, and the structures that residues are linked by.

    Args:
        sources: the files.
        proteins: that are compared.
        ions: that are compared.

    Raises:
        InputError: a file is malformed, or does not fit the proteins.
    """
    sequences = dict(zip(proteins.names, proteins.sequences, strict=True))
    linking = read_linking(sources.rules, sequences)
    tools = []
    for name, path in sources.predictions.items():
        training = read_training_proteins(sources.training[name]) if name in sources.training else None
        predictions = read_tool_predictions(
            name, path, proteins=sequences, ions=ions, position_base=sources.position_base
        )
        tools.append((predictions, training))
    files = {f"predictions of {name}": path for name, path in sources.predictions.items()}
    files |= {f"training proteins of {name}": path for name, path in sources.training.items()}
    if sources.rules.structures is not None:
        files["structures"] = sources.rules.structures
    return ToolInputs(tuple(tools), linking, sources.identity, files)


def compare_tools(
    residues: Mapping[str, Residues],
    proteins: Proteins,
    inputs: ToolInputs,
    *,
    learned: TrainingProteins | None,
    thresholds: Mapping[str, float],
    **options: Any,
) -> list[ToolComparison]:
    """Compare a run with other tools on the residues that both predict.

    Args:
        residues: labelled residues of the run, by ion.
        proteins: of the residues.
        inputs: of `read_tools`.
        learned: the run's training proteins; None where each protein was held out of the model that predicts it.
        thresholds: of the run, by ion.
        options: draws, seed and level of the intervals.

    Raises:
        InputError: a tool lacks labelled residues of a protein that it predicts.
    """
    comparisons = []
    for predictions, training in inputs.tools:
        sets = [each for each in (training, learned) if each is not None]
        seen = seen_proteins(proteins, sets, identity=inputs.identity)
        counts, paired = _paired(predictions, residues, seen if training else None)
        subsets = {ALL: _all_of} | ({UNSEEN: partial(_not_in, seen.names)} if training else {})
        rows = compare_with_tool(predictions.name, paired, partial(tool_scores, predictions), subsets, **options)
        sites = _sites(predictions, paired, thresholds, inputs.linking)
        comparisons.append(ToolComparison(predictions, tuple(rows), tuple(counts), sites, definition(inputs.linking)))
    return comparisons


def _all_of(names: NDArray[np.str_]) -> NDArray[np.bool_]:
    return np.ones(len(names), bool)


def _not_in(seen: Collection[str], names: NDArray[np.str_]) -> NDArray[np.bool_]:
    return ~np.isin(names, sorted(seen))


def _paired(
    predictions: ToolPredictions, residues: Mapping[str, Residues], seen: Seen | None
) -> tuple[list[str], dict[str, Residues]]:
    """Paired and left-out proteins in words, and the residues that both predict."""
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
        if seen is not None:
            text += f", {len(names - seen.names):,} of them are in nobody's training set (by {seen.how})"
        counts.append(f"{text}.")
        paired[ion] = both
    if seen is None:
        counts.append(
            f"No training proteins of {predictions.name} are given (--tool-training), so it may have been trained on "
            "some of these proteins."
        )
    for noun, left in (("proteins", predictions.other_proteins), ("ions", predictions.other_ions)):
        if left:
            shown = ", ".join(sorted(left)[:5]) + (", ..." if len(left) > 5 else "")
            counts.append(f"{len(left):,} {noun} of {predictions.path} are not compared: {shown}.")
    return counts, paired


def _sites(
    predictions: ToolPredictions, paired: Mapping[str, Residues], thresholds: Mapping[str, float], linking: Linking
) -> dict[str, SitePair]:
    pairs = {}
    for ion, own in paired.items():
        calls = tool_calls(predictions, ion, own)
        if calls is None or ion not in thresholds:
            continue
        ones, others = (
            find_sites(own.protein, own.position, own.label, called, linking=linking)
            for called in (own.probability >= thresholds[ion], calls)
        )
        pairs[ion] = pair_sites(ones, others)
    return pairs


def tool_scores(predictions: ToolPredictions, ion: str, residues: Residues) -> NDArray[np.float32]:
    """The predictions of a tool for residues (R,) of its proteins."""
    return _looked_up(predictions.probability, ion, residues, np.float32)


def tool_calls(predictions: ToolPredictions, ion: str, residues: Residues) -> NDArray[np.bool_] | None:
    """Which residues (R,) a tool calls; None if it has no call for some of them."""
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
