"""A table of several ions taken apart."""

import numpy as np

from bindtune.evaluation.scored_residues import by_ion


def test_each_ion_has_its_own_rows_in_order() -> None:
    residues_of = by_ion(
        ["ZN", "CA", "MN"],
        protein=["a", "a", "b"],
        ion=["CA", "ZN", "CA"],
        label=[1, 0, 0],
        probability=np.array([0.5, 0.25, 0.75], np.float32),
        fold=[1, 1, 2],
    )
    assert list(residues_of) == ["ZN", "CA", "MN"]
    assert residues_of["CA"].proteins.tolist() == ["a", "b"]
    assert residues_of["CA"].probabilities.tolist() == [0.5, 0.75]
    assert residues_of["ZN"].folds.tolist() == [1]
    assert residues_of["MN"].labels.tolist() == []
