"""Settings of a DNABERT-2 model."""

from typing import Any

from transformers import PreTrainedConfig

from bindtune.models.config_numbers import refuse_odd_numbers

_LARGEST = 1 << 20
_SIZES = {
    "vocab_size": (1, 1 << 24), "hidden_size": (1, _LARGEST), "num_hidden_layers": (1, 1000),
    "num_attention_heads": (1, _LARGEST), "intermediate_size": (1, _LARGEST), "type_vocab_size": (1, _LARGEST),
}  # fmt: skip
_SHARES = {
    "hidden_dropout_prob": (0, 1), "attention_probs_dropout_prob": (0, 1), "classifier_dropout": (0, 1),
    "layer_norm_eps": (0, 1), "initializer_range": (0, 1000),
}  # fmt: skip


class DNABert2Config(PreTrainedConfig):
    """Settings of a DNABERT-2 model; the defaults are those of zhihan1996/DNABERT-2-117M.

    `classifier_dropout` None is `hidden_dropout_prob`. Keys of the hub's file that change no result
    (`alibi_starting_size`, `max_position_embeddings`, ...) are kept and written back. ALiBi sets no limit to length.
    """

    model_type = "dnabert2"

    def __init__(
        self,
        vocab_size: int = 4096,
        hidden_size: int = 768,
        num_hidden_layers: int = 12,
        num_attention_heads: int = 12,
        intermediate_size: int = 3072,
        hidden_act: str = "gelu",
        hidden_dropout_prob: float = 0.1,
        attention_probs_dropout_prob: float = 0.0,
        layer_norm_eps: float = 1e-12,
        initializer_range: float = 0.02,
        type_vocab_size: int = 2,
        pad_token_id: int = 3,
        tie_word_embeddings: bool = True,
        classifier_dropout: float | None = None,
        **kwargs: Any,
    ) -> None:
        numbers = {name: value for name, value in locals().items() if name in _SIZES | _SHARES and value is not None}
        refuse_odd_numbers("DNABERT-2", numbers, whole=_SIZES, ranges=_SHARES)
        if hidden_size % num_attention_heads:
            raise ValueError(
                f"hidden_size {hidden_size} is not a multiple of num_attention_heads {num_attention_heads}"
            )
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.hidden_act = hidden_act
        self.hidden_dropout_prob = hidden_dropout_prob
        self.attention_probs_dropout_prob = attention_probs_dropout_prob
        self.layer_norm_eps = layer_norm_eps
        self.initializer_range = initializer_range
        self.type_vocab_size = type_vocab_size
        self.classifier_dropout = classifier_dropout
        super().__init__(**kwargs, pad_token_id=pad_token_id, tie_word_embeddings=tie_word_embeddings)  # type: ignore[call-arg]

    @property
    def head_dropout(self) -> float:
        """Dropout before a classifier: `classifier_dropout`, or that of hidden states where it is None."""
        return self.hidden_dropout_prob if self.classifier_dropout is None else self.classifier_dropout
