"""DNABERT-2 with a head for classes of sequences or of tokens, under the key names of the original code.

Shapes as in `dnabert2.py`.
"""

from typing import Any

from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification
from transformers.modeling_outputs import SequenceClassifierOutput, TokenClassifierOutput

from bindtune.models.dnabert2 import (
    CLASSIFIER,
    MLM_HEAD,
    POOLER,
    DNABert2Config,
    DNABert2Model,
    DNABert2PreTrainedModel,
)
from bindtune.models.fused import Dropout
from bindtune.models.strict import check_carried
from bindtune.models.token_loss import IGNORED, token_loss


class DNABert2ForSequenceClassification(DNABert2PreTrainedModel):
    """The encoder with a head that gives each row one value a class.

    The head reads [CLS], the first attended token, through one more layer (`Pooler`), as the original code does. A
    masked language model brings neither, and transformers says so: that layer then begins as the identity, which
    makes it tanh of the hidden state, and `classifier` with random numbers.
    """

    _keys_to_ignore_on_load_unexpected = [MLM_HEAD]  # noqa: RUF012
    new_parts = (CLASSIFIER, POOLER)
    # A sum over items would be wrong for regression and for several labels a row, which transformers' loss averages.
    accepts_loss_kwargs = False

    def __init__(self, config: DNABert2Config) -> None:
        super().__init__(config)
        self.num_labels = int(config.num_labels or 0)
        self.bert = DNABert2Model(config, add_pooling_layer=True)
        self.dropout = Dropout(config.head_dropout)
        self.classifier = nn.Linear(config.hidden_size, self.num_labels)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput | tuple[Any, ...]:
        """Classify rows.

        Args:
            input_ids: (B, T); this and the next four as in `DNABert2Model`.
            attention_mask: (B, T), 0 at padding.
            token_type_ids: (B, T).
            position_ids: (T,), (1, T) or (B, T).
            inputs_embeds: (B, T, D), instead of `input_ids`.
            labels: (B,) classes or numbers, or (B, C) for several labels or numbers a row. The loss follows
                `config.problem_type` as in transformers, which fills it in from the first labels if it is None.
            output_attentions: return the attention maps too, as `DNABert2Model` does.
            output_hidden_states: return the hidden states of every layer too, (B, T, D) each.
            return_dict: False for a tuple.
            num_items_in_batch: for one class a row, what the sum of the losses is divided by.
            **kwargs: see `check_carried`.

        Returns:
            loss, logits (B, C), hidden states and attention maps.
        """
        check_carried(kwargs)
        encoded: Any = self.bert(
            input_ids,
            attention_mask,
            token_type_ids,
            position_ids,
            inputs_embeds,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=True,
        )
        logits = self.classifier(self.dropout(encoded.pooler_output))  # (B, C)
        loss = None
        if labels is not None:
            loss = self.loss_function(labels, logits.float(), self.config, num_items_in_batch=num_items_in_batch)
        output = SequenceClassifierOutput(
            loss=loss, logits=logits, hidden_states=encoded.hidden_states, attentions=encoded.attentions
        )
        return output if self.returns_dict(return_dict) else output.to_tuple()


class DNABert2ForTokenClassification(DNABert2PreTrainedModel):
    """The encoder with a head that gives each token one value a class.

    A masked language model does not bring the head: it then starts from random numbers, and transformers says so.
    """

    _keys_to_ignore_on_load_unexpected = [MLM_HEAD, POOLER]  # noqa: RUF012
    new_parts = (CLASSIFIER,)
    accepts_loss_kwargs = True

    def __init__(self, config: DNABert2Config) -> None:
        super().__init__(config)
        self.num_labels = int(config.num_labels or 0)
        self.bert = DNABert2Model(config)
        self.dropout = Dropout(config.head_dropout)
        self.classifier = nn.Linear(config.hidden_size, self.num_labels)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **kwargs: Any,
    ) -> TokenClassifierOutput | tuple[Any, ...]:
        """Classify tokens.

        Args:
            input_ids: (B, T); this and the next four as in `DNABert2Model`.
            attention_mask: (B, T), 0 at padding.
            token_type_ids: (B, T).
            position_ids: (T,), (1, T) or (B, T).
            inputs_embeds: (B, T, D), instead of `input_ids`.
            labels: (B, T) classes, -100 where nothing is asked; padding is never asked. The loss is their mean cross
                entropy, 0 where there is none.
            output_attentions: return the attention maps too, as `DNABert2Model` does.
            output_hidden_states: return the hidden states of every layer too, (B, T, D) each.
            return_dict: False for a tuple.
            num_items_in_batch: what the sum of the losses is divided by, instead of the number of labels.
            **kwargs: see `check_carried`.

        Returns:
            loss, logits (B, T, C), hidden states and attention maps.
        """
        check_carried(kwargs)
        encoded: Any = self.bert(
            input_ids,
            attention_mask,
            token_type_ids,
            position_ids,
            inputs_embeds,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=True,
        )
        logits = self.classifier(self.dropout(encoded.last_hidden_state))  # (B, T, C)
        loss = None
        if labels is not None:
            if attention_mask is not None:
                labels = labels.masked_fill(attention_mask == 0, IGNORED)
            loss = token_loss(logits, labels, num_items_in_batch)
        output = TokenClassifierOutput(
            loss=loss, logits=logits, hidden_states=encoded.hidden_states, attentions=encoded.attentions
        )
        return output if self.returns_dict(return_dict) else output.to_tuple()


AutoModelForSequenceClassification.register(DNABert2Config, DNABert2ForSequenceClassification, exist_ok=True)
AutoModelForTokenClassification.register(DNABert2Config, DNABert2ForTokenClassification, exist_ok=True)
