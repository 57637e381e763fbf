"""Give a trained DNABERT-2 back in the layout of the model it came from."""

from pathlib import Path

from bindtune.data.tokens import load_tokenizer
from bindtune.errors import CheckpointError, ConfigError
from bindtune.models.dnabert2 import DNABert2ForMaskedLM
from bindtune.models.hub_layout import write_hub_layout


def export_run(model: Path, out: Path) -> None:
    """Write `config.json`, `pytorch_model.bin` and the tokenizer.

    Args:
        model: a run folder or checkpoint.
        out: a folder that does not exist, or is empty.

    Raises:
        ConfigError: `out` holds something.
        CheckpointError: `model` holds no DNABERT-2.
    """
    if not model.is_dir():
        raise CheckpointError(f"{model} is not a folder")
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f"{out} is not empty")
    write_hub_layout(DNABert2ForMaskedLM.from_pretrained(model), out)
    load_tokenizer(str(model)).save_pretrained(out)
