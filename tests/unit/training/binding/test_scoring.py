"""The mean of a validation's figures."""

import math

import pytest

from bindtune.training.binding.scoring import mean_row


def test_figures_are_means_over_ions_and_the_loss_over_labels() -> None:
    rows = [
        {"ion": "ZN", "residues": 30, "loss_bce": 0.2, "auprc": 0.9, "hra": math.nan},
        {"ion": "CA", "residues": 10, "loss_bce": 1.0, "auprc": 0.5, "hra": 0.4},
        {"ion": "MG", "residues": 0},
    ]
    row = mean_row(rows)
    assert row["loss_bce"] == pytest.approx((30 * 0.2 + 10 * 1.0) / 40)
    assert (row["auprc"], row["hra"]) == pytest.approx((0.7, 0.4))
    assert all(math.isnan(mean_row(rows[2:])[name]) for name in ("loss_bce", "auprc"))
