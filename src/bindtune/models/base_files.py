"""The files of a model that a run begins with: for hashes, and to tell hub names from folders."""

from pathlib import Path

from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError

_NAMES = (
    "config.json", "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "tokenizer.json",
)  # fmt: skip


def base_files(checkpoint: str) -> dict[str, Path]:
    """The files of a folder, or of a hub model that was downloaded, by what they are: "base config.json" and so on."""
    folder = Path(checkpoint)
    if folder.is_dir():
        return {f"base {name}": folder / name for name in _NAMES if (folder / name).is_file()}
    try:
        cached = {name: try_to_load_from_cache(checkpoint, name) for name in _NAMES}
    except HFValidationError:  # neither a folder nor the name of a model: loading says so
        return {}
    return {f"base {name}": Path(path) for name, path in cached.items() if isinstance(path, str)}
