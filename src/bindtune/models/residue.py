"""Ion heads on a protein encoder, for binding sites of residues, with or without a masked-LM loss.

Shapes: B rows, T tokens, D width, K ions, V vocabulary.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.utils.generic import ModelOutput

from bindtune.models.token_loss import IGNORED, summed_token_loss


@dataclass
class E1ResidueClassificationOutput(ModelOutput):
    """Output of the residue classifiers.

    Args:
        loss: the training loss; None without labels.
        loss_bce: mean over the known labels; None without labels.
        loss_mlm: mean over the masked residues; None without masked-LM labels.
        bce_sums: (K,) summed binding losses of each ion; (1,) for one ion.
        mlm_sum: summed masked-LM loss.
        logits: (B, T) for one ion, (B, T, K) for all ions; fp32, 0 at padding and context.
        mlm_logits: (B, T, V), 0 at tokens without a masked-LM label; None without masked-LM labels.
        last_hidden_state: (B, T, D), 0 at padding and context.
    """

    loss: Tensor | None = None
    loss_bce: Tensor | None = None
    loss_mlm: Tensor | None = None
    bce_sums: Tensor | None = None
    mlm_sum: Tensor | None = None
    logits: Tensor | None = None
    mlm_logits: Tensor | None = None
    last_hidden_state: Tensor | None = None


@dataclass(frozen=True)
class BindingLoss:
    """The binding-site loss.

    Args:
        kind: binary cross-entropy, or the focal loss (Lin et al. 2017, arXiv 1708.02002), which ignores `pos_weight`.
        focal_gamma: exponent of the focal loss.
        focal_alpha: weight of binding residues in the focal loss; the others have 1 - alpha.
        label_smoothing: s; in training, known labels become s and 1 - s.
    """

    kind: Literal["bce", "focal"] = "bce"
    focal_gamma: float = 2.0
    focal_alpha: float = 0.75
    label_smoothing: float = 0.0

    def sums(self, logits: Tensor, labels: Tensor, *, pos_weight: Tensor | None, training: bool) -> Tensor:
        """Sum of the losses of known labels for each ion (K,).

        Args:
            logits: (..., K).
            labels: (..., K), 1 binds, 0 does not, -100 is unknown.
            pos_weight: weight of positives; broadcasts against the logits.
            training: smooth the labels.
        """
        is_known = labels != IGNORED
        truth = labels.masked_fill(~is_known, 0).to(logits.dtype)
        smoothing = self.label_smoothing if training else 0.0
        target = truth * (1 - 2 * smoothing) + smoothing
        if self.kind == "bce":
            losses = F.binary_cross_entropy_with_logits(logits, target, reduction="none", pos_weight=pos_weight)
        else:
            losses = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
            # (1 - p_t)^gamma by its logarithm: a power below 1 has no finite gradient where 1 - p_t rounds to 0.
            damping = torch.exp(self.focal_gamma * F.logsigmoid(logits * (1 - 2 * truth)))
            weight = truth * self.focal_alpha + (1 - truth) * (1 - self.focal_alpha)
            losses = weight * damping * losses
        # A product, not an index: a head without known labels then gets the gradient 0 instead of no gradient.
        return (losses * is_known).flatten(0, -2).sum(dim=0)


class ResidueHead(nn.Module):
    """Score every residue for one ion.

    Args:
        hidden_size: D, the encoder's width.
        dropout: probability of zeroing a feature while training.
    """

    def __init__(self, hidden_size: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden_size, eps=1e-6)
        self.dropout = nn.Dropout(dropout)
        self.score = nn.Linear(hidden_size, 1)
        nn.init.xavier_uniform_(self.score.weight)
        nn.init.zeros_(self.score.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        """Map hidden states (..., D) to logits (...) in fp32."""
        # bf16 has about three digits, so distinct logits would tie.
        with torch.autocast(hidden.device.type, enabled=False):
            score: Tensor = self.score(self.dropout(self.norm(hidden.to(self.score.weight.dtype))))
        return score.squeeze(-1).float()


class E1ForResidueClassification(nn.Module):
    """An encoder with one head for each ion; one pass computes all heads.

    Args:
        e1_model: E1 with or without adapters, or another encoder with the methods of `models.backbones.Encoder`.
        ion_types: names of the heads, in the order of the logits; empty for masked-LM training only.
        dropout: dropout of the heads.
        freeze_backbone: train no weight of the encoder.
        train_mlm_head: train the masked-LM head too; a head that PEFT wrapped is always trained. Without a masked-LM
            loss the head is frozen, because DDP fails when a parameter gets no gradient.
        loss: the loss of the heads.
        pos_weight: (K,) weights of binding residues, if `forward` gets none.
    """

    mlm_weight = 0.0

    def __init__(
        self,
        e1_model: nn.Module,
        ion_types: Sequence[str],
        dropout: float = 0.1,
        freeze_backbone: bool = False,
        *,
        train_mlm_head: bool = False,
        loss: BindingLoss | None = None,
        pos_weight: Sequence[float] | Tensor | None = None,
    ) -> None:
        super().__init__()
        wrapped: Any = e1_model
        self._original_model: Any = wrapped
        self.ion_types = tuple(ion_types)
        width = int(wrapped.config.hidden_size)
        self.classifier_heads = nn.ModuleDict({ion: ResidueHead(width, dropout) for ion in self.ion_types})
        self.loss = loss or BindingLoss()
        weights = torch.ones(len(self.ion_types)) if pos_weight is None else torch.as_tensor(pos_weight)
        if weights.shape != (len(self.ion_types),):
            raise ValueError(f"pos_weight must hold a number for each of {len(self.ion_types)} ions")
        self.register_buffer("pos_weight", weights.float(), persistent=False)
        if freeze_backbone:
            self._original_model.requires_grad_(False)
        self._learn_mlm_head(train_mlm_head)

    @property
    def e1_backbone(self) -> nn.Module:
        """The model with its masked-LM head, such as an E1ForMaskedLM, with or without adapters."""
        model = self._original_model
        backbone: nn.Module = model.get_base_model() if hasattr(model, "get_base_model") else model  # PEFT's method
        return backbone

    @property
    def encoder(self) -> nn.Module:
        """The encoder without a masked-LM head."""
        encoder: nn.Module = self._original_model.encoder
        return encoder

    def forward(
        self,
        input_ids: Tensor,
        within_seq_position_ids: Tensor,
        global_position_ids: Tensor,
        sequence_ids: Tensor,
        ion: str | None = None,
        labels: Tensor | None = None,
        label_mask: Tensor | None = None,
        pos_weight: Tensor | float | None = None,
        mlm_labels: Tensor | None = None,
        context_cache: Any = None,
    ) -> E1ResidueClassificationOutput:
        """Score the residues of the queries.

        Args:
            input_ids: (B, T); it and the next three arguments are those of `E1Model`.
            within_seq_position_ids: (B, T).
            global_position_ids: (B, T).
            sequence_ids: (B, T), -1 at padding.
            ion: compute only this head; None computes all heads.
            labels: (B, T), or (B, T, K) for all heads: 1 binds, 0 does not, -100 is unknown.
            label_mask: same shape as the labels; False makes a label unknown.
            pos_weight: weight of positives, one number or (K,); the model's own by default.
            mlm_labels: (B, T) true ids of masked residues, 0 or -100 elsewhere; only the joint model reads them.
            context_cache: what `cache_context` gave for the homologs that precede every row.

        Raises:
            ValueError: there is no head for the ion.
        """
        if ion is not None and ion not in self.ion_types:
            raise ValueError(f"no head for '{ion}', there are {', '.join(self.ion_types) or 'none'}")
        with nullcontext() if self._learns() else torch.no_grad():
            ids = (input_ids, within_seq_position_ids, global_position_ids, sequence_ids)
            context = {} if context_cache is None else {"context_cache": context_cache}
            hidden = self._original_model.encode(*ids, **context)  # (B, T, D)
        logits = self._logits(hidden, sequence_ids, ion)
        output = E1ResidueClassificationOutput(logits=logits, last_hidden_state=hidden)
        if labels is not None:
            weight = self._weight(ion) if pos_weight is None else torch.as_tensor(pos_weight, device=logits.device)
            if label_mask is not None:
                labels = labels.to(logits.dtype).masked_fill(~label_mask.bool(), IGNORED)
            by_ion = (tensor.unsqueeze(-1) if ion else tensor for tensor in (logits, labels))
            output.bce_sums = self.loss.sums(*by_ion, pos_weight=weight, training=self.training)
            output.loss_bce = output.bce_sums.sum() / (labels != IGNORED).sum().clamp(min=1)
        if mlm_labels is not None and self.mlm_weight:
            masked = mlm_labels > 0  # (B, T)
            output.mlm_logits, output.mlm_sum = self._masked_lm(hidden, mlm_labels, masked)
            output.loss_mlm = output.mlm_sum / masked.sum().clamp(min=1)
        output.loss = self._total(output.loss_bce, output.loss_mlm)
        return output

    def cache_context(self, **ids: Tensor) -> Any:
        """Compute once what all queries of a context use, for an encoder that reads homologs; without gradients.

        Args:
            **ids: the context as a row of its own, (1, C) each, named as in `forward`.
        """
        encoder: Any = self.encoder
        return encoder.cache_context(**ids)

    def _learn_mlm_head(self, is_trained: bool) -> None:
        head = getattr(self._original_model, "mlm_head", None)
        if head is None:
            return
        wrapped = hasattr(head, "modules_to_save")
        part = head.modules_to_save if wrapped else head
        shared = {id(parameter) for parameter in self.encoder.parameters()}  # such as tied embeddings
        for parameter in part.parameters():
            if id(parameter) not in shared:
                parameter.requires_grad_((is_trained or wrapped) and self.mlm_weight > 0)

    def _learns(self) -> bool:
        return any(parameter.requires_grad for parameter in self.encoder.parameters())

    def _logits(self, hidden: Tensor, sequence_ids: Tensor, ion: str | None) -> Tensor:
        real = sequence_ids == sequence_ids.amax(dim=1, keepdim=True)  # the query; a row is never padding alone
        heads: list[Any] = [self.classifier_heads[name] for name in ([ion] if ion else self.ion_types)]
        tokens = hidden[real]  # (N, D)
        scores = torch.stack([head(tokens) for head in heads], dim=-1) if heads else tokens.new_zeros(len(tokens), 0)
        logits = scores.new_zeros(*real.shape, scores.shape[-1]).float()
        logits = logits.masked_scatter(real[..., None], scores.float())  # (B, T, K)
        return logits.squeeze(-1) if ion else logits

    def _weight(self, ion: str | None) -> Tensor:
        weights: Tensor = self.pos_weight  # type: ignore[assignment]
        return weights if ion is None else weights[self.ion_types.index(ion)]

    def _masked_lm(self, hidden: Tensor, labels: Tensor, masked: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, T, V), 0 where nothing is masked, and the sum of the losses."""
        scores = self._original_model.mlm_head(hidden[masked]).float()  # (W, V)
        logits = scores.new_zeros(*labels.shape, scores.shape[-1]).masked_scatter(masked[..., None], scores)
        return logits, summed_token_loss(scores, labels[masked])

    def _total(self, binding: Tensor | None, masked: Tensor | None) -> Tensor | None:
        if masked is None:
            return binding
        return self.mlm_weight * masked if binding is None else binding + self.mlm_weight * masked


class E1ForJointBindingMLM(E1ForResidueClassification):
    """The classifier with loss = binding + mlm_weight * masked LM; one pass over the masked input computes both.

    Args:
        mlm_weight: weight of the masked-LM loss; 0 gives the classifier.

    Raises:
        ValueError: the encoder has no masked-LM head.
    """

    def __init__(
        self,
        e1_model: nn.Module,
        ion_types: Sequence[str],
        dropout: float = 0.1,
        freeze_backbone: bool = False,
        *,
        mlm_weight: float = 0.4,
        train_mlm_head: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(e1_model, ion_types, dropout, freeze_backbone, **kwargs)
        if mlm_weight and not hasattr(self._original_model, "mlm_head"):
            raise ValueError("the encoder has no masked-LM head: load it as E1ForMaskedLM")
        self.mlm_weight = mlm_weight
        self._learn_mlm_head(train_mlm_head)
