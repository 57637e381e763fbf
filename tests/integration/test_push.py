"""`bindtune push` to a stand-in for the hub: what arrives, what stays, and what is said where it does not go."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import yaml
from huggingface_hub import close_session, constants, snapshot_download
from safetensors.torch import load_file

import hub as stand_in
from bindtune import DNABert2ForMaskedLM, E1ForMaskedLM
from bindtune.demo.tiny_e1 import make_tiny_e1
from bindtune.models.backbones import E1
from bindtune.models.binding_checkpoint import read_heads
from bindtune.publishing.releases import packaged_releases
from bindtune.publishing.verify import verify
from bindtune.runs.provenance import sha256
from hub import TOKEN, Hub, Repository

# huggingface_hub sends large files in a way that its HTTP library warns of.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
Push = Callable[..., tuple[int, str, str]]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A running stand-in, which huggingface_hub takes for the hub; large files go by LFS, without xet."""
    with stand_in.running_hub() as running:
        values = {
            "ENDPOINT": running.url, "HF_HUB_OFFLINE": False, "HF_HUB_DISABLE_XET": True,
            "HF_TOKEN_PATH": str(tmp_path / "no-token"),
            "HUGGINGFACE_CO_URL_TEMPLATE": running.url + "/{repo_id}/resolve/{revision}/{filename}",
        }  # fmt: skip
        for name, value in values.items():
            monkeypatch.setattr(constants, name, value)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        close_session()
        yield running
    close_session()


@pytest.fixture
def push(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> Push:
    """Push to me/model; exit code, output and errors."""

    def command(source: Path, *words: str, repo: str = "me/model") -> tuple[int, str, str]:
        code = run("push", source, "--repo", repo, *words)
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return command


@pytest.fixture
def trained(binding_run: Path, tmp_path: Path) -> Path:
    """A finished binding run with what a real one leaves beside the models."""
    shutil.copytree(binding_run.parent, tmp_path / "home")
    run = tmp_path / "home" / "run"
    inputs = {"labels of ZN": run.parent / "ZN.fa", "base model.safetensors": run.parent / "encoder/model.safetensors"}
    (run.parent / "ZN.fa").write_text(">a\nMK\n01\n")
    origin = {
        "command": ["/usr/bin/bindtune", "train", f"--config={run.parent}/a.yaml"],
        "inputs": {name: {"path": str(path), "sha256": sha256(path)} for name, path in inputs.items()},
    }
    (run / "provenance.json").write_text(json.dumps(origin))
    (run / "NOTICE").write_text(E1.licence.notice)
    (run / "training.log").write_text("a log\n")
    (run / "fold_1" / "oof.parquet").write_bytes(b"names of proteins")
    (run / "fold_1" / "state.pt").write_bytes(b"states of an optimiser")
    (run / "summary.yaml").write_text("out_of_fold:\n  ZN: {proteins: 6}\n")
    return run


def expected_names(folds: int) -> set[str]:
    lora = ("NOTICE", "README.md", "adapter_config.json", "adapter_model.safetensors")
    return {
        "README.md", "NOTICE", "manifest.json", "config.yaml", "provenance.json", "global_thresholds.yaml",
        "summary.yaml",
        *(f"fold_{k}/best_e1_binding_model_heads.pt" for k in range(1, folds + 1)),
        *(f"fold_{k}/best_e1_binding_model_lora/{name}" for k in range(1, folds + 1) for name in lora[2:]),
    }  # fmt: skip


def test_a_binding_run_arrives_without_what_is_private(push: Push, hub: Hub, trained: Path) -> None:
    code, out, err = push(trained, "--private", "--commit-message", "First")
    assert (code, err) == (0, "next: bindtune verify me/model\n"), err
    files = hub.files("me/model")
    assert files.keys() == expected_names(3)
    assert hub.repositories["me/model"].private
    assert hub.repositories["me/model"].messages == ["First"]
    for fold in (1, 2, 3):
        name = f"fold_{fold}/best_e1_binding_model_lora/adapter_model.safetensors"
        assert files[name] == (trained / name).read_bytes()
    assert files["global_thresholds.yaml"] == (trained / "global_thresholds.yaml").read_bytes()
    assert files["NOTICE"].decode() == E1.licence.notice
    assert "profluent-e1-clickthrough-license-agreement" in files["README.md"].decode()
    assert "hf download me/model --local-dir FOLDER\nbindtune predict --run FOLDER" in files["README.md"].decode()
    for name, content in files.items():
        assert str(trained.parent).encode() not in content, name
        assert str(Path.home()).encode() + b"/" not in content, name
    settings, origin = yaml.safe_load(files["config.yaml"]), json.loads(files["provenance.json"])
    assert (settings["model"]["checkpoint"], settings["training"]["output_dir"]) == ("encoder", "run")
    assert origin["command"] == ["bindtune", "train", "--config=a.yaml"]
    assert origin["inputs"]["labels of ZN"] == {"path": "ZN.fa", "sha256": sha256(trained.parent / "ZN.fa")}
    assert "known by a folder's name only" in out


def test_the_manifest_lists_every_other_file_with_its_hash(push: Push, hub: Hub, trained: Path) -> None:
    assert push(trained)[0] == 0
    files = hub.files("me/model")
    listed = {each["path"]: (each["size"], each["sha256"]) for each in json.loads(files["manifest.json"])["files"]}
    assert listed == {
        name: (len(content), hashlib.sha256(content).hexdigest())
        for name, content in files.items()
        if name != "manifest.json"
    }


def test_what_was_pushed_predicts_as_the_run_does(
    push: Push, run: Callable[..., int], hub: Hub, trained: Path, tmp_path: Path
) -> None:
    assert push(trained)[0] == 0
    folder = snapshot_download("me/model", cache_dir=tmp_path / "cache")
    (tmp_path / "p.fa").write_text(">a\nMSHHWGYGKHNGPEHWHKDF\n>b\nMKCCHDE\n")
    for source, out in ((trained, "here"), (folder, "there")):
        words = ("--run", source, "--base_model", trained.parent / "encoder", "--out", tmp_path / out)
        assert run("predict", "--fasta", tmp_path / "p.fa", *words) == 0
    here, there = ((tmp_path / out / "predictions.tsv").read_text() for out in ("here", "there"))
    assert len(here.splitlines()) == 1 + 27 * 2
    assert there == here


def test_the_base_model_is_named_as_on_the_hub(
    push: Push, hub: Hub, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert push(trained, "--base-model", "Profluent-Bio/E1-150m", "--revision", "named")[0] == 0
    weights = sha256(trained.parent / "encoder" / "model.safetensors")
    monkeypatch.setitem(packaged_releases()[0].hashes, "model.safetensors", weights)
    code, out, _ = push(trained)
    assert (code, "folder's name only" in out) == (0, False)
    files = hub.files("me/model")
    assert hub.files("me/model", "named") == files
    assert "base_model: Profluent-Bio/E1-150m\n" in files["README.md"].decode()
    assert yaml.safe_load(files["config.yaml"])["model"]["checkpoint"] == "Profluent-Bio/E1-150m"
    lora = json.loads(files["fold_2/best_e1_binding_model_lora/adapter_config.json"])
    assert lora["base_model_name_or_path"] == "Profluent-Bio/E1-150m"
    (trained / "received.pt").write_bytes(files["fold_2/best_e1_binding_model_heads.pt"])
    heads, original = read_heads(trained / "received.pt"), read_heads(trained / "fold_2/best_e1_binding_model_heads.pt")
    assert heads["base_model_checkpoint"] == "Profluent-Bio/E1-150m"
    for name, tensor in original["classifier_heads"].items():
        assert torch.equal(heads["classifier_heads"][name], tensor)


def test_a_pretraining_run_and_its_checkpoint(push: Push, hub: Hub, pretraining_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "home" / "run"
    shutil.copytree(pretraining_run, run)
    checkpoint = next(run.glob("checkpoint-*"))
    assert push(run, repo="me/run")[0] == 0
    assert push(checkpoint, repo="me/checkpoint")[0] == 0
    model = {"README.md", "config.json", "config.yaml", "manifest.json", "model.safetensors", "provenance.json",
             "tokenizer.json", "tokenizer_config.json"}  # fmt: skip
    results = {f"{name}_results.json" for name in ("all", "train", "eval")}
    assert hub.files("me/run").keys() == model | results
    assert hub.files("me/checkpoint").keys() == model
    for repo, source in (("me/run", run), ("me/checkpoint", checkpoint)):
        files = hub.files(repo)
        for name in ("model.safetensors", "config.json", "tokenizer.json"):
            assert files[name] == (source / name).read_bytes()
        assert not any(str(pretraining_run.parent).encode() in content for content in files.values())
        received = snapshot_download(repo, cache_dir=tmp_path / "cache")
        stored = load_file(source / "model.safetensors")
        loaded = DNABert2ForMaskedLM.from_pretrained(received).state_dict()
        assert all(torch.equal(loaded[name], tensor) for name, tensor in stored.items())
    card = hub.files("me/checkpoint")["README.md"].decode()
    assert "| `all masked tokens` |" in card
    assert 'DNABert2ForMaskedLM.from_pretrained("me/checkpoint")' in card


def test_an_exported_model(push: Push, run: Callable[..., int], hub: Hub, trained: Path, tmp_path: Path) -> None:
    assert run("export", trained / "fold_1", "--out", tmp_path / "merged") == 0
    (tmp_path / "merged" / "notes.txt").write_text("mine")
    (tmp_path / "merged" / "NOTICE").unlink()
    code, out, _ = push(tmp_path / "merged")
    assert (code, "1 files stay here: notes.txt" in out) == (0, True)
    files = hub.files("me/model")
    assert files.keys() == {"README.md", "NOTICE", "config.json", "model.safetensors", "manifest.json"}
    assert files["NOTICE"].decode() == E1.licence.notice
    assert 'E1ForMaskedLM.from_pretrained("me/model")' in files["README.md"].decode()
    received = E1ForMaskedLM.from_pretrained(snapshot_download("me/model", cache_dir=tmp_path / "cache")).state_dict()
    merged = E1ForMaskedLM.from_pretrained(tmp_path / "merged").state_dict()
    assert all(torch.equal(received[name], tensor) for name, tensor in merged.items())


def test_a_second_push_sends_nothing_and_other_content_is_refused(push: Push, hub: Hub, trained: Path) -> None:
    assert push(trained)[0] == 0
    sent = list(hub.sent)
    code, out, _ = push(trained)
    assert (code, out.splitlines()[-1]) == (0, "me/model holds all of it already: nothing was uploaded")
    (trained / "summary.yaml").write_text("out_of_fold: {}\n# other\n")
    code, _, err = push(trained)
    assert code == 2
    assert err.startswith("bindtune: me/model holds something else (")
    assert "summary.yaml" in err
    assert push(trained, "--overwrite")[0] == 0
    assert hub.files("me/model")["summary.yaml"] == (trained / "summary.yaml").read_bytes()
    assert hub.sent == sent  # weights were there
    assert push(trained, "--revision", "second")[0] == 0
    assert "second" in hub.repositories["me/model"].branches
    hub.repositories["me/foreign"] = Repository(private=False)
    hub.repositories["me/foreign"].branches["main"]["app.py"] = b"print()"
    assert push(trained, repo="me/foreign")[0] == 2
    assert hub.files("me/foreign") == {"app.py": b"print()"}


def test_a_branch_of_its_own(push: Push, hub: Hub, trained: Path) -> None:
    assert push(trained, "--revision", "v2")[0] == 0
    assert hub.files("me/model") == {}
    assert hub.files("me/model", "v2").keys() == expected_names(3)


def test_an_interrupted_upload_goes_on(push: Push, hub: Hub, trained: Path) -> None:
    hub.broken_after = 2
    code, _, err = push(trained)
    assert (code, len(err.splitlines())) == (2, 1)
    assert "me/model: the hub refuses it (400): the line went dead" in err
    assert hub.files("me/model") == {}  # nothing half-done
    first = list(hub.sent)
    hub.broken_after = None
    assert push(trained)[0] == 0
    assert hub.files("me/model").keys() == expected_names(3)
    assert hub.sent[: len(first)] == first
    assert len(hub.sent) == len(set(hub.sent)) == 6  # heads and adapters of three folds, each sent once


@pytest.mark.parametrize(
    ("word", "status", "message"),
    [
        ("/api/repos/create", 403, "the token may not write there (403): no rights"),
        ("/commit/", 403, "the token may not write there (403): no rights"),
        ("/commit/", 500, "the hub is busy or out of order (500): the same command goes on"),
        ("/commit/", 412, "the hub refuses it (412): no rights"),
    ],
)
def test_what_the_hub_refuses(push: Push, hub: Hub, trained: Path, word: str, status: int, message: str) -> None:
    hub.refuse[word] = (status, "no rights")
    code, _, err = push(trained)
    assert (code, len(err.splitlines())) == (2, 1)
    assert message in err


def test_tokens(push: Push, hub: Hub, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    code, _, err = push(trained)
    assert (code, "does not accept the token (401)" in err) == (2, True)
    monkeypatch.delenv("HF_TOKEN")
    code, _, err = push(trained)
    assert (code, err.startswith("bindtune: no token of the hub: log in with `hf auth login`")) == (2, True)
    assert hub.repositories == {}
    assert "HF_TOKEN" in err
    assert TOKEN not in err


def test_no_network(push: Push, hub: Hub, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    code, _, err = push(trained)
    assert (code, len(err.splitlines())) == (2, 1)
    assert err.startswith("bindtune: http://127.0.0.1:9: ")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert push(trained)[2] == "bindtune: the hub is switched off: unset HF_HUB_OFFLINE\n"


def test_a_private_push_to_a_public_repository(push: Push, hub: Hub, trained: Path) -> None:
    hub.repositories["me/model"] = Repository(private=False)
    code, _, err = push(trained, "--private")
    assert (code, "is there already and is public" in err) == (2, True)
    assert hub.files("me/model") == {}


def test_a_dry_run_sends_nothing(push: Push, hub: Hub, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    code, out, _ = push(trained, "--dry-run")
    listed = {match[1] for match in re.finditer(r"^ +[\d,]+  [0-9a-f]{12}  (.*)$", out, re.MULTILINE)}
    assert (code, listed) == (0, expected_names(3))
    assert hub.repositories == {}


def test_unfinished_runs_are_refused(push: Push, trained: Path, pretraining_run: Path, tmp_path: Path) -> None:
    (trained / "fold_3" / "best_e1_binding_model_heads.pt").unlink()
    assert "is not finished: 2 of 3 folds are trained; go on with bindtune train --resume" in push(trained)[2]
    assert "is one fold" in push(trained / "fold_1")[2]
    shutil.copytree(pretraining_run, tmp_path / "run")
    (tmp_path / "run" / "README.md").unlink()
    code, _, err = push(tmp_path / "run")
    assert (code, "is not finished: go on with bindtune pretrain" in err) == (2, True)
    (tmp_path / "empty").mkdir()
    assert "is no run and no model" in push(tmp_path / "empty")[2]


def test_folds_that_were_not_joined(push: Push, trained: Path) -> None:
    (trained / "global_thresholds.yaml").unlink()
    code, _, err = push(trained)
    assert (code, "bindtune merge" in err) == (2, True)


@pytest.mark.parametrize(
    "secret", [TOKEN, "-----BEGIN RSA PRIVATE KEY-----", "AKIA" + "A1" * 8, "wandb_key: abcdefgh12"]
)
def test_secrets_are_refused(push: Push, hub: Hub, trained: Path, secret: str) -> None:
    (trained / "summary.yaml").write_text(f"out_of_fold: {{}}\n# {secret}\n")
    code, _, err = push(trained)
    assert (code, hub.repositories) == (2, {})
    assert "summary.yaml would be published with" in err
    assert secret not in err


def test_paths_in_files_that_are_not_cleaned_are_refused(push: Push, hub: Hub, trained: Path) -> None:
    (trained / "summary.yaml").write_text(f"out_of_fold: {{}}\n# {trained.parent}/x\n")
    code, _, err = push(trained)
    assert (code, hub.repositories) == (2, {})
    assert f"would be published with the path {trained.parent}" in err


def test_a_run_in_use(push: Push, trained: Path) -> None:
    from bindtune.runs.exclusive import only_writer

    with only_writer(trained / "fold_2"):
        assert "is in use by another process" in push(trained)[2]


@pytest.mark.parametrize("words", [(), ("--dry-run",)])
@pytest.mark.parametrize("name", ["me/model/more", "two words", "", "me/..", "ü"])
def test_a_name_that_no_repository_can_have(push: Push, hub: Hub, trained: Path, name: str, words: list[str]) -> None:
    code, out, err = push(trained, *words, repo=name)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert hub.repositories == {}


def test_verify_downloads_and_finds_another_model_under_the_name(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = make_tiny_e1(tmp_path / "weights", seed=1)
    hub.repositories["Profluent-Bio/E1-150m"] = Repository(private=False)
    files = hub.repositories["Profluent-Bio/E1-150m"].branches["main"]
    files |= {path.name: path.read_bytes() for path in weights.iterdir()}
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    lines: list[str] = []
    assert not verify("Profluent-Bio/E1-150m", notify=lines.append)
    assert (tmp_path / "cache" / "models--Profluent-Bio--E1-150m").is_dir()
    assert lines[1].startswith("compared with Profluent-Bio/E1-150m, revision c4dbfe8")
    failed = [line.partition(": ")[0] for line in lines if line.startswith("FAILED")]
    assert failed == ["FAILED  hash", "FAILED  architecture"]
    digest = sha256(weights / "model.safetensors")
    assert any(f"model.safetensors {digest}; expected ba265633" in line for line in lines)
