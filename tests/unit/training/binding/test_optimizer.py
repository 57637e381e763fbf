"""The learning rate of every step, and the parameters that are trained."""

import pytest
import torch
from torch import nn

from bindtune.config import BindingConfig, build
from bindtune.training.binding.optimizer import make_optimizer, rate_of_step

CONFIG = build(
    BindingConfig,
    {"data": {"fasta_path": "x.fa"}, "training": {"ions": ["ZN"], "epochs": 4, "warmup_epochs": 1, "min_lr": 1e-6,
                                                  "learning_rate": 1e-4, "weight_decay": 0.5}},
)  # fmt: skip


def test_the_rate_rises_in_the_warm_up_and_ends_at_the_lowest() -> None:
    rates = [rate_of_step(CONFIG, step, steps_per_epoch=5) for step in range(20)]
    assert rates[:5] == pytest.approx([2e-5, 4e-5, 6e-5, 8e-5, 1e-4])
    assert rates[-1] == pytest.approx(1e-6)
    assert rates[4:] == sorted(rates[4:], reverse=True)


def test_frozen_parameters_are_left_out() -> None:
    model = nn.Linear(2, 1)
    model.bias.requires_grad_(False)
    made = make_optimizer(CONFIG, model.parameters(), torch.device("cpu"))
    (group,) = made.param_groups
    assert group["params"] == [model.weight]
    assert (group["lr"], group["weight_decay"]) == (1e-4, 0.5)
