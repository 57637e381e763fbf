"""What an encoder's weights are, however their files are laid out: one file, several parts, another format."""

import hashlib

import torch

from bindtune.models.backbones import load_encoder


def weight_digest(checkpoint: str) -> str:
    """A hash of an encoder's weights as they are loaded, in the order of its layers.

    Files differ in what they call a weight, in tied weights that they hold once or twice, and in tables that can be
    computed. So the hash is of the loaded model; a model of the hub is downloaded.

    Args:
        checkpoint: hub name or folder.

    Raises:
        CheckpointError: the encoder cannot be loaded.
    """
    digest = hashlib.sha256()
    for parameter in load_encoder(checkpoint, finite=False).parameters():
        digest.update(f"{tuple(parameter.shape)}".encode())
        digest.update(memoryview(parameter.detach().contiguous().reshape(-1).view(torch.uint8).numpy()))
    return digest.hexdigest()
