"""Losses of binding sites against numbers worked out by hand and by scikit-learn."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss
from torch import Tensor

from bindtune.models.residue import BindingLoss
from bindtune.models.token_loss import IGNORED


def loss(logits: list[float], labels: list[int], *, training: bool = False, weight: float = 1.0, **kind: Any) -> float:
    """The sum over one ion."""
    sums = BindingLoss(**kind).sums(
        torch.tensor(logits, dtype=torch.float64)[:, None],
        torch.tensor(labels)[:, None],
        pos_weight=torch.tensor([weight], dtype=torch.float64),
        training=training,
    )
    assert sums.shape == (1,)
    return float(sums)


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def test_bce_is_the_log_loss_of_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(60, generator=generator, dtype=torch.float64) * 3
    labels = (torch.rand(60, generator=generator) < 0.3).long()
    expected = log_loss(labels.numpy(), torch.sigmoid(logits).numpy(), normalize=False)
    assert loss(logits.tolist(), labels.tolist()) == pytest.approx(expected, rel=1e-12)


def test_positives_are_weighed() -> None:
    assert loss([0.0, 0.0], [1, 0], weight=3.0) == pytest.approx(4 * math.log(2))
    assert loss([logit(0.9)], [1], weight=5.0) == pytest.approx(-5 * math.log(0.9))
    assert loss([logit(0.9)], [0], weight=5.0) == pytest.approx(-math.log(0.1))


def test_focal_alpha_weighs_the_positives() -> None:
    kind = {"kind": "focal", "focal_gamma": 2.0, "focal_alpha": 0.75}
    assert loss([logit(0.9)], [1], **kind) == pytest.approx(0.75 * 0.1**2 * -math.log(0.9))
    assert loss([logit(0.9)], [0], **kind) == pytest.approx(0.25 * 0.9**2 * -math.log(0.1))
    assert loss([logit(0.2), logit(0.2)], [1, 0], **kind) == pytest.approx(
        0.75 * 0.8**2 * -math.log(0.2) + 0.25 * 0.2**2 * -math.log(0.8)
    )


def test_focal_without_gamma_is_a_weighted_bce() -> None:
    logits, labels = [1.3, -0.4, 0.2, 2.0], [1, 0, 1, 0]
    plain = loss(logits, labels, kind="focal", focal_gamma=0.0, focal_alpha=0.5)
    assert plain == pytest.approx(0.5 * loss(logits, labels))


def test_the_focal_loss_ignores_the_weight_of_positives() -> None:
    assert loss([0.3, 1.0], [1, 0], weight=9.0, kind="focal") == loss([0.3, 1.0], [1, 0], kind="focal")


def test_the_default_alpha_favours_the_positives() -> None:
    assert BindingLoss().focal_alpha == 0.75


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_the_focal_gradient_is_finite_at_sure_residues(gamma: float) -> None:
    logits = torch.tensor([[200.0], [-200.0], [200.0], [-200.0]], requires_grad=True)
    labels = torch.tensor([[1], [0], [0], [1]])
    sums = BindingLoss("focal", gamma).sums(logits, labels, pos_weight=None, training=True)
    sums.sum().backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_smoothing_moves_both_labels_while_training() -> None:
    p = 0.9
    smooth = loss([logit(p)], [1], training=True, label_smoothing=0.1)
    assert smooth == pytest.approx(-0.9 * math.log(p) - 0.1 * math.log(1 - p))
    smooth = loss([logit(p)], [0], training=True, label_smoothing=0.1)
    assert smooth == pytest.approx(-0.1 * math.log(p) - 0.9 * math.log(1 - p))
    assert loss([logit(p)], [1], training=False, label_smoothing=0.1) == pytest.approx(-math.log(p))


def test_smoothing_leaves_unknown_labels_alone() -> None:
    for training in (True, False):
        assert loss([5.0, -3.0], [IGNORED, IGNORED], training=training, label_smoothing=0.2) == 0.0
    with_unknown = loss([logit(0.9), 7.0], [1, IGNORED], training=True, label_smoothing=0.1)
    assert with_unknown == loss([logit(0.9)], [1], training=True, label_smoothing=0.1)


def test_smoothing_keeps_the_focal_weight_of_the_true_label() -> None:
    smooth = loss([logit(0.9)], [1], training=True, label_smoothing=0.1, kind="focal")
    assert smooth == pytest.approx(0.75 * 0.1**2 * (-0.9 * math.log(0.9) - 0.1 * math.log(0.1)))


@settings(max_examples=60, deadline=None)
@given(
    data=st.data(),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 3)),
    kind=st.sampled_from(["bce", "focal"]),
    training=st.booleans(),
)
def test_unknown_labels_change_nothing_and_sums_are_by_ion(
    data: Any, shape: tuple[int, int, int], kind: Any, training: bool
) -> None:
    seed = data.draw(st.integers(0, 2**16))
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(shape, generator=generator, requires_grad=True)
    labelled = torch.rand(shape, generator=generator) < 0.5
    labels = torch.randint(0, 2, shape, generator=generator).masked_fill(~labelled, IGNORED)
    moved = torch.where(labelled, logits, torch.randn(shape, generator=generator))
    weight = torch.rand(shape[-1], generator=generator) + 0.5

    def sums(scores: Tensor) -> Tensor:
        function = BindingLoss(kind, label_smoothing=0.1)
        return function.sums(scores, labels, pos_weight=weight, training=training)

    assert torch.equal(sums(logits), sums(moved))
    (gradient,) = torch.autograd.grad(sums(logits).sum(), logits)
    assert (gradient[~labelled] == 0).all()
    assert (gradient[labelled] != 0).all()
    for ion in range(shape[-1]):
        alone = BindingLoss(kind, label_smoothing=0.1).sums(
            logits[..., ion : ion + 1],
            labels[..., ion : ion + 1],
            pos_weight=weight[ion],
            training=training,
        )
        torch.testing.assert_close(alone[0], sums(logits)[ion])
