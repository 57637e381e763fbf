"""Hidden states of the tokens of windows, in one file on disk, for the convolutional head."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bindtune.errors import BindtuneError
from bindtune.probing.array_files import read_array
from bindtune.probing.embeddings import content_hash, depth_of, equal_lengths, hidden_states, tokenise
from bindtune.probing.encoders import Encoder
from bindtune.runs.writing import atomic_path

Ints = NDArray[np.int64]
_VERSION = 1


@torch.inference_mode()
def keep_states(
    folder: Path,
    encoder: Encoder,
    sequences: Sequence[str],
    *,
    layer: int | None,
    batch_tokens: int,
    done: Callable[[int], None] = lambda count: None,
) -> NDArray[np.float16]:
    """Compute the states of all tokens, or read them from the file of an earlier command.

    Args:
        folder: folder of the file.
        encoder: the model.
        sequences: U distinct sequences; their forward strand is read.
        layer: whose hidden states; None for the last.
        batch_tokens: tokens that are computed at once.
        done: gets the number of windows that were finished.

    Returns:
        (U, T, D) on disk, T being the tokens of the longest window; zeros behind a window's end.

    Raises:
        BindtuneError: an output is not finite in 16 bits.
        InputError: the file is damaged.
    """
    path = folder / f"tokens-{content_hash(_VERSION, encoder.identity, layer, *sequences)}.npy"
    if not path.is_file():
        ids = tokenise(encoder, sequences)[0][: len(sequences)]
        shape = (len(ids), max(map(len, ids)), int(encoder.model.config.hidden_size))
        with atomic_path(path) as temporary:
            with temporary.open("wb") as stream:
                header = {"descr": "<f2", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(stream, header)
                start = stream.tell()
                stream.truncate(start + 2 * int(np.prod(shape)))
            states = np.memmap(temporary, np.float16, "r+", offset=start, shape=shape)
            for rows, batch in state_batches(encoder, ids, layer=layer, batch_tokens=batch_tokens):
                states[rows, : batch.shape[1]] = batch.cpu().numpy()
                done(len(rows))
            states.flush()
    return read_array(path, shape=(len(sequences), None, int(encoder.model.config.hidden_size)))


@torch.inference_mode()
def state_batches(
    encoder: Encoder, ids: Sequence[Sequence[int]], *, layer: int | None, batch_tokens: int
) -> Iterator[tuple[list[int], Tensor]]:
    """Rows and their states (R, T, D) in 16 bits, rows with equally many tokens at a time.

    Args:
        encoder: the model.
        ids: tokens of N windows.
        layer: whose hidden states; None for the last.
        batch_tokens: tokens that are computed at once.

    Raises:
        BindtuneError: an output is not finite in 16 bits.
    """
    depth = depth_of(encoder, layer)
    for rows in equal_lengths(ids, batch_tokens):
        tokens = torch.tensor([ids[row] for row in rows], device=encoder.model.device)
        states = hidden_states(encoder, tokens, depth).half()
        if not bool(states.isfinite().all()):
            raise BindtuneError(f"{encoder.name}: the model's output is not finite")
        yield rows, states


def batches_of(states: NDArray[np.float16], places: Ints, device: torch.device) -> Callable[[Ints], tuple[Tensor, ...]]:
    """How batches (B, D, T) of some windows are read.

    Args:
        states: (U, T, D).
        places: (N,) which of the sequences the windows have.
        device: where batches go.
    """

    def batch(rows: Ints) -> tuple[Tensor, ...]:
        values = torch.from_numpy(np.asarray(states[places[rows]], np.float32))
        return (values.to(device).transpose(1, 2),)

    return batch
