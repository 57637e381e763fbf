"""Thresholds with a guarantee: kept in re-splits and in the population, honest where a target cannot be reached."""

import math

import numpy as np
import pytest
from scipy.special import expit

from bindtune.evaluation.guarantees import Figure, Target, guaranteed_threshold, read_target

LENGTH = 60
Table = tuple[np.ndarray, np.ndarray]


def out_of_fold(seed: int, proteins: int) -> Table:
    """Labels and probabilities (P, L); proteins differ in how many residues bind and in how clearly they score."""
    generator = np.random.default_rng(seed)
    rates = 0.03 * generator.lognormal(-0.32, 0.8, (proteins, 1))
    labels = generator.random((proteins, LENGTH)) < np.minimum(rates, 0.5)
    scores = generator.normal(size=labels.shape) + labels * (4 + generator.normal(0, 1, (proteins, 1)))
    return labels, expit(2 * scores - 6)


def figure_at(table: Table, threshold: float, figure: Figure) -> float:
    labels, called = table[0], table[1] >= threshold
    return float((called & labels).sum() / (labels if figure == "recall" else called).sum())


def chosen(table: Table, target: Target) -> float:
    proteins = np.repeat(np.arange(len(table[0])), LENGTH)
    return guaranteed_threshold(table[0].ravel(), table[1].ravel(), proteins, target).threshold


@pytest.mark.parametrize(("figure", "value"), [("recall", 0.8), ("precision", 0.5)])
def test_the_target_is_kept_in_nine_of_ten_of_200_splits(figure: Figure, value: float) -> None:
    table, generator, outcomes = out_of_fold(5, 240), np.random.default_rng(0), []
    for _ in range(200):
        order = generator.permutation(240)
        halves = [(table[0][own], table[1][own]) for own in (order[:120], order[120:])]
        threshold = chosen(halves[0], Target(figure, value, 0.9))
        if not math.isnan(threshold):
            outcomes.append(figure_at(halves[1], threshold, figure) >= value)
    assert len(outcomes) > 150
    assert np.mean(outcomes) >= 0.9


def test_the_target_is_kept_in_the_population_and_the_threshold_is_not_far_too_careful() -> None:
    population = out_of_fold(99, 20_000)
    target = Target("recall", 0.8, 0.9)
    reached = [figure_at(population, chosen(out_of_fold(seed, 150), target), "recall") for seed in range(100, 140)]
    assert np.mean(np.array(reached) >= 0.8) >= 0.9
    assert np.median(reached) < 0.93


def test_residues_of_one_protein_are_no_evidence_of_their_own() -> None:
    labels = np.tile([1, 1, 1, 1, 0, 0], 200)
    scores = np.where(labels == 1, 0.9, 0.1)
    target = Target("recall", 0.9, 0.9)
    many = guaranteed_threshold(labels, scores, np.repeat(np.arange(200), 6), target)
    assert many.is_reached and many.recall == 1 and many.precision == 1
    few = guaranteed_threshold(labels, scores, np.repeat(np.arange(8), 150), target)
    assert not few.is_reached and few.best < 0.9


def test_the_number_of_proteins_that_a_target_needs_is_that_of_the_binomial() -> None:
    # All proteins have one site, and all sites are found: recall 0.9 at 90 % needs 22 proteins, as 0.9 ** 22 < 0.1.
    needed = next(
        count
        for count in range(10, 60)
        if guaranteed_threshold([1] * count, [0.9] * count, np.arange(count), Target("recall", 0.9, 0.9)).is_reached
    )
    assert 22 <= needed <= 30


def proteins_needed(figure: Figure, confidence: float) -> int:
    """Of proteins with one site that is called alone."""
    target = Target(figure, 0.9, confidence)
    counts = range(5, 99)
    return next(
        each for each in counts if guaranteed_threshold([1] * each, [0.9] * each, range(each), target).is_reached
    )


def test_precision_has_five_starts_that_share_the_error() -> None:
    assert proteins_needed("precision", 0.9) == proteins_needed("recall", 0.98) > proteins_needed("recall", 0.9)


def test_calls_in_proteins_without_sites_lower_the_precision_beside_a_recall() -> None:
    labels, scores = [1, 0] * 40 + [0, 0] * 40, [0.9, 0.1] * 80
    guarantee = guaranteed_threshold(labels, scores, np.repeat(np.arange(80), 2), Target("recall", 0.8, 0.9))
    assert (guarantee.recall, guarantee.precision, guarantee.proteins) == (1, 0.5, 40)


def test_a_target_out_of_reach_says_what_can_be_reached() -> None:
    table = out_of_fold(5, 60)
    proteins = np.repeat(np.arange(60), LENGTH)
    guarantee = guaranteed_threshold(table[0].ravel(), table[1].ravel(), proteins, Target("recall", 0.99, 0.9))
    assert math.isnan(guarantee.threshold) and 0.5 < guarantee.best < 0.99
    assert f"the highest recall with 90 % confidence is {guarantee.best:g}" in guarantee.as_text()
    best = Target("recall", guarantee.best, 0.9)
    assert not math.isnan(chosen(table, best))
    assert math.isnan(chosen(table, best._replace(value=guarantee.best + 0.01)))


def test_without_sites_there_is_no_threshold() -> None:
    for figure in ("recall", "precision"):
        guarantee = guaranteed_threshold([0, 0], [0.9, 0.2], ["a", "b"], Target(figure, 0.5, 0.9))  # type: ignore[arg-type]
        assert not guarantee.is_reached and guarantee.best == 0
        assert guarantee.as_dict()["threshold"] is None


@pytest.mark.parametrize(
    "text", ["recall", "recall=", "recall=1", "recall=0", "f1=0.9", "precision=-0.1", "recall=nan"]
)
def test_other_targets_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected recall=NUMBER or precision=NUMBER"):
        read_target(text, 0.9)
