"""FSDP and two nodes, on CPUs: runs give what one process gives, in files that hold whole weights, and resume."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import (
    AutoModelForMaskedLM,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    EsmConfig,
    EsmForMaskedLM,
    EsmTokenizer,
)

import bindtune
from bindtune.config import BindingConfig, PretrainConfig, build, load_binding
from bindtune.demo.tiny_e1 import make_tiny_e1
from bindtune.errors import BindtuneError, ConfigError
from bindtune.inference.checkpoints import load_lora_checkpoint
from bindtune.models.dnabert2 import DNABert2ForMaskedLM
from bindtune.training.binding.processes import make_accelerator
from bindtune.training.binding.run import cross_validate
from bindtune.training.pretraining.run import pretrain
from bindtune.training.processes import naming_lost_processes
from bindtune.training.sharding import check_gpus, check_launcher

CONFIGS = Path(bindtune.__file__).parent / "init" / "accelerate"
HERE = Path(__file__).parent
FOLD = ["--fold", "1"]


def write_proteins(folder: Path) -> None:
    letters = "ACDEFGHIKLMNPQRSTVWY"
    proteins = [
        "".join(letters[(seed * position + position) % 20] for position in range(20 + 3 * seed))
        for seed in range(1, 12)
    ]
    text = "".join(f">p{n}\n{s}\n{''.join('01'[x == 'C'] for x in s)}\n" for n, s in enumerate(proteins))
    (folder / "ZN.fa").write_text(text)


def write_stock_models(bert: Path, esm: Path, *, tokenizer: Path) -> None:
    """A BERT, whose head shares a weight and a bias, and an ESM-2, which has layers of other classes; no dropout."""
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 20,
             "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}  # fmt: skip
    words = AutoTokenizer.from_pretrained(tokenizer)
    words.save_pretrained(bert)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertForMaskedLM(BertConfig(vocab_size=len(words), **shape)).save_pretrained(bert)
        numbers = {"pad_token_id": 1, "mask_token_id": 32, "vocab_size": 33}
        EsmForMaskedLM(EsmConfig(**shape, **numbers, position_embedding_type="rotary")).save_pretrained(esm)
    letters = ["<cls>", "<pad>", "<eos>", "<unk>", *"LAGVSERTIDPKQNFYMHWCXBUZO.-", "<null_1>", "<mask>"]
    (esm / "vocab.txt").write_text("\n".join(letters) + "\n")
    EsmTokenizer(str(esm / "vocab.txt")).save_pretrained(esm)


class Runs:
    """Where everything lies, and what the processes told."""

    def __init__(self, folder: Path, generated: tuple[Path, Path, Path], still_model: Path) -> None:
        self.folder, self.start = folder, still_model
        train, validation, _ = generated
        self.pretraining: dict[str, Any] = {
            "model_name_or_path": str(still_model), "train_file": str(train),
            "validation_file": str(validation), "use_adaptive_masking": True, "max_steps": 4, "eval_steps": 2,
            "save_steps": 2, "logging_steps": 1, "per_device_train_batch_size": 48, "learning_rate": 1e-3,
            "dataloader_num_workers": 0, "preprocessing_num_workers": 1, "max_eval_samples": 20,
            "per_device_eval_batch_size": 7, "report_to": "none",
        }  # fmt: skip
        (folder / "pretraining.yaml").write_text(yaml.safe_dump(self.pretraining))
        write_proteins(folder)
        training = {"ions": ["ZN"], "num_folds": 2, "epochs": 2, "batch_size": 4, "max_batch_tokens": 80,
                    "learning_rate": 3e-3, "num_workers": 0, "save_steps": 0}  # fmt: skip
        model = {"checkpoint": str(folder / "encoder"), "dropout": 0.0}
        values = {"data": {"fasta_path": str(folder / "ZN.fa")}, "training": training, "model": model,
                  "lora": {"r": 2, "dropout": 0.0}}  # fmt: skip
        make_tiny_e1(folder / "encoder", seed=0)
        self.bert, self.esm = folder / "bert", folder / "esm"
        write_stock_models(self.bert, self.esm, tokenizer=still_model)
        self.binding = folder / "binding.yaml"
        self.binding.write_text(yaml.safe_dump(values))

    def words(self, out: str) -> list[str]:
        return ["pretrain", "--config", str(self.folder / "pretraining.yaml"), "--output_dir", str(self.folder / out)]

    def binding_words(self, out: str, *more: str) -> list[str]:
        own = [f"training.output_dir={self.folder / out}", "training.accum_steps=1"]
        return ["train", "--config", str(self.binding), *own, *more, *FOLD]


@pytest.fixture(scope="module")
def sharded(
    tmp_path_factory: pytest.TempPathFactory, generated: tuple[Path, Path, Path], still_model: Path, warm_python: Path
) -> Runs:
    """Every run that is looked at, by one launch."""
    folder = tmp_path_factory.mktemp("sharded")
    runs = Runs(folder, generated, still_model)
    commands = [
        [*runs.words("straight"), "--gradient_accumulation_steps", "1"],
        ["copy", str(folder / "straight" / "checkpoint-2"), str(folder / "resumed" / "checkpoint-2")],
        ["copy", str(folder / "straight" / "config.yaml"), str(folder / "resumed" / "config.yaml")],
        [*runs.words("resumed"), "--gradient_accumulation_steps", "1", "--resume_from_checkpoint", "auto"],
        ["stop", *runs.binding_words("adapters")],
        ["train", "--resume", str(folder / "adapters"), *FOLD],
        runs.binding_words("weights", "lora=null"),
        [*runs.words("checkpointing"), "--gradient_accumulation_steps", "1", "--gradient_checkpointing"],
        [*runs.words("bf16"), "--gradient_accumulation_steps", "1", "--bf16"],
        runs.binding_words("layers", "lora=null", "training.gradient_checkpointing=true"),
        [*runs.words("bert-run"), "--gradient_accumulation_steps", "1", "--model_name_or_path", str(runs.bert)],
        runs.binding_words("esm-run", "lora=null", f"model.checkpoint={runs.esm}"),
    ]
    (folder / "commands.json").write_text(json.dumps(commands))
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(CONFIGS / "fsdp.yaml")]
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "PYTHON_EXEC": str(warm_python)}
    words = [*launch, str(HERE / "distributed_runs.py"), str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=500, env=environment)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return runs


@pytest.mark.slow
def test_each_process_holds_a_part(sharded: Runs) -> None:
    message = [json.loads((sharded.folder / f"held-{rank}.json").read_text()) for rank in (0, 1)]
    assert [each["codes"] for each in message] == [[0, 0, 143, 0, 0, 0, 0, 0, 0, 0]] * 2
    # Rows are divided as evenly as they can be: five jobs, two of them in halves, no process with more than
    # two thirds of one.
    assert all(len(each["shares"]) == 4 and 0.3 < min(each["shares"]) <= max(each["shares"]) < 0.7 for each in message)


def test_sharded_pretraining_gives_the_weights_and_losses_of_one_process(sharded: Runs, tmp_path: Path) -> None:
    one, two = tmp_path / "one", sharded.folder / "straight"
    pretrain(build(PretrainConfig, {**sharded.pretraining, "output_dir": one, "gradient_accumulation_steps": 2}))
    model = AutoModelForMaskedLM.from_pretrained(two)
    assert type(model) is DNABert2ForMaskedLM
    start = load_file(sharded.start / "model.safetensors")
    weights = model.state_dict()
    for name, value in load_file(one / "model.safetensors").items():
        torch.testing.assert_close(weights[name], value, rtol=1e-5, atol=1e-6)
    assert any(not torch.allclose(weights[name], value, atol=1e-3) for name, value in start.items())
    logs = [json.loads((run / "trainer_state.json").read_text())["log_history"] for run in (one, two)]
    for key in ("loss", "eval_loss"):
        alone, together = ([entry[key] for entry in log if key in entry] for log in logs)
        assert len(alone) == {"loss": 4, "eval_loss": 2}[key]
        assert together == pytest.approx(alone, rel=1e-6)


def test_sharded_pretraining_resumes(sharded: Runs) -> None:
    left, right = (load_file(sharded.folder / run / "model.safetensors") for run in ("straight", "resumed"))
    assert left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)
    # Whole, and in the form of a run that was not sharded.
    state = torch.load(sharded.folder / "straight" / "checkpoint-4" / "optimizer.pt", weights_only=True)["state"]
    sizes = sorted(tuple(held["exp_avg"].shape) for held in state.values())
    model = AutoModelForMaskedLM.from_pretrained(sharded.folder / "straight")
    assert sizes == sorted(tuple(parameter.shape) for parameter in model.parameters())


@pytest.mark.parametrize(("kind", "more"), [("adapters", ()), ("weights", ("lora=null",))])
def test_sharded_binding_training_predicts_what_one_process_does(
    sharded: Runs, tmp_path: Path, kind: str, more: tuple[str, ...]
) -> None:
    """The run with adapters was stopped and resumed."""
    own = (f"training.output_dir={tmp_path / 'one'}", "training.accum_steps=2", *more)
    cross_validate(load_binding(sharded.binding, own), fold=1)
    one, two = tmp_path / "one" / "fold_1", sharded.folder / kind / "fold_1"
    alone, together = (pq.read_table(fold / "oof.parquet") for fold in (one, two))
    assert alone.drop(["probability"]).equals(together.drop(["probability"]))
    np.testing.assert_allclose(alone["probability"], together["probability"], atol=1e-5)
    history = [(fold / "history.csv").read_text().splitlines() for fold in (one, two)]
    assert len(history[0]) == len(history[1]) == 1 + 2 * 4
    left, right = (load_lora_checkpoint(fold).state_dict() for fold in (one, two))
    for name, value in left.items():
        torch.testing.assert_close(right[name], value, rtol=1e-4, atol=1e-5)


def test_stock_models_learn_what_one_process_does(sharded: Runs, tmp_path: Path) -> None:
    settings = {**sharded.pretraining, "output_dir": tmp_path / "bert", "model_name_or_path": str(sharded.bert)}
    pretrain(build(PretrainConfig, {**settings, "gradient_accumulation_steps": 2}))
    own = (f"training.output_dir={tmp_path / 'esm'}", "training.accum_steps=2", "lora=null")
    cross_validate(load_binding(sharded.binding, (*own, f"model.checkpoint={sharded.esm}")), fold=1)
    best = "fold_1/best_e1_binding_model"
    pairs = (
        (sharded.bert, tmp_path / "bert", sharded.folder / "bert-run"),
        (sharded.esm, tmp_path / "esm" / best, sharded.folder / "esm-run" / best),
    )
    for start, *ends in pairs:
        begun, one, two = (load_file(folder / "model.safetensors") for folder in (start, *ends))
        assert one.keys() == two.keys() == begun.keys()
        for name, value in one.items():
            torch.testing.assert_close(two[name], value, rtol=1e-4, atol=1e-5)
        assert any(not torch.allclose(two[name], value, atol=1e-3) for name, value in begun.items())


@pytest.mark.parametrize(("plain", "other"), [("straight", "checkpointing"), ("weights", "layers")])
def test_sharded_layers_may_be_computed_twice(sharded: Runs, plain: str, other: str) -> None:
    """Gradient checkpointing leaves what is learned as it is."""
    weights = "model.safetensors" if plain == "straight" else "fold_1/best_e1_binding_model/model.safetensors"
    left, right = (load_file(sharded.folder / run / weights) for run in (plain, other))
    assert left.keys() == right.keys()
    for name, value in left.items():
        torch.testing.assert_close(right[name], value, rtol=1e-5, atol=1e-6)


def test_sharded_pretraining_in_bf16_is_that_of_one_process(sharded: Runs, tmp_path: Path) -> None:
    settings = {**sharded.pretraining, "output_dir": tmp_path / "one", "gradient_accumulation_steps": 2, "bf16": True}
    pretrain(build(PretrainConfig, settings))
    runs = (tmp_path / "one", sharded.folder / "bf16", sharded.folder / "straight")
    one, two, wide = (load_file(run / "model.safetensors") for run in runs)
    assert {value.dtype for value in two.values()} == {torch.float32}
    apart = sum(float((two[name] - one[name]).norm() ** 2) for name in one) ** 0.5
    learned = load_file(sharded.start / "model.safetensors")
    moved = sum(float((one[name] - learned[name]).norm() ** 2) for name in one) ** 0.5
    assert 0 < apart < 0.1 * moved
    assert any(not torch.equal(two[name], wide[name]) for name in wide)


def node(python: Path, words: list[str], port: int) -> subprocess.Popen[str]:
    """One of two nodes: a launcher and its process."""
    meeting = ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}", "--rdzv-id", "1"]
    launcher = [
        "torch.distributed.run",
        "--nnodes",
        "2",
        "--nproc-per-node",
        "1",
        "--local-addr",
        "127.0.0.1",
        *meeting,
    ]
    return subprocess.Popen(
        [sys.executable, "-m", *launcher, "-m", "--", "bindtune", *words],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, "GLOO_SOCKET_IFNAME": "lo", "PYTHON_EXEC": str(python)},
    )  # fmt: skip


@pytest.mark.slow
def test_two_nodes_learn_what_one_process_does_and_one_that_is_lost_is_told(
    generated: tuple[Path, Path, Path], still_model: Path, tmp_path: Path, warm_python: Path
) -> None:
    """Both nodes finish the first fold; one is killed in the second, and the run goes on in one process."""
    runs = Runs(tmp_path, generated, still_model)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [
        word
        for word in runs.binding_words("two", "training.save_steps=1", "training.epochs=4", "training.patience=0")
        if word not in FOLD
    ]
    nodes = [node(warm_python, words, port) for _ in (0, 1)]
    deadline = time.monotonic() + 240
    while not (tmp_path / "two" / "fold_2" / "state.pt").exists():
        assert all(each.poll() is None for each in nodes), [each.communicate()[0][-3000:] for each in nodes]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    # A launcher's processes have sessions of their own.
    launched = subprocess.run(["pgrep", "-P", str(nodes[1].pid)], capture_output=True, text=True, check=True).stdout
    for number in (*map(int, launched.split()), nodes[1].pid):
        os.kill(number, signal.SIGKILL)
    said, _ = nodes[0].communicate(timeout=120)
    nodes[1].communicate()
    assert nodes[0].returncode != 0
    assert "lost contact with another process of this run" in said and "bindtune train --resume" in said, said[-3000:]
    assert not (tmp_path / "two" / "fold_2" / "oof.parquet").exists()

    same = "training.accum_steps=2"  # batches of one process for those of two
    own = (f"training.output_dir={tmp_path / 'one'}", "training.epochs=4", "training.patience=0", same)
    cross_validate(load_binding(runs.binding, own))
    cross_validate(load_binding(tmp_path / "two" / "config.yaml", (same,)), resume=tmp_path / "two")
    order = [(name, "ascending") for name in ("protein", "ion", "position")]
    tables = [pq.read_table(tmp_path / name / "oof.parquet").sort_by(order) for name in ("one", "two")]
    assert tables[0].drop(["probability"]).equals(tables[1].drop(["probability"]))
    np.testing.assert_allclose(tables[0]["probability"], tables[1]["probability"], atol=1e-5)


def test_a_lost_process_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for count, error in (("2", BindtuneError), ("1", RuntimeError)):
        monkeypatch.setenv("WORLD_SIZE", count)
        with pytest.raises(error) as caught, naming_lost_processes("--resume_from_checkpoint auto"):
            raise RuntimeError("[../gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:9876")
        assert ("go on with --resume_from_checkpoint auto" in str(caught.value)) == (count == "2")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RuntimeError, match="shapes"), naming_lost_processes("--resume"):
        raise RuntimeError("shapes do not fit")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"ACCELERATE_USE_DEEPSPEED": "true"}, "asks for DeepSpeed: supported are MULTI_GPU and FSDP"),
        ({"WORLD_SIZE": "1"}, "one was started"),
        ({"FSDP_VERSION": "1"}, "fsdp_version is 1, expected 2"),
        ({"FSDP_OFFLOAD_PARAMS": "true"}, "fsdp_offload_params is true, expected false"),
        ({"FSDP_CPU_RAM_EFFICIENT_LOADING": "True"}, "fsdp_cpu_ram_efficient_loading is true"),
        ({"FSDP_ACTIVATION_CHECKPOINTING": "true"}, "gradient_checkpointing is a setting of bindtune"),
        ({"ACCELERATE_MIXED_PRECISION": "fp16"}, "asks for mixed_precision 'fp16', the settings for 'bf16'"),
    ],
)
def test_what_is_not_supported_is_refused(monkeypatch: pytest.MonkeyPatch, asked: dict[str, str], message: str) -> None:
    for name, value in {"WORLD_SIZE": "2", "ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", **asked}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=message):
        check_launcher(precision="bf16")


@pytest.mark.parametrize("job", ["pretrain", "train"])
def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, job: str) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    check_gpus()
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    with pytest.raises(ConfigError, match="3 processes were started here, for 2 GPUs: start one a GPU at most"):
        if job == "pretrain":
            pretrain(build(PretrainConfig, {"train_file": tmp_path / "none.json", "output_dir": tmp_path / "run"}))
        else:
            make_accelerator(build(BindingConfig, {"data": {"fasta_path": "ZN.fa"}}))
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    check_gpus()


@pytest.mark.parametrize("asked", ["no", "bf16"])
def test_a_launcher_may_say_what_the_settings_say(monkeypatch: pytest.MonkeyPatch, asked: str) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", asked)
    check_launcher(precision="bf16")


def test_both_jobs_compare_the_launchers_precision_with_their_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    with pytest.raises(ConfigError, match="asks for mixed_precision 'bf16', the settings for 'no'"):
        pretrain(build(PretrainConfig, {"train_file": tmp_path / "none.json", "output_dir": tmp_path / "run"}))
    config = build(BindingConfig, {"data": {"fasta_path": "ZN.fa"}, "training": {"use_bf16": False}})
    with pytest.raises(ConfigError, match="asks for mixed_precision 'bf16', the settings for 'no'"):
        make_accelerator(config)
