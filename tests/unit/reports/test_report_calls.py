"""Sites and targets in the report of a binding run."""

import numpy as np

from bindtune.reports.page import Table
from bindtune.reports.report_calls import calls_section
from bindtune.runs.out_of_fold import OutOfFold

PROTEINS, LENGTH = 120, 30


def predictions() -> OutOfFold:
    """Each protein has a site of residues 3 and 5, found in all but every tenth, and a false call in every fourth."""
    count = PROTEINS * LENGTH
    protein, position = np.repeat(np.arange(PROTEINS), LENGTH), np.tile(np.arange(1, LENGTH + 1), PROTEINS)
    label = np.isin(position, [3, 5]).astype(np.int8)
    called = ((label == 1) & (protein % 10 > 0)) | ((position == 29) & (protein % 4 == 0))
    names = tuple(f"p{number}" for number in range(PROTEINS))
    zeros, fold = np.zeros(count, np.int8), np.ones(count, np.int8)
    table = OutOfFold(
        names, ("ZN",), ("C",), protein, position, zeros, zeros, label, np.where(called, 0.75, 0.01), fold
    )
    return table.take(np.argsort(-table.probability, kind="stable"))


def test_sites_and_targets() -> None:
    (section,) = calls_section(predictions(), ("ZN", "CA"), {"ZN": 0.5})
    sites, targets = (block for block in section.blocks if isinstance(block, Table))
    assert sites.rows == (("ZN", "120", "108", "12", "30"),)
    rows = {row[1]: row for row in targets.rows}
    assert rows["recall 0.8"][3:] == ("0.900", f"{216 / 246:.3f}", "")
    assert rows["precision 0.8"][3:] == ("0.900", f"{216 / 246:.3f}", "")
    assert float(rows["recall 0.9"][2]) < 0.02 and rows["recall 0.9"][3] == "1.000"


def test_a_run_without_predictions_has_no_calls() -> None:
    assert calls_section(None, ("ZN",), {}) == ()
