"""A binding-site run beside other tools, on its out-of-fold predictions."""

from pathlib import Path

import numpy as np

from bindtune.data.protein.proteins import Proteins
from bindtune.errors import InputError
from bindtune.evaluation.tool_comparison import Residues
from bindtune.outputs import output_file
from bindtune.reports.compared_tools import ToolSources, compare_tools
from bindtune.reports.comparison_tables import table_files
from bindtune.reports.tool_page import write_tool_page
from bindtune.runs.kinds import require_run
from bindtune.runs.names import FOLDS, OUT_OF_FOLD
from bindtune.runs.out_of_fold import OutOfFold, read_out_of_fold
from bindtune.runs.reading import read_csv

_LEVEL = 0.95
_UNKNOWN_LETTER = b"X"


def compare_run_with_tools(run: Path, sources: ToolSources, out: Path, *, draws: int, seed: int) -> str:
    """Set a run beside other tools on its out-of-fold predictions, and write the page and its tables.

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
    comparisons = compare_tools(
        residues, _proteins(table, run), sources, learned=None, draws=draws, seed=seed, level=_LEVEL
    )
    scope = (
        f"Out-of-fold predictions of {run}: no protein was in the training set of the model that predicts it. A random "
        "order of residues has the base rate as its AUPRC."
    )
    return write_tool_page(comparisons, page_file, tables, scope=scope, level=_LEVEL)


def _residues(table: OutOfFold, ion: str) -> Residues:
    own = table.of(ion)
    names = np.array(table.proteins, dtype=np.str_)
    order = np.lexsort((own.position, own.protein))
    own = own.take(order)
    return Residues(names[own.protein], own.position - 1, own.label, own.probability)


def _proteins(table: OutOfFold, run: Path) -> Proteins:
    """The proteins of a run, with X for residues that stand in no row."""
    lengths = {row["protein"]: int(row["residues"]) for row in read_csv(run / FOLDS, ("protein",)) or []
               if row.get("residues", "").isdecimal()}  # fmt: skip
    last = np.zeros(len(table.proteins), np.int64)
    np.maximum.at(last, table.protein, table.position)
    sequences = [np.full(max(int(end), lengths.get(name, 0)), _UNKNOWN_LETTER)
                 for name, end in zip(table.proteins, last, strict=True)]  # fmt: skip
    letters, order = table.letters(), np.argsort(table.protein, kind="stable")
    starts = np.searchsorted(table.protein[order], np.arange(len(table.proteins) + 1))
    for number, sequence in enumerate(sequences):
        rows = order[starts[number] : starts[number + 1]]
        sequence[table.position[rows] - 1] = letters[rows]
    texts = tuple(sequence.tobytes().decode("ascii") for sequence in sequences)
    return Proteins(table.proteins, texts, (), tuple(np.empty((len(text), 0), np.int8) for text in texts))
