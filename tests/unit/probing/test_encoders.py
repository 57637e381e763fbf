"""Vectors are those of a plain loop; heads and adapters learn; what is kept on disk is found by content."""

import logging
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tiny_dnabert2
from bindtune.errors import ConfigError
from bindtune.io.genome import reverse_complement
from bindtune.models.loading import load_classifier
from bindtune.probing import networks
from bindtune.probing.embeddings import SHARD, Embeddings, embed, similar_lengths
from bindtune.probing.encoders import Encoder, architecture_of, load_encoder, random_encoder
from bindtune.probing.fine_tuning import TunedClassifier, token_batches
from bindtune.probing.token_states import batches_of, keep_states

CPU = torch.device("cpu")
DRAWN = random.Random(1)
WINDOWS = ["".join(DRAWN.choices("ACGT", k=DRAWN.choice((20, 31)))) for _ in range(30)] + ["ACGTNNACGTACGTACGT"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    path = tmp_path_factory.mktemp("model")
    tiny_dnabert2.build(initializer_range=0.3).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def encoder(folder: Path) -> Encoder:
    return load_encoder("tiny", str(folder), device=CPU)


def plain(encoder: Encoder, window: str, pooling: str, layer: int) -> np.ndarray:
    """One window at a time, as the library's own calls do it."""
    parts = []
    for text in (window, reverse_complement(window.encode()).decode()):
        with torch.no_grad():
            batch = encoder.tokenizer(text, return_tensors="pt")
            states = encoder.model(batch["input_ids"], output_hidden_states=True).hidden_states[layer][0]
        letters = states[1:-1]
        parts.append({"mean": letters.mean(0), "max": letters.amax(0), "cls": states[0]}[pooling].numpy())
    return np.mean(parts, axis=0)


@pytest.mark.parametrize("pooling", ["mean", "max", "cls"])
@pytest.mark.parametrize("layer", [None, 0, 1, 2, -1, -2])
def test_vectors_are_those_of_a_plain_loop(encoder: Encoder, pooling: Any, layer: int | None) -> None:
    counted: list[int] = []
    vectors = embed(encoder, WINDOWS, layer=layer, pooling=pooling, batch_tokens=64, done=counted.append)
    expected = [plain(encoder, window, pooling, -1 if layer is None else layer) for window in WINDOWS]
    np.testing.assert_allclose(vectors, expected, atol=2e-5)  # fp32, sums in another order
    assert sum(counted) == len(WINDOWS)


def test_batches_are_sorted_full_and_hold_every_row_once() -> None:
    lengths = [DRAWN.choice((18, 20, 27)) for _ in range(500)] + [900]
    batches = list(similar_lengths([[0] * length for length in lengths], 512))
    assert sorted(row for batch in batches for row in batch) == list(range(501))
    widths = [max(lengths[row] for row in batch) for batch in batches]
    assert widths == sorted(widths) and batches[-1] == [500]  # a row that is too long is a batch of its own
    for batch, width, following in zip(batches[:-1], widths[:-1], widths[1:], strict=True):
        assert len(batch) * width <= 512 < (len(batch) + 1) * following


@pytest.mark.parametrize("layer", [None, 0, 1])
def test_vectors_in_bf16_are_near_those_in_fp32(encoder: Encoder, folder: Path, layer: int | None) -> None:
    half = load_encoder("tiny", str(folder), device=CPU, bf16=True)
    assert half.identity != encoder.identity  # so vectors of both are kept apart
    exact, rounded = (embed(each, WINDOWS, layer=layer, pooling="mean", batch_tokens=64) for each in (encoder, half))
    assert rounded.dtype == np.float32
    error = np.linalg.norm(rounded - exact, axis=1) / np.linalg.norm(exact, axis=1)
    assert error.max() < 0.02  # bf16 keeps 8 bits: 0.4 % for each of some roundings
    if layer == 0:
        assert not error.any()  # embeddings are not multiplied
    else:
        assert error.max() > 1e-4


def test_a_layer_that_is_not_there_is_refused(encoder: Encoder) -> None:
    with pytest.raises(ConfigError, match=r"tiny has layers 0 \(the embeddings\) to 2, and no layer 3"):
        embed(encoder, WINDOWS, layer=3, pooling="mean", batch_tokens=64)


def test_a_new_head_is_no_news(folder: Path) -> None:
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    logger = logging.getLogger("transformers")
    logger.addHandler(handler)
    try:
        TunedClassifier(str(folder), rank=2, random_weights=False)
        assert not records  # neither what is new, nor what tensor parallelism does not divide
        load_classifier(str(folder))
        assert records
    finally:
        logger.removeHandler(handler)


def test_vectors_are_kept_by_content(encoder: Encoder, tmp_path: Path) -> None:
    loads = []

    def embeddings(windows: list[str], identity: str = encoder.identity) -> Embeddings:
        def load() -> Encoder:
            loads.append(1)
            return encoder

        return Embeddings(
            tmp_path, encoder=load, identity=identity, sequences=windows, layer=None, pooling="mean", batch_tokens=512
        )

    first = embeddings(WINDOWS)
    first.compute()
    rows = first.rows(np.array([3, 0, 3]))
    np.testing.assert_allclose(rows[0], plain(encoder, WINDOWS[3], "mean", -1), atol=2e-5)
    np.testing.assert_array_equal(rows[0], rows[2])
    again = embeddings(WINDOWS)
    again.compute()
    assert len(loads) == 1
    embeddings(WINDOWS[1:]).compute()
    embeddings(WINDOWS, identity="another").compute()
    assert len(loads) == 3


def test_many_windows_are_kept_in_several_files(encoder: Encoder, tmp_path: Path) -> None:
    windows = [f"{number:b}".replace("0", "A").replace("1", "C").rjust(14, "G") for number in range(SHARD + 5)]
    vectors = Embeddings(
        tmp_path,
        encoder=lambda: encoder,
        identity="x",
        sequences=windows,
        layer=None,
        pooling="mean",
        batch_tokens=8192,
    )
    vectors.compute()
    assert len(list(tmp_path.rglob("*.npy"))) == 2
    places = np.array([SHARD + 4, 1])
    np.testing.assert_allclose(
        vectors.rows(places), [plain(encoder, windows[at], "mean", -1) for at in places], atol=2e-5
    )


def test_identity_follows_content_and_not_the_folder(encoder: Encoder, folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert load_encoder("copy", str(tmp_path), device=CPU).identity == encoder.identity
    one, same, two = (random_encoder("random", str(folder), seed=seed, device=CPU) for seed in (1, 1, 2))
    assert one.identity == same.identity != two.identity
    assert encoder.identity != one.identity
    assert architecture_of(str(folder)) == architecture_of(str(tmp_path))


def test_token_states_are_kept_and_padded_with_zeros(encoder: Encoder, tmp_path: Path) -> None:
    states = keep_states(tmp_path, encoder, WINDOWS, layer=None, batch_tokens=64)
    tokens = encoder.tokenizer(WINDOWS[5], return_tensors="pt")["input_ids"]
    with torch.no_grad():
        expected = encoder.model(tokens).last_hidden_state[0].numpy()
    np.testing.assert_allclose(states[5, : len(expected)], expected, atol=4e-3)  # fp16 has three digits
    assert not states[5, len(expected) :].any()
    (batch,) = batches_of(states, np.array([5, 0]), CPU)(np.array([0]))
    assert batch.shape == (1, states.shape[2], states.shape[1])
    before = next(tmp_path.glob("tokens-*.npy")).stat().st_mtime_ns
    keep_states(tmp_path, encoder, WINDOWS, layer=None, batch_tokens=64)
    assert next(tmp_path.glob("tokens-*.npy")).stat().st_mtime_ns == before


def test_lora_trains_adapters_and_head_alone_and_memorises(folder: Path, encoder: Encoder) -> None:
    torch.manual_seed(0)
    network = TunedClassifier(str(folder), rank=4, random_weights=False)
    frozen = {name: value.clone() for name, value in network.named_parameters() if not value.requires_grad}
    learned = [name for name, value in network.named_parameters() if value.requires_grad]
    assert frozen and all("lora" in name or "classifier" in name or "pooler" in name for name in learned)
    labels = np.array([number % 2 for number in range(12)], np.int8)
    batch = token_batches(encoder, WINDOWS[:12], CPU)
    rows = np.arange(12)
    recipe = networks.Recipe(epochs=60, patience=60, batch=6, rate=5e-3)
    networks.fit(network, batch, labels, train=rows, held=rows, recipe=recipe, key=1)
    scores = networks.predict(network, batch, rows, size=5)
    assert ((scores > 0) == (labels == 1)).all()
    for name, value in network.named_parameters():
        if name in frozen:
            torch.testing.assert_close(value, frozen[name], rtol=0, atol=0)


def test_networks_follow_from_the_key_and_find_a_motif() -> None:
    drawn = random.Random(2)
    windows = ["".join(drawn.choices("ACGT", k=40)) for _ in range(240)]
    labels = np.array([number % 2 for number in range(240)], np.int8)
    for number in range(1, 240, 2):
        at = drawn.randrange(30)
        windows[number] = windows[number][:at] + "TGTAAATA" + windows[number][at + 8 :]
    from bindtune.data.dna.composition import letter_codes
    from bindtune.evaluation.ranking import area_under_roc, sort

    def scores(key: int) -> np.ndarray:
        batch = networks.one_hot(windows, letter_codes, CPU)
        return networks.out_of_fold(
            lambda: networks.WindowCNN(4),
            batch,
            labels,
            np.arange(240) // 2 % 3,
            recipe=networks.ONE_HOT,
            key=key,
            device=CPU,
        )[0]

    first = scores(1)
    assert area_under_roc(sort(labels, first).ranking()) > 0.8
    np.testing.assert_array_equal(first, scores(1))
    assert (first != scores(2)).any()
