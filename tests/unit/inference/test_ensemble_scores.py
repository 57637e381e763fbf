"""What a protein gets does not depend on its neighbours; long ones are read in chunks, every residue once."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from tests.context_specs import context_spec

import rounding
from bindtune import E1BatchPreparer
from bindtune.data.chunks import chunks
from bindtune.data.keyed_random import digest
from bindtune.data.protein.alignments import Alignments
from bindtune.data.protein.protein_rows import RowSpec
from bindtune.errors import BindtuneError
from bindtune.inference.checkpoints import Ensemble, load_ensemble_models
from bindtune.inference.ensemble_scores import NamedSequence, PredictionSpec, Scores, predict_shard

ROWS = RowSpec(max_residues=1020, max_tokens=400, frame=4, context=context_spec(max_num_samples=3), overlap=10)
SPEC = PredictionSpec(
    rows=ROWS, ions=("ZN", "MN"), contexts=1, seed=0, max_batch_tokens=200, bf16=False, device=torch.device("cpu")
)

# Logits of three layers of width 32 stay below 16; a probability moves by a quarter of what its logit moves.
CLOSE = rounding.slack(terms=32, sums=17, scale=16) / 4


@pytest.fixture(scope="module")
def ensemble(binding_run: Path) -> Ensemble:
    return load_ensemble_models(binding_run)


@pytest.fixture(scope="module")
def proteins() -> list[NamedSequence]:
    drawn = Random(0)
    return [
        NamedSequence(f"p{number}", "".join(drawn.choices("ACDEFGHIKLMNPQRSTVWXY", k=length)))
        for number, length in enumerate((1, 40, 90, 17, 90, 63, 2))
    ]


def test_an_output_that_is_not_finite_is_named(binding_run: Path, proteins: list[NamedSequence]) -> None:
    """A threshold would make 0 of it, no binding."""
    ensemble = load_ensemble_models(binding_run)
    with torch.no_grad():
        next(ensemble[2].classifier_heads["MN"].parameters()).fill_(torch.nan)
    with pytest.raises(BindtuneError, match=r"^p2, residue 1, MN: the model's output is not finite"):
        predict(proteins[2:3], ensemble)


def predict(
    proteins: Sequence[NamedSequence], ensemble: Ensemble, spec: PredictionSpec = SPEC, **kwargs: Any
) -> Scores:
    return predict_shard(proteins, ensemble=ensemble, preparer=ensemble.preparer(), spec=spec, **kwargs)


@torch.no_grad()
def by_hand(ensemble: Ensemble, *texts: str) -> np.ndarray:
    """Probabilities (folds and texts, L, K) of the query of each text."""
    probabilities = []
    for text in texts:
        rows: Any = E1BatchPreparer().get_batch_kwargs([text])
        tensors = {name: rows[name] for name in rows if name.endswith("ids")}
        length = len(text.rpartition(",")[2])
        probabilities += [model(**tensors).logits[0, -length - 2 : -2].sigmoid().numpy() for model in ensemble]
    return np.stack(probabilities)


def test_mean_and_spread_are_those_of_the_folds(ensemble: Ensemble, proteins: list[NamedSequence]) -> None:
    scores = predict(proteins, ensemble)
    members = np.concatenate([by_hand(ensemble, protein.sequence) for protein in proteins], axis=1)
    np.testing.assert_allclose(scores.mean, members.mean(axis=0), atol=CLOSE)
    np.testing.assert_allclose(scores.spread, members.std(axis=0), atol=CLOSE)
    assert scores.spread.max() > 0.1


def test_alone_in_a_batch_and_in_any_order(ensemble: Ensemble, proteins: list[NamedSequence]) -> None:
    scores = predict(proteins, ensemble)
    alone = [predict([protein], ensemble) for protein in proteins]
    for which in ("mean", "spread"):
        joined = np.concatenate([getattr(each, which) for each in alone])
        np.testing.assert_allclose(getattr(scores, which), joined, atol=CLOSE)
    order = [5, 0, 3, 6, 2, 1, 4]
    shuffled = predict([proteins[position] for position in order], ensemble, replace(SPEC, max_batch_tokens=10_000))
    expected = np.concatenate([alone[position].mean for position in order])
    np.testing.assert_allclose(shuffled.mean, expected, atol=CLOSE)


def test_ions_come_in_the_order_asked_for(ensemble: Ensemble, proteins: list[NamedSequence]) -> None:
    both, one = predict(proteins, ensemble), predict(proteins, ensemble, replace(SPEC, ions=("MN",)))
    np.testing.assert_allclose(one.mean[:, 0], both.mean[:, 1], atol=CLOSE)


def test_a_long_protein_has_the_predictions_of_its_stretches(ensemble: Ensemble, proteins: list[NamedSequence]) -> None:
    # A stretch does not see the rest, so that its numbers are not those of the whole protein in one piece.
    cut = replace(SPEC, rows=replace(ROWS, max_residues=32))
    scores = predict(proteins, ensemble, cut)
    expected, positions = [], []
    for protein in proteins:
        for chunk in chunks(len(protein.sequence), size=32, overlap=10):
            members = by_hand(ensemble, protein.sequence[chunk.start : chunk.end])
            expected.append(members.mean(axis=0)[chunk.first - chunk.start : chunk.last - chunk.start])
            positions += [(protein.name, position) for position in range(chunk.first, chunk.last)]
    assert positions == [(protein.name, position) for protein in proteins for position in range(len(protein.sequence))]
    np.testing.assert_allclose(scores.mean, np.concatenate(expected), atol=CLOSE)
    whole = predict(proteins, ensemble)
    lengths = np.repeat([len(protein.sequence) for protein in proteins], [len(p.sequence) for p in proteins])
    np.testing.assert_allclose(scores.mean[lengths <= 32], whole.mean[lengths <= 32], atol=CLOSE)
    assert np.abs(scores.mean - whole.mean)[lengths > 32].max() > 1e-3


@pytest.fixture
def alignments(tmp_path: Path, proteins: list[NamedSequence]) -> Alignments:
    """Homologs of p1 and p4, of which a context takes three."""
    drawn, paths = Random(1), {}
    for name in ("p1", "p4"):
        sequence = dict(proteins)[name]
        rows = ["".join(c if drawn.random() < 0.6 else drawn.choice("ACDEFG") for c in sequence) for _ in range(8)]
        text = "".join(f">h{number}\n{row}\n" for number, row in enumerate(rows))
        paths[name] = tmp_path / f"{name}.a3m"
        paths[name].write_text(f">{name}\n{sequence}\n{text}")
    alignments = Alignments(paths, cache_dir=tmp_path / "cache", neighbor_similarity_lower_bounds=[0.8])
    alignments.prepare(dict(proteins))
    return alignments


def test_contexts_are_drawn_by_protein_and_number(
    ensemble: Ensemble, proteins: list[NamedSequence], alignments: Alignments
) -> None:
    spec = replace(SPEC, contexts=3)
    scores = predict(proteins, ensemble, spec, alignments=alignments)
    members = []
    for name, sequence in proteins:
        texts = [sequence]
        if name in alignments:
            texts = []
            for number in range(3):
                drawn = context_spec(
                    max_num_samples=3,
                    max_token_length=400 - len(sequence) - 4,
                    frame=4,
                    seed=digest(0, "prediction", name, number),
                )
                texts.append(",".join([*alignments.draw(name, drawn).sequences, sequence]))
            assert len(set(texts)) == 3
        members.append(by_hand(ensemble, *texts))
    np.testing.assert_allclose(scores.mean, np.concatenate([m.mean(axis=0) for m in members]), atol=CLOSE)
    np.testing.assert_allclose(scores.spread, np.concatenate([m.std(axis=0) for m in members]), atol=CLOSE)
    shuffled = predict(proteins[::-1], ensemble, spec, alignments=alignments)
    assert np.allclose(shuffled.mean[-1], scores.mean[0], atol=CLOSE)
    other = predict(proteins, ensemble, replace(spec, seed=1), alignments=alignments)
    assert np.abs(other.mean - scores.mean).max() > 1e-3


def test_progress_counts_residues_of_all_models(ensemble: Ensemble, proteins: list[NamedSequence]) -> None:
    lines: list[int] = []
    predict(proteins, ensemble, progress=lines.append)
    assert sum(lines) == 3 * sum(len(protein.sequence) for protein in proteins)
