"""The settings of a Profluent-E1 model, as the hub's config.json has them."""

import math
from collections.abc import Mapping
from typing import Any, Self

from transformers import PreTrainedConfig
from transformers.activations import ACT2FN

from bindtune.errors import CheckpointError, ConfigError
from bindtune.models.config_numbers import refuse_odd_numbers
from bindtune.models.e1_tokens import BOS, EOS, PAD

# Keys of other programs' files: code to download, kernels to choose, switches that change no result.
_IGNORED_KEYS = (
    "auto_map", "attn_backend", "no_ffn_gradient_checkpointing", "gradient_checkpointing",
)  # fmt: skip
_IGNORED_IN_FILES = ("attn_implementation", "_attn_implementation")
_WHOLE = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "global_attention_every_n_layers", "max_num_sequences", "max_num_positions_within_seq",
    "max_num_positions_global",
)  # fmt: skip
_NUMBERS = {
    "rms_norm_eps": (0, 1), "initializer_range": (0, 1000),
    "rope_theta_within_seq": (1e-3, 1e12), "rope_theta_global": (1e-3, 1e12),
}  # fmt: skip
_MOST = {"num_hidden_layers": 1000, "max_num_positions_within_seq": 1 << 30, "max_num_positions_global": 1 << 30}


class E1Config(PreTrainedConfig):
    """Settings of an E1 model, as its config.json has them.

    The defaults stand for keys that the file leaves out; the released models set every key. `intermediate_size` None is
    3 D where `gated_mlp`, else 4 D; `num_key_value_heads` None is as many as query heads;
    `global_attention_every_n_layers` 0 is no global layer; `clip_qkv` None is no clipping. Token ids are the
    vocabulary's whatever the file says.

    Raises:
        ConfigError: the settings describe no model.
    """

    model_type = "E1"
    keys_to_ignore_at_inference = ["mlm_loss", "embeddings", "context_cache"]  # noqa: RUF012 - what Trainer gathers not

    vocab_size: int = 34
    hidden_size: int = 4096
    intermediate_size: int | None = 16384
    gated_mlp: bool = False
    num_hidden_layers: int = 40
    num_attention_heads: int = 32
    num_key_value_heads: int | None = 8
    hidden_act: str = "silu"
    rms_norm_eps: float = 1e-5
    initializer_range: float = 0.02
    global_attention_every_n_layers: int = 0
    clip_qkv: float | int | None = None
    rope_theta_within_seq: float = 10000.0
    rope_theta_global: float = 100000.0
    max_num_sequences: int = 512
    max_num_positions_within_seq: int = 8192
    max_num_positions_global: int = 131072
    pad_token_id: int = PAD
    bos_token_id: int = BOS
    eos_token_id: int = EOS
    tie_word_embeddings: bool = False
    use_cache: bool = True

    def __post_init__(self, **kwargs: Any) -> None:
        if self.intermediate_size is None:
            self.intermediate_size = (3 if self.gated_mlp else 4) * self.hidden_size
        if self.num_key_value_heads is None:
            self.num_key_value_heads = self.num_attention_heads
        self.pad_token_id, self.bos_token_id, self.eos_token_id = PAD, BOS, EOS
        self.tie_word_embeddings = False
        refuse_odd_numbers("E1", {name: getattr(self, name) for name in _NUMBERS}, whole={}, ranges=_NUMBERS)
        for problem, found in self._problems().items():
            if found:
                raise ConfigError(f"E1 configuration: {problem}")
        super().__post_init__(**{key: value for key, value in kwargs.items() if key not in _IGNORED_KEYS})

    def _problems(self) -> dict[str, bool]:
        odd = {
            f"{name} must be a whole number, found {getattr(self, name)!r}": True
            for name in _WHOLE
            if isinstance(getattr(self, name), bool) or not isinstance(getattr(self, name), int)
        }
        if odd:
            return odd
        largest = {name: getattr(self, name) for name in _WHOLE if getattr(self, name) > _MOST.get(name, 1 << 20)}
        if largest:
            return {f"no model is as large as {largest}": True}
        width, heads, groups = self.hidden_size, self.num_attention_heads, self.num_key_value_heads or 0
        positive = min(width, heads, groups, self.num_hidden_layers, self.vocab_size, self.max_num_sequences) > 0
        if not positive:
            return {"sizes and numbers of layers and heads must be positive": True}
        return {
            f"hidden_size {width} is not a multiple of num_attention_heads {heads}": bool(width % heads),
            f"the head size {width // heads} is odd; rotation needs pairs": bool(width // heads % 2),
            f"num_attention_heads {heads} is not a multiple of num_key_value_heads {groups}": bool(heads % groups),
            f"clip_qkv {self.clip_qkv} is no positive number": self.clip_qkv is not None
            and not (
                isinstance(self.clip_qkv, int | float)
                and not isinstance(self.clip_qkv, bool)
                and 0 < self.clip_qkv < math.inf
            ),
            f"hidden_act '{self.hidden_act}' is unknown": str(self.hidden_act) not in ACT2FN,
            f"global_attention_every_n_layers {self.global_attention_every_n_layers} is negative": (
                self.global_attention_every_n_layers < 0
            ),
        }

    @classmethod
    def describes(cls, content: Mapping[str, Any]) -> bool:
        """Whether the content of a config.json is of an E1: by its model type, or by settings that only E1 has."""
        kind = content.get("model_type")
        return kind == cls.model_type or (kind is None and "rope_theta_within_seq" in content)

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Self:
        """Build from the content of a config.json.

        Raises:
            CheckpointError: the file describes a model of another kind.
        """
        if not cls.describes(config_dict):
            kind = config_dict.get("model_type")
            if kind is None:
                raise CheckpointError("the configuration names no model type and has none of the settings of E1")
            raise CheckpointError(f"the checkpoint is a '{kind}' model, expected '{cls.model_type}'")
        own = {key: value for key, value in config_dict.items() if key not in _IGNORED_IN_FILES}
        config: Self = super().from_dict(own, **kwargs)
        return config

    @property
    def head_size(self) -> int:
        """Features of one head, d."""
        return self.hidden_size // self.num_attention_heads

    def is_global(self, layer: int) -> bool:
        """Whether a layer (0-based) sees the earlier sequences of the row."""
        every = self.global_attention_every_n_layers
        return every > 0 and (layer + 1) % every == 0

    @property
    def last_global(self) -> int | None:
        """The last layer (0-based) that sees earlier sequences, or None."""
        return max(filter(self.is_global, range(self.num_hidden_layers)), default=None)
