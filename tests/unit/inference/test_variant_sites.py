"""A site in a variant has the probability that the whole row gives, whatever is cached, cut or left out."""

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
from bindtune.data.chunks import chunks
from bindtune.data.protein.alignments import Alignments
from bindtune.data.protein.protein_rows import RowSpec
from bindtune.errors import BindtuneError
from bindtune.inference.checkpoints import Ensemble, load_ensemble_models
from bindtune.inference.ensemble_scores import NamedSequence, PredictionSpec, predict_shard, prediction_row
from bindtune.inference.variant_sites import FollowedSite, Variant, variant_probabilities
from bindtune.models.e1_tokens import IDS

ROWS = RowSpec(max_residues=1020, max_tokens=400, frame=4, context=context_spec(max_num_samples=3), overlap=10)
SPEC = PredictionSpec(
    rows=ROWS, ions=("MN", "ZN"), contexts=2, seed=0, max_batch_tokens=200, bf16=False, device=torch.device("cpu")
)
CLOSE = rounding.slack(terms=32, sums=17, scale=16) / 4  # as in test_ensemble_scores.py
PROTEIN = NamedSequence("p", "".join(Random(3).choices("ACDEFGHIKLMNPQRSTVWY", k=70)))
SITES = [FollowedSite(5, 0), FollowedSite(5, 1), FollowedSite(40, 1), FollowedSite(69, 0)]
VARIANTS = [
    Variant("a", {5: "W"}),
    Variant("b", {0: "C", 69: "C"}),
    Variant("c", {41: "X"}),
    Variant("d", {30: "H"}),
]


@pytest.fixture(scope="module")
def ensemble(binding_run: Path) -> Ensemble:
    return load_ensemble_models(binding_run)


@pytest.fixture
def alignments(tmp_path: Path) -> Alignments:
    drawn = Random(4)
    rows = ["".join(x if drawn.random() < 0.6 else "G" for x in PROTEIN.sequence) for _ in range(6)]
    path = tmp_path / "p.a3m"
    path.write_text("".join(f">{n}\n{row}\n" for n, row in enumerate([PROTEIN.sequence, *rows])))
    read = Alignments({"p": path}, cache_dir=tmp_path / "cache", neighbor_similarity_lower_bounds=[0.8])
    read.prepare({"p": PROTEIN.sequence})
    return read


def changed(variant: Variant) -> str:
    return "".join(variant.changes.get(position, letter) for position, letter in enumerate(PROTEIN.sequence))


def scan(ensemble: Ensemble, spec: PredictionSpec, alignments: Alignments | None, **more: Any) -> np.ndarray:
    predicted = predict_shard(
        [PROTEIN], ensemble=ensemble, preparer=ensemble.preparer(), spec=spec, alignments=alignments
    ).mean
    wildtype = np.array([predicted[site.position, site.ion] for site in SITES])
    return variant_probabilities(
        PROTEIN, VARIANTS, SITES, wildtype=wildtype, ensemble=ensemble, preparer=ensemble.preparer(), spec=spec,
        alignments=alignments, **more,
    )  # fmt: skip


@torch.no_grad()
def by_hand(ensemble: Ensemble, row: Sequence[str]) -> np.ndarray:
    """Probabilities (folds, L, K) of the query of a whole row."""
    preparer: Any = ensemble.preparer()
    batch = preparer.get_batch_kwargs([list(row)])
    ids = {name: batch[name] for name in IDS}
    residues = preparer.residue_mask(ids["input_ids"], ids["sequence_ids"])
    return np.stack([model(**ids).logits[residues].sigmoid().numpy() for model in ensemble])[..., [1, 0]]


def test_a_cached_context_gives_what_whole_rows_give(ensemble: Ensemble, alignments: Alignments) -> None:
    lines: list[int] = []
    effects = scan(ensemble, SPEC, alignments, progress=lines.append)
    (chunk,) = chunks(70, size=1020, overlap=10)
    rows = [prediction_row(PROTEIN, chunk, context, spec=SPEC, alignments=alignments) for context in (0, 1)]
    assert all(len(row) > 1 for row in rows) and rows[0] != rows[1]
    for variant, values in zip(VARIANTS, effects, strict=True):
        members = np.concatenate([by_hand(ensemble, [*row[:-1], changed(variant)]) for row in rows])
        expected = [members.mean(axis=0)[site.position, site.ion] for site in SITES]
        np.testing.assert_allclose(values, expected, atol=CLOSE)
    assert sum(lines) == len(VARIANTS) * 3
    assert np.abs(effects - scan(ensemble, SPEC, None)).max() > 0.01


def test_without_homologs_it_is_the_prediction_of_the_variant(ensemble: Ensemble) -> None:
    effects = scan(ensemble, SPEC, None)
    for variant, values in zip(VARIANTS, effects, strict=True):
        own = predict_shard(
            [NamedSequence("other", changed(variant))], ensemble=ensemble, preparer=ensemble.preparer(), spec=SPEC
        ).mean
        np.testing.assert_allclose(values, [own[site.position, site.ion] for site in SITES], atol=CLOSE)


def test_long_proteins_are_cut_as_for_predictions(ensemble: Ensemble) -> None:
    """A substitution outside of a site's chunk leaves the site as it was."""
    spec = replace(SPEC, rows=replace(ROWS, max_residues=30))
    effects = scan(ensemble, spec, None)
    wildtype = predict_shard([PROTEIN], ensemble=ensemble, preparer=ensemble.preparer(), spec=spec).mean
    reached = 0
    for variant, values in zip(VARIANTS, effects, strict=True):
        own = predict_shard(
            [NamedSequence("other", changed(variant))], ensemble=ensemble, preparer=ensemble.preparer(), spec=spec
        ).mean
        for site, value in zip(SITES, values, strict=True):
            assert abs(value - own[site.position, site.ion]) < CLOSE
            reached += value != wildtype[site.position, site.ion]
    assert 0 < reached < len(VARIANTS) * len(SITES)


def test_an_output_that_is_not_finite_is_an_error(binding_run: Path) -> None:
    ensemble = load_ensemble_models(binding_run)
    with torch.no_grad():
        next(ensemble[1].classifier_heads["ZN"].parameters()).fill_(torch.nan)
    with pytest.raises(BindtuneError, match="the model's output is not finite"):
        variant_probabilities(
            PROTEIN, VARIANTS, SITES, wildtype=np.zeros(len(SITES)), ensemble=ensemble, preparer=ensemble.preparer(),
            spec=SPEC,
        )  # fmt: skip
