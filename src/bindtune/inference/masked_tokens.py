"""Log-probabilities of tokens at masked positions, by a masked language model."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bindtune.data.dna.alleles import MaskedRow
from bindtune.errors import BindtuneError
from bindtune.models.dnabert2 import DNABert2ForMaskedLM
from bindtune.probing.embeddings import equal_lengths

Floats = NDArray[np.float64]


@torch.inference_mode()
def log_probabilities(
    model: Any,
    requests: Sequence[tuple[MaskedRow, tuple[int, ...]]],
    *,
    batch_tokens: int,
    name: str,
    done: Callable[[int], None] = lambda count: None,
) -> Floats:
    """Log-probability of tokens at the masked positions of their row, summed over the positions.

    Equal rows are computed once. Rows are sorted by their tokens, so batches do not depend on the order of requests.

    Args:
        model: a masked language model, in evaluation mode.
        requests: R rows, each with one token for each masked position; without masked positions the sum is 0.
        batch_tokens: tokens that are computed at once.
        name: what the user calls the model, for messages.
        done: gets the number of rows that were computed.

    Returns:
        (R,) in nats.

    Raises:
        BindtuneError: an output is not finite.
    """
    sums = np.zeros(len(requests))
    asked: dict[MaskedRow, list[int]] = {}
    for number, (row, _) in enumerate(requests):
        if row.masked:
            asked.setdefault(row, []).append(number)
    rows = sorted(asked)
    for batch in equal_lengths([row.ids for row in rows], batch_tokens):
        some = [rows[table_row] for table_row in batch]
        table = _table(model, some)
        if not bool(table.isfinite().all()):
            raise BindtuneError(f"{name}: the model's output is not finite")
        ends = np.cumsum([row.masked for row in some])
        owner, table_row, token = list[int](), list[int](), list[int]()
        for row, end in zip(some, ends.tolist(), strict=True):
            for number in asked[row]:
                owner += [number] * row.masked
                table_row += range(end - row.masked, end)
                token += requests[number][1]
        values = table[torch.tensor(table_row), torch.tensor(token)].double().numpy()
        np.add.at(sums, owner, values)
        done(len(some))
    return sums


def _table(model: Any, rows: Sequence[MaskedRow]) -> Tensor:
    """(masked positions of all rows, V) log-probabilities in fp32 on the CPU; the rows are equally long."""
    ids = torch.tensor([row.ids for row in rows], device=model.device)
    masked = torch.zeros_like(ids, dtype=torch.bool)
    for number, row in enumerate(rows):
        masked[number, row.first : row.first + row.masked] = True
    if isinstance(model, DNABert2ForMaskedLM):
        logits = model(input_ids=ids, logits_at=masked).logits
    else:
        logits = model(input_ids=ids).logits[masked]
    table: Tensor = logits.float().log_softmax(dim=-1).cpu()
    return table
