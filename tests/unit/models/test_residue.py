"""Ion heads: what each label and each residue may and may not change."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from torch import Tensor
from torch.nn import functional as F

import rounding
from bindtune import E1BatchPreparer, E1ForMaskedLM, E1Model
from bindtune.data.chunks import Chunk
from bindtune.data.masking import Replacement
from bindtune.data.protein.collate import JointCollator, ResidueCollator
from bindtune.data.protein.protein_rows import ResidueRow
from bindtune.models.adapters import add_lora
from bindtune.models.e1_tokens import query_residue_mask
from bindtune.models.residue import BindingLoss, E1ForJointBindingMLM, E1ForResidueClassification

IONS = ("CA", "ZN", "MG")
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "w1", "w2", "w3")
INPUTS = ("input_ids", "within_seq_position_ids", "global_position_ids", "sequence_ids")
TEXTS = ("MKTACDHWXEHHGKLMNPQR", "MKVACD,MRTA,MKTAUDHWCHHE", "ACDEFGHIKLMNPQ")
Make = Callable[..., E1ForMaskedLM]


def row(text: str, labelled: tuple[int, ...], number: int = 0) -> ResidueRow:
    """A row with random labels for the ions of these numbers."""
    length = len(text.rpartition(",")[2])
    labels = np.full((length, len(IONS)), -1, np.int8)
    drawn = np.random.default_rng(number).integers(0, 2, labels.shape)
    for ion in labelled:
        labels[:, ion] = drawn[:, ion]
    return ResidueRow(f"p{number}", text.split(","), Chunk(0, length, 0, length), labels, 77 + number)


def batch(rows: list[ResidueRow], *, probability: float | None = 0.3) -> dict[str, Tensor]:
    """What the model takes of a collated batch; without a probability nothing is masked."""
    preparer: Any = E1BatchPreparer()
    collator = ResidueCollator(preparer)
    if probability is not None:
        collator = JointCollator(preparer, mlm_probability=probability, replacement=Replacement(mask=0.8, random=0.1))
    names = (*INPUTS, "labels", "mlm_labels")
    return {name: tensor for name, tensor in collator(rows).items() if name in names}


MIXED = [row(TEXTS[0], (0, 1), 0), row(TEXTS[1], (1,), 1), row(TEXTS[2], (), 2)]


def joint(encoder: Any, **options: Any) -> E1ForJointBindingMLM:
    torch.manual_seed(5)
    return E1ForJointBindingMLM(encoder, IONS, **{"dropout": 0.0, **options}).eval()


def gradients(model: torch.nn.Module, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of every trainable parameter; each must have one."""
    model.zero_grad()
    model(**inputs).loss.backward()
    missing = [name for name, tensor in model.named_parameters() if tensor.requires_grad and tensor.grad is None]
    assert missing == []
    return {name: tensor.grad for name, tensor in model.named_parameters() if tensor.grad is not None}


def lora(encoder: E1ForMaskedLM, **options: Any) -> Any:
    torch.manual_seed(3)
    adapted = add_lora(encoder, r=2, alpha=4, dropout=0.0, target_modules=TARGETS, **options)
    with torch.no_grad():
        for name, tensor in adapted.named_parameters():
            if "lora_B" in name:
                tensor.normal_(std=0.1)
    return adapted


def test_masked_residues_are_in_no_binding_loss_and_the_others_in_no_masked_lm_loss(tiny_e1: Make) -> None:
    model, inputs = joint(tiny_e1()), batch(MIXED)
    masked = inputs["mlm_labels"] > 0
    assert masked.sum() > 5
    expected = model(**inputs)
    assert (inputs["labels"][masked] == -100).all()
    assert torch.equal(expected.mlm_sum / masked.sum(), expected.loss_mlm)
    scores = E1ForMaskedLM.forward(model._original_model, **{name: inputs[name] for name in INPUTS}).logits
    by_hand = F.cross_entropy(scores[masked], inputs["mlm_labels"][masked])
    torch.testing.assert_close(expected.loss_mlm, by_hand)
    close = rounding.of(model._original_model, scores)
    torch.testing.assert_close(expected.mlm_logits[masked], scores[masked], **close)
    assert (expected.mlm_logits[~masked] == 0).all()


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool, torch.float64])
def test_a_label_mask_makes_labels_unknown(tiny_e1: Make, dtype: torch.dtype) -> None:
    """Users of the original code pass one; labels outside of it may be anything."""
    model, inputs = joint(tiny_e1()), batch(MIXED)
    labelled = inputs["labels"] != -100
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(0, 2, labelled.shape, generator=generator)
    labels = torch.where(labelled, inputs["labels"], drawn)
    expected = model(**inputs)
    masked = model(**{**inputs, "labels": labels.to(dtype)}, label_mask=labelled)
    for name in ("loss", "loss_bce", "loss_mlm", "bce_sums", "mlm_sum"):
        assert torch.equal(masked[name], expected[name])
    unmasked = model(**{**inputs, "labels": labels})
    assert not torch.equal(unmasked.loss_bce, expected.loss_bce)
    one = model(**{**inputs, "labels": labels[..., 1]}, label_mask=labelled[..., 1], ion="ZN")
    torch.testing.assert_close(one.bce_sums, expected.bce_sums[1:2])


def test_the_gradient_of_each_loss_stays_at_its_residues(tiny_e1: Make) -> None:
    model, inputs = joint(tiny_e1()), batch(MIXED)
    masked = inputs["mlm_labels"] > 0
    output = model(**inputs)
    (by_binding,) = torch.autograd.grad(output.loss_bce, output.last_hidden_state, retain_graph=True)
    (by_masked,) = torch.autograd.grad(output.loss_mlm, output.last_hidden_state)
    counts = (inputs["labels"] != -100).any(-1)
    assert (by_binding[~counts] == 0).all()
    assert (by_binding[counts] != 0).any(-1).all()
    assert (by_masked[~masked] == 0).all()
    assert (by_masked[masked] != 0).any(-1).all()


def test_the_loss_is_the_sum_and_agrees_with_scikit_learn(tiny_e1: Make) -> None:
    model, inputs = joint(tiny_e1(), mlm_weight=0.7), batch(MIXED)
    output = model(**inputs)
    labelled = inputs["labels"] != -100
    truth, scores = inputs["labels"][labelled].numpy(), torch.sigmoid(output.logits[labelled].detach().double()).numpy()
    assert output.loss_bce.item() == pytest.approx(log_loss(truth, scores), rel=1e-5)
    torch.testing.assert_close(output.loss, output.loss_bce + 0.7 * output.loss_mlm)
    torch.testing.assert_close(output.bce_sums.sum(), output.loss_bce * labelled.sum())


def test_without_masked_lm_weight_it_is_the_classifier(tiny_e1: Make) -> None:
    inputs = batch(MIXED)
    both = joint(tiny_e1(), mlm_weight=0.0)
    torch.manual_seed(5)
    classifier = E1ForResidueClassification(tiny_e1(), IONS, 0.0).eval()
    one, other = both(**inputs), classifier(**inputs)
    for name in ("loss", "loss_bce", "logits", "last_hidden_state"):
        assert torch.equal(one[name], other[name])
    assert one.loss_mlm is None
    assert other.mlm_logits is None
    first, second = gradients(both, inputs), gradients(classifier, inputs)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_rows_without_labels_train_the_encoder_and_no_head(tiny_e1: Make) -> None:
    model = joint(lora(tiny_e1()))
    grads = gradients(model, batch([row(text, (), n) for n, text in enumerate(TEXTS)]))
    heads = {name: tensor for name, tensor in grads.items() if name.startswith("classifier_heads")}
    assert len(heads) == 4 * len(IONS)
    assert all((tensor == 0).all() for tensor in heads.values())
    adapters = [tensor for name, tensor in grads.items() if "lora_" in name]
    assert len(adapters) == 2 * 3 * len(TARGETS)
    assert all((tensor != 0).any() for tensor in adapters)


def test_unknown_ions_get_no_gradient_and_known_ones_do(tiny_e1: Make) -> None:
    grads = gradients(joint(lora(tiny_e1())), batch(MIXED))
    for ion in IONS:
        changed = {name: bool((tensor != 0).any()) for name, tensor in grads.items() if f"heads.{ion}." in name}
        assert len(changed) == 4
        assert set(changed.values()) == {ion != "MG"}


@pytest.mark.parametrize(
    "wrap", [lora, lambda e: lora(e, train_mlm_head=True), lambda e: e], ids=["lora", "head", "full"]
)
@pytest.mark.parametrize("weight", [0.0, 0.4])
def test_no_trainable_parameter_is_without_gradient(tiny_e1: Make, wrap: Any, weight: float) -> None:
    model = joint(wrap(tiny_e1()), mlm_weight=weight, train_mlm_head=True).train()
    unlabelled = [row(text, (), n) for n, text in enumerate(TEXTS)]
    for inputs in (
        batch(MIXED),
        batch(unlabelled),
        batch(MIXED, probability=0.0),
        batch(unlabelled, probability=0.0),
        batch([row("MKT", (0,))]),
    ):
        gradients(model, inputs)  # looks that there is one for each


def test_one_ion_is_its_column_of_all(tiny_e1: Make) -> None:
    model, inputs = joint(tiny_e1(), pos_weight=[2.0, 3.0, 0.5]), batch(MIXED)
    whole = model(**inputs)
    assert whole.logits.shape == (*inputs["input_ids"].shape, len(IONS))
    # A sum over labels adds an error of each.
    summed = rounding.of(model._original_model, whole.bce_sums)
    for number, ion in enumerate(IONS):
        labels = inputs["labels"][..., number]
        alone = model(**{**inputs, "labels": labels}, ion=ion)
        assert alone.logits.shape == inputs["input_ids"].shape
        close = rounding.of(model._original_model, whole.logits)
        torch.testing.assert_close(alone.logits, whole.logits[..., number], **close)
        torch.testing.assert_close(alone.bce_sums, whole.bce_sums[number : number + 1], **summed)
        torch.testing.assert_close(alone.loss_bce, whole.bce_sums[number] / (labels != -100).sum().clamp(min=1))
    with pytest.raises(ValueError, match="no head for 'FE', there are CA, ZN, MG"):
        model(**inputs, ion="FE")


def test_the_weight_of_positives_given_to_forward_wins(tiny_e1: Make) -> None:
    model, inputs = joint(tiny_e1(), mlm_weight=0.0), batch(MIXED)
    output = model(**inputs, pos_weight=torch.tensor([2.0, 3.0, 4.0]))
    labelled = inputs["labels"] != -100
    losses = F.binary_cross_entropy_with_logits(output.logits, inputs["labels"].clamp(min=0).float(), reduction="none")
    weight = torch.where(inputs["labels"] == 1, torch.tensor([2.0, 3.0, 4.0]), 1.0)
    torch.testing.assert_close(output.loss, (losses * weight)[labelled].mean())
    own = joint(tiny_e1(), mlm_weight=0.0, pos_weight=[2.0, 3.0, 4.0])
    assert torch.equal(own(**inputs).loss, output.loss)
    one_number = model(**inputs, pos_weight=3.0).loss
    torch.testing.assert_close(one_number, model(**inputs, pos_weight=torch.full((3,), 3.0)).loss)
    with pytest.raises(ValueError, match="a number for each of 3 ions"):
        joint(tiny_e1(), pos_weight=[1.0, 2.0])


def test_smoothing_is_for_training(tiny_e1: Make) -> None:
    inputs = batch(MIXED)
    plain, smooth = joint(tiny_e1()), joint(tiny_e1(), loss=BindingLoss(label_smoothing=0.2))
    assert torch.equal(smooth(**inputs).loss, plain(**inputs).loss)
    assert not torch.equal(smooth.train()(**inputs).loss, plain(**inputs).loss)


def test_context_changes_scores_and_carries_neither_labels_nor_loss(tiny_e1: Make) -> None:
    model, inputs = joint(tiny_e1()), batch(MIXED)
    output = model(**inputs)
    residues = query_residue_mask(inputs["input_ids"], inputs["sequence_ids"])
    assert residues.sum(1).tolist() == [20, 12, 14]
    assert (inputs["labels"][~residues] == -100).all()
    assert (inputs["mlm_labels"][~residues] == -100).all()
    context = inputs["sequence_ids"] < inputs["sequence_ids"].amax(1, keepdim=True)
    assert context.any()
    assert (output.logits[context] == 0).all()
    query = TEXTS[1].rpartition(",")[2]
    alone = model(**batch([row(query, (1,), 1)], probability=None)).logits[0, 2:-2]
    beside = model(**batch([row(TEXTS[1], (1,), 1)], probability=None)).logits[0][
        residues[1][: len(inputs["labels"][1])]
    ]
    assert (alone - beside).abs().max() > 1e-3


@pytest.mark.parametrize("probability", [None, 0.3])
def test_a_row_alone_is_as_in_a_batch(tiny_e1: Make, probability: float | None) -> None:
    model = joint(tiny_e1())
    together = model(**batch(MIXED, probability=probability))
    sums, masked = torch.zeros(len(IONS)), 0.0
    for number, each in enumerate(MIXED):
        inputs = batch([each], probability=probability)
        alone = model(**inputs)
        length = inputs["input_ids"].shape[1]
        close = rounding.of(model._original_model, together.logits)
        torch.testing.assert_close(together.logits[number, :length], alone.logits[0], **close)
        assert (together.logits[number, length:] == 0).all()
        sums += alone.bce_sums.detach()
        if probability is not None:
            masked += alone.loss_mlm.item() * int((inputs["mlm_labels"] > 0).sum())
    torch.testing.assert_close(together.bce_sums, sums, **rounding.of(model._original_model, sums))
    if probability is not None:
        count = int((batch(MIXED)["mlm_labels"] > 0).sum())
        assert together.loss_mlm.item() == pytest.approx(masked / count, abs=close["atol"])


def test_a_frozen_encoder_trains_the_heads_alone(tiny_e1: Make) -> None:
    model = joint(tiny_e1(), freeze_backbone=True)
    trained = {name for name, tensor in model.named_parameters() if tensor.requires_grad}
    assert trained == {name for name, _ in model.named_parameters() if name.startswith("classifier_heads")}
    grads = gradients(model, batch(MIXED))
    assert (grads["classifier_heads.ZN.score.weight"] != 0).any()
    with_head = joint(tiny_e1(), freeze_backbone=True, train_mlm_head=True)
    assert {name for name in gradients(with_head, batch(MIXED)) if "mlm_head" in name} == {
        f"_original_model.mlm_head.{part}.{kind}" for part in (0, 2, 3) for kind in ("weight", "bias")
    }
    assert not any(tensor.requires_grad for tensor in with_head.encoder.parameters())


@pytest.mark.parametrize("adapted", [True, False])
@pytest.mark.parametrize("trains", [True, False])
def test_the_masked_lm_head_trains_where_that_is_asked_for(tiny_e1: Make, adapted: bool, trains: bool) -> None:
    encoder: Any = lora(tiny_e1(), train_mlm_head=trains) if adapted else tiny_e1()
    grads = gradients(joint(encoder, train_mlm_head=trains), batch(MIXED))
    in_head = [tensor for name, tensor in grads.items() if "mlm_head" in name]
    assert len(in_head) == (6 if trains else 0)
    assert all((tensor != 0).any() for tensor in in_head)


def test_checkpointing_changes_no_gradient(tiny_e1: Make) -> None:
    inputs = batch(MIXED)
    model = joint(lora(tiny_e1())).train()
    plain = gradients(model, inputs)
    model._original_model.activation_checkpointing_enable()
    assert all(layer.gradient_checkpointing for layer in model.encoder.layers)  # type: ignore[union-attr]
    again = gradients(model, inputs)
    close = rounding.of(model._original_model, *plain.values(), tokens=inputs["input_ids"].numel())
    for name, tensor in plain.items():
        torch.testing.assert_close(again[name], tensor, **close)


@pytest.mark.parametrize("trains_head", [False, True])
@pytest.mark.parametrize("adapted", [False, True])
def test_the_backbone_is_the_model_with_its_masked_lm_head(tiny_e1: Make, adapted: bool, trains_head: bool) -> None:
    """Users of the original code read `e1_backbone.mlm_head`."""
    encoder = tiny_e1()
    wrapped: Any = lora(encoder, train_mlm_head=trains_head) if adapted else encoder
    model, inputs = joint(wrapped, train_mlm_head=trains_head).eval(), batch(MIXED)
    assert model.e1_backbone is encoder
    assert model.encoder is encoder.model
    hidden = model(**inputs).last_hidden_state
    chosen = inputs["mlm_labels"] > 0
    expected = model(**inputs).mlm_logits[chosen]
    torch.testing.assert_close(model.e1_backbone.mlm_head(hidden[chosen]), expected)  # type: ignore[operator]
    names = {name: inputs[name] for name in INPUTS}
    torch.testing.assert_close(model.e1_backbone(**names).logits[chosen], expected, atol=1e-5, rtol=1e-4)


def test_an_encoder_without_head_and_a_model_without_ions(tiny_e1: Make) -> None:
    encoder = tiny_e1()
    assert isinstance(encoder.model, E1Model)
    with pytest.raises(ValueError, match="no masked-LM head"):
        E1ForJointBindingMLM(encoder.model, IONS)
    classifier = E1ForResidueClassification(encoder.model, IONS)
    assert classifier.e1_backbone is classifier.encoder is encoder.model
    assert classifier(**{**batch(MIXED), "mlm_labels": None}).loss > 0
    alone = E1ForJointBindingMLM(encoder, (), mlm_weight=0.5)
    assert alone._original_model is encoder
    inputs = batch(MIXED)
    inputs = {**inputs, "labels": inputs["labels"][..., :0]}
    output = alone(**inputs)
    torch.testing.assert_close(output.loss, 0.5 * output.loss_mlm)
    assert output.logits.shape[-1] == 0


def test_without_labels_there_is_no_loss(tiny_e1: Make) -> None:
    output = joint(tiny_e1())(**{name: batch(MIXED)[name] for name in INPUTS})
    assert (output.loss, output.loss_bce, output.loss_mlm) == (None, None, None)
    assert output.logits.dtype == torch.float32


def test_under_bf16_autocast_what_is_trained_stays_fp32(tiny_e1: Make) -> None:
    model, inputs = joint(lora(tiny_e1(), train_mlm_head=True)), batch(MIXED)
    plain = model(**inputs)
    with torch.autocast("cpu", torch.bfloat16):
        output = model(**inputs)
    assert output.logits.dtype == output.mlm_logits.dtype == output.loss.dtype == torch.float32
    torch.testing.assert_close(output.loss, plain.loss, atol=0, rtol=0.1)
    output.loss.backward()
    trained = [tensor for tensor in model.parameters() if tensor.requires_grad]
    assert {tensor.dtype for tensor in trained} == {torch.float32}
    assert all(tensor.grad is not None and torch.isfinite(tensor.grad).all() for tensor in trained)


def test_under_bf16_autocast_heads_compute_in_fp32(tiny_e1: Make) -> None:
    model, inputs = joint(tiny_e1()), batch(MIXED, probability=None)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(**inputs)
    with torch.no_grad():
        hidden = output.last_hidden_state.float()
        expected = torch.stack([model.classifier_heads[ion](hidden) for ion in IONS], dim=-1)
    last = inputs["sequence_ids"] == inputs["sequence_ids"].amax(dim=1, keepdim=True)
    torch.testing.assert_close(output.logits[last], expected[last], rtol=1e-6, atol=1e-6)
    assert not torch.equal(output.logits, output.logits.bfloat16().float())
