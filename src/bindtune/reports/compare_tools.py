"""Compare the out-of-fold predictions of a binding-site run with other tools."""

from pathlib import Path

import numpy as np

from bindtune.errors import InputError
from bindtune.evaluation.tool_comparison import Residues
from bindtune.outputs import output_file
from bindtune.reports.compare_binding import run_thresholds
from bindtune.reports.compared_tools import ToolSources, compare_tools, read_tools
from bindtune.reports.comparison_tables import table_files
from bindtune.reports.run_proteins import run_proteins
from bindtune.reports.tool_page import write_tool_page
from bindtune.runs.kinds import require_run
from bindtune.runs.names import OUT_OF_FOLD
from bindtune.runs.out_of_fold import OutOfFold, read_out_of_fold

_LEVEL = 0.95


def compare_run_with_tools(run: Path, sources: ToolSources, out: Path, *, draws: int, seed: int) -> str:
    """Compare the out-of-fold predictions of a run with other tools, and write the page and its tables.

    Args:
        run: folder of a binding-site run.
        sources: files of the tools.
        out: the page. Tables of the same name, with the endings .csv and .json, stand beside it.
        draws: bootstrap draws of proteins.
        seed: of the draws.

    Returns:
        The same as text.

    Raises:
        ConfigError: the folder is of another job.
        InputError: the run is not merged, or a file of a tool is malformed.
    """
    page_file, tables = output_file(out), table_files(out)
    require_run(run, "binding", "compare --tool")
    table = read_out_of_fold(run) if (run / OUT_OF_FOLD).is_file() else None
    if table is None:
        raise InputError(run, None, f"holds no {OUT_OF_FOLD}: its folds are not done, or not merged yet")
    residues = {ion: _residues(table, ion) for ion in table.ions}
    proteins, options = run_proteins(table, run), {"draws": draws, "seed": seed, "level": _LEVEL}
    inputs = read_tools(sources, proteins, tuple(residues))
    comparisons = compare_tools(residues, proteins, inputs, learned=None, thresholds=run_thresholds(run), **options)
    scope = (
        f"Out-of-fold predictions of {run}: no protein was in the training set of the model that predicts it. A random "
        "order of residues has the base rate as its AUPRC."
    )
    files = {"out-of-fold predictions": run / OUT_OF_FOLD, **inputs.files}
    return write_tool_page(comparisons, page_file, tables, inputs=files, scope=scope, level=_LEVEL)


def _residues(table: OutOfFold, ion: str) -> Residues:
    own = table.of(ion)
    names = np.array(table.proteins, dtype=np.str_)
    order = np.lexsort((own.position, own.protein))
    own = own.take(order)
    return Residues(names[own.protein], own.position - 1, own.label, own.probability)
