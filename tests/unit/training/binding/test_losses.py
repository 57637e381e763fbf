"""What a fold's losses add up to, by hand."""

import math

import pytest

from bindtune.training.binding.losses import added, is_finite, joint


def test_sums_are_added_name_by_name() -> None:
    held = {"bce": [1.0, 2.0]}
    assert added(held, {"bce": [3.0, 4.0], "mlm": [5.0]}) == {"bce": [4.0, 6.0], "mlm": [5.0]}
    assert held == {"bce": [1.0, 2.0]}


def test_a_loss_without_anything_to_take_it_over_is_left_out_of_the_joint_one() -> None:
    assert joint(0.5, 2.0, mlm_weight=0.4) == pytest.approx(1.3)
    assert joint(0.5, math.nan, mlm_weight=0.4) == 0.5
    assert joint(math.nan, 2.0, mlm_weight=0.4) == pytest.approx(0.8)
    assert math.isnan(joint(math.nan, math.nan, mlm_weight=0.4))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_one_bad_sum_is_seen(bad: float) -> None:
    assert is_finite({"bce": [1.0, 2.0]})
    assert not is_finite({"known": [1.0], "bce": [1.0, bad]})
