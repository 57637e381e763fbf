"""What a probe learned is kept: read back, it gives the out-of-fold scores again, and scores of new sequences."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import tiny_dnabert2
from bindtune.config import ProbeConfig, build
from bindtune.errors import ConfigError, InputError
from bindtune.probing.binding_model import NEW, BindingModel, binding_model, open_probe
from bindtune.probing.gradients import attribute
from bindtune.probing.heads import heads_path, read_heads, scores_path
from bindtune.probing.run import probe


def dna(length: int, drawn: random.Random) -> str:
    return "".join(drawn.choices("ACGT", k=length))


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Windows of two lengths; bound ones have a motif."""
    folder, drawn = tmp_path_factory.mktemp("windows"), random.Random(3)
    for name, motif in (("bound", "TGTAAATA"), ("unbound", "")):
        texts = [dna(20, drawn) + motif + dna(22 + number % 2 - len(motif), drawn) for number in range(60)]
        records = "".join(f">{name}{number}\n{text}\n" for number, text in enumerate(texts))
        (folder / f"{name}.fa").write_text(records)
    return {"positives": str(folder / "bound.fa"), "negatives": str(folder / "unbound.fa")}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tiny_dnabert2.build(initializer_range=0.3).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


VARIANTS: dict[str, dict[str, Any]] = {
    "linear": {"seeds": 2},
    "states": {"head": "cnn", "layer": 1, "bf16": True},
    "lora": {"tune": "lora", "tune_epochs": 1, "lora_rank": 2},
}


@pytest.fixture(scope="module", params=list(VARIANTS))
def folder(
    request: pytest.FixtureRequest, windows: dict[str, str], model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("probe") / request.param
    values = windows | {"model": [f"tiny={model}"], "out": str(out), "draws": 1, "folds": 3} | VARIANTS[request.param]
    probe(build(ProbeConfig, values), notify=lambda text: None)
    return out


def out_of_fold(folder: Path, model: BindingModel, seeds: int) -> np.ndarray:
    names = {"dataset": model.dataset, "arm": model.arm, "model": model.name}
    parts = [np.load(scores_path(folder, **names, seed=42 + seed)) for seed in range(seeds)]
    return np.mean(parts, axis=0)


def test_heads_give_the_out_of_fold_scores_again(folder: Path) -> None:
    there = open_probe(folder, "explain")
    assert there.models == ("composition", "4-mer", "cnn", "random", "tiny")
    sequences = there.windows["sequence"].to_pylist()
    drawn = there.config.seeds if "linear" in folder.name else 1
    for name in there.models:
        model = binding_model(there, name)
        seeds = drawn if name in ("cnn", "random") else 1
        # fp32 in batches of other sizes: the last digits differ
        np.testing.assert_allclose(
            model.logits(sequences), out_of_fold(folder, model, seeds), atol=2e-5, rtol=1e-5, err_msg=name
        )
        assert (model.fold_of(sequences) == there.windows["fold"].to_numpy()).all()
    if drawn == 1:
        scores = pq.read_table(folder / "predictions.parquet").to_pylist()
        tiny = [row["score"] for row in scores if row["model"] == "tiny"]
        np.testing.assert_allclose(binding_model(there, "tiny").logits(sequences), tiny, atol=2e-5, rtol=1e-5)


def test_new_sequences_get_the_mean_over_folds_alone_or_in_a_batch(folder: Path) -> None:
    there, drawn = open_probe(folder, "explain"), random.Random(8)
    sequences = [dna(length, drawn) for length in (42, 30, 70, 41, 70)] + ["ACGTNNACGTACGTACGTTGTAAATAC"]
    for name in there.models:
        model = binding_model(there, name)
        assert (model.fold_of(sequences) == NEW).all()
        together = model.logits(sequences)
        alone = [float(model.logits([sequence])[0]) for sequence in sequences]
        np.testing.assert_allclose(together, alone, atol=2e-5, rtol=1e-5, err_msg=name)
        folds = [model.logits(sequences, np.full(len(sequences), fold)) for fold in model.folds]
        np.testing.assert_allclose(together, np.mean(folds, axis=0), atol=2e-5, rtol=1e-5, err_msg=name)
        assert np.ptp(folds, axis=0).max() > 1e-3


def test_gradients_go_through_every_head(folder: Path) -> None:
    there = open_probe(folder, "explain")
    sequences = [*there.windows["sequence"].to_pylist()[:2], "ACGTACGTTTAGACCA"]
    for name in ("random", "tiny"):
        model = binding_model(there, name, exact=True)  # gradients are computed in fp32
        folds = model.fold_of(sequences)
        attributions = attribute(model, sequences, folds, steps=32, tolerance=0.01)
        np.testing.assert_allclose([each.logit for each in attributions], model.logits(sequences, folds), atol=1e-4)
        for each in attributions:
            difference = each.logit - each.empty_logit
            assert abs(each.values.sum() - difference) <= 0.01 * max(1, abs(difference))
            assert np.ptp(each.values) > 0


def test_another_encoder_is_refused(folder: Path, tmp_path: Path, tokenizer: Any) -> None:
    tiny_dnabert2.build(initializer_range=0.2).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    changed = binding_model(open_probe(folder, "explain"), "tiny", paths={"tiny": str(tmp_path)})
    with pytest.raises(ConfigError, match="is not the model that was probed as tiny: its weights differ"):
        changed.logits(["ACGTACGT"])


def test_heads_say_what_they_are_and_damage_is_named(folder: Path, tmp_path: Path) -> None:
    there = open_probe(folder, "explain")
    model = binding_model(there, "cnn")
    path = heads_path(folder, dataset=model.dataset, arm=model.arm, model="cnn", seed=42)
    heads = read_heads(path)
    assert heads.facts["model"] == "cnn" and heads.facts["arm"] == "given" and heads.facts["version"]
    assert sorted(heads.states) == [1, 2, 3]
    content = path.read_bytes()
    try:
        for damaged in (b"", content[:200], b"\x00" * 400, content[:-8], json.dumps({}).encode()):
            path.write_bytes(damaged)
            with pytest.raises(InputError, match="is no file of trained heads"):
                binding_model(there, "cnn")
        path.unlink()
        with pytest.raises(InputError, match="lacks trained heads of cnn: an older version made it"):
            binding_model(there, "cnn")
        probe(there.config, notify=lambda text: None)  # the same probe again adds them
        assert path.read_bytes() == content
    finally:
        path.write_bytes(content)


def test_names_are_checked(folder: Path, tmp_path: Path) -> None:
    there = open_probe(folder, "explain")
    with pytest.raises(ConfigError, match="has no model tinny; it has composition, 4-mer, cnn, random, tiny"):
        binding_model(there, "tinny")
    with pytest.raises(ConfigError, match="has no arm x of bound; it has given"):
        binding_model(there, "cnn", arm="x")
    with pytest.raises(ConfigError, match="has no data set x; it has bound"):
        binding_model(there, "cnn", dataset="x")
    with pytest.raises(InputError, match="does not exist"):
        open_probe(tmp_path / "x", "explain")
