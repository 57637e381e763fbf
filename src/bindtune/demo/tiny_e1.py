"""A small Profluent-E1 with random weights and the structure of the released models."""

from pathlib import Path

import torch

from bindtune.models.e1 import E1Config, E1ForMaskedLM


def make_tiny_e1(folder: Path, seed: int) -> Path:
    """Write a random E1 with its masked-LM head to `folder`.

    Args:
        folder: folder of config.json and model.safetensors.
        seed: seed of the weights.

    Returns:
        The folder.
    """
    tiny_e1(seed).save_pretrained(folder)
    return folder


def tiny_e1(seed: int) -> E1ForMaskedLM:
    """A random E1 with its masked-LM head; the same seed gives the same weights."""
    config = E1Config(
        hidden_size=64,
        intermediate_size=192,
        gated_mlp=True,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        global_attention_every_n_layers=3,
        clip_qkv=8,
        rope_theta_within_seq=10_000.0,
        rope_theta_global=500_000.0,
        max_num_sequences=64,
        initializer_range=0.1,  # the model is narrow; 0.02 is for a width of 1,024 and more
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return E1ForMaskedLM(config)
