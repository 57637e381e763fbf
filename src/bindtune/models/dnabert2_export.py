"""DNABERT-2 in the layout of its hub repository, which the upstream code loads."""

import json
from pathlib import Path

import torch

from bindtune.models.dnabert2 import DECODER, EMBEDDINGS, DNABert2ForMaskedLM
from bindtune.models.hub_names import MODEL_CONFIG, TORCH_WEIGHTS
from bindtune.runs.writing import atomic_stream, write_text

_REPOSITORY = "zhihan1996/DNABERT-2-117M"
_CODE = {
    "AutoConfig": "configuration_bert.BertConfig",
    "AutoModel": "bert_layers.BertModel",
    "AutoModelForMaskedLM": "bert_layers.BertForMaskedLM",
    "AutoModelForSequenceClassification": "bert_layers.BertForSequenceClassification",
}
# Keys of the hub's config.json that this package does not use, with their values there.
_UNUSED = {
    "alibi_starting_size": 512,
    "classifier_dropout": None,
    "gradient_checkpointing": False,
    "max_position_embeddings": 512,
    "position_embedding_type": "absolute",
    "use_cache": True,
}
_USED = (
    "attention_probs_dropout_prob", "hidden_act", "hidden_dropout_prob", "hidden_size", "initializer_range",
    "intermediate_size", "layer_norm_eps", "num_attention_heads", "num_hidden_layers", "type_vocab_size", "vocab_size",
)  # fmt: skip


def write_hub_layout(model: DNABert2ForMaskedLM, folder: Path) -> None:
    """Write `config.json` and `pytorch_model.bin` as the hub has them, in fp32.

    The decoder's weight is stored beside the word embeddings, sharing their storage, as in the published file.
    """
    config = {
        "_name_or_path": _REPOSITORY,
        "architectures": ["BertForMaskedLM"],
        "auto_map": {name: f"{_REPOSITORY}--{code}" for name, code in _CODE.items()},
        "torch_dtype": "float32",
        **{name: getattr(model.config, name) for name in _USED},
        **{name: getattr(model.config, name, value) for name, value in _UNUSED.items()},
    }
    weights = {name: tensor.detach().float().cpu() for name, tensor in model.state_dict().items()}
    weights[DECODER] = weights[EMBEDDINGS]
    with atomic_stream(folder / TORCH_WEIGHTS) as stream:
        torch.save(weights, stream)
    write_text(folder / MODEL_CONFIG, json.dumps(config, indent=2, sort_keys=True) + "\n")
