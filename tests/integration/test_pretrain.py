"""`bindtune pretrain` from training files to a run folder, killed, resumed, stopped and refused."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import (
    AutoModelForMaskedLM,
    BertConfig,
    BertForMaskedLM,
    EsmConfig,
    EsmForMaskedLM,
    RobertaForMaskedLM,
    TrainingArguments,
    get_scheduler,
)
from transformers.trainer_utils import SchedulerType

import bindtune
import tiny_dnabert2
from bindtune.config import PretrainConfig, build
from bindtune.doctor.memory_fit import find_device
from bindtune.doctor.pretraining import check_pretraining
from bindtune.errors import CheckpointError, ConfigError, InputError, Interrupted
from bindtune.models.dnabert2 import DNABert2ForMaskedLM
from bindtune.runs.eval_records import read_record_losses
from bindtune.runs.exclusive import only_writer
from bindtune.training.pretraining.arguments import training_arguments
from bindtune.training.pretraining.run import pretrain
from bindtune.training.pretraining.trainer import RegionTrainer

Files = tuple[Path, Path, Path]
Make = Callable[..., dict[str, Any]]
SmallDisk = Callable[[int], AbstractContextManager[None]]
STEPS = 24


@pytest.fixture
def settings(generated: Files, tmp_path: Path) -> Make:
    """Settings of a run of seconds; keyword arguments replace some."""
    train, validation, model = generated

    def make(**changed: Any) -> dict[str, Any]:
        return {
            "model_name_or_path": str(model), "train_file": str(train), "validation_file": str(validation),
            "output_dir": str(tmp_path / "run"), "use_adaptive_masking": True, "max_steps": STEPS,
            "per_device_train_batch_size": 8, "gradient_accumulation_steps": 2, "learning_rate": 1e-3,
            "eval_steps": 4, "save_steps": 4, "logging_steps": 3, "dataloader_num_workers": 0,
            "preprocessing_num_workers": 1, "max_eval_samples": 20,
        } | changed  # fmt: skip

    return make


def run(settings: dict[str, Any]) -> dict[str, float]:
    return pretrain(build(PretrainConfig, settings))


def command(settings: dict[str, Any], *, python: Path | str = sys.executable) -> list[str]:
    words = [str(python), "-m", "bindtune", "pretrain"]
    for name, value in settings.items():
        words += [f"--{name}" if value else f"--no_{name}"] if isinstance(value, bool) else [f"--{name}", str(value)]
    return words


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def same(first: Path, second: Path) -> bool:
    left, right = (load_file(folder / "model.safetensors") for folder in (first, second))
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def eval_losses(folder: Path) -> dict[int, float]:
    """eval_loss by step; no step is evaluated twice."""
    history = read(folder / "trainer_state.json")["log_history"]
    losses = [(entry["step"], entry["eval_loss"]) for entry in history if "eval_loss" in entry]
    assert len(dict(losses)) == len(losses)
    return dict(losses)


def test_run_folder_holds_what_is_promised(settings: Make, tmp_path: Path) -> None:
    run(settings())
    folder = tmp_path / "run"
    names = {path.name for path in folder.iterdir()}
    assert names >= {
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "train_results.json",
        "eval_results.json", "trainer_state.json", "logs", "config.yaml", "provenance.json",
    }  # fmt: skip
    assert "runs" not in names
    results, trained = read(folder / "eval_results.json"), read(folder / "train_results.json")
    assert abs(results["eval_masked_rate"] - 0.15) < 0.005
    assert 0.18 < trained["train_peak_masked_rate"] < 0.26
    assert trained["train_flank_masked_rate"] < 0.15
    assert abs(trained["train_masked_rate"] - 0.15) < 0.003
    for kind in ("peak", "flank"):
        assert 0 < results[f"eval_{kind}_loss"] < 12
        assert 0 <= results[f"eval_{kind}_accuracy"] <= 1
    written = EventAccumulator(str(folder / "logs")).Reload().Tags()["scalars"]
    assert {"train/loss", "train/peak_loss", "train/peak_masked_rate", "eval/flank_loss"} <= set(written)
    assert type(AutoModelForMaskedLM.from_pretrained(folder)) is DNABert2ForMaskedLM


def test_best_model_and_lowest_losses_are_kept(settings: Make, tmp_path: Path) -> None:
    results = run(settings())
    losses = eval_losses(tmp_path / "run")
    assert list(losses) == [4, 8, 12, 16, 20, 24]
    assert results["eval_loss"] == pytest.approx(min(losses.values()), rel=1e-6)
    best = min(losses, key=losses.__getitem__)
    assert same(tmp_path / "run", tmp_path / "run" / f"checkpoint-{best}")
    lowest = sorted(losses, key=losses.__getitem__)[:3]
    steps = {int(path.name.split("-")[1]) for path in (tmp_path / "run").glob("checkpoint-*")}
    assert steps == {*lowest, STEPS}


def test_evaluation_loss_is_the_mean_over_masked_tokens_whatever_the_batch(settings: Make, tmp_path: Path) -> None:
    losses = [
        run(settings(per_device_eval_batch_size=size, output_dir=str(tmp_path / str(size)), max_steps=4))
        for size in (3, 64)
    ]
    assert losses[0]["eval_loss"] == pytest.approx(losses[1]["eval_loss"], rel=1e-6)
    assert losses[0]["eval_peak_loss"] == pytest.approx(losses[1]["eval_peak_loss"], rel=1e-6)
    assert losses[0]["eval_masked_rate"] == losses[1]["eval_masked_rate"]


def test_killed_and_resumed_run_with_workers_ends_with_the_same_bits(
    settings: Make, tmp_path: Path, warm_python: Path
) -> None:
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    options = settings(resume_from_checkpoint="auto", dataloader_num_workers=2)
    run({**options, "output_dir": str(straight), "dataloader_num_workers": 0})
    words = command({**options, "output_dir": str(broken)}, python=warm_python)
    for checkpoint in ("checkpoint-4", "checkpoint-16"):
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not (broken / checkpoint / "model.safetensors").exists() and process.poll() is None:
            time.sleep(0.002)
        time.sleep(0.03)  # while the checkpoint is written, or soon after
        process.kill()
        assert process.wait() == -signal.SIGKILL
    assert not (broken / "model.safetensors").exists()
    subprocess.run(words, check=True, capture_output=True)
    assert same(straight, broken)
    assert read(straight / "eval_results.json")["eval_loss"] == read(broken / "eval_results.json")["eval_loss"]


def test_sigterm_saves_and_the_resumed_run_is_the_same(settings: Make, tmp_path: Path, warm_python: Path) -> None:
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    options = settings(resume_from_checkpoint="auto", eval_steps=12, save_steps=12)
    run({**options, "output_dir": str(straight)})
    words = command({**options, "output_dir": str(broken), "logging_steps": 1, "dataloader_num_workers": 1})
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(words, start_new_session=True, **output) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "windows/s" in line:
                os.killpg(process.pid, signal.SIGTERM)  # the loader's worker gets it too
                break
        rest = process.stdout.read()
    assert process.returncode == 143
    assert "resume_from_checkpoint auto" in rest
    stopped = [int(path.name.split("-")[1]) for path in broken.glob("checkpoint-*")]
    assert len(stopped) == 1
    assert stopped[0] < 12
    words = command({**options, "output_dir": str(broken)}, python=warm_python)
    subprocess.run(words, check=True, capture_output=True)
    assert same(straight, broken)


def test_a_stop_within_an_epoch_adds_no_evaluation(
    settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where epochs are evaluated: their losses say which checkpoint is best, and when it is time to stop."""
    options = settings(resume_from_checkpoint="auto", eval_strategy="epoch", report_to="none")
    run({**options, "output_dir": str(tmp_path / "straight")})
    step = RegionTrainer.training_step
    with monkeypatch.context() as patch:

        def stopped(trainer: RegionTrainer, *options: Any, **named: Any) -> Any:
            if trainer.state.global_step == 3:
                os.kill(os.getpid(), signal.SIGTERM)
            return step(trainer, *options, **named)

        patch.setattr(RegionTrainer, "training_step", stopped)
        with pytest.raises(Interrupted):
            run({**options, "output_dir": str(tmp_path / "broken")})
    state = read(tmp_path / "broken" / "checkpoint-4" / "trainer_state.json")
    assert not [entry for entry in state["log_history"] if "eval_loss" in entry]
    run({**options, "output_dir": str(tmp_path / "broken")})
    assert same(tmp_path / "straight", tmp_path / "broken")
    assert eval_losses(tmp_path / "straight") == eval_losses(tmp_path / "broken") != {}


def test_a_resume_from_any_checkpoint_draws_what_the_straight_run_draws(
    settings: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    straight = tmp_path / "straight"
    options = settings(
        output_dir=str(straight), max_steps=9, save_steps=1, save_total_limit=9, eval_strategy="no", report_to="none",
        max_train_samples=48, max_eval_samples=40,
    )  # fmt: skip
    run(options)
    model = load_file(straight / "checkpoint-9" / "model.safetensors")
    for step in (3, 4):  # at the end of an epoch, and within one
        checkpoint = straight / f"checkpoint-{step}"
        resumed = {**options, "output_dir": str(tmp_path / str(step)), "resume_from_checkpoint": str(checkpoint)}
        assert float(read(checkpoint / "trainer_state.json")["epoch"]).is_integer() == (step == 3)
        run(resumed)
        assert same(straight, tmp_path / str(step))

    def warnings() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]

    assert not warnings()
    (checkpoint / "random_state.pt").unlink()
    run({**resumed, "output_dir": str(tmp_path / "other")})
    assert warnings() == [f"{checkpoint} has no random_state.pt: dropout draws other numbers than without the stop"]
    other = load_file(tmp_path / "other" / "model.safetensors")
    assert not all(torch.equal(other[name], tensor) for name, tensor in model.items())


def test_a_checkpoint_is_ended_by_its_state(settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: dict[str, set[str]] = {}
    save = RegionTrainer.save_model

    def noting(trainer: RegionTrainer, output_dir: str | None = None, *options: Any, **named: Any) -> None:
        save(trainer, output_dir, *options, **named)
        folder = Path(output_dir or tmp_path / "run")
        saved[folder.name] = {path.name for path in folder.iterdir()} if output_dir else set()

    monkeypatch.setattr(RegionTrainer, "save_model", noting)
    run(settings(max_steps=2, save_steps=2, eval_strategy="no", report_to="none"))
    assert saved.keys() == {"checkpoint-2", "run"}
    complete = {path.name for path in (tmp_path / "run" / "checkpoint-2").iterdir()}
    assert complete - saved["checkpoint-2"] == {"trainer_state.json"}
    assert {"model.safetensors", "optimizer.pt", "scheduler.pt", "random_state.pt"} <= saved["checkpoint-2"]


def test_a_full_disk_leaves_no_half_checkpoint(settings: Make, tmp_path: Path, small_disk: SmallDisk) -> None:
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    options = settings(resume_from_checkpoint="auto", max_steps=8, report_to="none")
    run({**options, "output_dir": str(straight)})
    sizes = {path.name: path.stat().st_size for path in (straight / "checkpoint-8").iterdir()}
    for name in ("model.safetensors", "optimizer.pt"):
        with small_disk(sizes[name] - 100), pytest.raises(OSError, match=r".") as failure:
            run({**options, "output_dir": str(broken)})
        assert failure.value.filename == str(broken / "checkpoint-4")
        assert not [*broken.glob("*.safetensors"), *broken.glob("checkpoint-*"), *broken.glob(".[!l]*")]
    run({**options, "output_dir": str(broken)})
    assert same(straight, broken)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_cache_is_named(settings: Make, datasets_cache: Path, small_disk: SmallDisk, workers: int) -> None:
    options = settings(max_steps=2, eval_strategy="no", preprocessing_num_workers=workers)
    with small_disk(3000), pytest.raises(OSError, match="File too large") as failure:
        run(options)
    assert failure.value.filename == str(datasets_cache)
    run(options)


def test_results_are_written_whole_or_not_at_all(settings: Make, tmp_path: Path, small_disk: SmallDisk) -> None:
    options = settings(resume_from_checkpoint="auto", max_steps=4, report_to="none")
    run(options)
    folder = tmp_path / "run"
    whole = {name: (folder / name).read_bytes() for name in ("trainer_state.json", "model.safetensors")}
    size = len((folder / "checkpoint-4" / "trainer_state.json").read_bytes())
    (folder / "config.json").unlink()
    with small_disk(size), pytest.raises(OSError, match="File too large"):
        run(options)
    assert {name: (folder / name).read_bytes() for name in whole} == whole
    assert not (folder / "config.json").exists()  # it comes with the weights it belongs to
    run(options)
    assert (folder / "config.json").is_file()


def test_other_training_files_are_refused_once_a_checkpoint_is_there(
    settings: Make, generated: Files, tmp_path: Path
) -> None:
    train = tmp_path / "train.parquet"
    shutil.copyfile(generated[0], train)
    options = settings(train_file=str(train), max_steps=4, resume_from_checkpoint="auto")
    run(options)
    shutil.copyfile(generated[1], train)
    with pytest.raises(ConfigError, match="the input files are not those that the run began with: train_file"):
        run(options)
    elsewhere = {"output_dir": str(tmp_path / "other"), "resume_from_checkpoint": str(tmp_path / "run/checkpoint-4")}
    with pytest.raises(ConfigError, match="not those that the run began with"):
        run({**options, **elsewhere})
    shutil.rmtree(tmp_path / "run" / "checkpoint-4")
    run(options)  # nothing was learned from the other file


def test_another_number_of_processes_is_refused_once_a_checkpoint_is_there(settings: Make, tmp_path: Path) -> None:
    options = settings(max_steps=4, eval_strategy="no", resume_from_checkpoint="auto")
    run(options)
    signed = tmp_path / "run" / "provenance.json"
    origin = read(signed)
    assert origin.pop("processes") == 1
    signed.write_text(json.dumps({**origin, "processes": 2}))
    with pytest.raises(ConfigError, match=r"keeps its number of processes.*it was 2 and is now 1"):
        run(options)
    signed.write_text(json.dumps(origin))  # of a run that was begun before the number was kept
    run(options)
    assert read(signed)["processes"] == 1


def test_a_resumed_run_logs_as_often_as_it_is_asked_to(settings: Make, tmp_path: Path) -> None:
    options = settings(max_steps=8, eval_strategy="no", resume_from_checkpoint="auto", report_to="none")
    run(options)
    folder = tmp_path / "run"
    shutil.rmtree(folder / "checkpoint-8")
    run({**options, "logging_steps": 1})
    history = read(folder / "trainer_state.json")["log_history"]
    assert [entry["step"] for entry in history if "loss" in entry] == [3, 5, 6, 7, 8]


def test_a_finished_run_that_is_started_again_keeps_its_results(settings: Make, tmp_path: Path) -> None:
    options = settings(max_steps=8, bf16=True, resume_from_checkpoint="auto", report_to="none")
    run(options)
    folder = tmp_path / "run"
    before = {name: read(folder / f"{name}_results.json") for name in ("train", "eval", "all")}
    records = (folder / "eval_records.parquet").read_bytes()
    run(options)
    after = {name: read(folder / f"{name}_results.json") for name in before}
    assert after["train"] == before["train"]
    assert timeless(after["eval"]) == timeless(before["eval"])
    assert timeless(after["all"]) == timeless(before["all"])
    assert (folder / "eval_records.parquet").read_bytes() == records
    # Ended before they were written, the checkpoint's last log line is what is known.
    (folder / "train_results.json").unlink()
    run(options)
    last = [entry for entry in read(folder / "trainer_state.json")["log_history"] if "loss" in entry][-1]
    assert read(folder / "train_results.json")["train_loss"] == last["loss"]


def timeless(results: dict[str, float]) -> dict[str, float]:
    """Without the times of the evaluation, which is done again."""
    return {
        name: value
        for name, value in results.items()
        if not (name.startswith("eval_") and name.endswith(("runtime", "per_second")))
    }


def test_early_stopping_survives_a_resume(settings: Make, tmp_path: Path) -> None:
    # A learning rate that ruins the model: eval_loss does not fall for long.
    changed = {"learning_rate": 3.0, "early_stopping_patience": 1, "warmup_ratio": 0, "lr_scheduler_type": "constant"}
    options = settings(**changed, resume_from_checkpoint="auto")
    run(options)
    folder = tmp_path / "run"
    losses, stopped = list(eval_losses(folder).values()), read(folder / "trainer_state.json")["global_step"]
    assert stopped < STEPS
    assert losses.index(min(losses)) == len(losses) - 1 - 1
    # The results are lost; the checkpoints know that the run was over.
    (folder / "model.safetensors").rename(tmp_path / "model.safetensors")
    (folder / "eval_results.json").unlink()
    run(options)
    assert read(folder / "trainer_state.json")["global_step"] == stopped
    assert same(tmp_path, folder)


def test_without_validation_the_last_weights_are_kept(settings: Make, tmp_path: Path) -> None:
    results = run(settings(validation_file=None, max_steps=4, save_steps=2))
    assert "train_loss" in results
    assert not (tmp_path / "run" / "eval_results.json").exists()
    assert same(tmp_path / "run", tmp_path / "run" / "checkpoint-4")


def test_gradient_checkpointing_changes_no_weight(settings: Make, tmp_path: Path) -> None:
    for name, on in {"plain": False, "recomputed": True}.items():
        run(settings(max_steps=4, gradient_checkpointing=on, output_dir=str(tmp_path / name)))
    plain, recomputed = (load_file(tmp_path / name / "model.safetensors") for name in ("plain", "recomputed"))
    for name, value in plain.items():
        torch.testing.assert_close(value, recomputed[name], rtol=1e-5, atol=1e-7)


def test_another_masked_language_model_trains(settings: Make, generated: Files, tmp_path: Path) -> None:
    torch.manual_seed(0)
    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    BertForMaskedLM(BertConfig(vocab_size=256, pad_token_id=3, **size)).save_pretrained(tmp_path / "bert")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "bert" / name).write_bytes((generated[2] / name).read_bytes())
    results = run(settings(model_name_or_path=str(tmp_path / "bert"), max_steps=4))
    assert 0 < results["eval_peak_loss"] < 12


def test_a_model_with_other_names_on_disk_is_trained_resumed_and_kept(
    settings: Make, generated: Files, tmp_path: Path
) -> None:
    """ESM's LayerNorms are written as gamma and beta, and read back as weight and bias."""
    torch.manual_seed(0)
    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    tokens = {"vocab_size": 256, "pad_token_id": 3, "mask_token_id": 4, "position_embedding_type": "rotary"}
    EsmForMaskedLM(EsmConfig(**tokens, **size, token_dropout=False)).save_pretrained(tmp_path / "esm")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "esm" / name).write_bytes((generated[2] / name).read_bytes())
    options = settings(model_name_or_path=str(tmp_path / "esm"), max_steps=8, resume_from_checkpoint="auto")
    run({**options, "output_dir": str(tmp_path / "straight")})
    run({**options, "output_dir": str(tmp_path / "resumed")})
    shutil.rmtree(tmp_path / "resumed" / "checkpoint-8")
    run({**options, "output_dir": str(tmp_path / "resumed")})
    assert same(tmp_path / "straight", tmp_path / "resumed")


@pytest.mark.parametrize("other", [False, True])
def test_parameters_without_gradient_are_looked_for_in_other_models(
    settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: bool
) -> None:
    """ESM's head for contacts gets none; several processes would wait for it."""

    class CaughtError(Exception):
        pass

    def train(trainer: RegionTrainer, **_: Any) -> None:
        raise CaughtError(trainer.args.ddp_find_unused_parameters)

    monkeypatch.setattr(RegionTrainer, "train", train)
    if other:
        monkeypatch.setattr("bindtune.training.pretraining.run.DNABert2ForMaskedLM", EsmForMaskedLM)
    with pytest.raises(CaughtError, match=str(other)):
        run(settings())


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"eclip_mlm_lo": 0.3}, ConfigError, "low 0.3 and high 0.25"),
        ({"min_flanking_prob": 0.2}, ConfigError, "floor 0.2 is greater than the target rate 0.15"),
        ({"target_mlm_prob": 1.5}, ConfigError, r"'target' must lie in \[0, 1\]"),
        ({"save_steps": 6}, ConfigError, "save_steps 6 is not a multiple of eval_steps 4"),
        ({"lr_scheduler_type": "cosin"}, ConfigError, "lr_scheduler_type must be one of"),
        *(
            ({"lr_scheduler_type": name}, ConfigError, f"one of linear, cosine, [^:]*greedy, found {name}")
            for name in ("cosine_with_min_lr", "cosine_warmup_with_min_lr", "warmup_stable_decay")
        ),
        ({"report_to": ["wandb"]}, ConfigError, "wandb is not installed"),
        ({"train_file": "missing.json"}, InputError, "missing.json"),
        ({"model_name_or_path": "missing/folder/x"}, CheckpointError, "missing/folder/x"),
        ({"resume_from_checkpoint": "missing"}, CheckpointError, "missing: not a complete checkpoint"),
    ],
)
def test_what_cannot_work_is_refused(
    settings: Make, tmp_path: Path, changed: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run(settings(**changed))
    assert not (tmp_path / "run").exists()


def test_one_process_with_several_gpus_is_refused(
    settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TrainingArguments, "n_gpu", property(lambda _: 4))
    with pytest.raises(ConfigError, match=r"4 GPUs are visible.*--nproc_per_node=4.*CUDA_VISIBLE_DEVICES=0"):
        run(settings())
    assert not (tmp_path / "run").exists()


def test_every_schedule_that_is_accepted_needs_its_name_alone(settings: Make) -> None:
    made = []
    for kind in SchedulerType:
        try:
            training_arguments(build(PretrainConfig, settings(lr_scheduler_type=kind.value)))
        except ConfigError:
            continue
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
        get_scheduler(kind, optimizer, num_warmup_steps=1, num_training_steps=4)
        made.append(kind)
    assert len(made) == len(SchedulerType) - 3


def test_windows_in_which_nothing_can_be_masked_are_refused(settings: Make, tmp_path: Path) -> None:
    window = {"seq_id": "chr1:0-3", "sequence": "NNN", "eclip_regions": []}
    (tmp_path / "short.jsonl").write_text(json.dumps(window) + "\n")
    with pytest.raises(InputError, match="no window has enough tokens"):
        run(settings(train_file=str(tmp_path / "short.jsonl")))


@pytest.mark.parametrize("kind", ["train", "eval"])
def test_a_draw_in_which_nothing_can_be_masked_is_refused(settings: Make, tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(0)
    sequences = ["".join(rng.choice([*"ACGT"], size=200)), *["NNN"] * 60]
    windows = [{"seq_id": f"w{n}", "sequence": sequence, "eclip_regions": []} for n, sequence in enumerate(sequences)]
    (tmp_path / "few.jsonl").write_text("".join(json.dumps(window) + "\n" for window in windows))
    changed = {{"train": "train_file", "eval": "validation_file"}[kind]: str(tmp_path / "few.jsonl")}
    with pytest.raises(InputError, match=rf"few.jsonl: none of the 2 windows drawn.*max_{kind}_samples"):
        run(settings(**changed, **{f"max_{kind}_samples": 2}))


def test_a_tokenizer_that_the_model_does_not_know_is_refused(settings: Make, generated: Files, tmp_path: Path) -> None:
    tiny_dnabert2.build(vocab_size=50).save_pretrained(tmp_path / "small")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "small" / name).write_bytes((generated[2] / name).read_bytes())
    with pytest.raises(ConfigError, match=r"the tokenizer has \d+ tokens, the model only 50"):
        run(settings(model_name_or_path=str(tmp_path / "small")))


@pytest.mark.parametrize("kind", [BertForMaskedLM, RobertaForMaskedLM])
def test_windows_with_more_tokens_than_positions_are_refused(
    settings: Make, generated: Files, tmp_path: Path, kind: Any
) -> None:
    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    model = kind(kind.config_class(vocab_size=256, pad_token_id=3, max_position_embeddings=32, **size))
    model.save_pretrained(tmp_path / "short")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "short" / name).write_bytes((generated[2] / name).read_bytes())
    room = 32 if kind is BertForMaskedLM else 28
    options = settings(model_name_or_path=str(tmp_path / "short"), max_steps=2, eval_strategy="no")
    with pytest.raises(ConfigError, match=rf"the longest window has \d+ tokens, .*short has positions for {room}: set"):
        run(options)
    assert not (tmp_path / "run").exists()
    findings = check_pretraining(build(PretrainConfig, options), find_device=find_device)
    (problem,) = (one for one in findings if one.status == "problem")
    assert (problem.section, problem.name) == ("encoder", "positions")
    run({**options, "max_seq_length": room})


def test_a_tokenizer_without_a_mask_token_is_refused_before_anything_is_written(
    settings: Make, generated: Files, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(generated[2], model)
    about = read(model / "tokenizer_config.json")
    (model / "tokenizer_config.json").write_text(json.dumps({**about, "mask_token": None}))
    options = settings(model_name_or_path=str(model), max_steps=2, eval_strategy="no")
    with pytest.raises(ConfigError, match="the tokenizer has no mask token"):
        run(options)
    assert not (tmp_path / "run").exists()
    findings = check_pretraining(build(PretrainConfig, options), find_device=find_device)
    assert ("encoder", "special tokens") in {(one.section, one.name) for one in findings if one.status == "problem"}


@pytest.mark.parametrize("resume", [None, "auto"])
def test_a_run_that_failed_before_its_first_checkpoint_is_begun_anew(
    settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resume: str | None
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise ConfigError("no")

    with monkeypatch.context() as patched:
        patched.setattr(RegionTrainer, "train", fail)
        with pytest.raises(ConfigError, match=r"^no$"):
            run(settings(max_steps=4))
    folder = tmp_path / "run"
    assert {path.name for path in folder.iterdir()} >= {"config.yaml", "provenance.json", ".lock"}
    (folder / "logs").mkdir(exist_ok=True)
    (folder / "logs" / "events.of.the.first").touch()
    run(settings(max_steps=4, learning_rate=2e-3, resume_from_checkpoint=resume))
    assert "learning_rate: 0.002" in (folder / "config.yaml").read_text()
    assert not (folder / "logs" / "events.of.the.first").exists()


@pytest.mark.parametrize("name", ["thesis.txt", "model.safetensors", "checkpoint-4"])
def test_a_signed_folder_with_anything_else_is_not_begun_anew(settings: Make, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "run"
    run(settings(max_steps=4))
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in ("config.yaml", "provenance.json"):
            path.unlink()
    (folder / name).mkdir()
    with pytest.raises(ConfigError, match="is not empty"):
        run(settings(max_steps=4))


def test_a_folder_in_use_is_refused(settings: Make, tmp_path: Path) -> None:
    with only_writer(tmp_path / "run"), pytest.raises(ConfigError, match="in use by another process"):
        run(settings(max_steps=2, eval_strategy="no"))


def test_few_validation_windows_with_peaks_are_said(
    settings: Make, generated: Files, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def peakless(path: Path, *, but: int) -> Path:
        """A copy of a training file in which all windows but a few have lost their peaks."""
        windows = pq.read_table(path).to_pylist()
        with_peaks = [window for window in windows if window["eclip_regions"]]
        for window in with_peaks[but:]:
            window |= {"eclip_regions": [], "num_peaks_in_window": 0, "peak_clipped": []}
        copy = tmp_path / f"{path.stem}-{but}.jsonl"
        copy.write_text("".join(json.dumps(window) + "\n" for window in windows))
        return copy

    def warnings(name: str, **changed: Any) -> list[str]:
        caplog.clear()
        run(settings(max_steps=1, eval_strategy="no", output_dir=str(tmp_path / name), **changed))
        return [message for message in caplog.messages if "have a peak" in message or "has a peak" in message]

    train, validation, _ = generated
    few = peakless(validation, but=1)
    count = len(few.read_text().splitlines())
    doubt = "fewer than 30: the loss in peaks rests on few tokens"
    assert warnings("a", validation_file=str(few), max_eval_samples=None) == [
        f"{few}: 1 of {count} windows has a peak, {doubt}; hold out more windows"
    ]
    drawn = warnings("b", validation_file=str(peakless(validation, but=0)))
    assert drawn == [
        f"{tmp_path / validation.stem}-0.jsonl: 0 of 20 windows have a peak, {doubt}; raise max_eval_samples"
    ]
    enough = {"validation_file": str(train), "max_eval_samples": None}
    assert warnings("c", **enough) == []
    # Who trains without peaks misses none in validation.
    assert warnings("d", train_file=str(peakless(train, but=0)), validation_file=str(few)) == []


def test_settings_hold_for_a_checkpoint_taken_elsewhere(settings: Make, tmp_path: Path) -> None:
    run(settings(max_steps=4))
    elsewhere = {"output_dir": str(tmp_path / "other"), "resume_from_checkpoint": str(tmp_path / "run/checkpoint-4")}
    with pytest.raises(ConfigError, match="seed was 42 and is now 7"):
        run(settings(max_steps=4, seed=7, **elsewhere))


def test_a_run_is_never_overwritten_or_continued_with_other_settings(settings: Make) -> None:
    run(settings(max_steps=4))
    with pytest.raises(ConfigError, match="is not empty"):
        run(settings(max_steps=4))
    with pytest.raises(ConfigError, match=r"learning_rate was 0.001 and is now 0.002"):
        run(settings(max_steps=4, learning_rate=2e-3, resume_from_checkpoint="auto"))


def test_a_folder_with_other_files_is_not_taken(settings: Make, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds no run"):
        run(settings(resume_from_checkpoint="auto"))
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.txt"]


def test_runs_that_differ_in_masking_see_the_same_tokens(
    settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same windows in each batch, as many masked tokens in each window; evaluation is the same to the last mask."""
    seen: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    original = RegionTrainer._summed_loss

    def noting(self: RegionTrainer, model: Any, inputs: dict[str, torch.Tensor], tally: Any) -> Any:
        if model.training:
            labels = inputs["labels"]
            region = inputs["region"]
            masked = torch.stack([((labels != -100) & (region == kind)).sum(1) for kind in (1, 2)])
            # A random token stands where a label does: put back, the letters are those of the file.
            seen.append((torch.where(labels == -100, inputs["input_ids"], labels), masked, (region == 2).sum(1)))
        return original(self, model, inputs, tally)

    monkeypatch.setattr(RegionTrainer, "_summed_loss", noting)
    runs = {}
    for mode in ("adaptive", "uniform", "peak-only"):
        folder = tmp_path / mode
        options = {"masking": mode, "output_dir": str(folder), "max_steps": 4}
        changed = settings(**options)
        del changed["use_adaptive_masking"]
        run(changed)
        runs[mode] = (seen.copy(), read_record_losses(folder / "eval_records.parquet"))
        seen.clear()
    reference, evaluated = runs["adaptive"]
    assert len(reference) == 8  # 4 steps of 2 batches
    for mode, (batches, records) in runs.items():
        for (tokens, masked, _), (other, others, peaks) in zip(reference, batches, strict=True):
            assert torch.equal(tokens, other)
            assert torch.equal(masked.sum(0), others.sum(0))
            if mode == "peak-only":
                assert torch.equal(others[1], torch.minimum(peaks, others.sum(0)))
        np.testing.assert_array_equal(evaluated.masks, records.masks)
        np.testing.assert_array_equal(evaluated.record, records.record)
    assert not torch.equal(reference[0][1], runs["uniform"][0][0][1])


def test_two_processes_give_the_weights_of_one(
    settings: Make, still_model: Path, tmp_path: Path, warm_python: Path
) -> None:
    """Same windows in each optimiser step, loss averaged over all masked tokens: equal up to rounding.

    An epoch of 294 windows has four steps; the last has six windows, and none for the second process.
    """
    changed = {"max_steps": 6, "eval_steps": 3, "save_steps": 3, "optim": "sgd", "learning_rate": 0.1}
    options = settings(model_name_or_path=str(still_model), per_device_train_batch_size=48, **changed)
    one, two = tmp_path / "one", tmp_path / "two"
    run({**options, "output_dir": str(one), "gradient_accumulation_steps": 2})
    words = command({**options, "output_dir": str(two), "gradient_accumulation_steps": 1})
    processes = Path(bindtune.__file__).parent / "init" / "accelerate" / "ddp.yaml"
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(processes)]
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "PYTHON_EXEC": str(warm_python)}
    done = subprocess.run([*launch, *words[1:]], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-6000:]
    left, right = (load_file(folder / "model.safetensors") for folder in (one, two))
    start = load_file(still_model / "model.safetensors")
    assert not torch.allclose(left[EMBEDDINGS], start[EMBEDDINGS], atol=1e-4)
    for name, value in left.items():
        torch.testing.assert_close(value, right[name], rtol=1e-4, atol=1e-6)
    losses = [read(folder / "eval_results.json")["eval_loss"] for folder in (one, two)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    alone, together = (read_record_losses(folder / "eval_records.parquet") for folder in (one, two))
    assert len(set(alone.record.tolist())) == len(alone.record) == 20
    for column in ("record", "masks", "masked"):
        np.testing.assert_array_equal(getattr(alone, column), getattr(together, column))
    np.testing.assert_allclose(alone.loss, together.loss, rtol=1e-4)
    assert alone.loss[:, 0].sum() / alone.masked[:, 0].sum() == pytest.approx(losses[0], rel=1e-9)


EMBEDDINGS = "bert.embeddings.word_embeddings.weight"
