"""Whether the weights that a run begins with are here, or can be fetched."""

from huggingface_hub import constants

from bindtune.doctor.findings import Finding, noted, problem, warning
from bindtune.models.base_files import base_files


def check_weights(name: str) -> list[Finding]:
    """Files of a folder or of a downloaded hub model; weights are looked for, not read.

    Args:
        name: hub name or folder.
    """
    weights = [path for path in base_files(name).values() if path.suffix in (".safetensors", ".bin")]
    if weights:
        return [noted("encoder", "weights", [str(path) for path in weights], ", ".join(map(str, weights)))]
    if constants.HF_HUB_OFFLINE:
        fix = f"download them where there is a network: hf download {name}; or give a folder that holds them"
        return [problem("encoder", "weights", None, fix, text=f"{name}: none here, and the hub is switched off")]
    fix = "a node without a network would stop here: hf download beforehand"
    return [warning("encoder", "weights", None, fix, text=f"{name}: none here yet; they are downloaded at the start")]
