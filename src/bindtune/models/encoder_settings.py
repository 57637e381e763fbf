"""The settings that decide what an encoder computes: those of its config.json, and the token id of each residue."""

from typing import Any

from transformers import PreTrainedConfig

from bindtune.models.backbones import empty_encoder, preparer_for, read_config, recognise

_RESIDUES = "ACDEFGHIKLMNPQRSTVWYX"
_WITHOUT_EFFECT = frozenset(
    {
        "initializer_range", "use_cache", "add_cross_attention", "vocab_list", "is_folding_model", "esmfold_config",
        "hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout",
    }
)  # fmt: skip
"""Settings of initial weights, training and other models; they do not change what equal weights predict."""


def encoder_settings(checkpoint: str) -> dict[str, Any]:
    """The settings that decide the predictions of equal weights, as values of JSON.

    They come from the loaded configuration, so a missing setting counts as its default. Entries of transformers in
    every config.json (its version, names, labels) are left out.

    Args:
        checkpoint: hub name or folder.

    Returns:
        Settings by name, with the token ids of a protein under "token_ids". Empty for a model that reads no proteins.

    Raises:
        CheckpointError: the configuration or the tokenizer cannot be read.
    """
    if recognise(read_config(checkpoint)) is None:
        return {}
    model = empty_encoder(checkpoint)
    content = model.config.to_dict()
    names = content.keys() - PreTrainedConfig().to_dict().keys() - _WITHOUT_EFFECT
    batch = preparer_for(model, checkpoint).get_batch_kwargs([_RESIDUES])
    return {name: content[name] for name in sorted(names)} | {"token_ids": batch["input_ids"][0].tolist()}


def differing_settings(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """The settings of both that differ, in words.

    Examples:
        >>> differing_settings({"num_attention_heads": 4}, {"num_attention_heads": 2, "rope_theta": 1e4})
        ['num_attention_heads (4, here 2)']
    """
    return [
        name if isinstance(before[name], list) else f"{name} ({before[name]!r}, here {now[name]!r})"
        for name in sorted(before.keys() & now.keys())
        if before[name] != now[name]
    ]
