"""The predictions of other tools for the test proteins of `bindtune evaluate`."""

from collections.abc import Mapping

from bindtune.config import EvaluateConfig
from bindtune.data.protein.proteins import Proteins
from bindtune.evaluation.tool_comparison import Residues
from bindtune.inference.trained_run import TrainedRun
from bindtune.io.training_proteins import TrainingProteins
from bindtune.reports.compared_tools import ToolInputs, ToolSources, compare_tools, tool_sources
from bindtune.reports.comparison_tables import table_files
from bindtune.reports.tool_page import write_tool_page
from bindtune.runs.names import PREDICTIONS, TOOL_PAGE


def tested_tools(settings: EvaluateConfig) -> ToolSources:
    """The files of other tools that the settings name.

    Raises:
        ConfigError: a setting is not NAME=PATH, or a name comes twice.
    """
    return tool_sources(
        settings.tool,
        settings.tool_training,
        position_base=settings.position_base,
        identity=settings.audit_identity,
        rules=settings.site_rules,
    )


def beside_tools(
    settings: EvaluateConfig,
    run: TrainedRun,
    residues: Mapping[str, Residues],
    proteins: Proteins,
    *,
    learned: Proteins,
    inputs: ToolInputs,
) -> list[str]:
    """Compare the predictions of a run with those of other tools, and write the page and its tables.

    Args:
        settings: of the command.
        run: the run.
        residues: labelled test residues with the run's probabilities, by ion.
        proteins: the test proteins.
        learned: the training proteins of the run.
        inputs: content of the files of the tools.

    Returns:
        The same as lines of text; none without tools.

    Raises:
        InputError: a tool lacks labelled residues of a protein that it predicts.
    """
    if not inputs.tools:
        return []
    page_file = settings.out / TOOL_PAGE
    training = TrainingProteins(frozenset(learned.names), dict(zip(learned.names, learned.sequences, strict=True)))
    options = {"draws": settings.draws, "seed": settings.seed, "level": settings.level}
    comparisons = compare_tools(residues, proteins, inputs, learned=training, thresholds=run.thresholds, **options)
    scope = f"Test proteins of {settings.fasta}, predicted by {settings.run}."
    tables = table_files(page_file)
    files = {"test predictions": settings.out / PREDICTIONS, **inputs.files}
    return ["", write_tool_page(comparisons, page_file, tables, inputs=files, scope=scope, level=settings.level)]
