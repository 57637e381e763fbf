"""Nothing in a model's folder leads elsewhere, and nothing unpacks to more than it holds."""

import io
import json
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForMaskedLM

from bindtune import E1ForMaskedLM
from bindtune.data.dna.tokens import load_tokenizer
from bindtune.demo.tiny_e1 import make_tiny_e1
from bindtune.errors import BindtuneError, CheckpointError
from bindtune.models.backbones import find_backbone, load_encoder
from bindtune.models.foreign_files import check_tokenizer, read_archive
from bindtune.models.loading import empty_masked_lm, load_masked_lm

INDEX = "model.safetensors.index.json"
LOADERS = (load_encoder, find_backbone, E1ForMaskedLM.from_pretrained)


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """A tiny E1 in several files, and a file of weights beside its folder."""
    whole = make_tiny_e1(tmp_path / "whole", seed=0)
    E1ForMaskedLM.from_pretrained(whole).save_pretrained(tmp_path / "parts", max_shard_size="20KB")
    shutil.copy(whole / "model.safetensors", tmp_path / "secret.safetensors")
    (tmp_path / "parts" / "sub").mkdir()
    load_encoder(str(tmp_path / "parts"))
    return tmp_path / "parts"


@pytest.mark.parametrize(
    "target", ["../secret.safetensors", "sub/../../secret.safetensors", "{}/secret.safetensors", "..", "", "a.txt", 5]
)
@pytest.mark.parametrize("name", [INDEX, "pytorch_model.bin.index.json"])
@pytest.mark.parametrize("load", LOADERS, ids=["load_encoder", "find_backbone", "from_pretrained"])
def test_an_index_leads_to_no_file_elsewhere(parts: Path, target: Any, name: str, load: Callable[[str], Any]) -> None:
    index = json.loads((parts / INDEX).read_text())
    first = next(iter(index["weight_map"]))
    index["weight_map"][first] = target.format(parts.parent) if isinstance(target, str) else target
    (parts / name).write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=re.escape(f"{parts / name}: expected the names of files")):
        load(str(parts))


def test_so_it_is_with_models_of_dna(tmp_path: Path) -> None:
    config = BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2)
    BertForMaskedLM(config).save_pretrained(tmp_path / "m")
    (tmp_path / "m" / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": {"a": "../x.safetensors"}}))
    for load in (load_masked_lm, empty_masked_lm):
        with pytest.raises(CheckpointError, match="expected the names of files"):
            load(str(tmp_path / "m"))


def test_a_link_leads_out_of_no_folder_but_into_the_cache_of_the_hub(parts: Path, tmp_path: Path) -> None:
    part = sorted(parts.glob("model-*.safetensors"))[0]
    part.rename(tmp_path / "moved")
    part.symlink_to(tmp_path / "moved")
    with pytest.raises(CheckpointError, match=re.escape(f"{part}: a link that leads out of its folder")):
        load_encoder(str(parts))
    part.unlink()
    (tmp_path / "moved").rename(parts / "sub" / "content")
    part.symlink_to("sub/content")
    load_encoder(str(parts))
    # As the hub's cache has it: names are links to contents beside the folder.
    snapshot, blobs = tmp_path / "models--a--b" / "snapshots" / "123", tmp_path / "models--a--b" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for number, path in enumerate(path for path in sorted(parts.iterdir()) if path.is_file()):
        shutil.copy(path, blobs / str(number))
        (snapshot / path.name).symlink_to(f"../../blobs/{number}")
    load_encoder(str(snapshot))
    (tmp_path / "link").symlink_to(parts)
    load_encoder(str(tmp_path / "link"))


@pytest.mark.parametrize("pattern", ["(.+)+x$", "q_proj"])
def test_adapters_beside_the_weights_are_not_put_on(parts: Path, pattern: str) -> None:
    (parts / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "target_modules": pattern}))
    for load in LOADERS:
        with pytest.raises(CheckpointError, match=r"adapter_config\.json: adapters beside the weights"):
            load(str(parts))


def packed(content: Any) -> bytes:
    stored, sink = io.BytesIO(), io.BytesIO()
    torch.save(content, stored)
    with zipfile.ZipFile(stored) as sound, zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as made:
        for part in sound.infolist():
            made.writestr(part.filename, sound.read(part))
    return sink.getvalue()


def test_a_packed_encoder_is_not_unpacked(tmp_path: Path) -> None:
    folder = make_tiny_e1(tmp_path / "e1", seed=0)
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    load_encoder(str(folder))
    (folder / "pytorch_model.bin").write_bytes(packed({**weights, "x": torch.zeros(1 << 22)}))
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin: no weights: its parts are packed"):
        load_encoder(str(folder))


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"a": [(x,)]}])
def test_a_tensor_of_more_values_than_are_stored(tmp_path: Path, wrap: Callable[[Any], Any]) -> None:
    path = tmp_path / "h.pt"
    torch.save(wrap(torch.ones(4)[:2]), path)
    read_archive(path)
    torch.save(wrap(torch.ones(1).expand(10**6, 10**6)), path)
    with pytest.raises(ValueError, match="1,000,000,000,000 values is stored as fewer"):
        read_archive(path)


def test_lists_that_hold_each_other_many_times(tmp_path: Path) -> None:
    content: list[Any] = [torch.ones(1)]
    for _ in range(60):
        content = [content, content]
    torch.save(content, tmp_path / "h.pt")
    assert len(read_archive(tmp_path / "h.pt")) == 2


@pytest.mark.parametrize("name", ["tokenizer.json", "added_tokens.json", "vocab.txt", "merges.txt"])
def test_a_vocabulary_beyond_all_measure(tmp_path: Path, name: str) -> None:
    with (tmp_path / name).open("wb") as stream:
        stream.truncate((1 << 26) + 1)  # takes no room on a disk
    for look in (check_tokenizer, load_tokenizer):
        with pytest.raises(BindtuneError, match=re.escape(str(tmp_path / name)) + ".*more than 67,108,864 bytes"):
            look(str(tmp_path))


def test_sound_weights_of_another_name_are_read(tmp_path: Path) -> None:
    folder = make_tiny_e1(tmp_path / "e1", seed=0)
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    save_file(weights, folder / "one.safetensors", metadata={"format": "pt"})
    index = {"metadata": {"total_size": 1}, "weight_map": dict.fromkeys(weights, "one.safetensors")}
    (folder / INDEX).write_text(json.dumps(index))
    assert load_encoder(str(folder)).num_parameters() == sum(tensor.numel() for tensor in weights.values())
