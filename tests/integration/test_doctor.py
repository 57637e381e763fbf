"""`bindtune doctor`: what it finds on good and broken settings of both jobs, exit codes, JSON."""

import errno
import itertools
import json
import math
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from transformers import TrainingArguments

from bindtune import E1ForMaskedLM, host_limits, locks
from bindtune.cli import main
from bindtune.demo.families import write_families
from bindtune.demo.tiny_e1 import make_tiny_e1
from bindtune.doctor import binding, machine, memory_fit
from bindtune.doctor.encoders import check_weights
from bindtune.doctor.machine import check_room, check_shared_memory, check_threads
from bindtune.doctor.memory_fit import HEAP, THRESHOLD, TrainingDevice, check_heap, most_tokens, scaled
from bindtune.errors import CheckpointError
from bindtune.host_limits import host_memory, usable_cores
from bindtune.io.a3m import read_a3m
from bindtune.models.activation_bytes import Arithmetic, BatchShape
from bindtune.models.backbones import load_encoder
from bindtune.models.dnabert2 import DNABert2Config, DNABert2ForMaskedLM
from bindtune.models.memory import predict_memory

Doctor = Callable[..., tuple[int, dict[str, Any]]]
Settings = dict[str, dict[str, Any]]


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """Run the command; its exit code and JSON."""

    def run(*words: object) -> tuple[int, dict[str, Any]]:
        monkeypatch.setattr(sys, "argv", ["bindtune", "doctor", "--json", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        return int(stop.value.code or 0), json.loads(capsys.readouterr().out)

    return run


def named(findings: dict[str, Any], section: str, name: str) -> dict[str, Any]:
    return next(one for one in findings["sections"][section] if one["name"] == name)


def problems(findings: dict[str, Any]) -> list[tuple[str, str]]:
    parts = findings["sections"].items()
    return [(section, one["name"]) for section, part in parts for one in part if one["status"] == "problem"]


@pytest.fixture(scope="module")
def proteins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated proteins with alignments, and a small encoder."""
    folder = tmp_path_factory.mktemp("proteins")
    write_families(folder / "proteins", families=8, members=2, seed=1)
    make_tiny_e1(folder / "encoder", seed=1)
    return folder


def binding_config(folder: Path, output: Path, **training: Any) -> Path:
    """Settings of a run on `proteins`, written to a file."""
    values: Settings = {
        "data": {"fasta_path": str(folder / "proteins" / "{ION}_train.fa"), "msa_dir": str(folder / "proteins/msa")},
        "training": {"ions": ["ZN", "CA"], "output_dir": str(output / "run"), "num_folds": 2, "batch_size": 2,
                     "accum_steps": 2, **training},
        "model": {"checkpoint": str(folder / "encoder")},
    }  # fmt: skip
    config = output / "binding.yaml"
    config.write_text(yaml.safe_dump(values))
    return config


def test_the_machine_alone(doctor: Doctor) -> None:
    code, findings = doctor()
    assert (code, findings["ok"]) == (0, True)
    assert named(findings, "versions", "torch")["value"].startswith(torch.__version__)
    assert named(findings, "devices", "cores")["value"] == usable_cores() >= 1
    assert named(findings, "devices", "memory")["value"] == host_memory()
    assert list(findings["sections"]) == ["versions", "devices", "threads", "hub", "extras", "output", "jobs"]
    assert [one["name"] for one in findings["sections"]["jobs"]] == ["pretraining, cpu", "binding sites, cpu"]


@pytest.mark.parametrize(("compiler", "message"), [(True, "compiled"), (False, "pair by pair")])
def test_what_attention_runs_on_a_gpu(monkeypatch: pytest.MonkeyPatch, compiler: bool, message: str) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr(machine, "can_compile", lambda: compiler)
    finding = {one.name: one for one in machine.check_machine(Path())}
    assert finding["varlen attention"].value is True
    assert finding["attention to contexts"].value is compiler
    assert finding["attention to contexts"].text.startswith(message)
    monkeypatch.setattr(machine, "find_spec", lambda name: None)
    lacking = {one.name: one for one in machine.check_machine(Path())}["varlen attention"]
    assert (lacking.status, "torch to 2.10" in lacking.fix) == ("problem", True)


def test_libraries_that_do_not_fit_together(proteins: Path, tmp_path: Path) -> None:
    """As transformers refuses a tokenizers of another version: when it is imported."""
    stub = tmp_path / "site" / "transformers"
    stub.mkdir(parents=True)
    (stub / "__init__.py").write_text("raise ImportError('tokenizers>=9 is required, but found tokenizers==0.23.3')\n")
    paths = os.pathsep.join([str(stub.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    code = (
        "import sys; from bindtune.cli import main\n"
        "for words in ([], sys.argv[1:]):\n"
        "    sys.argv = ['bindtune', 'doctor', '--json', *words]\n"
        "    try: main()\n"
        "    except SystemExit as stop: print(stop.code)\n"
    )
    words = [sys.executable, "-c", code, str(binding_config(proteins, tmp_path))]
    done = subprocess.run(words, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True)
    assert done.stderr == ""
    first, second, rest = done.stdout.split("\n}\n1\n")
    assert rest == ""
    for shown, names in ((first, ["pretraining, cpu", "binding sites, cpu"]), (second, ["train"])):
        findings = json.loads(shown + "}")
        assert problems(findings) == [("jobs", name) for name in names]
        assert named(findings, "versions", "tokenizers")["status"] == "ok"
        assert all("tokenizers>=9 is required" in one["value"] for one in findings["sections"]["jobs"])


def test_good_binding_settings(doctor: Doctor, proteins: Path, tmp_path: Path) -> None:
    code, config = doctor(binding_config(proteins, tmp_path))
    assert (code, problems(config)) == (0, [])
    labels = (proteins / "proteins" / "ZN_train.fa").read_text().splitlines()
    assert named(config, "proteins", "ZN")["value"] == {
        "proteins": len(labels) // 3,
        "positives": sum(line.count("1") for line in labels[2::3]),
        "unknown": 0,
    }
    count = named(config, "proteins", "proteins")["value"]
    aligned = named(config, "alignments", "alignments")["value"]
    assert aligned["proteins"] == count and aligned["with_alignment"] > 0 and aligned["without_homolog"] == 0
    folds = [one["value"] for one in config["sections"]["folds"] if one["name"].startswith("fold ")]
    assert sum(fold["proteins"] for fold in folds) == count
    assert sum(fold["residues"] for fold in folds) == named(config, "proteins", "residues")["value"]
    learned = count - folds[0]["proteins"]
    assert named(config, "batches", "steps in an epoch")["value"] == -(-learned // 4)
    assert named(config, "memory", "fits")["value"] is True
    peaks = [named(config, "memory", f"peak {how}")["value"] for how in ("without it", "with checkpointing")]
    assert peaks[0] > peaks[1]
    assert not (tmp_path / "run").exists()  # nothing is left behind


def test_alignments_that_give_no_homolog_are_counted(doctor: Doctor, proteins: Path, tmp_path: Path) -> None:
    shutil.copytree(proteins, tmp_path / "copy")
    config = binding_config(tmp_path / "copy", tmp_path)
    folder = tmp_path / "copy" / "proteins" / "msa"
    paths = sorted(folder.glob("*.a3m*"))
    for path in paths:
        query = "".join(f">{row.name}\n{row.sequence.decode()}\n" for row in itertools.islice(read_a3m(path), 1))
        path.write_text(query)
        if path == paths[1]:
            break
    code, findings = doctor(config)
    value = named(findings, "alignments", "alignments")["value"]
    assert (code, value["without_homolog"]) == (0, 2) and value["with_alignment"] > 2
    for path in paths:
        path.rename(folder / f"{paths.index(path)}.txt")
    code, findings = doctor(config)
    finding = named(findings, "alignments", "alignments")
    assert (code, finding["value"]["with_alignment"]) == (0, 0)
    assert "has an alignment, all are read alone: looked for" in finding["fix"] and "'0.txt'" in finding["fix"]


def test_all_that_is_wrong_with_binding_files_is_listed_at_once(doctor: Doctor, proteins: Path, tmp_path: Path) -> None:
    shutil.copytree(proteins, tmp_path / "copy")
    config = binding_config(tmp_path / "copy", tmp_path)
    labels = tmp_path / "copy" / "proteins" / "ZN_train.fa"
    lines = labels.read_text().splitlines()
    lines[2], lines[5] = lines[2][:-1], lines[5][:-1] + "x"
    bad = sorted((tmp_path / "copy" / "proteins" / "msa").glob("*.a3m*"))[:2]
    for path in bad:
        path.write_text(">other\nMKV\n")
    code, findings = doctor(config)
    message = named(findings, "alignments", str(tmp_path / "copy" / "proteins/msa"))["value"]
    assert (code, message.splitlines()[0]) == (1, "2 problems")
    assert all(str(path) in message for path in bad)
    labels.write_text("\n".join(lines) + "\n")
    shutil.rmtree(tmp_path / "copy" / "encoder")
    code, findings = doctor(config)
    assert (code, findings["ok"]) == (1, False)
    message = named(findings, "proteins", "labels")["value"]
    assert f"{labels}:3" in message
    assert f"{labels}:6" in message
    assert {section for section, _ in problems(findings)} == {"encoder", "proteins"}


@pytest.mark.parametrize(
    ("override", "section", "message"),
    [
        ("training.epoch=3", "settings", "did you mean 'epochs'"),
        ("lora.target_modules=[nowhere]", "encoder", "no linear layer nowhere"),
        ("training.num_folds=500", "folds", "500 folds cannot be made"),
        ("data.folds=missing.csv", "folds", "missing.csv"),
    ],
)
def test_settings_that_cannot_work(
    override: str, section: str, message: str, doctor: Doctor, proteins: Path, tmp_path: Path
) -> None:
    code, config = doctor(binding_config(proteins, tmp_path), override)
    assert code == 1
    assert [where for where, _ in problems(config)] == [section]
    assert message in next(one["value"] for one in config["sections"][section] if one["status"] == "problem")


def test_settings_that_change_nothing(doctor: Doctor, proteins: Path, tmp_path: Path) -> None:
    config = binding_config(proteins, tmp_path, loss_type="focal", pos_weight_mode="sqrt")
    code, findings = doctor(config)
    message = named(findings, "settings", "without effect")
    assert (code, message["status"]) == (0, "warning")
    assert message["value"].startswith("training.pos_weight_mode: ")


def test_leaks_stop_a_run_unless_they_are_allowed(doctor: Doctor, proteins: Path, tmp_path: Path) -> None:
    config = binding_config(proteins, tmp_path)
    lines = (proteins / "proteins" / "ZN_train.fa").read_text().splitlines()
    lines += [">copy", *lines[1:3]]
    (tmp_path / "ZN.fa").write_text("\n".join(lines) + "\n")
    names = [line[1:].split()[0] for line in lines[::3]]
    fold_of = {name: 1 + number % 2 for number, name in enumerate(names)} | {names[0]: 1, "copy": 2}
    (tmp_path / "folds.csv").write_text("protein,fold\n" + "".join(f"{n},{f}\n" for n, f in fold_of.items()))
    words = [f"data.fasta_path={{ZN: {tmp_path / 'ZN.fa'}}}", "training.ions=[ZN]", "data.msa_dir=null",
             f"data.folds={tmp_path / 'folds.csv'}"]  # fmt: skip
    code, findings = doctor(config, *words)
    assert (code, problems(findings)) == (1, [("folds", "audit")])
    fix = named(findings, "folds", "audit")["fix"]
    assert "leave out data.folds" in fix and "data.leaks=allow" in fix
    assert doctor(config, *words, "data.leaks=allow")[0] == 0


def test_what_does_not_fit_is_said_with_a_budget_that_does(
    doctor: Doctor, proteins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = binding_config(proteins, tmp_path, batch_size=8)
    whole = named(doctor(config)[1], "memory", "peak without it")["value"]
    taken = memory_fit.find_device().taken
    monkeypatch.setattr(
        "bindtune.doctor.memory_fit.find_device", lambda: TrainingDevice("a small host", (whole - taken) * 0.7, 0)
    )
    code, findings = doctor(config)
    assert (code, problems(findings)) == (1, [("memory", "fits")])
    fix = named(findings, "memory", "fits")["fix"]
    assert "training.gradient_checkpointing=true" in fix
    tokens = int(fix.partition("training.max_batch_tokens=")[2].partition(",")[0])
    assert 0 < tokens < named(findings, "batches", "tokens in a batch")["value"]["most"]


@pytest.fixture
def pretrain_config(generated: tuple[Path, Path, Path], tmp_path: Path, datasets_cache: Path) -> Path:
    train, validation, model = generated
    values = {
        "model_name_or_path": str(model), "train_file": str(train), "validation_file": str(validation),
        "output_dir": str(tmp_path / "run"), "per_device_train_batch_size": 4, "gradient_accumulation_steps": 2,
        "preprocessing_num_workers": 1, "report_to": "none",
    }  # fmt: skip
    config = tmp_path / "pretrain.yaml"
    config.write_text(yaml.safe_dump(values))
    return config


def test_good_pretraining_settings(doctor: Doctor, pretrain_config: Path, generated: tuple[Path, Path, Path]) -> None:
    from bindtune.io.records import read_windows

    windows = list(read_windows(generated[0]))
    code, findings = doctor(pretrain_config, "num_train_epochs=3")
    assert (code, problems(findings)) == (0, [])
    message = named(findings, "windows", str(generated[0]))["value"]
    assert message["windows"] == len(windows)
    assert message["peaks"] == sum(len(window.peaks) for window in windows)
    steps = math.ceil(math.ceil(len(windows) / 4) / 2)
    assert named(findings, "batches", "steps in an epoch")["value"] == steps
    assert named(findings, "batches", "steps of the run")["value"] == 3 * steps
    model = DNABert2ForMaskedLM.from_pretrained(generated[2])
    parameters = sum(one.numel() for one in model.parameters())
    assert named(findings, "encoder", "parameters")["value"] == parameters
    assert named(findings, "memory", "optimiser")["value"] == 8 * parameters
    assert not (pretrain_config.parent / "run").exists()


def test_broken_pretraining_settings(doctor: Doctor, pretrain_config: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"seq_id": "a", "sequence": "ACGT", "eclip_regions": []}\n{"seq_id": "b"}\n')
    code, findings = doctor(pretrain_config, f"train_file={bad}", "target_mlm_prob=2", "fp16=true")
    assert code == 1
    assert problems(findings) == [("settings", "masking rates"), ("settings", "training"), ("windows", str(bad))]
    assert ":2: " in named(findings, "windows", str(bad))["value"]
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "something").touch()
    code, findings = doctor(pretrain_config)
    assert (code, problems(findings)) == (1, [("output", "run folder")])


def test_few_validation_windows_with_peaks(
    doctor: Doctor, pretrain_config: Path, generated: tuple[Path, Path, Path]
) -> None:
    code, findings = doctor(pretrain_config, f"validation_file={generated[0]}", "max_eval_samples=5")
    doubt = named(findings, "windows", "validation peaks")
    assert (code, doubt["status"], doubt["fix"]) == (0, "warning", "raise max_eval_samples")
    assert doubt["value"] <= 5
    code, findings = doctor(pretrain_config, f"validation_file={generated[0]}")
    assert not [one for one in findings["sections"]["windows"] if one["name"] == "validation peaks"]


def test_validation_windows_that_are_learned_from(
    doctor: Doctor, pretrain_config: Path, generated: tuple[Path, Path, Path]
) -> None:
    code, findings = doctor(pretrain_config, f"validation_file={generated[0]}")
    shared = named(findings, "windows", "in both files")
    assert (code, shared["status"]) == (0, "warning")
    assert shared["value"] > 0


def test_a_file_for_neither_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    config = tmp_path / "other.yaml"
    config.write_text("peaks: a.bed\n")
    monkeypatch.setattr(sys, "argv", ["bindtune", "doctor", str(config)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert "--job" in capsys.readouterr().err


def test_text_is_aligned_and_names_the_fix(
    proteins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = binding_config(proteins, tmp_path)
    shutil.copytree(proteins / "encoder", tmp_path / "weightless")
    (tmp_path / "weightless" / "model.safetensors").unlink()
    monkeypatch.setattr("bindtune.doctor.encoders.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(sys, "argv", ["bindtune", "doctor", str(config), f"model.checkpoint={tmp_path / 'weightless'}"])
    with pytest.raises(SystemExit) as stop:
        main()
    shown = capsys.readouterr().out
    assert stop.value.code == 1
    line = next(line for line in shown.splitlines() if line.startswith("  weights"))
    assert line.index("problem: ") == 29
    assert f"-> download them on a machine with a network: hf download {tmp_path / 'weightless'}" in shown
    assert shown.splitlines()[-1].startswith("1 problem")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "model.safetensors").unlink(), "no weights in this folder"),
        (lambda folder: os.truncate(folder / "model.safetensors", 5000), "no weights"),
        (lambda folder: next(folder.glob("model-*-of-*")).unlink(), "parts are missing: model-"),
        (lambda folder: (folder / "pytorch_model.bin").write_bytes(b"<html>not found</html>"), "not a file of weights"),
    ],
    ids=["missing", "cut off", "a part missing", "a web page"],
)
def test_weights_that_cannot_be_loaded(
    damage: Callable[[Path], Any], words: str, doctor: Doctor, proteins: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("bindtune.doctor.encoders.constants.HF_HUB_OFFLINE", False)
    shutil.copytree(proteins / "encoder", tmp_path / "damaged")
    weights = tmp_path / "damaged" / "model.safetensors"
    if "part" in words:
        E1ForMaskedLM.from_pretrained(proteins / "encoder").save_pretrained(
            tmp_path / "damaged", max_shard_size="300KB"
        )
        weights.unlink()
    if words == "not a file of weights":
        weights.unlink()
    damage(tmp_path / "damaged")
    code, config = doctor(binding_config(proteins, tmp_path), f"model.checkpoint={tmp_path / 'damaged'}")
    assert code == 1
    assert ("encoder", "weights") in problems(config)
    if words != "no weights in this folder":
        assert words in named(config, "encoder", "weights")["value"]
    with pytest.raises(CheckpointError):  # a run would end there
        load_encoder(str(tmp_path / "damaged"))


def test_weights_that_were_not_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bindtune.doctor.encoders.constants.HF_HUB_OFFLINE", False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)

    def unknown(host: str, port: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr("bindtune.models.base_files.socket.getaddrinfo", unknown)
    (finding,) = check_weights("example/model")
    assert (finding.status, finding.fix.partition(" on ")[0]) == ("problem", "run hf download example/model")
    assert finding.text.endswith(": Name or service not known")
    monkeypatch.setattr("bindtune.models.base_files.socket.getaddrinfo", lambda host, port: [])
    assert [one.status for one in check_weights("example/model")] == ["warning"]


def test_whole_weights_of_every_form(proteins: Path, tmp_path: Path) -> None:
    E1ForMaskedLM.from_pretrained(proteins / "encoder").save_pretrained(tmp_path / "parts", max_shard_size="300KB")
    (tmp_path / "old").mkdir()
    torch.save({"a": torch.ones(2)}, tmp_path / "old" / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    for folder, count in ((proteins / "encoder", 1), (tmp_path / "old", 1), (tmp_path / "parts", None)):
        (finding,) = check_weights(str(folder))
        assert finding.status == "ok"
        assert len(finding.value) == (count or len(list(folder.glob("model-*-of-*"))))


def test_a_run_whose_files_have_changed_since(doctor: Doctor, proteins: Path, tmp_path: Path) -> None:
    from bindtune.config import load_binding
    from bindtune.training.binding.inputs import read_run
    from bindtune.training.binding.run_folder import sign

    shutil.copytree(proteins, tmp_path / "copy")
    config = binding_config(tmp_path / "copy", tmp_path)
    settings = load_binding(config, [])
    sign(settings, tmp_path / "run", read_run(settings, tmp_path / "run"), processes=1)
    (tmp_path / "run" / "fold_1").mkdir()
    (tmp_path / "run" / "fold_1" / "history.csv").write_text("epoch\n")
    code, findings = doctor(config)
    assert (code, named(findings, "output", "run folder")["status"]) == (0, "warning")
    labels = tmp_path / "copy" / "proteins" / "CA_train.fa"
    lines = labels.read_text().splitlines()
    lines[2] = lines[2][:-1] + ("0" if lines[2][-1] == "1" else "1")
    labels.write_text("\n".join(lines) + "\n")
    code, findings = doctor(config)
    assert (code, problems(findings)) == (1, [("output", "inputs")])
    assert "labels of CA" in named(findings, "output", "inputs")["value"]


def test_windows_that_have_changed_since(
    doctor: Doctor, pretrain_config: Path, pretraining_run: Path, generated: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    shutil.copytree(pretraining_run, tmp_path / "begun")
    shutil.copy(generated[0], tmp_path / "train.parquet")
    values = yaml.safe_load((tmp_path / "begun" / "config.yaml").read_text())
    values |= {"output_dir": str(tmp_path / "begun"), "train_file": str(tmp_path / "train.parquet")}
    (tmp_path / "begun" / "config.yaml").write_text(yaml.safe_dump(values))
    config = tmp_path / "resumed.yaml"
    config.write_text(yaml.safe_dump(values | {"resume_from_checkpoint": "auto"}))
    code, findings = doctor(config)
    assert (code, problems(findings)) == (0, [])
    shutil.copy(generated[1], tmp_path / "train.parquet")
    code, findings = doctor(config)
    assert (code, problems(findings)) == (1, [("output", "run folder")])
    assert "train_file" in named(findings, "output", "run folder")["value"]


def test_what_the_launcher_asks_for(
    doctor: Doctor, proteins: Path, pretrain_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "binding").mkdir()
    configs = (pretrain_config, binding_config(proteins, tmp_path / "binding"))
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "fp16")
    for config in configs:
        code, findings = doctor(config)
        assert (code, problems(findings)) == (1, [("settings", "launcher")])
    monkeypatch.delenv("ACCELERATE_MIXED_PRECISION")
    monkeypatch.setattr(TrainingArguments, "n_gpu", 2)
    code, findings = doctor(pretrain_config)
    gpus = named(findings, "settings", "GPUs")
    assert (code, gpus["status"]) == (0, "warning")
    assert gpus["fix"].startswith("torchrun --standalone --nproc_per_node=2 -m bindtune pretrain")


def test_threads_and_reserved_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(machine, "usable_cores", lambda: 8)
    assert {one.status for one in check_threads({})} == {"ok"}
    fewer = check_threads({"SLURM_CPUS_PER_TASK": "8"})[-1]
    assert (fewer.status, fewer.text) == ("warning", "4 threads, 8 cores are reserved")
    more = check_threads({"SLURM_CPUS_PER_TASK": "2"})[-1]
    assert (more.status, more.fix.partition(":")[0]) == ("warning", "export OMP_NUM_THREADS=2")


def test_memory_is_limited_by_the_control_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_limits, "_control_groups", lambda kind: [tmp_path])
    unlimited = host_memory()
    (tmp_path / "memory.max").write_text("max\n")
    assert host_memory() == unlimited
    (tmp_path / "memory.max").write_text("1048576\n")
    assert host_memory() == 1048576
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    assert usable_cores() == 1


def test_shared_memory_of_a_container_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = {"total": 64 << 20, "free": 63 << 20}
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda folder: SimpleNamespace(**usage))
    small = check_shared_memory(tmp_path)
    assert (small.status, small.text) == ("warning", "64 MiB, 63 MiB free")
    usage["free"] = 0
    full = check_shared_memory(tmp_path)
    assert full.status == "problem"
    assert "training.num_workers=0" in full.fix and "--shm-size" in full.fix
    usage |= {"total": 1 << 30, "free": 1 << 30}
    assert check_shared_memory(tmp_path).status == "ok"
    monkeypatch.undo()
    assert check_shared_memory(tmp_path / "none").text == "cannot be used: No such file or directory"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the variable is glibc's")
def test_a_heap_that_keeps_what_is_freed_is_said() -> None:
    assert [one.status for one in check_heap({HEAP: THRESHOLD})] == ["ok"]
    for environment in ({}, {HEAP: "33554432"}):
        (finding,) = check_heap(environment)
        assert (finding.status, finding.fix) == (
            "warning",
            "export MALLOC_MMAP_THRESHOLD_=262144 before training on a CPU",
        )


def test_room_on_the_disk(tmp_path: Path) -> None:
    free = check_room(tmp_path / "new" / "run", needed=1)
    assert [(one.status, one.name) for one in free] == [("ok", str(tmp_path / "new" / "run"))]
    assert check_room(tmp_path, needed=2**80)[0].status == "warning"
    (tmp_path / "file").touch()
    assert check_room(tmp_path / "file" / "run")[0].status == "problem"


def test_an_output_that_is_a_link_to_nothing(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    for output in (tmp_path / "link", tmp_path / "link" / "run"):
        (finding,) = check_room(output)
        assert (finding.status, finding.text) == ("problem", f"{tmp_path / 'link'} is a link to nothing")


@pytest.mark.parametrize(
    ("number", "status", "text"),
    [
        (None, "ok", "there"),
        (errno.ENOLCK, "warning", "this disk has no locks; runs work without them"),
        (errno.EIO, "problem", f"files cannot be locked: {os.strerror(errno.EIO)}"),
    ],
)
def test_disks_without_locks(
    number: int | None, status: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def flock(descriptor: int, kind: int) -> None:
        asked.append((fcntl_.fcntl(descriptor, fcntl_.F_GETFL) & os.O_ACCMODE, kind))
        if number is not None:
            raise OSError(number, os.strerror(number))

    fcntl_ = locks.fcntl
    monkeypatch.setattr(locks.fcntl, "flock", flock)
    (finding,) = machine.check_locks(tmp_path / "new" / "run")
    assert (finding.status, finding.text) == (status, text)
    assert asked == [(os.O_RDWR, fcntl_.LOCK_EX | fcntl_.LOCK_NB)]  # as network disks want it
    assert list(tmp_path.iterdir()) == []


def test_locks_are_looked_at_for_a_run_too(doctor: Doctor, proteins: Path, tmp_path: Path) -> None:
    config = doctor(binding_config(proteins, tmp_path))[1]
    assert named(config, "output", "locks")["value"] is True


def test_the_most_tokens_are_those_that_just_fit() -> None:
    with torch.device("meta"):
        model = DNABert2ForMaskedLM(DNABert2Config(num_hidden_layers=2))
    batch, arithmetic = BatchShape(rows=8, columns=100, tokens=750, masked=112), Arithmetic()
    memory = predict_memory(model, batch, arithmetic)
    assert memory is not None
    tokens = most_tokens(model, batch, arithmetic, room=memory.total)
    within, beyond = (predict_memory(model, scaled(batch, tokens + more), arithmetic) for more in (0, 10))
    assert within is not None
    assert beyond is not None
    assert within.total <= memory.total < beyond.total
    assert most_tokens(model, batch, arithmetic, room=memory.weights) == 0


def test_binding_reads_with_the_readers_of_training() -> None:
    from bindtune.training.binding import inputs

    assert binding.read_proteins is inputs.read_proteins
    assert binding.read_alignments is inputs.read_alignments
