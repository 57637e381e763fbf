"""The cross entropy of labelled tokens, against its formula."""

import pytest
import torch

from bindtune.models.token_loss import labels_at, summed_token_loss, token_loss

SCORES = torch.tensor([[[2.0, 0.0], [0.0, 3.0], [1.0, 1.0]]])
LABELS = torch.tensor([[0, 0, -100]])
TERMS = [torch.tensor(2.0).neg().exp().log1p().item(), torch.tensor(3.0).exp().log1p().item()]


def test_it_is_the_mean_over_labels() -> None:
    assert token_loss(SCORES, LABELS).item() == pytest.approx(sum(TERMS) / 2, rel=1e-6)
    assert token_loss(SCORES.flatten(0, 1), LABELS.flatten()).item() == pytest.approx(sum(TERMS) / 2, rel=1e-6)


@pytest.mark.parametrize("items", [8, torch.tensor(8), torch.tensor([8])])
def test_the_items_of_a_step_divide_the_sum(items: torch.Tensor | int) -> None:
    assert token_loss(SCORES, LABELS, items).item() == pytest.approx(sum(TERMS) / 8, rel=1e-6)


@pytest.mark.parametrize("items", [None, 0])
def test_without_a_label_it_is_zero(items: int | None) -> None:
    assert token_loss(SCORES, torch.full_like(LABELS, -100), items).item() == 0.0


def test_half_precision_is_widened() -> None:
    assert token_loss(SCORES.bfloat16(), LABELS).dtype == torch.float32


def test_the_sum_is_the_mean_before_it_is_divided() -> None:
    assert summed_token_loss(SCORES, LABELS).item() == pytest.approx(sum(TERMS), rel=1e-6)


def test_labels_of_the_tokens_with_logits() -> None:
    assert labels_at(LABELS, torch.tensor([[True, True, False]])).tolist() == [0, 0]
    assert labels_at(LABELS, torch.tensor([[True, True, True]])).tolist() == [0, 0, -100]
    with pytest.raises(ValueError, match="labels stand where no logits are computed"):
        labels_at(LABELS, torch.tensor([[True, False, True]]))
