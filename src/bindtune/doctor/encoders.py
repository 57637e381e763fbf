"""Whether the weights of an encoder are here and complete, or can be downloaded."""

from pathlib import Path
from zipfile import is_zipfile

from huggingface_hub import constants
from safetensors import safe_open

from bindtune.doctor.findings import Finding, attempt, noted, problem, warning
from bindtune.errors import CheckpointError
from bindtune.models.base_files import no_network, weight_files
from bindtune.models.load_errors import loading


def check_weights(name: str) -> list[Finding]:
    """Whether all weight files of a folder or a downloaded hub model are there and none is cut off. No weight is read.

    Args:
        name: hub name or folder.
    """
    problems: list[Finding] = []
    weights = attempt("encoder", "weights", lambda: _weights(name), problems)
    if weights is None:
        return problems
    if weights:
        return [noted("encoder", "weights", [str(path) for path in weights], ", ".join(map(str, weights)))]
    if constants.HF_HUB_OFFLINE:
        fix = f"download them on a machine with a network: hf download {name}; or give a folder with the weights"
        return [problem("encoder", "weights", None, fix, text=f"{name}: no weights here, and the hub is switched off")]
    if Path(name).is_dir():
        fix = "give a folder that holds model.safetensors or pytorch_model.bin"
        return [problem("encoder", "weights", None, fix, text=f"{name}: no weights in this folder")]
    reason = no_network()
    if reason is not None:
        fix = f"run hf download {name} on a machine with a network, into a cache that this machine sees"
        return [problem("encoder", "weights", None, fix, text=f"{name}: no weights here, and no network: {reason}")]
    fix = "a node without a network would stop here: run hf download before"
    return [warning("encoder", "weights", None, fix, text=f"{name}: no weights here yet; the run downloads them")]


def _weights(name: str) -> list[Path]:
    """The files that loading would read.

    Raises:
        CheckpointError: one of several parts is missing, or a file is cut off.
        InputError: an index is damaged.
    """
    paths = list(weight_files(name).values())
    for path in paths:
        _check_whole(path)
    return paths


def _check_whole(path: Path) -> None:
    """Compare the size of a file with its table of contents; the pickles of old versions of torch have none.

    Raises:
        CheckpointError: the file is cut off, or holds no weights.
    """
    with loading(path, "no weights"):
        if path.suffix == ".safetensors":
            with safe_open(path, "pt"):
                return
        with path.open("rb") as stream:
            is_pickle = stream.read(1) == b"\x80"
        if not is_pickle and not is_zipfile(path):
            raise CheckpointError("not a file of weights, or cut off")
