"""Zero-shot scores of substitutions: how much likelier a residue is than the parent's, in nats.

masked_marginal hides one mutated position at a time, wildtype_marginal reads the unmasked parent once. A variant's
score is the sum over its substitutions (Meier et al. 2021, doi 10.1101/2021.07.09.450648).
"""

import string
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from bindtune.data.protein.step_batches import budgeted
from bindtune.errors import BindtuneError, InputError
from bindtune.inference.batches import cached, ids_of
from bindtune.models.backbones import BatchPreparer
from bindtune.models.e1 import E1ForMaskedLM
from bindtune.models.e1_tokens import FRAME, TOKEN_ID, E1BatchPreparer, query_residue_mask

Method = Literal["masked_marginal", "wildtype_marginal"]
Reduction = Literal["mean", "none"]


class VariantScore(NamedTuple):
    """A variant's score; `context` is None without contexts, "mean" for their average."""

    variant: str
    context: str | None
    score: float


def score_variants(
    model: Any,
    parent: str,
    *,
    variants: Mapping[str, str],
    contexts: Mapping[str, Sequence[str]] | None = None,
    method: Method,
    reduction: Reduction,
    max_batch_tokens: int,
    preparer: BatchPreparer | None = None,
) -> list[VariantScore]:
    """Score variants of one parent.

    Args:
        model: an encoder of `models.backbones`, in evaluation mode.
        parent: its sequence.
        variants: sequences by name, as long as the parent.
        contexts: homologs by name; X in them is left out.
        method: method of the score.
        reduction: "mean" averages log-probabilities over the contexts, "none" gives a score for each.
        max_batch_tokens: query tokens computed at a time.
        preparer: of another encoder than E1.

    Returns:
        Scores in the order of `variants`, and of `contexts` for each. A variant equal to the parent scores 0.

    Raises:
        InputError: a variant has another length, or a letter that the model does not know, or X, stands in a variant
            or the parent.
    """
    token_of = TOKEN_ID if preparer is None or _is_e1(model) else letter_tokens(preparer)
    changed = {
        name: _substitutions(parent, variant, name=name, token_of=token_of) for name, variant in variants.items()
    }
    positions = sorted({position for letters in changed.values() for position in letters})
    scores = position_scores(
        model, parent, positions=positions, contexts=contexts, method=method, max_batch_tokens=max_batch_tokens,
        preparer=preparer,
    )  # fmt: skip
    names: list[str | None] = list(contexts) if contexts else [None]
    if reduction == "mean":
        names, scores = ["mean"], scores.mean(dim=0, keepdim=True)
    row = {position: index for index, position in enumerate(positions)}
    return [
        VariantScore(name, context, sum(float(table[row[at], token_of[letter]]) for at, letter in letters.items()))
        for name, letters in changed.items()
        for context, table in zip(names, scores, strict=True)
    ]


@torch.no_grad()
def position_scores(
    model: Any,
    parent: str,
    *,
    positions: Sequence[int],
    contexts: Mapping[str, Sequence[str]] | None = None,
    method: Method,
    max_batch_tokens: int,
    preparer: BatchPreparer | None = None,
) -> Tensor:
    """Log-probability of every token less the parent residue's, (contexts, positions, V) in fp32 on the CPU.

    The context is computed once for all positions, and the head computes only the positions.

    Args:
        model: in evaluation mode.
        parent: its sequence.
        positions: 0-based, ascending.
        contexts: by name; without any there is one table, that of the parent alone.
        method: see `score_variants`.
        max_batch_tokens: query tokens computed at a time.
        preparer: of another encoder than E1.

    Raises:
        InputError: X stands in the parent.
        BindtuneError: an output is not finite.
    """
    if "X" in parent:
        raise InputError(None, None, f"parent: X at residue {parent.index('X') + 1} cannot be scored")
    tables = []
    for context in contexts.values() if contexts else [[]]:
        if preparer is None or _is_e1(model):
            e1_preparer = E1BatchPreparer.for_model(model.config, remove_X_tokens=True)
            letters = torch.tensor([TOKEN_ID[parent[position]] for position in positions], dtype=torch.int64)
            table = _log_probabilities(
                model, e1_preparer, parent, positions=positions, context=context, method=method, budget=max_batch_tokens
            )
        else:
            table, letters = _without_context(
                model, preparer, parent, positions=positions, method=method, budget=max_batch_tokens
            )
        odd = (~table.isfinite().all(dim=1)).nonzero()
        if len(odd):
            raise BindtuneError(f"residue {positions[int(odd[0])] + 1}: the model's output is not finite")
        tables.append(table - table.gather(1, letters[:, None]))
    return torch.stack(tables)


def _log_probabilities(
    model: E1ForMaskedLM,
    preparer: E1BatchPreparer,
    parent: str,
    *,
    positions: Sequence[int],
    context: Sequence[str],
    method: Method,
    budget: int,
) -> Tensor:
    """Log-probabilities at the positions (P, V)."""
    cache = cached(model, preparer, context) if positions else None
    queries = [parent]
    if method == "masked_marginal":
        queries = [f"{parent[:position]}?{parent[position + 1 :]}" for position in positions]
    table = torch.empty(len(positions), model.config.vocab_size)
    for batch in budgeted([len(parent) + FRAME] * len(queries), max_tokens=budget):
        inputs = ids_of(preparer.get_query_kwargs([queries[index] for index in batch], context, model.device))
        residues = query_residue_mask(inputs["input_ids"], inputs["sequence_ids"])
        first = int(residues[0].nonzero()[0])
        logits_at = torch.zeros_like(residues)
        if method == "masked_marginal":
            logits_at[range(len(batch)), [first + positions[index] for index in batch]] = True
        else:
            logits_at[0, [first + position for position in positions]] = True
        logits = model(**inputs, context_cache=cache, logits_at=logits_at).logits
        rows = batch if method == "masked_marginal" else list(range(len(positions)))
        table[rows] = logits[logits_at].log_softmax(dim=-1).cpu()
    return table


def _is_e1(model: Any) -> bool:
    return isinstance(model, E1ForMaskedLM)


def letter_tokens(preparer: BatchPreparer) -> dict[str, int]:
    """The token of each residue letter that an encoder knows."""
    letters = [letter for letter in string.ascii_uppercase if letter != "X"]
    batch = preparer.get_batch_kwargs([*letters, "X"])
    residues = preparer.residue_mask(batch["input_ids"], batch["sequence_ids"])
    ids = batch["input_ids"][residues].tolist()
    standard = set(preparer.amino_acids.tolist())
    counts = Counter(ids)  # letters that are unknown share a token
    return {
        letter: token
        for letter, token in zip(letters, ids[:-1], strict=True)
        if token in standard or (counts[token] == 1 and token != ids[-1])
    }


def _without_context(
    model: Any,
    preparer: BatchPreparer,
    parent: str,
    *,
    positions: Sequence[int],
    method: Method,
    budget: int,
) -> tuple[Tensor, Tensor]:
    """Log-probabilities at the positions (P, V), and the parent's tokens there (P,), by an encoder of one sequence."""
    inputs = ids_of(preparer.get_batch_kwargs([parent], model.device, names=["parent"]))
    first = int(preparer.residue_mask(inputs["input_ids"], inputs["sequence_ids"])[0].int().argmax())
    places = torch.tensor(positions, dtype=torch.int64) + first
    masked = method == "masked_marginal"
    table: list[Tensor] = []
    rows = list(range(len(positions))) if masked else ([0] if len(positions) else [])
    size = max(1, budget // inputs["input_ids"].shape[1])
    for start in range(0, len(rows), size):
        some = rows[start : start + size]
        batch = {name: tensor.expand(len(some), -1).clone() for name, tensor in inputs.items()}
        if masked:
            batch["input_ids"][range(len(some)), places[some]] = preparer.mask_id
        hidden = model.encode(**batch)
        asked = hidden[range(len(some)), places[some]] if masked else hidden[0, places]
        table.append(model.mlm_head(asked).float().log_softmax(dim=-1).cpu())
    whole = torch.cat(table) if table else torch.empty(0, model.config.vocab_size)
    return whole, inputs["input_ids"][0, places].cpu()


def _substitutions(parent: str, variant: str, *, name: str, token_of: Mapping[str, int]) -> dict[int, str]:
    """The letters of a variant at the 0-based positions where it differs; `token_of` holds the letters of the model."""
    if len(variant) != len(parent):
        raise InputError(None, None, f"variant {name}: {len(variant)} residues, the parent has {len(parent)}")
    letters = {at: new for at, (old, new) in enumerate(zip(parent, variant, strict=True)) if old != new}
    odd = next((at for at, new in letters.items() if new not in token_of or not new.isalpha() or new == "X"), None)
    if odd is not None:
        raise InputError(None, None, f"variant {name}: {variant[odd]!r} at residue {odd + 1}, expected A-Z but X")
    return letters
