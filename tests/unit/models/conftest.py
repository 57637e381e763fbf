"""Small encoders with weights large enough for every part to matter."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bindtune import E1BatchPreparer, E1ForMaskedLM
from tiny_e1 import build

IDS = ("input_ids", "within_seq_position_ids", "global_position_ids", "sequence_ids")
ESM_VOCABULARY = [*["<cls>", "<pad>", "<eos>", "<unk>"], *"LAGVSERTIDPKQNFYMHWCXBUZO.-", "<null_1>", "<mask>"]


@pytest.fixture(scope="session")
def tiny_e1() -> Callable[..., E1ForMaskedLM]:
    """Make a random three-layer E1, the same for the same arguments."""

    def make(*, seed: int = 0, scale: float = 0.2, **changes: Any) -> E1ForMaskedLM:
        changes = {"intermediate_size": 24, "rope_theta_global": 500.0, "max_num_sequences": 8, **changes}
        return build(seed=seed, noise=scale, **changes)

    return make


@pytest.fixture(scope="session")
def e1_batch() -> Callable[[list[str]], dict[str, Tensor]]:
    """The four tensors of a batch of texts."""

    def make(texts: list[str]) -> dict[str, Tensor]:
        batch = E1BatchPreparer().get_batch_kwargs(texts)
        return {name: batch[name] for name in IDS}  # type: ignore[literal-required]

    return make


@pytest.fixture(scope="session")
def esm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random two-layer ESM-2 with its masked-LM head and vocabulary, as the hub has them."""
    from transformers import EsmConfig, EsmForMaskedLM, EsmTokenizer

    folder = tmp_path_factory.mktemp("esm")
    (folder / "vocab.txt").write_text("\n".join(ESM_VOCABULARY))
    EsmTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    config = EsmConfig(
        vocab_size=len(ESM_VOCABULARY),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=1026,
        position_embedding_type="rotary",
        token_dropout=True,
        mask_token_id=ESM_VOCABULARY.index("<mask>"),
        pad_token_id=ESM_VOCABULARY.index("<pad>"),
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = EsmForMaskedLM(config)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.2 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    return folder
