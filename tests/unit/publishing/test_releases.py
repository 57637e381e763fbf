"""The facts of released models: made from the reference data, and what our own tokenisers make of the sequences."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from bindtune import E1BatchPreparer
from bindtune.data.dna.tokens import load_tokenizer
from bindtune.models.esm2 import Esm2BatchPreparer
from bindtune.publishing.releases import RECORDS, TENSORS, Release, packaged_releases
from golden.make_releases import main

PACKAGED = Path(__file__).parents[3] / "src" / "bindtune" / "publishing"
ESM_VOCABULARY = [*["<cls>", "<pad>", "<eos>", "<unk>"], *"LAGVSERTIDPKQNFYMHWCXBUZO.-", "<null_1>", "<mask>"]
E1_NAMES = ("Profluent-Bio/E1-150m", "Profluent-Bio/E1-300m", "Profluent-Bio/E1-600m")


def named(name: str) -> Release:
    return next(release for release in packaged_releases() if release.name == name)


def test_every_release_is_there_and_small() -> None:
    names = [release.name for release in packaged_releases()]
    assert names == [*E1_NAMES, "facebook/esm2_t6_8M_UR50D", "zhihan1996/DNABERT-2-117M"]
    for release in packaged_releases():
        assert len(release.revision) == 40
        assert all(len(digest) == 64 for digest in release.hashes.values())
        assert all(len(tensor) == len(release.rows[name]) for name, tensor in release.outputs.items())
    assert (PACKAGED / TENSORS).stat().st_size < 100_000


def test_the_packaged_facts_are_those_of_the_reference_data(shared: Path, tmp_path: Path) -> None:
    main(shared, tmp_path)
    assert (tmp_path / RECORDS).read_text() == (PACKAGED / RECORDS).read_text()
    assert (tmp_path / TENSORS).read_bytes() == (PACKAGED / TENSORS).read_bytes()


@pytest.mark.parametrize("name", E1_NAMES)
def test_e1_tokens(name: str) -> None:
    batch = E1BatchPreparer().get_batch_kwargs(named(name).sequences)
    made = [row[real].tolist() for row, real in zip(batch["input_ids"], batch["sequence_ids"] >= 0, strict=True)]
    assert made == [list(row) for row in named(name).input_ids]


def test_e1_positions_and_sequence_ids_are_those_of_the_official_code(shared: Path) -> None:
    batch = E1BatchPreparer().get_batch_kwargs(named(E1_NAMES[0]).sequences)
    stored = load_file(shared / "golden" / "e1_hub" / "e1_150m.safetensors")
    for key in ("input_ids", "within_seq_position_ids", "global_position_ids", "sequence_ids"):
        assert torch.equal(batch[key], stored[f"input__{key}"]), key  # type: ignore[literal-required]


def test_esm_tokens(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(ESM_VOCABULARY))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "EsmTokenizer"}))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "esm"}))
    release = named("facebook/esm2_t6_8M_UR50D")
    batch = Esm2BatchPreparer(str(tmp_path)).get_batch_kwargs(release.sequences)
    made = [row[real].tolist() for row, real in zip(batch["input_ids"], batch["sequence_ids"] >= 0, strict=True)]
    assert made == [list(row) for row in release.input_ids]


def test_dnabert2_tokens(shared: Path) -> None:
    release = named("zhihan1996/DNABERT-2-117M")
    tokenizer = load_tokenizer(str(shared / "tokenizer" / "dnabert2"))
    assert tokenizer(list(release.sequences))["input_ids"] == [list(row) for row in release.input_ids]
    assert 512 in map(len, release.sequences)


def test_names_of_the_hub() -> None:
    release = named(E1_NAMES[0])
    assert release.is_called("profluent-bio/e1-150M")
    assert release.is_called("Synthyra/Profluent-E1-150M")
    assert not release.is_called(E1_NAMES[1])
