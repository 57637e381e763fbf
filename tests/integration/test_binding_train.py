"""`bindtune train` end to end: folds, out-of-fold tables, processes, kills, on generated and on real proteins."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml

import tiny_e1
from bindtune.config import BindingConfig, build, load_binding
from bindtune.data.protein.input_files import label_files
from bindtune.data.protein.proteins import load_proteins
from bindtune.errors import BindtuneError, CheckError, ConfigError, Interrupted
from bindtune.models.e1 import E1ForMaskedLM
from bindtune.training.binding.merge import merge_folds
from bindtune.training.binding.run import cross_validate
from bindtune.training.binding.trainer import E1BindingTrainer

LETTERS = "ACDEFGHIKLMNPQRSTVWY"
SETTINGS: dict[str, Any] = {
    "training": {
        "ions": ["ZN", "MN"], "num_folds": 3, "epochs": 2, "warmup_epochs": 1, "batch_size": 2, "accum_steps": 2,
        "learning_rate": 3e-3, "num_workers": 0, "save_steps": 1,
    },
    "lora": {"r": 4, "alpha": 8, "dropout": 0.1},
}  # fmt: skip


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random E1."""
    folder = tmp_path_factory.mktemp("encoder")
    return tiny_e1.save(folder)


def write_labels(folder: Path, ion: str, *, count: int, first: int) -> None:
    """Proteins p<first>... of 20 to 60 residues in which every second C binds."""
    drawn = random.Random(first)
    text = []
    for number in range(first, first + count):
        sequence = "".join(random.Random(number).choices(LETTERS, k=20 + number % 40)) + "CC"
        labels = ["1" if letter == "C" and drawn.random() < 0.5 else "0" for letter in sequence]
        labels[-1] = "1"
        text.append(f">p{number}\n{sequence}\n{''.join(labels)}\n")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{ion}.fa").write_text("".join(text))


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two ions, 13 proteins each, five in common: 21 in all."""
    folder = tmp_path_factory.mktemp("labels")
    write_labels(folder, "ZN", count=13, first=0)
    write_labels(folder, "MN", count=13, first=8)
    return str(folder / "{ION}.fa")


@pytest.fixture
def settings(encoder: Path, labels: str, tmp_path: Path) -> Callable[..., BindingConfig]:
    """Settings of a small run, with overrides."""

    def make(*overrides: str, out: str = "run") -> BindingConfig:
        file = tmp_path / f"{out}.yaml"
        values = {**SETTINGS, "data": {"fasta_path": labels}, "model": {"checkpoint": str(encoder)}}
        values["training"] = {**SETTINGS["training"], "output_dir": str(tmp_path / out)}
        file.write_text(yaml.safe_dump(values))
        return load_binding(file, overrides)

    return make


def table(run: Path) -> Any:
    """The out-of-fold table of a run, sorted."""
    return pq.read_table(run / "oof.parquet").sort_by([(name, "ascending") for name in ("protein", "ion", "position")])


def check_complete(run: Path, config: BindingConfig) -> None:
    """Every labelled residue of every protein once for each known ion, with its letter, label and fold."""
    training, data = config.training, config.data
    files = label_files(config.label_paths, ions=training.ions, groups=data.ion_groups)
    proteins = load_proteins(files, ions=training.ions, groups=data.ion_groups)
    with (run / "folds.csv").open() as handle:
        folds = {row["protein"]: int(row["fold"]) for row in csv.DictReader(handle)}
    expected = sorted(
        (name, ion, position + 1, sequence[position], int(labels[position, column]), folds[name])
        for name, sequence, labels in zip(proteins.names, proteins.sequences, proteins.labels, strict=True)
        for column, ion in enumerate(proteins.ions)
        for position in range(len(sequence))
        if labels[position, column] >= 0
    )
    rows = table(run).to_pylist()
    names = ("protein", "ion", "position", "residue", "label", "fold")
    assert sorted(tuple(row[name] for name in names) for row in rows) == expected
    assert all(0.0 < row["probability"] < 1.0 for row in rows)
    sides: dict[str, set[int]] = {}
    for name, sequence in zip(proteins.names, proteins.sequences, strict=True):
        sides.setdefault(sequence, set()).add(folds[name])
    assert all(len(folds) == 1 for folds in sides.values())


def launch(python: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the command line in two processes, under torchrun."""
    torchrun = ["torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    return subprocess.Popen(
        [sys.executable, "-m", *torchrun, "-m", "bindtune", *arguments],
        env={**os.environ, "PYTHON_EXEC": str(python)}, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, error = process.communicate(timeout=300)
    return process.returncode, out + error


def test_a_run_leaves_everything_that_later_steps_need(settings: Callable[..., BindingConfig], tmp_path: Path) -> None:
    config = settings()
    text = cross_validate(config)
    run = tmp_path / "run"
    check_complete(run, config)
    assert "base rate" in text and "baseline" in text
    with (run / "metrics.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert {(row["fold"], row["epoch"], row["split"], row["ion"]) for row in rows} == {
        (str(fold), str(epoch), split, ion)
        for fold in (1, 2, 3)
        for epoch in (1, 2)
        for split in ("train", "validation")
        for ion in ("ZN", "MN", "mean")
    }
    arrays = np.load(run / "oof_preds.npz", allow_pickle=False)
    base = arrays["position_base"]
    assert base.shape == () and base == 0  # said in the file, beside ids that count from it
    assert min(int(name.rpartition(":")[2]) for name in arrays["ids"]) == base
    by_id = {
        (name, ion): (label, prob)
        for name, ion, label, prob in zip(*(arrays[key] for key in ("ids", "ions", "labels", "probs")), strict=True)
    }
    for row in table(run).to_pylist():
        assert by_id[f"{row['protein']}:{row['position'] - 1}", row["ion"]] == (
            row["label"],
            np.float32(row["probability"]),
        )
    for fold in (1, 2, 3):
        folder = run / f"fold_{fold}"
        heads = torch.load(folder / "best_e1_binding_model_heads.pt", weights_only=True)
        assert heads.keys() == {
            "epoch", "base_model_checkpoint", "lora_config", "classifier_heads", "ions", "metrics", "fold",
        }  # fmt: skip
        assert heads["fold"] == fold and heads["metrics"].keys() == {"auprc", "hra"}
        assert {path.name for path in (folder / "plots").iterdir()} == {
            f"{kind}_fold_{fold}_{ion}.png" for kind in ("loss", "auprc") for ion in ("ZN", "MN")
        }
        size = sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
        assert size < 4 * sum(p.numel() for p in E1ForMaskedLM.from_pretrained(config.model.checkpoint).parameters())
        assert not (folder / "state.pt").exists()
    thresholds = yaml.safe_load((run / "global_thresholds.yaml").read_text())
    assert thresholds["threshold_method"] == "mcc" and thresholds["thresholds"].keys() == {"ZN", "MN"}
    assert "Profluent-E1" in (run / "NOTICE").read_text()
    origin = json.loads((run / "provenance.json").read_text())
    assert {"labels of ZN", "labels of MN", "base model.safetensors"} <= origin["inputs"].keys()
    assert "fold 3 epoch 2" in (run / "training.log").read_text()
    assert any((run / "logs" / "fold_1").iterdir())


@pytest.mark.usefixtures("no_pictures")
def test_folds_trained_apart_and_merged_are_the_straight_run(
    settings: Callable[..., BindingConfig], tmp_path: Path
) -> None:
    cross_validate(settings())
    apart = settings(out="apart")
    for fold in (2, 1):
        assert "not done yet" in cross_validate(apart, fold=fold)
    with pytest.raises(BindtuneError, match="fold_3"):
        merge_folds(tmp_path / "apart")
    cross_validate(apart, fold=3)
    merge_folds(tmp_path / "apart")
    assert table(tmp_path / "apart").equals(table(tmp_path / "run"))
    for name in ("metrics.csv", "global_thresholds.yaml", "summary.yaml", "folds.csv"):
        assert (tmp_path / "apart" / name).read_text() == (tmp_path / "run" / name).read_text()
    with pytest.raises(ConfigError, match="not empty"):
        cross_validate(apart, fold=3)


@pytest.mark.slow
@pytest.mark.usefixtures("no_pictures")
def test_two_processes_learn_what_one_does(
    settings: Callable[..., BindingConfig], tmp_path: Path, warm_python: Path
) -> None:
    # Dropout draws differ between processes, so it is off; the rest agrees up to the order of sums in fp32.
    still = ("lora.dropout=0", "model.dropout=0", "training.patience=1", "training.epochs=3")
    cross_validate(settings(*still, "training.accum_steps=2"))
    settings(out="two")
    words = ["train", "--config", str(tmp_path / "two.yaml"), *still, "training.accum_steps=1"]
    code, said = finish(launch(warm_python, *words))
    assert code == 0, said
    one, two = table(tmp_path / "run"), table(tmp_path / "two")
    assert one.drop(["probability"]).equals(two.drop(["probability"]))
    difference = np.abs(one["probability"].to_numpy() - two["probability"].to_numpy()).max()
    assert difference < 1e-5
    epochs = [(tmp_path / name / "metrics.csv").read_text().count("\n") for name in ("run", "two")]
    assert epochs[0] == epochs[1]
    thresholds = [yaml.safe_load((tmp_path / name / "global_thresholds.yaml").read_text()) for name in ("run", "two")]
    for ion in ("ZN", "MN"):
        assert thresholds[0]["thresholds"][ion]["threshold"] == pytest.approx(
            thresholds[1]["thresholds"][ion]["threshold"], abs=1e-5
        )


@pytest.mark.slow
def test_two_processes_learn_from_the_folds_of_the_first(
    settings: Callable[..., BindingConfig], tmp_path: Path, warm_python: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each call of this MMseqs2 clusters otherwise; only the main process is to ask.
    program = tmp_path / "mmseqs"
    program.write_text(
        f"#!/bin/sh\necho called >> {tmp_path}/calls\nsize=$(wc -l < {tmp_path}/calls)\n"
        """grep '^>' "$2" | tr -d '>' | awk -v n="$size" '{print int($1 / n) * n "\\t" $1}' > "$3_cluster.tsv"\n"""
    )
    program.chmod(0o755)
    monkeypatch.setenv("MMSEQS2_PATH", str(program))
    settings(out="two")
    words = ["train", "--config", str(tmp_path / "two.yaml"), "--fold", "1"]
    code, said = finish(launch(warm_python, *words, "data.clusters=mmseqs", "training.epochs=1"))
    assert code == 0, said
    assert (tmp_path / "calls").read_text() == "called\n"
    with (tmp_path / "two" / "folds.csv").open() as handle:
        held_out = {row["protein"] for row in csv.DictReader(handle) if row["fold"] == "1"}
    assert set(pq.read_table(tmp_path / "two" / "fold_1" / "oof.parquet")["protein"].to_pylist()) == held_out


@pytest.mark.slow
def test_a_lost_process_ends_the_others_and_the_run_resumes(
    settings: Callable[..., BindingConfig], tmp_path: Path, warm_python: Path
) -> None:
    many = ("training.epochs=40", "training.patience=0", "training.warmup_epochs=2")
    settings(out="lost")
    process = launch(warm_python, "train", "--config", str(tmp_path / "lost.yaml"), *many)
    wait_for(tmp_path / "lost" / "fold_1" / "state.pt", process)
    victim = children(process.pid)[-1]
    os.kill(victim, signal.SIGKILL)
    code, said = finish(process)
    assert code != 0
    assert "lost contact with another process of this run" in said and "--resume" in said
    state = torch.load(tmp_path / "lost" / "fold_1" / "state.pt", weights_only=True)
    assert state["state"]["epoch"] + state["state"]["step"] > 0


def children(parent: int) -> list[int]:
    """Processes that run the package, below a process, oldest first."""
    children = subprocess.run(["pgrep", "-P", str(parent)], capture_output=True, text=True, check=True)
    return sorted(int(number) for number in children.stdout.split())


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, finish(process)
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.usefixtures("no_pictures")
def test_sigterm_saves_and_says_how_to_go_on(
    settings: Callable[..., BindingConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cross_validate(settings())
    stopped = settings(out="stopped")
    step = E1BindingTrainer._step
    seen = []

    def stop_at_the_third(self: E1BindingTrainer, *arguments: Any, **named: Any) -> None:
        step(self, *arguments, **named)
        seen.append(1)
        if len(seen) == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(E1BindingTrainer, "_step", stop_at_the_third)
    with pytest.raises(Interrupted, match="--resume"):
        cross_validate(stopped)
    cross_validate(stopped, resume=tmp_path / "stopped")
    assert table(tmp_path / "stopped").equals(table(tmp_path / "run"))


def test_memory_that_runs_out_names_the_four_knobs(
    settings: Callable[..., BindingConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(E1BindingTrainer, "_forward", full)
    with pytest.raises(BindtuneError) as caught:
        cross_validate(settings())
    for part in (
        "batch_size (now 2)",
        "accum_steps (now 2)",
        "max_token_length (now 8192; 8192 in validation)",
        "gradient_checkpointing",
    ):
        assert part in str(caught.value)


@pytest.mark.usefixtures("no_pictures")
def test_a_resumed_run_keeps_its_settings(settings: Callable[..., BindingConfig], tmp_path: Path) -> None:
    cross_validate(settings(), fold=1)
    with pytest.raises(ConfigError, match=r"training.learning_rate was 0.003 and is now 0.1"):
        cross_validate(settings("training.learning_rate=0.1"), resume=tmp_path / "run")
    with pytest.raises(ConfigError, match="not empty"):
        cross_validate(settings())
    with pytest.raises(ConfigError, match="no fold 4"):
        cross_validate(settings(out="other"), fold=4)


@pytest.mark.usefixtures("no_pictures")
def test_proteins_on_both_sides_of_given_folds_stop_the_run(
    settings: Callable[..., BindingConfig], tmp_path: Path, encoder: Path
) -> None:
    text = ">a\nACDC\n0101\n>b\nACDC\n0101\n>c\nGHKC\n0001\n"
    (tmp_path / "ZN.fa").write_text(text)
    (tmp_path / "folds.csv").write_text("protein,fold\na,1\nb,2\nc,3\n")
    leaky = settings(
        "training.ions=[ZN]", f"data.fasta_path={tmp_path}/{{ION}}.fa", f"data.folds={tmp_path}/folds.csv", out="leaky"
    )
    with pytest.raises(CheckError, match="identical"):
        cross_validate(leaky)
    allowed = settings(
        "training.ions=[ZN]", f"data.fasta_path={tmp_path}/{{ION}}.fa", f"data.folds={tmp_path}/folds.csv",
        "data.leaks=allow", out="allowed",
    )  # fmt: skip
    cross_validate(allowed)


@pytest.mark.usefixtures("no_pictures")
def test_every_weight_can_be_trained_and_epochs_be_picked_without_the_held_out_fold(
    settings: Callable[..., BindingConfig], tmp_path: Path
) -> None:
    config = settings(
        "lora=null", "training.inner_validation_fraction=0.3", "training.mlm_weight=0", "training.num_folds=2"
    )
    cross_validate(config)
    check_complete(tmp_path / "run", config)
    with (tmp_path / "run" / "metrics.csv").open() as handle:
        splits = [row["split"] for row in csv.DictReader(handle) if row["ion"] == "mean"]
    assert splits == ["train", "validation", "train", "validation", "test"] * 2
    assert (tmp_path / "run" / "fold_1" / "best_e1_binding_model" / "model.safetensors").is_file()


@pytest.mark.usefixtures("no_pictures")
def test_proteins_without_labels_adapt_the_language_model_alone(
    settings: Callable[..., BindingConfig], tmp_path: Path, labels: str
) -> None:
    lines = Path(labels.replace("{ION}", "ZN")).read_text().splitlines()
    fasta = tmp_path / "plain.fa"
    fasta.write_text("".join(f"{lines[i]}\n{lines[i + 1]}\n" for i in range(0, len(lines), 3)))
    config = settings("training.ions=[]", f"data.unlabelled_fasta={fasta}", "data.fasta_path=null", "training.epochs=4")
    cross_validate(config)
    with (tmp_path / "run" / "metrics.csv").open() as handle:
        losses = [float(row["loss_mlm"]) for row in csv.DictReader(handle) if row["split"] == "validation"]
    assert len(losses) == 4 and losses[-1] < losses[0]
    log = (tmp_path / "run" / "training.log").read_text()
    assert (
        "epoch 4: loss " in log
        and f"validation {config.training.mlm_weight * losses[-1]:.4f}" in log
        and "AUPRC" not in log
        and "nan" not in log
    )
    assert not (tmp_path / "run" / "oof.parquet").exists()


@pytest.mark.usefixtures("no_pictures")
def test_four_ions_of_real_proteins_with_and_without_alignments(
    shared: Path, settings: Callable[..., BindingConfig], tmp_path: Path
) -> None:
    folder = tmp_path / "real"
    folder.mkdir()
    alignments = tmp_path / "msa"
    alignments.mkdir()
    chosen: dict[str, str] = {}
    for ion in ("CA", "ZN", "MG", "MN"):
        lines = (shared / "data" / "metal_ions" / f"{ion}_train.fa").read_bytes().split(b"\r\n")
        records = [lines[start : start + 3] for start in range(0, len(lines) - 2, 3)]
        short = [record for record in records if len(record[1]) < 130][:12]
        short += [record for record in records if record[0] == b">1xcr_A"]
        (folder / f"{ion}_train.fa").write_bytes(b"\r\n".join(part for record in short for part in record) + b"\r\n")
        chosen |= {record[0][1:].decode(): record[1].decode() for record in short}
    assert "1xcr_A" in chosen
    real = (shared / "data" / "msa" / "esm_examples" / "1xcr_1_A.a3m").read_text()
    (alignments / "1xcr_A.a3m").write_text(real)
    drawn = random.Random(3)
    for name, sequence in list(chosen.items())[::2]:
        if name != "1xcr_A":
            rows = ["".join(drawn.choice(LETTERS) if drawn.random() < 0.4 else x for x in sequence) for _ in range(5)]
            text = f">{name}\n{sequence}\n" + "".join(f">h{i}\n{row}\n" for i, row in enumerate(rows))
            (alignments / f"{name}.a3m").write_text(text)
    common = (f"data.fasta_path={folder}", "training.ions=[CA,ZN,MG,MN]", "training.epochs=1", "training.batch_size=8")
    for name, extra in {
        "alone": (),
        "aligned": (f"data.msa_dir={alignments}", "training.msa_sampling.max_token_length=600"),
    }.items():
        config = settings(*common, *extra, out=name)
        cross_validate(config)
        check_complete(tmp_path / name, config)
    alone, aligned = table(tmp_path / "alone"), table(tmp_path / "aligned")
    assert not alone["probability"].equals(aligned["probability"])


@pytest.mark.usefixtures("no_pictures")
def test_the_log_tells_of_weights_and_of_settings_without_effect(
    settings: Callable[..., BindingConfig], tmp_path: Path
) -> None:
    common = ("training.epochs=1", "training.pos_weight_mode=linear", "training.mlm_weight=0")
    cross_validate(settings(*common, "training.loss_type=bce", out="bce"), fold=1)
    cross_validate(settings(*common, "training.loss_type=focal", "training.train_mlm_head=true", out="focal"), fold=1)
    weighted, focal = ((tmp_path / name / "training.log").read_text() for name in ("bce", "focal"))
    assert "fold 1: ZN: weight of binding residues" in weighted and "without effect" not in weighted
    assert "weight of binding residues" not in focal
    assert "setting without effect: training.pos_weight_mode: " in focal
    assert "setting without effect: training.train_mlm_head: " in focal


def test_the_trainer_is_used_as_in_the_original(settings: Callable[..., BindingConfig]) -> None:
    from bindtune.training.binding.model import build_model

    config = settings("training.epochs=2", "training.patience=0")
    values = config.model_dump(mode="json")
    trainer = E1BindingTrainer(build_model(config).model, values, "cpu", False, 1, 0)
    training, validation = trainer.create_dataloaders()
    assert len(training) > 0 and len(validation) > 0
    lines = []
    for epoch in (1, 2):
        trainer.validate_epoch()  # before an epoch is trained it ends none
        losses = trainer.train_epoch()
        assert losses["loss"] == pytest.approx(losses["loss_bce"] + 0.4 * losses["loss_mlm"])
        rows = trainer.validate_epoch()
        assert [row["ion"] for row in rows] == ["ZN", "MN", "mean"]
        trainer.save_checkpoint()
        folder = config.training.output_dir / "fold_1"
        heads = torch.load(folder / "best_e1_binding_model_heads.pt", weights_only=True)
        assert (heads["epoch"], heads["metrics"]["auprc"]) == (epoch, rows[-1]["auprc"])
        assert (folder / "best_e1_binding_model_lora" / "adapter_model.safetensors").is_file()
        lines.append((losses, rows))
    assert lines[1][0]["loss"] < lines[0][0]["loss"]
    assert lines[1][1][-1]["loss"] < lines[0][1][-1]["loss"]
    assert [row["epoch"] for row in trainer.state.history if row["ion"] == "mean"] == [1, 1, 2, 2]
    assert build(BindingConfig, values) == config


def test_adapters_are_checked_from_the_command_line(
    settings: Callable[..., BindingConfig], tmp_path: Path, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    settings(out="check")
    assert run("check-lora", "--config", tmp_path / "check.yaml") == 0
    said = capsys.readouterr().out
    assert said.count("yes  ") == 3 and "trainable parameters: adapters" in said
