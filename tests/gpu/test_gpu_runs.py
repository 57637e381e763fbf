"""The commands on a GPU: training in 16 bits, stopped and gone on with; prediction, embeddings, scores as on a CPU."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
import yaml
from safetensors.torch import load_file

from bindtune.cli import main
from bindtune.config import PretrainConfig, build, load_binding
from bindtune.demo.families import write_families
from bindtune.demo.pretraining import make_windows_and_model
from bindtune.demo.tiny_e1 import make_tiny_e1
from bindtune.doctor.trials import try_jobs
from bindtune.errors import Interrupted
from bindtune.training.binding.run import cross_validate
from bindtune.training.binding.trainer import E1BindingTrainer
from bindtune.training.pretraining.run import pretrain
from bindtune.training.pretraining.trainer import RegionTrainer

Run = Callable[..., None]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command line, which must succeed."""

    def run(*words: object) -> None:
        monkeypatch.setattr(sys, "argv", ["bindtune", *map(str, words)])
        try:
            main()
        except SystemExit as stop:
            assert not stop.code

    return run


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    return make_windows_and_model(tmp_path_factory.mktemp("windows"), small=True, notify=lambda _: None)


def pretraining(windows: tuple[Path, Path, Path], out: Path, **changed: Any) -> dict[str, Any]:
    train, validation, model = windows
    return {
        "model_name_or_path": str(model), "train_file": str(train), "validation_file": str(validation),
        "output_dir": str(out), "use_adaptive_masking": True, "max_steps": 12, "per_device_train_batch_size": 8,
        "gradient_accumulation_steps": 2, "learning_rate": 1e-3, "eval_steps": 4, "save_steps": 4, "logging_steps": 2,
        "dataloader_num_workers": 2, "preprocessing_num_workers": 1, "max_eval_samples": 20, "report_to": "none",
        "resume_from_checkpoint": "auto", "bf16": True,
    } | changed  # fmt: skip


def same(first: Path, second: Path) -> bool:
    left, right = load_file(first), load_file(second)
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("changed", [{}, {"bf16": False, "fp16": True}, {"gradient_checkpointing": True}])
def test_a_stopped_pretraining_ends_as_the_straight_one(
    changed: dict[str, bool], windows: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = pretrain(build(PretrainConfig, pretraining(windows, tmp_path / "straight", **changed)))
    broken, step = pretraining(windows, tmp_path / "broken", **changed), RegionTrainer.training_step
    with monkeypatch.context() as patch:

        def stopped(trainer: RegionTrainer, *options: Any, **named: Any) -> Any:
            if trainer.state.global_step == 5:
                os.kill(os.getpid(), signal.SIGTERM)
            return step(trainer, *options, **named)

        patch.setattr(RegionTrainer, "training_step", stopped)
        with pytest.raises(Interrupted):
            pretrain(build(PretrainConfig, broken))
    again = pretrain(build(PretrainConfig, broken))
    assert again["eval_loss"] == pytest.approx(straight["eval_loss"], rel=1e-5)
    assert same(tmp_path / "straight" / "model.safetensors", tmp_path / "broken" / "model.safetensors")
    state = json.loads((tmp_path / "straight" / "trainer_state.json").read_text())
    losses = [entry["loss"] for entry in state["log_history"] if "loss" in entry]
    assert losses[-1] < losses[0] < 12


def test_pretraining_learns_as_on_a_cpu(windows: tuple[Path, Path, Path], tmp_path: Path) -> None:
    """In 32 bits, without dropout, whose draws differ between devices."""
    model = tmp_path / "still"
    model.mkdir()
    for path in windows[2].iterdir():
        (model / path.name).write_bytes(path.read_bytes())
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "hidden_dropout_prob": 0.0}))
    settings = pretraining((*windows[:2], model), tmp_path / "gpu", bf16=False)
    on_gpu = pretrain(build(PretrainConfig, settings))
    file = tmp_path / "cpu.json"
    file.write_text(json.dumps({**settings, "output_dir": str(tmp_path / "cpu")}))
    code = (
        "import json, sys; from bindtune.config import PretrainConfig, build; "
        "from bindtune.training.pretraining.run import pretrain; "
        "print(json.dumps(pretrain(build(PretrainConfig, json.load(open(sys.argv[1]))))))"
    )
    hidden = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    words = [sys.executable, "-c", code, str(file)]
    done = subprocess.run(words, check=True, capture_output=True, text=True, env=hidden)
    on_cpu = json.loads(done.stdout.splitlines()[-1])
    assert on_gpu["eval_loss"] == pytest.approx(on_cpu["eval_loss"], rel=1e-4)


@pytest.fixture(scope="module")
def proteins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated proteins with alignments, and a small encoder."""
    folder = tmp_path_factory.mktemp("proteins")
    write_families(folder / "proteins", families=12, members=2, seed=1)
    make_tiny_e1(folder / "encoder", seed=1)
    return folder


def binding_settings(folder: Path, out: Path, *, aligned: bool = False, **training: Any) -> Path:
    alignments = str(folder / "proteins/msa") if aligned else None
    values: dict[str, Any] = {
        "data": {"fasta_path": str(folder / "proteins" / "{ION}_train.fa"), "msa_dir": alignments},
        "training": {"ions": ["ZN", "CA"], "output_dir": str(out), "num_folds": 2, "epochs": 2, "warmup_epochs": 1,
                     "batch_size": 4, "accum_steps": 1, "learning_rate": 3e-3, "num_workers": 0, "save_steps": 1,
                     **training},
        "lora": {"r": 4, "alpha": 8, "dropout": 0.1},
        "model": {"checkpoint": str(folder / "encoder")},
    }  # fmt: skip
    file = out.with_suffix(".yaml")
    file.write_text(yaml.safe_dump(values))
    return file


# Kernels for long rows sum gradients of attention in no fixed order, and Adam makes much of the last digits in its
# first steps: with contexts two runs are close, not equal.
@pytest.mark.parametrize(
    ("training", "tolerance"),
    [
        ({"use_bf16": True}, 0.0),
        ({"use_bf16": True, "gradient_checkpointing": True}, 0.0),
        ({"aligned": True, "use_bf16": True}, 0.03),
        ({"aligned": True}, 0.03),
    ],
)
def test_a_stopped_fold_ends_as_the_straight_one(
    training: dict[str, bool], tolerance: float, proteins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight, broken = (binding_settings(proteins, tmp_path / name, **training) for name in ("straight", "broken"))
    cross_validate(load_binding(straight, ()))
    step = E1BindingTrainer._step
    with monkeypatch.context() as patch:

        def stopped(trainer: E1BindingTrainer, *options: Any, **named: Any) -> None:
            if (trainer.fold, trainer.state.epoch, trainer.state.step) == (2, 1, 1):
                os.kill(os.getpid(), signal.SIGTERM)
            step(trainer, *options, **named)

        patch.setattr(E1BindingTrainer, "_step", stopped)
        with pytest.raises(Interrupted):
            cross_validate(load_binding(broken, ()))
    cross_validate(load_binding(broken, ()), resume=tmp_path / "broken")
    tables = [pq.read_table(tmp_path / name / "oof.parquet") for name in ("straight", "broken")]
    first, second = (torch.tensor(table["probability"].to_numpy()) for table in tables)
    torch.testing.assert_close(first, second, atol=tolerance, rtol=0)
    assert float(first.std()) > 0.03


@pytest.fixture(scope="module")
def trained(proteins: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("trained") / "run"
    cross_validate(load_binding(binding_settings(proteins, run, use_bf16=True), ()))
    return run


@pytest.mark.parametrize(("options", "tolerance"), [((), 1e-5), (("--bf16",), 0.03)])
@pytest.mark.parametrize("aligned", [False, True])
def test_predictions_are_those_of_a_cpu(
    aligned: bool, options: tuple[str, ...], tolerance: float, run: Run, proteins: Path, trained: Path, tmp_path: Path
) -> None:
    fasta = proteins / "proteins" / "unlabelled.fa"
    alignments: tuple[object, ...] = ()
    if aligned:
        fasta, lines = tmp_path / "p.fa", (proteins / "proteins" / "ZN_train.fa").read_text().splitlines()
        fasta.write_text("".join(f"{name}\n{text}\n" for name, text in zip(lines[::3], lines[1::3], strict=True)))
        alignments = ("--msa-dir", proteins / "proteins" / "msa", "--contexts", 2)
    words = ("predict", "--run", trained, "--fasta", fasta, *alignments, *options)
    run(*words, "--device", "cpu", "--out", tmp_path / "cpu")
    run(*words, "--device", "cuda", "--out", tmp_path / "gpu")
    tables = [pq.read_table(tmp_path / where / "predictions.parquet") for where in ("cpu", "gpu")]
    first, second = (torch.tensor(table["probability"].to_numpy()) for table in tables)
    assert float((first - second).abs().max()) < tolerance
    assert float(first.std()) > tolerance


def test_embeddings_and_scores_are_those_of_a_cpu(run: Run, proteins: Path, tmp_path: Path) -> None:
    lines = (proteins / "proteins" / "ZN_train.fa").read_text().splitlines()
    name, sequence = lines[0][1:].split()[0], lines[1]
    (tmp_path / "p.fa").write_text(f">{name}\n{sequence}\n")
    other = {"A": "C"}.get(sequence[0], "A")
    (tmp_path / "v.txt").write_text(f"{sequence[0]}1{other}\n")
    msa = next((proteins / "proteins" / "msa").glob(f"{name}.a3m*"))
    for device in ("cpu", "cuda"):
        model = ("--model", proteins / "encoder", "--device", device)
        run("embed", *model, "--fasta", tmp_path / "p.fa", "--out", tmp_path / f"{device}.safetensors",
            "--msa-dir", proteins / "proteins" / "msa")  # fmt: skip
        run("score", *model, "--parent", tmp_path / "p.fa", "--variants", tmp_path / "v.txt", "--msa", msa,
            "--num-contexts", 2, "--out", tmp_path / f"{device}.tsv")  # fmt: skip
    one, two = (load_file(tmp_path / f"{device}.safetensors")[name] for device in ("cpu", "cuda"))
    torch.testing.assert_close(one, two, atol=2e-5, rtol=1e-4)
    scores = [
        float((tmp_path / f"{device}.tsv").read_text().splitlines()[1].split("\t")[2]) for device in ("cpu", "cuda")
    ]
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)


def test_a_launched_process_has_its_gpu(
    windows: tuple[Path, Path, Path], proteins: Path, trained: Path, tmp_path: Path
) -> None:
    """And learns what a plain process learns, and what this one did after other tests, to the bit."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=1", "-m", "--", "bindtune"]
    options: list[str] = []
    for name, value in pretraining(windows, tmp_path / "windows", max_steps=4).items():
        options += [f"--{name}" if value else f"--no_{name}"] if isinstance(value, bool) else [f"--{name}", str(value)]
    sites, plain = (binding_settings(proteins, tmp_path / name, use_bf16=True) for name in ("sites", "plain"))
    for command in (
        [*torchrun, "pretrain", *options],
        [*torchrun, "train", "--config", str(sites)],
        ["-m", "bindtune", "train", "--config", str(plain)],
        [*torchrun, "predict", "--run", str(trained), "--fasta", str(proteins / "proteins" / "unlabelled.fa"),
         "--out", str(tmp_path / "predicted")],
    ):  # fmt: skip
        done = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    runs = (trained, tmp_path / "plain", tmp_path / "sites")
    tables = [torch.tensor(pq.read_table(run / "oof.parquet")["probability"].to_numpy()) for run in runs]
    assert [torch.equal(tables[0], other) for other in tables[1:]] == [True, True]


def test_doctor_sees_the_gpu(capsys: pytest.CaptureFixture[str], run: Run, proteins: Path, tmp_path: Path) -> None:
    run("doctor", binding_settings(proteins, tmp_path / "run", use_bf16=True))
    line = next(line for line in capsys.readouterr().out.splitlines() if line.split()[:1] == ["fits"])
    assert "yes" in line and torch.cuda.get_device_name(0) in line


def test_doctor_tries_both_jobs_on_the_gpu() -> None:
    findings = {one.name: one for one in try_jobs()}
    assert list(findings) == [
        f"{job}, {device}" for device in ("cpu", "cuda") for job in ("pretraining", "binding sites")
    ]
    assert {name: one.text for name, one in findings.items() if one.status != "ok"} == {}
