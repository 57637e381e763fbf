"""`bindtune verify` on a stand-in for a released model, on other forms of it, and on models of one's own."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import EsmConfig, EsmForMaskedLM, PreTrainedTokenizerFast

import tiny_dnabert2
from bindtune import E1ForMaskedLM
from bindtune.demo.tiny_e1 import make_tiny_e1
from bindtune.errors import CheckpointError, ConfigError
from bindtune.publishing.releases import RECORDS, TENSORS, Release, read_releases
from bindtune.publishing.subject import ProteinModel, load_subject
from bindtune.publishing.verify import compare, verify
from bindtune.runs.provenance import sha256

NAME = "example/small-e1"
SEQUENCES = ("MPAGFRQVCKAFMAEPMFNTATQHEYHCCTPTRMYINTPVNRAFG", "MYPNQTSFAHGFWVHQI", "MCADPSK")
Verified = tuple[bool, dict[str, tuple[str, str]], str]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The released weights."""
    return make_tiny_e1(tmp_path_factory.mktemp("release") / "weights", seed=1)


@pytest.fixture(scope="module")
def releases(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Release, ...]:
    """The stand-in, whose outputs were computed in bfloat16 autocast and stored as the real ones are."""
    subject = load_subject(str(weights))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = subject.outputs(SEQUENCES)
    ids = subject.ids(SEQUENCES)
    record = {
        "name": NAME, "copies": ["other/small-e1"], "revision": "0" * 40, "architecture": subject.architecture,
        "hashes": {"model.safetensors": sha256(weights / "model.safetensors")}, "source": "this test",
        "sequences": SEQUENCES, "input_ids": ids,
        "rows": {"logits": list(range(sum(map(len, ids)))), "hidden states": [3, 9, 40]},
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("facts")
    (folder / RECORDS).write_text(json.dumps({"releases": [record]}))
    tensors = {f"{NAME}.{name}": tensor[record["rows"][name]].bfloat16() for name, tensor in outputs.items()}  # type: ignore[index]
    save_file(tensors, folder / TENSORS)
    return read_releases(folder)


@pytest.fixture
def check(releases: tuple[Release, ...]) -> Callable[..., Verified]:
    """Verify; the result, each check as (outcome, detail), and everything that was said."""

    def run(name: object, *, release: str | None = NAME) -> Verified:
        lines: list[str] = []
        passed = verify(str(name), release=release, releases=releases, notify=lines.append)
        made = [line.split("  ", 1) for line in lines if line.startswith(OUTCOMES)]
        parts = {rest.split(": ", 1)[0]: (outcome, rest.split(": ", 1)[1]) for outcome, rest in made}
        return passed, parts, "\n".join(lines)

    return run


OUTCOMES = ("passed", "FAILED", "left out")


def failed(checks: dict[str, tuple[str, str]]) -> list[str]:
    return [name for name, (outcome, _) in checks.items() if outcome == "FAILED"]


def changed(weights: Path, folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> Path:
    """A copy with other weights."""
    shutil.copytree(weights, folder)
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_the_release_itself(check: Callable[..., Verified], weights: Path) -> None:
    for release in (NAME, None):  # without a name it is found by its hash
        passed, checks, text = check(weights, release=release)
        assert passed
        assert failed(checks) == []
        assert list(checks) == [
            "hash", "tokens", "logits", "hidden states", "weights", "vocabulary", "computed twice",
            "alone and beside longer ones", "saved and loaded again",
        ]  # fmt: skip
        assert text.endswith("9 of 9 checks passed")
    assert checks["hash"][1] == f"model.safetensors {sha256(weights / 'model.safetensors')}, as released"
    tokens = sum(len(sequence) + 4 for sequence in SEQUENCES)
    assert checks["tokens"][1] == f"3 reference sequences, {tokens} tokens as in the original"


def test_the_printed_differences_are_those_of_the_outputs(
    check: Callable[..., Verified], weights: Path, releases: tuple[Release, ...]
) -> None:
    _, checks, _ = check(weights)
    model = E1ForMaskedLM.from_pretrained(weights)
    batch, real = ProteinModel(str(weights)).tokens(SEQUENCES)
    with torch.no_grad():
        logits = model(**batch).logits[real]
    reference = releases[0].outputs["logits"].float()
    largest = float((logits - reference).abs().max())
    assert largest > 0
    allowed = 5 * 2.0**-8 * (8 * 3) ** 0.5 * float(reference.std())
    agreeing = int((logits.argmax(-1) == reference.argmax(-1)).sum())
    assert checks["logits"][1].startswith(f"largest difference {largest:.3g} (allowed {allowed:.3g})")
    assert checks["logits"][1].endswith(f"the same token is likeliest at {agreeing} of {len(reference)}")


def test_one_perturbed_weight(check: Callable[..., Verified], weights: Path, tmp_path: Path) -> None:
    def little(tensors: dict[str, torch.Tensor]) -> None:
        tensors["model.layers.0.ffn.mlp.w1.weight"][0, 0] += 1e-3

    def much(tensors: dict[str, torch.Tensor]) -> None:
        tensors["model.norm.weight"][5] *= -4

    passed, checks, _ = check(changed(weights, tmp_path / "little", little))
    assert (passed, failed(checks)) == (False, ["hash"])  # too little to be told from rounding
    passed, checks, _ = check(changed(weights, tmp_path / "much", much))
    assert (passed, failed(checks)) == (False, ["hash", "logits", "hidden states"])


def test_another_model_of_the_same_shape(check: Callable[..., Verified], tmp_path: Path) -> None:
    passed, checks, _ = check(make_tiny_e1(tmp_path / "other", seed=2))
    assert (passed, failed(checks)) == (False, ["hash", "logits", "hidden states"])
    assert abs(float(checks["logits"][1].partition("correlation ")[2].partition(",")[0])) < 0.5


def test_another_model_under_the_name(
    check: Callable[..., Verified], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tiny_e1(tmp_path / NAME, seed=2)
    monkeypatch.chdir(tmp_path)
    passed, checks, text = check(NAME, release=None)
    assert not passed
    assert "hash" in failed(checks)
    assert f"there is a folder called {NAME} here" in text


def test_a_model_of_another_shape(
    check: Callable[..., Verified], tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    tiny_dnabert2.build(vocab_size=27, hidden_size=16, num_hidden_layers=1, num_attention_heads=2).save_pretrained(
        tmp_path
    )
    tokenizer.save_pretrained(tmp_path)
    passed, checks, _ = check(tmp_path)
    assert (passed, failed(checks)) == (False, ["hash", "architecture"])
    assert checks["architecture"][1] == (
        "dnabert2, 1 layers, width 16, 27 tokens; expected E1, 3 layers, width 64, 34 tokens"
    )


def test_weights_in_parts(check: Callable[..., Verified], weights: Path, tmp_path: Path) -> None:
    E1ForMaskedLM.from_pretrained(weights).save_pretrained(tmp_path, max_shard_size="300KB")
    parts = sorted(tmp_path.glob("model-*.safetensors"))
    assert len(parts) > 1
    passed, checks, _ = check(tmp_path)
    assert (passed, failed(checks)) == (True, [])
    outcome, detail = checks["hash"]
    assert outcome == "left out"
    assert "the release is one file, model.safetensors" in detail
    assert all(f"{part.name} {sha256(part)}" in detail for part in parts)


def test_weights_as_torch_saves_them(check: Callable[..., Verified], weights: Path, tmp_path: Path) -> None:
    shutil.copy(weights / "config.json", tmp_path)
    torch.save(load_file(weights / "model.safetensors"), tmp_path / "pytorch_model.bin")
    passed, checks, _ = check(tmp_path)
    assert (passed, checks["hash"][0]) == (True, "left out")
    assert checks["logits"][0] == "passed"
    # Where both lie there, safetensors are read: their hash counts.
    make_tiny_e1(tmp_path / "other", seed=2)
    shutil.copy(tmp_path / "other" / "model.safetensors", tmp_path)
    passed, checks, _ = check(tmp_path)
    assert (passed, failed(checks)) == (False, ["hash", "logits", "hidden states"])


def test_a_copy_whose_hash_is_not_known(
    check: Callable[..., Verified], weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    E1ForMaskedLM.from_pretrained(weights).bfloat16().save_pretrained("other/small-e1")
    passed, checks, _ = check("other/small-e1", release=None)
    assert (passed, failed(checks), checks["hash"][0]) == (True, [], "left out")


def test_models_of_ones_own_are_tried_against_themselves(
    check: Callable[..., Verified], weights: Path, tmp_path: Path
) -> None:
    own = ["weights", "vocabulary", "computed twice", "alone and beside longer ones", "saved and loaded again"]
    E1ForMaskedLM.from_pretrained(weights).save_pretrained(tmp_path / "parts", max_shard_size="300KB")
    passed, checks, text = check(tmp_path / "parts", release=None)
    assert (passed, list(checks)) == (True, own)
    assert "there is nothing to compare with; its outputs are those of example/small-e1" in text
    passed, checks, text = check(make_tiny_e1(tmp_path / "other", seed=2), release=None)
    assert (passed, list(checks)) == (True, own)
    assert "it has the shape of example/small-e1 and other outputs" in text


def test_weights_that_are_not_finite(check: Callable[..., Verified], weights: Path, tmp_path: Path) -> None:
    def spoil(tensors: dict[str, torch.Tensor]) -> None:
        tensors["mlm_head.0.bias"][3] = float("nan")

    passed, checks, _ = check(changed(weights, tmp_path / "broken", spoil), release=None)
    assert (passed, failed(checks)) == (False, ["weights"])
    assert checks["weights"][1].endswith("not finite: mlm_head.0.bias")
    passed, checks, _ = check(tmp_path / "broken")
    assert {"hash", "logits", "weights"} <= set(failed(checks))


@pytest.mark.parametrize(("size", "fails"), [(27, []), (20, ["vocabulary"])])
def test_a_tokenizer_larger_than_the_model(
    check: Callable[..., Verified], tokenizer: PreTrainedTokenizerFast, tmp_path: Path, size: int, fails: list[str]
) -> None:
    assert len(tokenizer) == 27
    tiny_dnabert2.build(vocab_size=size).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    passed, checks, _ = check(tmp_path, release=None)
    assert (passed, failed(checks)) == (not fails, fails)


def test_other_tokens_than_the_original(releases: tuple[Release, ...], weights: Path) -> None:
    import dataclasses

    ids = (releases[0].input_ids[0], (1, 2, 3), releases[0].input_ids[2])
    lines: list[str] = []
    table = (dataclasses.replace(releases[0], input_ids=ids),)
    assert not verify(str(weights), release=NAME, releases=table, notify=lines.append)
    line = next(line for line in lines if "tokens:" in line)
    assert line.startswith("FAILED  tokens: 3 reference sequences")
    assert line.endswith("expected [1, 2, 3]")


def test_a_model_that_depends_on_its_neighbours(
    check: Callable[..., Verified], weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ProteinModel.run

    def leaking(self: ProteinModel, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {name: tensor + 1e-3 * len(tensor) for name, tensor in run(self, batch).items()}

    monkeypatch.setattr(ProteinModel, "run", leaking)
    passed, checks, _ = check(weights, release=None)
    assert (passed, failed(checks)) == (False, ["alone and beside longer ones"])


def test_the_bound_grows_with_depth_and_with_the_outputs(releases: tuple[Release, ...], weights: Path) -> None:
    logits = {check.name: check for check in compare(load_subject(str(weights)), releases[0])}["logits"]
    scale = float(releases[0].outputs["logits"].float().std())
    allowed = float(logits.detail.partition("(allowed ")[2].partition(")")[0])
    assert allowed == pytest.approx(5 * scale * 24**0.5 / 256, rel=1e-2)


def test_no_room_for_a_copy(check: Callable[..., Verified], weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: E1ForMaskedLM, folder: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(E1ForMaskedLM, "save_pretrained", full)
    passed, checks, text = check(weights)
    assert (passed, checks["saved and loaded again"][0]) == (True, "left out")
    assert "No space left on device; TMPDIR names another folder" in text
    assert text.endswith("8 of 8 checks passed")


def test_a_copy_that_is_another_model(
    check: Callable[..., Verified], weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_another(self: ProteinModel, folder: Path) -> E1ForMaskedLM:
        model = E1ForMaskedLM.from_pretrained(folder)
        with torch.no_grad():
            model.model.norm.weight[0] += 1e-6
        return model

    monkeypatch.setattr(ProteinModel, "read", read_another)
    passed, checks, _ = check(weights)
    assert (passed, failed(checks)) == (False, ["saved and loaded again"])


def test_outputs_that_are_drawn(check: Callable[..., Verified], weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = ProteinModel.run

    def drawn(self: ProteinModel, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {name: tensor + 1e-7 * torch.randn_like(tensor) for name, tensor in run(self, batch).items()}

    monkeypatch.setattr(ProteinModel, "run", drawn)
    passed, checks, _ = check(weights)
    assert (passed, failed(checks)) == (False, ["computed twice"])


def test_an_esm(check: Callable[..., Verified], tmp_path: Path) -> None:
    letters = [*["<cls>", "<pad>", "<eos>", "<unk>"], *"LAGVSERTIDPKQNFYMHWCXBUZO.-", "<null_1>", "<mask>"]
    (tmp_path / "vocab.txt").write_text("\n".join(letters))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "EsmTokenizer"}))
    config = EsmConfig(
        vocab_size=33, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        position_embedding_type="rotary", token_dropout=True, mask_token_id=32, pad_token_id=1,
    )  # fmt: skip
    EsmForMaskedLM(config).save_pretrained(tmp_path)
    passed, checks, _ = check(tmp_path, release=None)
    assert (passed, len(checks)) == (True, 5)
    assert checks["vocabulary"][1] == "the tokenizer has 33 tokens, the model 33"
    assert {"hash", "architecture"} == set(failed(check(tmp_path)[1]))


def test_what_the_user_can_fix(check: Callable[..., Verified], weights: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"expected one of {NAME}, found 'E1'"):
        check(weights, release="E1")
    with pytest.raises(CheckpointError):
        check(tmp_path / "nothing", release=None)


def test_a_binding_run(check: Callable[..., Verified], binding_run: Path, tmp_path: Path) -> None:
    passed, checks, _ = check(binding_run, release=None)
    assert (passed, list(checks)) == (True, ["fold 1", "fold 2", "fold 3"])
    assert "adapters change hidden states by up to" in checks["fold 1"][1]
    shutil.copytree(binding_run.parent, tmp_path / "copy")
    adapters = tmp_path / "copy" / "run" / "fold_2" / "best_e1_binding_model_lora" / "adapter_model.safetensors"
    tensors = load_file(adapters)
    save_file({name: torch.zeros_like(tensor) for name, tensor in tensors.items()}, adapters)
    passed, checks, _ = check(tmp_path / "copy" / "run", release=None)
    assert (passed, failed(checks)) == (False, ["fold 2"])
    with pytest.raises(ConfigError, match="no release"):
        check(binding_run)


def test_what_is_allowed_is_finite_where_outputs_are_large(
    weights: Path, tmp_path: Path, check: Callable[..., Verified]
) -> None:
    folder = shutil.copytree(weights, tmp_path / "large")
    tensors = load_file(folder / "model.safetensors")
    tensors["mlm_head.3.weight"] *= 1e30
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    outcome, detail = check(folder, release=None)[1]["alone and beside longer ones"]
    assert outcome == "passed"
    assert "inf" not in detail
