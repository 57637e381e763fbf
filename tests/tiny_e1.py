"""The home of small random E1 models: settings, a model, a folder that holds one."""

from pathlib import Path
from typing import Any

import torch

from bindtune import E1Config, E1ForMaskedLM

SIZES: dict[str, Any] = {
    "hidden_size": 16, "intermediate_size": 32, "gated_mlp": True, "num_hidden_layers": 3, "num_attention_heads": 2,
    "num_key_value_heads": 2, "global_attention_every_n_layers": 3, "clip_qkv": 8.0, "max_num_sequences": 16,
}  # fmt: skip


def config(**changes: Any) -> E1Config:
    """Settings of a released model in little, with changes."""
    return E1Config(**{**SIZES, **changes})


def build(*, seed: int = 0, noise: float = 0.0, **changes: Any) -> E1ForMaskedLM:
    """The same model for the same arguments, in evaluation mode.

    Args:
        seed: of the weights.
        noise: standard deviation of what is added to every parameter, so that norms and biases matter too.
        **changes: of `SIZES`, and further settings.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = E1ForMaskedLM(config(**changes)).eval()
        if noise:
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter += noise * torch.randn_like(parameter)
    return model


def save(folder: Path, **options: Any) -> Path:
    """Write what `build` makes to a folder, and return the folder."""
    build(**options).save_pretrained(folder)
    return folder
