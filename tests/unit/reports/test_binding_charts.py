"""What is drawn lies where the figures say, and files are whole."""

import math
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from matplotlib.axes import Axes

from bindtune.evaluation.metrics import residue_metrics
from bindtune.evaluation.ranking import sort
from bindtune.reports.binding_charts import Call, curve_charts
from bindtune.reports.binding_figures import (
    auprc_figure,
    calibration_figure,
    loss_figure,
    save_fold_plots,
    threshold_figure,
)
from bindtune.reports.png_charts import folder_figure
from bindtune.reports.svg_charts import svg


def residues(count: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    labels = (generator.random(count) < 0.1).astype(np.int8)
    return labels, 1 / (1 + np.exp(2 - 2 * labels - generator.normal(size=count)))


def drawn(axes: Axes, label: str) -> tuple[list[float], list[float]]:
    (line,) = [line for line in axes.lines if str(line.get_label()).startswith(label)]
    return np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist()


def test_losses_and_the_lowest_are_drawn() -> None:
    figure = loss_figure([1, 2, 3], training=[3.0, 2.0, 1.0], validation=[2.0, 1.5, 1.75], title="ZN, fold 1")
    (axes,) = figure.axes
    assert drawn(axes, "training") == ([1, 2, 3], [3.0, 2.0, 1.0])
    assert drawn(axes, "lowest 1.5000 (epoch 2)") == ([2], [1.5])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Epoch", "Loss")


def test_epochs_are_whole_numbers_also_where_there_is_one() -> None:
    (axes,) = loss_figure([1], training=[3.0], validation=[2.0], title="ZN, fold 1").axes
    low, high = axes.get_xlim()
    assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [1]


def test_auprc_stands_on_the_base_rate() -> None:
    figure = auprc_figure([1, 2], training=[math.nan] * 2, validation=[0.2, 0.4], base_rate=0.03, title="ZN")
    (axes,) = figure.axes
    assert drawn(axes, "base rate 0.0300")[1] == [0.03, 0.03]
    assert drawn(axes, "highest 0.400 (epoch 2)") == ([2], [0.4])
    assert not [line for line in axes.lines if line.get_label() == "training"]


def test_thresholds_lie_on_both_curves() -> None:
    labels, probabilities = residues(5000)
    figure = threshold_figure(labels, probabilities, thresholds={"mcc": 0.4, "youden": math.nan}, title="ZN")
    left, right = figure.axes
    figures = residue_metrics(labels, probabilities, threshold=0.4)
    false_rate = figures.false_positives / (figures.false_positives + figures.true_negatives)
    assert drawn(left, "MCC threshold 0.400") == ([false_rate], [figures.recall])
    assert drawn(right, "MCC threshold 0.400") == ([figures.recall], [figures.precision])
    assert drawn(right, "base rate")[1] == pytest.approx([labels.mean()] * 2)
    assert not [line for line in left.lines if "Youden" in str(line.get_label())]


def test_long_curves_keep_their_shape_with_few_points() -> None:
    labels, probabilities = residues(60_000)
    left, right = threshold_figure(labels, probabilities, thresholds={}, title="ZN").axes
    across, up = drawn(left, "AUROC")
    figures = residue_metrics(labels, probabilities, threshold=0.5)
    assert len(across) <= 1000
    assert np.trapezoid(up, across) == pytest.approx(figures.auroc, abs=1e-3)
    recall, precision = drawn(right, "AUPRC")
    assert np.trapezoid(precision, recall) == pytest.approx(figures.auprc, abs=5e-3)


def test_one_class_is_said_to_be_not_defined() -> None:
    figure = threshold_figure([0, 0], [0.1, 0.2], thresholds={"mcc": math.nan}, title="ZN")
    assert all("not defined" in axes.texts[0].get_text() for axes in figure.axes)


def test_reliability_is_drawn() -> None:
    figure = calibration_figure([0, 1, 1, 1], {"as trained": [0.1, 0.3, 0.6, 1.0]}, title="ZN", bins=2)
    curve, histogram = figure.axes
    predicted, observed = drawn(curve, "as trained: error 0.2500")
    assert predicted == pytest.approx([0.2, 0.8])
    assert observed == pytest.approx([0.5, 1.0])
    # Wilson's intervals of 1 of 2 and of 2 of 2.
    (bars,) = curve.collections
    ends = [segment[:, 1].tolist() for segment in bars.get_segments()]
    assert ends == [pytest.approx([0.0945, 0.9055], abs=1e-4), pytest.approx([0.3424, 1.0], abs=1e-4)]
    assert drawn(histogram, "as trained") == ([0, 0.5, 0.5, 1], [2, 2, 2, 2])


def test_fold_plots_are_png_files_at_150_dots_an_inch(tmp_path: Path) -> None:
    rows = [
        {"fold": "1", "epoch": "1", "split": "train", "ion": "ZN", "loss": "0.5", "auprc": "", "base_rate": ""},
        {"fold": "1", "epoch": "1", "split": "validation", "ion": "ZN", "loss": "0.4", "auprc": "0.2",
         "base_rate": "0.02"},
        {"fold": "2", "epoch": "7", "split": "validation", "ion": "ZN", "loss": "9", "auprc": "1", "base_rate": "1"},
        {"fold": 1, "epoch": 1, "split": "validation", "ion": "MN", "loss": 0.3, "auprc": None, "base_rate": math.nan},
    ]  # fmt: skip
    written = save_fold_plots(rows, tmp_path / "plots", fold=1, ions=["ZN", "MN"])
    assert [path.name for path in written] == [
        "loss_fold_1_ZN.png",
        "auprc_fold_1_ZN.png",
        "loss_fold_1_MN.png",
        "auprc_fold_1_MN.png",
    ]
    assert sorted(tmp_path.joinpath("plots").iterdir()) == sorted(written)
    height, width, _ = matplotlib.image.imread(written[0]).shape
    assert (height, width) == (570, 810)


def test_one_chart_serves_pages_and_folders() -> None:
    labels, probabilities = residues(2000)
    ranking = sort(labels, probabilities).ranking()
    roc, _ = curve_charts(ranking, [Call(0.25, 0.5, math.nan, {"name": "MCC", "colour": 4, "marker": "D"})])
    (axes,) = folder_figure([roc], "ZN").axes
    assert drawn(axes, "MCC") == ([0.25], [0.5])
    assert axes.get_xlabel() == "False positive rate"
    drawing = str(svg(roc))
    assert "false positive rate" in drawing
    assert "var(--s4)" in drawing
    assert "MCC" not in drawing.partition("<script")[0]  # a square chart of a page has no legend


def test_a_call_without_precision_stands_on_the_roc_curve_alone() -> None:
    labels, probabilities = residues(2000)
    calls = [Call(0.25, 0.5, math.nan, {"name": "MCC"})]
    roc, precision_recall = curve_charts(sort(labels, probabilities).ranking(), calls)
    assert [curve.name for curve in roc.curves][2:] == ["MCC"]
    assert len(precision_recall.curves) == 1


def test_no_global_state_is_imported() -> None:
    # In a process of its own: another test may have imported it.
    code = "import sys, bindtune.reports.binding_figures; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
