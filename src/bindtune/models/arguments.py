"""What callers of transformers' models pass to `forward` although these encoders have no use for it."""

from collections.abc import Collection
from typing import Any

# Arguments that transformers' own encoders take and that ask for nothing where they are None or False.
_SWITCHES = frozenset({
    "attention_mask", "cache_position", "cross_attn_head_mask", "cu_seq_lens_k", "cu_seq_lens_q",
    "encoder_attention_mask", "encoder_hidden_states", "head_mask", "is_causal", "max_length_k", "max_length_q",
    "output_attentions", "output_router_logits", "past_key_values", "position_ids", "token_type_ids", "use_cache",
})  # fmt: skip


def check_carried(
    carried: dict[str, Any], *, harmless: Collection[str] = (), advice: dict[str, str] | None = None
) -> None:
    """Ignore arguments without effect, and refuse all others: a misspelt argument must not be lost in silence.

    Args:
        carried: arguments of `forward` that the model does not name.
        harmless: names that may hold anything, because they say nothing about the computation.
        advice: for an argument that is refused, what to do instead.

    Raises:
        TypeError: an argument is unknown.
        ValueError: an argument asks for an effect that the model does not have.
    """
    unknown = sorted(carried.keys() - _SWITCHES - set(harmless))
    if unknown:
        raise TypeError(f"unknown argument: {', '.join(unknown)}")
    for name in sorted(carried.keys() - set(harmless)):
        if carried[name] is not None and carried[name] is not False:
            raise ValueError((advice or {}).get(name, f"this model has no {name}"))
