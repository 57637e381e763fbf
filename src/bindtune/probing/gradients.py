"""Integrated gradients of a binding logit through Captum, shared among the letters of each token.

Sundararajan and others 2017 (arXiv:1703.01365). A value is the part of a letter in the difference between the logit
of the sequence and the logit of an empty sequence. In the empty sequence the CNN reads no letters, and an encoder reads
mask tokens.
"""

from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bindtune.data.dna.composition import letter_codes
from bindtune.errors import ConfigError
from bindtune.probing import networks
from bindtune.probing.binding_model import NEW, BindingModel, FoldScorer
from bindtune.probing.embeddings import depth_of, pool, tokens_of_strands

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
MOST_STEPS = 2048
_ROWS_AT_ONCE = 64
"""Interpolated inputs of one batch."""


class Attribution(NamedTuple):
    """Values of one sequence.

    Args:
        values: (L,) part of each letter.
        logit: of the sequence.
        empty_logit: of the empty sequence.
        gap: difference between the sum of the values and the logit less the empty one, as a share of the latter, or of
            1.
    """

    values: Floats
    logit: float
    empty_logit: float
    gap: float


class _Path(NamedTuple):
    """One way from an input to the logit.

    Args:
        inputs: (1, ...) what the network reads of the sequence.
        empty: (1, ...) what it reads of the empty one.
        logit: (B, ...) -> (B,), differentiable.
        per_letter: attributions (1, ...) -> (L,).
    """

    inputs: Tensor
    empty: Tensor
    logit: Callable[[Tensor], Tensor]
    per_letter: Callable[[Tensor], Floats]


def require_captum() -> None:
    """Raise an error if Captum is missing.

    Raises:
        ConfigError: Captum is not installed.
    """
    if find_spec("captum") is None:
        raise ConfigError('--method gradients needs Captum: pip install "bindtune[explain]"; --method mutate does not')


def has_gradients(model: BindingModel) -> bool:
    """Whether a model is a network from end to end; counts of words have no gradients."""
    return all(scorer.reads in _PATHS for scorer in model.scorers)


def attribute(
    model: BindingModel, sequences: Sequence[str], folds: Ints, *, steps: int, tolerance: float
) -> list[Attribution]:
    """Integrated gradients of N sequences.

    Args:
        model: of a probe; `has_gradients` says whether this works.
        sequences: N.
        folds: (N,) fold of each, as `BindingModel.logits` takes it.
        steps: of the integral; they are doubled, up to 2048, until the gap is within the tolerance.
        tolerance: greatest gap.

    Raises:
        ConfigError: the encoder computes something else from embeddings than from tokens.
    """
    logits = model.logits(sequences, folds)
    attributions = []
    for sequence, fold, logit in zip(sequences, folds.tolist(), logits.tolist(), strict=True):
        count = steps
        own = _attribution(model, sequence, fold, logit, count)
        while own.gap > tolerance and count < MOST_STEPS:
            count *= 2
            own = _attribution(model, sequence, fold, logit, count)
        attributions.append(own)
    return attributions


def _attribution(model: BindingModel, sequence: str, fold: int, logit: float, steps: int) -> Attribution:
    from captum.attr import IntegratedGradients

    values, empty, through = np.zeros(len(sequence)), 0.0, 0.0
    folds = model.folds if fold == NEW else (fold,)
    share = 1 / (len(folds) * len(model.scorers))
    for scorer in model.scorers:
        for own in folds:
            paths = list(_PATHS[scorer.reads](scorer, sequence, own))
            for path in paths:
                part = IntegratedGradients(path.logit).attribute(
                    path.inputs, path.empty, n_steps=steps, method="riemann_middle", internal_batch_size=_ROWS_AT_ONCE
                )
                with torch.no_grad():
                    through += float(path.logit(path.inputs)) * share / len(paths)
                    empty += float(path.logit(path.empty)) * share / len(paths)
                values += path.per_letter(part) * share / len(paths)
    if abs(through - logit) > 1e-2 * max(1.0, abs(logit)):
        problem = f"{model.name} computes {through:.3f} from embeddings and {logit:.3f} from tokens"
        raise ConfigError(f"{problem}, so it has no integrated gradients: use --method mutate")
    gap = abs(values.sum() - (logit - empty)) / max(1.0, abs(logit - empty))
    return Attribution(values, logit, empty, gap)


def _through_letters(scorer: FoldScorer, sequence: str, fold: int) -> Iterator[_Path]:
    length = max(int(scorer.heads.facts["length"]), len(sequence))
    (inputs,) = networks.one_hot([sequence], letter_codes, scorer.device, length=length)(np.zeros(1, np.int64))
    network = scorer.network(fold)
    yield _Path(inputs, torch.zeros_like(inputs), network, lambda part: _letters(part.sum(dim=1)[0, : len(sequence)]))


def _letters(values: Tensor) -> Floats:
    return np.asarray(values.detach().double().cpu().numpy())


def _through_vectors(scorer: FoldScorer, sequence: str, fold: int) -> Iterator[_Path]:
    """The mean of both strands: each is a path of its own."""
    encoder, config, head = scorer.encoder, scorer.config, scorer.linear_head(fold)
    depth = depth_of(encoder, config.layer)
    weight = torch.from_numpy(head.weight / head.scale).float().to(scorer.device)
    offset = float(head.intercept[0] - (head.mean / head.scale) @ head.weight)
    for strand in (1, -1):
        rows = _tokens(scorer, encoder.model, sequence, strand)

        def logit(words: Tensor, letters: Tensor = rows.letters) -> Tensor:
            states = _states(encoder.model, words, depth)
            vectors = pool(states, letters.expand(len(words), -1), config.pooling)
            return vectors @ weight + offset

        yield _Path(rows.words, rows.empty, logit, rows.per_letter)


def _through_states(scorer: FoldScorer, sequence: str, fold: int) -> Iterator[_Path]:
    encoder, network = scorer.encoder, scorer.network(fold)
    depth = depth_of(encoder, scorer.config.layer)
    rows = _tokens(scorer, encoder.model, sequence, 1)
    missing = max(int(scorer.heads.facts["tokens"]) - rows.words.shape[1], 0)

    def logit(words: Tensor) -> Tensor:
        states = _states(encoder.model, words, depth)
        scores: Tensor = network(nn.functional.pad(states, (0, 0, 0, missing)).transpose(1, 2))
        return scores

    yield _Path(rows.words, rows.empty, logit, rows.per_letter)


def _through_tokens(scorer: FoldScorer, sequence: str, fold: int) -> Iterator[_Path]:
    network: Any = scorer.network(fold)
    rows = _tokens(scorer, network.model, sequence, 1)

    def logit(words: Tensor) -> Tensor:
        mask = torch.ones(words.shape[:2], dtype=torch.int64, device=words.device)
        scores: Tensor = network.model(inputs_embeds=words, attention_mask=mask).logits
        return scores.squeeze(-1)

    yield _Path(rows.words, rows.empty, logit, rows.per_letter)


_PATHS: dict[str, Callable[[FoldScorer, str, int], Iterator[_Path]]] = {
    "letters": _through_letters,
    "vectors": _through_vectors,
    "states": _through_states,
    "tokens": _through_tokens,
}
"""The function from embeddings to a logit, by the kind of features."""


def _states(model: nn.Module, words: Tensor, depth: int | None) -> Tensor:
    """(B, T, D) hidden states of rows of embeddings (B, T, D)."""
    if depth is None:
        last: Tensor = model(inputs_embeds=words).last_hidden_state
        return last
    states: Tensor = model(inputs_embeds=words, output_hidden_states=True).hidden_states[depth]
    return states


class _TokenRow(NamedTuple):
    """One strand of a sequence as embeddings.

    Args:
        words: (1, T, D) of its tokens.
        empty: (1, T, D) with mask tokens in place of those that stand for letters.
        letters: (1, T) which tokens stand for letters.
        per_letter: attributions (1, T, D) -> (L,) along the forward strand; letters of a token get equal parts.
    """

    words: Tensor
    empty: Tensor
    letters: Tensor
    per_letter: Callable[[Tensor], Floats]


def _tokens(scorer: FoldScorer, model: Any, sequence: str, strand: int) -> _TokenRow:
    row = 0 if strand > 0 else 1
    both_ids, both_spans = tokens_of_strands(scorer.encoder, [sequence])
    ids, spans = both_ids[row], both_spans[row]
    tokenizer = scorer.encoder.tokenizer
    mask = tokenizer.mask_token_id
    letters = np.array([end > start for start, end in spans], bool)
    covered = np.zeros(len(sequence), bool)
    for start, end in spans:
        covered[start:end] = True
    if mask is None or not covered.all():
        raise ConfigError(f"{scorer.encoder.name} has no mask token or no token for each letter: use --method mutate")
    with torch.no_grad():
        embed = model.get_input_embeddings()
        tokens = torch.tensor([ids], device=scorer.device)
        there = torch.from_numpy(letters).to(scorer.device).unsqueeze(0)
        words = embed(tokens)
        empty = embed(torch.where(there, torch.full_like(tokens, int(mask)), tokens))

    def per_letter(part: Tensor) -> Floats:
        values, shared = _letters(part.sum(dim=2)[0]), np.zeros(len(sequence))
        for value, (start, end) in zip(values.tolist(), spans, strict=True):
            shared[start:end] += value / max(end - start, 1)
        return shared if strand > 0 else shared[::-1].copy()

    return _TokenRow(words, empty, there, per_letter)
