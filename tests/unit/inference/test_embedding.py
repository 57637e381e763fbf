"""Embeddings and the files they are written to."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

import rounding
from bindtune import E1BatchPreparer, E1ForMaskedLM
from bindtune.demo.tiny_e1 import make_tiny_e1
from bindtune.errors import BindtuneError, ConfigError
from bindtune.inference import embedding_files
from bindtune.inference.embedding import add_embeddings, embed_proteins
from bindtune.inference.embedding_files import SPANS, embedding_file


@pytest.fixture(scope="module")
def folder(shared: Path) -> Path:
    return shared / "golden/e1"


def test_golden_embeddings(folder: Path) -> None:
    model, inputs = E1ForMaskedLM.from_pretrained(folder), json.loads((folder / "inputs.json").read_text())
    outputs, scorer = load_file(folder / "outputs.safetensors"), inputs["scorer"]
    for number, (name, context) in enumerate(inputs["predictor_order"]):
        sequence = scorer["parent"] if name == "p" else scorer["parent"][:9]
        (vectors,) = embed_proteins(
            model,
            {name: sequence},
            contexts={name: scorer["contexts"][context].split(",")},
            per="sequence",
            max_batch_tokens=1000,
        ).values()
        expected = outputs[f"predictor/{number}/mean_token_embeddings"]
        torch.testing.assert_close(vectors, expected, **rounding.of(model, expected))


def test_batches_and_contexts_do_not_mix(folder: Path) -> None:
    model = E1ForMaskedLM.from_pretrained(folder)
    proteins = {"b": "MKTAYIAKQR", "a": "ACD", "c": "XWWYV"}
    contexts: dict[str, list[str]] = {"b": ["MKTAYI", "AKQR"], "c": []}
    for per in ("sequence", "residue"):
        batches = [
            embed_proteins(model, proteins, contexts=contexts, per=per, max_batch_tokens=budget)
            for budget in (1, 10_000)
        ]
        assert list(batches[0]) == list(proteins)
        for name, sequence in proteins.items():
            close = rounding.of(model, batches[1][name])
            torch.testing.assert_close(batches[0][name], batches[1][name], **close)
            assert batches[0][name].shape == ((64,) if per == "sequence" else (len(sequence), 64))
    with torch.no_grad():
        whole = model(**E1BatchPreparer().get_batch_kwargs(["MKTAYI,AKQR,MKTAYIAKQR"])).embeddings[0, 20:30]
    torch.testing.assert_close(batches[0]["b"], whole, **rounding.of(model, whole))


def test_files_hold_what_was_computed(tmp_path: Path) -> None:
    proteins = {"p/1": "MKT", "q": "AC"}
    for per, embeddings in (
        ("sequence", {"p/1": torch.randn(4), "q": torch.randn(4)}),
        ("residue", {"p/1": torch.randn(3, 4), "q": torch.randn(2, 4)}),
    ):
        for suffix in ("safetensors", "parquet"):
            path = tmp_path / f"{per}.{suffix}"
            with embedding_file(path, named="protein", metadata={"model": "m", "positions": "1-based"}) as file:
                add_embeddings(file, embeddings, proteins=proteins)
        loaded = load_file(tmp_path / f"{per}.safetensors")
        assert all(torch.equal(loaded[name], vector) for name, vector in embeddings.items())
        with safe_open(tmp_path / f"{per}.safetensors", "pt") as file:
            assert file.metadata()["model"] == "m"
        table = pq.read_table(tmp_path / f"{per}.parquet")
        assert table.schema.metadata[b"positions"] == b"1-based"
        vectors = torch.tensor(table["embedding"].to_pylist())
        assert torch.equal(vectors, torch.cat([vector.view(-1, 4) for vector in embeddings.values()]))
        if per == "residue":
            rows = zip(*(table[name].to_pylist() for name in ("protein", "position", "residue")), strict=True)
            assert list(rows) == [("p/1", 1, "M"), ("p/1", 2, "K"), ("p/1", 3, "T"), ("q", 1, "A"), ("q", 2, "C")]
        else:
            assert table["protein"].to_pylist() == ["p/1", "q"]


def test_an_output_that_is_not_finite_is_named(tmp_path: Path) -> None:
    model = E1ForMaskedLM.from_pretrained(make_tiny_e1(tmp_path / "e1", seed=0))
    with torch.no_grad():
        model.model.norm.weight[0] = torch.inf
    with pytest.raises(BindtuneError, match=r"^p: the model's output is not finite"):
        embed_proteins(model, {"p": "MKTAY"}, contexts={}, per="sequence", max_batch_tokens=100)


def test_tensors_of_tokens_are_read_by_the_library(tmp_path: Path) -> None:
    drawn = np.random.default_rng(1)
    vectors = {f'r"{rows}\u00e9': drawn.normal(size=(rows, 3)).astype(np.float32) for rows in (1, 3, 2)}
    path = tmp_path / "new" / "e.safetensors"
    with embedding_file(path, named="sequence", metadata={"model": 'm"', "per": "token"}) as file:
        for name, values in vectors.items():
            start = np.arange(len(values))
            file.add(
                name, values, {"position": start + 1, "start": start, "end": start + 1, "token": ["A"] * len(start)}
            )
    loaded = load_file(path)
    assert len(loaded) == 6
    for name, values in vectors.items():
        assert np.array_equal(loaded[name].numpy(), values)
        assert loaded[name + SPANS].tolist() == [[place, place + 1] for place in range(len(values))]
    with safe_open(path, "pt") as opened:
        assert opened.metadata() == {"model": 'm"', "per": "token"}
    assert [each.name for each in path.parent.iterdir()] == ["e.safetensors"]


def test_more_tensors_than_a_header_holds_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_files, "_LONGEST_HEADER", 1000)
    with (
        pytest.raises(ConfigError, match=r"no room for more than 11 tensors .* ends in \.parquet"),
        embedding_file(tmp_path / "e.safetensors", named="sequence", metadata={}) as file,
    ):
        for number in range(20):
            file.add(f"r{number:03}", np.zeros(2, np.float32), {})
    assert not list(tmp_path.iterdir())


def test_many_short_rows_do_not_wait_for_a_full_row_group(tmp_path: Path) -> None:
    path, rows = tmp_path / "e.parquet", 17_000
    with embedding_file(path, named="sequence", metadata={}) as file:
        for row in range(rows):
            file.add(f"s{row}", np.array([row, -row], np.float32), {})
    held = pq.ParquetFile(path).metadata
    assert [held.row_group(group).num_rows for group in range(held.num_row_groups)] == [8192, 8192, 616]
    table = pq.read_table(path)
    assert table["sequence"].to_pylist() == [f"s{row}" for row in range(rows)]
    assert table["embedding"].to_pylist() == [[row, -row] for row in range(rows)]
