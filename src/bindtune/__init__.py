"""bindtune adapts biological language models with annotated binding regions.

The names below are loaded when they are first used, so that ``import bindtune`` needs no torch.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "DNABert2Config": "bindtune.models.dnabert2",
    "DNABert2ForMaskedLM": "bindtune.models.dnabert2",
    "DNABert2ForSequenceClassification": "bindtune.models.dnabert2_classifiers",
    "DNABert2ForTokenClassification": "bindtune.models.dnabert2_classifiers",
    "DNABert2Model": "bindtune.models.dnabert2",
    "E1BatchPreparer": "bindtune.models.e1_tokens",
    "E1BindingTrainer": "bindtune.training.binding.trainer",
    "E1Config": "bindtune.models.e1",
    "E1ForJointBindingMLM": "bindtune.models.residue",
    "E1ForMaskedLM": "bindtune.models.e1",
    "E1ForResidueClassification": "bindtune.models.residue",
    "E1Model": "bindtune.models.e1",
    "E1Tokenizer": "bindtune.models.e1_tokenizer",
    "EclipAdaptiveMLMCollator": "bindtune.data.dna.collate",
    "load_ensemble_models": "bindtune.inference.checkpoints",
    "load_lora_checkpoint": "bindtune.inference.checkpoints",
    "regions_to_token_spans": "bindtune.regions",
    "sample_context": "bindtune.data.protein.contexts",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name.startswith("Auto"):
        raise AttributeError(
            f"module 'bindtune' has no attribute '{name}': the auto classes are those of transformers, and know the "
            "models of bindtune after `import bindtune.auto`"
        )
    if name not in _HOMES:
        raise AttributeError(f"module 'bindtune' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
