"""What `bindtune train` does where something goes wrong: half-written runs, signals, full disks, odd proteins."""

import csv
import json
import logging
import os
import random
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from sklearn.metrics import average_precision_score, matthews_corrcoef, roc_auc_score
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.nn import functional as F

import tiny_e1
from bindtune.config import BindingConfig, dump, load_binding
from bindtune.errors import BindtuneError, CheckError, CheckpointError, ConfigError, InputError, Interrupted
from bindtune.evaluation import epoch_selection
from bindtune.runs.exclusive import only_writer
from bindtune.runs.names import HISTORY
from bindtune.training.binding import fold_files, inputs, merge, run, tensorboard, trainer
from bindtune.training.binding.model import build_model
from bindtune.training.binding.prediction import Predictor
from bindtune.training.binding.processes import make_accelerator
from bindtune.training.binding.run import cross_validate
from bindtune.training.binding.trainer import E1BindingTrainer

Make = Callable[..., BindingConfig]


pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "_DRAWS", 5)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    return tiny_e1.save(folder, num_hidden_layers=2, global_attention_every_n_layers=2)


def sequence(seed: int, length: int) -> str:
    return "".join(random.Random(seed).choices("ACDEFGHIKLMNPQRSTVWY", k=length)) + "C"


@pytest.fixture
def make(encoder: Path, tmp_path: Path) -> Make:
    """Settings of a run of nine proteins in two folds; C binds."""
    records = [(f"p{seed}", sequence(seed, 14 + seed)) for seed in range(9)]
    text = "".join(f">{name}\n{s}\n{''.join('01'[x == 'C'] for x in s)}\n" for name, s in records)
    (tmp_path / "ZN.fa").write_text(text)

    def settings(*overrides: str, out: str = "run") -> BindingConfig:
        values = {
            "data": {"fasta_path": str(tmp_path / "ZN.fa")},
            "training": {
                "ions": ["ZN"], "num_folds": 2, "epochs": 2, "warmup_epochs": 1, "batch_size": 1, "accum_steps": 2,
                "learning_rate": 3e-3, "num_workers": 0, "save_steps": 1, "output_dir": str(tmp_path / out),
            },
            "lora": {"r": 2, "alpha": 4, "dropout": 0.1},
            "model": {"checkpoint": str(encoder)},
        }  # fmt: skip
        file = tmp_path / f"{out}.yaml"
        file.write_text(yaml.safe_dump(values))
        return load_binding(file, overrides)

    return settings


def same(first: Path, second: Path) -> None:
    for name in ("oof.parquet", "metrics.csv", "global_thresholds.yaml", "oof_preds.npz"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def stop_at(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, *, call: int) -> None:
    """Let SIGTERM arrive at the given call of a method."""
    method, seen = getattr(owner, name), [0]

    def with_signal(self: Any, *arguments: Any, **named: Any) -> Any:
        seen[0] += 1
        if seen[0] == call:
            os.kill(os.getpid(), signal.SIGTERM)
        return method(self, *arguments, **named)

    monkeypatch.setattr(owner, name, with_signal)


class Killed(BaseException):
    """What a kill looks like from inside: nothing is cleaned up that a process would not clean up."""


# -------------------------------------------------------------------- folders


def test_a_run_that_failed_before_its_first_fold_is_begun_again_with_other_settings(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "twins.fa").write_text(">a\nACDC\n0101\n>b\nACDC\n0101\n>c\nGHKC\n0001\n")
    (tmp_path / "folds.csv").write_text("protein,fold\na,1\nb,2\nc,2\n")
    leaky = (f"data.fasta_path={tmp_path}/twins.fa", f"data.folds={tmp_path}/folds.csv", "training.epochs=1")
    with pytest.raises(CheckError, match="identical"):
        cross_validate(make(*leaky))
    assert json.loads((tmp_path / "run" / "audit.json").read_text())["leaks"] == 1
    with pytest.raises(ConfigError, match="no linear layer foo"):
        cross_validate(make(*leaky, "data.leaks=allow", "lora.target_modules=[foo]"))
    with pytest.raises(CheckpointError, match="no model"):
        cross_validate(make(*leaky, "data.leaks=allow", "model.checkpoint=/not/there"))
    cross_validate(make(*leaky, "data.leaks=allow"))
    text = "folds share 1 pairs of identical sequences: a, b"
    assert [one.levelname for one in caplog.records if one.getMessage() == text] == ["WARNING"] * 2
    with pytest.raises(ConfigError, match="not empty"):
        cross_validate(make(*leaky, "data.leaks=allow"))


def test_given_folds_that_split_groups_stop_the_run(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "given.csv").write_text("protein,fold\n" + "".join(f"p{n},{1 + n % 2}\n" for n in range(9)))
    (tmp_path / "groups.csv").write_text("protein,cluster\n" + "".join(f"p{n},{min(n // 2, 3)}\n" for n in range(9)))
    options = (f"data.folds={tmp_path}/given.csv", "training.epochs=1")
    split = (*options, f"data.clusters={tmp_path}/groups.csv")
    message = (
        r"0 pairs of identical sequences; groups of data.clusters=\S*groups.csv that lie in more than one fold: 4, "
        r"with 5 other pairs, such as p6 \(fold 1\) and p7 \(fold 2\), p0 \(fold 1\) and p1 \(fold 2\), p2"
    )
    with pytest.raises(CheckError, match=f"{message}.*audit.json; data.leaks=allow"):
        cross_validate(make(*split))
    audit = json.loads((tmp_path / "run" / "audit.json").read_text())
    assert (audit["leaks"], audit["folds"]["grouped_pairs"], audit["folds"]["split_groups"]) == (5, 5, 4)
    with caplog.at_level(logging.INFO, "bindtune"):
        cross_validate(make(*split, "data.leaks=allow"), fold=1)
    assert "that lie in more than one fold: 4" in caplog.text
    cross_validate(make(*options, out="other"), fold=1)


def test_what_a_kill_leaves_before_the_settings_are_written_is_no_obstacle(make: Make, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    (folder / "alignments").mkdir(parents=True)
    (folder / "provenance.json").write_text('{"inputs": {"labels of ZN": {"sha256": "of another file"}}}')
    (folder / ".config.yaml.x.part").write_text("half")
    assert "not done yet: 2" in cross_validate(make("training.epochs=1"), fold=1)


def test_a_folder_of_something_else_is_left_alone(make: Make, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("x")
    with pytest.raises(ConfigError, match="holds no run"):
        cross_validate(make())
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.tex"]


def test_a_fold_that_another_process_has_begun_is_refused(make: Make, tmp_path: Path) -> None:
    cross_validate(make("training.epochs=1"), fold=1)
    with only_writer(tmp_path / "run" / "fold_2"):
        with pytest.raises(ConfigError, match=r"learning_rate was 0\.003"):
            cross_validate(make("training.epochs=1", "training.learning_rate=1"), fold=2)
        with pytest.raises(ConfigError, match="in use"):
            cross_validate(make("training.epochs=1"), fold=2, resume=tmp_path / "run")


def test_two_runs_that_begin_in_one_folder_at_the_same_moment_do_not_mix(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make()
    sign = run.sign

    def signed_by_both(*arguments: Any, **named: Any) -> list[str]:
        said = sign(*arguments, **named)
        other = make("training.learning_rate=1")
        (tmp_path / "run" / "config.yaml").write_text(dump(other))
        return said

    monkeypatch.setattr(run, "sign", signed_by_both)
    with pytest.raises(ConfigError, match=r"learning_rate was 1\.0 and is now 0\.003"):
        cross_validate(settings)


def regroup(monkeypatch: pytest.MonkeyPatch, groups: Callable[[int], Any]) -> None:
    """Let proteins be clustered otherwise, as on a node with another MMseqs2."""
    monkeypatch.setattr(inputs, "cluster_proteins", lambda names, *_, **__: groups(len(names)))


def test_a_run_keeps_its_folds(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cross_validate(make("training.epochs=1"), fold=1)
    table = tmp_path / "run" / "folds.csv"
    before = table.read_bytes()
    fold_of = {name: fold for name, fold, *_ in (line.split(",") for line in before.decode().splitlines())}
    regroup(monkeypatch, lambda count: np.arange(count) // 2)
    now = inputs.read_run(make(), tmp_path).fold.tolist()
    moved = next(number for number in range(9) if fold_of[f"p{number}"] != str(now[number]))
    message = rf"folds.csv: the fold of 'p{moved}' was {fold_of[f'p{moved}']} and is now {now[moved]}: .*data.folds="
    for resumed in ({}, {"resume": tmp_path / "run"}):
        with pytest.raises(ConfigError, match=message):
            cross_validate(make("training.epochs=1"), fold=2, **resumed)
    assert table.read_bytes() == before
    monkeypatch.undo()
    cross_validate(make("training.epochs=1"), fold=2)


def test_an_inner_validation_keeps_its_groups(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "given.csv").write_text("protein,fold\n" + "".join(f"p{n},{1 + n % 2}\n" for n in range(9)))
    options = (f"data.folds={tmp_path}/given.csv", "data.leaks=allow", "training.epochs=1")
    inner = (*options, "training.inner_validation_fraction=0.3")
    cross_validate(make(*options), fold=1)
    cross_validate(make(*inner, out="inner"), fold=1)
    regroup(monkeypatch, lambda count: np.arange(count) // 4)
    cross_validate(make(*options), fold=2)
    with pytest.raises(ConfigError, match=r"the group of 'p1' was 1 and is now 0"):
        cross_validate(make(*inner, out="inner"), fold=2)


def test_folds_that_failed_before_the_first_began_are_drawn_anew(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="no linear layer foo"):
        cross_validate(make("lora.target_modules=[foo]"))
    before = (tmp_path / "run" / "folds.csv").read_bytes()
    regroup(monkeypatch, lambda count: np.arange(count) // 2)
    cross_validate(make("training.epochs=1"), fold=1)
    assert (tmp_path / "run" / "folds.csv").read_bytes() != before


def test_two_tasks_that_begin_at_the_same_moment_with_other_folds_do_not_mix(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign = run.sign

    def signed_by_both(*arguments: Any, **named: Any) -> list[str]:
        said = sign(*arguments, **named)
        table = tmp_path / "run" / "folds.csv"
        table.write_text("protein,fold,group\n" + "".join(f"p{n},7,{n}\n" for n in range(9)))
        return said

    monkeypatch.setattr(run, "sign", signed_by_both)
    with pytest.raises(ConfigError, match=r"the fold of 'p0' was 7 and is now [12]"):
        cross_validate(make())


def test_a_damaged_table_is_told(make: Make, tmp_path: Path) -> None:
    cross_validate(make("training.epochs=1"))
    table = tmp_path / "run" / "fold_2" / "oof.parquet"
    table.write_bytes(table.read_bytes()[:200])
    with pytest.raises(InputError, match=r"fold_2/oof.parquet: is not a readable Parquet file"):
        merge.merge_folds(tmp_path / "run")


def test_a_labelled_protein_that_a_fold_lacks_is_told(make: Make, tmp_path: Path) -> None:
    (tmp_path / "more.fa").write_text(f">u\n{sequence(100, 20)}\n")
    cross_validate(make("training.epochs=1", f"data.unlabelled_fasta={tmp_path}/more.fa"))
    table, folds = tmp_path / "run" / "fold_2" / "oof.parquet", tmp_path / "run" / "folds.csv"
    whole = pq.read_table(table)
    first = whole["protein"][0].as_py()
    pq.write_table(whole.filter(pc.not_equal(whole["protein"], first)), table)
    with pytest.raises(InputError, match=rf"fold_2/oof.parquet: lacks '{first}' for ZN, one of 1 that are missing"):
        merge.merge_folds(tmp_path / "run")
    # folds.csv of earlier versions has the columns protein, fold and group alone.
    folds.write_text("".join(f"{','.join(line.split(',')[:3])}\n" for line in folds.read_text().splitlines()))
    merge.merge_folds(tmp_path / "run")


def test_a_fold_without_labelled_proteins_is_merged(make: Make, tmp_path: Path) -> None:
    labelled, plain = ([(f"{kind}{n}", sequence(n + seed, 20)) for n in range(count)]
                       for kind, seed, count in (("l", 0, 6), ("u", 100, 8)))  # fmt: skip
    (tmp_path / "few.fa").write_text("".join(f">{name}\n{s}\n{'0' * 20}1\n" for name, s in labelled))
    (tmp_path / "more.fa").write_text("".join(f">{name}\n{s}\n" for name, s in plain))
    families = [(name, n % 2) for n, (name, _) in enumerate(labelled)] + [(name, name) for name, _ in plain]
    (tmp_path / "families.csv").write_text("protein,cluster\n" + "".join(f"{name},{of}\n" for name, of in families))
    cross_validate(
        make(
            f"data.fasta_path={tmp_path}/few.fa", f"data.unlabelled_fasta={tmp_path}/more.fa",
            f"data.clusters={tmp_path}/families.csv", "training.num_folds=3", "training.seed=2", "training.epochs=1",
        )
    )  # fmt: skip
    sizes = [pq.read_metadata(tmp_path / "run" / f"fold_{fold}" / "oof.parquet").num_rows for fold in (1, 2, 3)]
    assert sizes == [0, 63, 63]
    assert pq.read_metadata(tmp_path / "run" / "oof.parquet").num_rows == 126


# -------------------------------------------------------------------- signals and kills


@pytest.mark.parametrize(
    ("name", "call"), [("masked_lm_loss", 2), ("logits", 2), ("logits", 3)], ids=["masked LM", "last epoch", "held out"]
)
def test_sigterm_in_validation_and_prediction_stops_at_once(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, call: int
) -> None:
    cross_validate(make())
    settings = make(out="stopped")
    with monkeypatch.context() as patched:
        stop_at(patched, Predictor, name, call=call)
        with pytest.raises(Interrupted, match="--resume"):
            cross_validate(settings)
    assert not (tmp_path / "stopped" / "fold_1" / "oof.parquet").exists()
    cross_validate(settings, resume=tmp_path / "stopped")
    same(tmp_path / "run", tmp_path / "stopped")


def test_a_kill_before_the_state_of_a_done_fold_is_deleted(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make("training.epochs=1")
    with monkeypatch.context() as patched:
        patched.setattr(fold_files, "delete_state", lambda folder: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            cross_validate(settings)
    state = tmp_path / "run" / "fold_1" / "state.pt"
    assert state.is_file()
    assert state.with_name("oof.parquet").is_file()
    cross_validate(settings, resume=tmp_path / "run")
    assert not list((tmp_path / "run").glob("fold_*/state.pt"))


def test_sigterm_at_the_end_of_a_fold_does_not_begin_the_next(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = fold_files.write_out_of_fold

    def with_signal(*arguments: Any, **named: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        write(*arguments, **named)

    monkeypatch.setattr(fold_files, "write_out_of_fold", with_signal)
    with pytest.raises(Interrupted):
        cross_validate(make("training.epochs=1"))
    assert (tmp_path / "run" / "fold_1" / "oof.parquet").is_file()
    assert not (tmp_path / "run" / "fold_2").exists()


@pytest.mark.parametrize("damaged", ["before the state", "before the curves"])
def test_a_kill_around_the_best_epoch_changes_nothing(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damaged: str
) -> None:
    cross_validate(make())
    settings = make(out="killed")

    def die(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        if damaged == "before the curves":
            patched.setattr(tensorboard.Board, "add", die)
        else:
            patched.setattr(E1BindingTrainer, "_save_state", die)
            settings = settings.model_copy(update={"training": settings.training.model_copy(update={"save_steps": 0})})
        with pytest.raises(Killed):
            cross_validate(settings)
    assert (tmp_path / "killed" / "fold_1" / ".unsettled").exists() == (damaged == "before the state")
    (tmp_path / "killed" / "fold_1" / ".state.pt.x.part").write_bytes(b"half")
    cross_validate(settings, resume=tmp_path / "killed")
    same(tmp_path / "run", tmp_path / "killed")
    assert [path.name for path in (tmp_path / "killed" / "fold_1").glob(".*")] == [".lock"]
    curves = EventAccumulator(str(tmp_path / "killed" / "logs" / "fold_1")).Reload()
    assert [event.step for event in curves.Scalars("validation/mean/auprc")] == [1, 2]


def test_an_unsettled_best_epoch_is_written_again_whatever_it_scores(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(epoch_selection, "score_of", lambda mean, metric: -1.0)
    step, seen = E1BindingTrainer._step, [0]

    def stop_in_the_second_epoch(self: E1BindingTrainer, *arguments: Any, **named: Any) -> None:
        step(self, *arguments, **named)
        seen[0] += 1
        if self.state.epoch == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(E1BindingTrainer, "_step", stop_in_the_second_epoch)
        with pytest.raises(Interrupted):
            cross_validate(make(), fold=1)
    fold_files.unsettle(tmp_path / "run" / "fold_1")
    cross_validate(make(), fold=1, resume=tmp_path / "run")
    heads = torch.load(tmp_path / "run" / "fold_1" / "best_e1_binding_model_heads.pt", weights_only=True)
    assert heads["epoch"] == 2


@pytest.mark.parametrize("size", [6000, 12000])
def test_a_full_disk_is_told_and_the_run_goes_on_later(
    make: Make, tmp_path: Path, size: int, small_disk: Callable[[int], AbstractContextManager[None]]
) -> None:
    settings = make("training.epochs=1", "training.save_steps=0")
    with small_disk(size), pytest.raises(OSError, match=r"cannot be written|File too large"):
        cross_validate(settings)
    cross_validate(settings, resume=tmp_path / "run")
    assert (tmp_path / "run" / "oof.parquet").is_file()


# -------------------------------------------------------------------- resuming with something else


def test_batches_may_be_cut_otherwise_while_steps_stay_as_they_are(make: Make, tmp_path: Path) -> None:
    still = ("lora.dropout=0", "model.dropout=0")
    folder = tmp_path / "run"
    cross_validate(make(*still), fold=1)
    with pytest.raises(ConfigError, match=r"learns from 2 proteins a step.* are 4"):
        cross_validate(make(*still, "training.batch_size=2"), fold=2, resume=folder)
    cross_validate(make(*still, "training.batch_size=2", "training.accum_steps=1"), fold=2, resume=folder)
    cross_validate(make(*still, out="straight"))
    first, second = (
        pq.read_table(run / "oof.parquet")["probability"].to_numpy() for run in (folder, tmp_path / "straight")
    )
    assert np.abs(first - second).max() < 1e-6


def test_other_alignments_are_refused(make: Make, tmp_path: Path) -> None:
    (tmp_path / "msa").mkdir()
    own = sequence(0, 14)
    alignment = tmp_path / "msa" / "p0.a3m"
    alignment.write_text(f">p0\n{own}\n>h\n{own[:-1]}A\n")
    settings = make(f"data.msa_dir={tmp_path}/msa", "training.epochs=1")
    cross_validate(settings, fold=1)
    assert json.loads((tmp_path / "run" / "provenance.json").read_text())["inputs"]["alignments"]["sha256"]
    alignment.write_text(f">p0\n{own}\n>h\n{own[:-2]}AA\n")
    with pytest.raises(ConfigError, match="not those that the run began with: alignments"):
        cross_validate(settings, fold=2)


def test_a_damaged_state_is_refused_in_one_line(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_at(monkeypatch, E1BindingTrainer, "_step", call=3)
    with pytest.raises(Interrupted):
        cross_validate(make())
    folder = tmp_path / "run" / "fold_1"
    whole = (folder / "state.pt").read_bytes()
    assert fold_files.read_state(folder) is not None
    drawn = random.Random(1)
    damaged = [b"", b"text", whole[: len(whole) // 2], *(damage(whole, drawn) for _ in range(60))]
    for content in damaged:
        (folder / "state.pt").write_bytes(content)
        try:
            fold_files.read_state(folder)
        except CheckpointError as error:
            assert "delete the fold's folder and train it again" in str(error)


def damage(content: bytes, drawn: random.Random) -> bytes:
    """Some bytes of the first tenth, where the pickle lies, or of the last, changed."""
    changed = bytearray(content)
    for _ in range(4):
        byte = drawn.randrange(len(content) // 10)
        changed[byte if drawn.random() < 0.5 else len(content) - 1 - byte] = drawn.randrange(256)
    return bytes(changed)


# -------------------------------------------------------------------- what cannot be learned


def test_a_loss_that_is_no_number_is_told(make: Make) -> None:
    with pytest.raises(BindtuneError, match=r"not (a )?number.*lower training\.learning_rate"):
        cross_validate(make("training.learning_rate=1e30", "training.max_grad_norm=0"))


def test_settings_that_leave_nothing_to_train_are_refused(make: Make, tmp_path: Path) -> None:
    (tmp_path / "plain.fa").write_text(">a\nACDEF\n>b\nGHIKL\n")
    nothing = (
        "training.ions=[]",
        f"data.unlabelled_fasta={tmp_path}/plain.fa",
        "lora=null",
        "model.freeze_backbone=true",
    )
    with pytest.raises(ConfigError, match="nothing to train"):
        cross_validate(make(*nothing))
    with pytest.raises(ConfigError, match="there is only fold 1"):
        cross_validate(make(*nothing), fold=2)


def test_names_of_ions_that_would_clash_are_refused(make: Make) -> None:
    with pytest.raises(ConfigError, match="mean over ions"):
        make("training.ions=[mean]")
    with pytest.raises(ConfigError, match="'keys' is a name that PyTorch uses itself"):
        build_model(make("training.ions=[keys]"))


def test_the_time_that_processes_wait_is_read_from_the_environment(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_DIST_TIMEOUT", "soon")
    with pytest.raises(ConfigError, match="TORCH_DIST_TIMEOUT is 'soon'"):
        make_accelerator(make())
    monkeypatch.setenv("TORCH_DIST_TIMEOUT", "90")
    assert make_accelerator(make()).init_handler.timeout.total_seconds() == 90


def test_a_run_of_another_precision_may_have_come_before(make: Make) -> None:
    AcceleratorState._reset_state(reset_partial_state=True)
    Accelerator(cpu=True, mixed_precision="bf16")
    assert make_accelerator(make(), "cpu").mixed_precision == "no"


# -------------------------------------------------------------------- what is told


def test_long_proteins_and_settings_without_effect_are_told(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    long, other = sequence(1, 300), sequence(2, 40)
    (tmp_path / "long.fa").write_text(
        "".join(f">{name}\n{s}\n{'0' * (len(s) - 1)}1\n" for name, s in (("long", long), ("other", other)))
    )
    (tmp_path / "msa").mkdir()
    (tmp_path / "msa" / "other.a3m").write_text(f">other\n{other}\n>h\n{other}\n")
    config = make(
        f"data.fasta_path={tmp_path}/long.fa", "training.epochs=1", "training.msa_sampling.max_query_length=64",
        "model.freeze_backbone=true", f"data.msa_dir={tmp_path}/msa",
    )  # fmt: skip
    with caplog.at_level(logging.INFO, "bindtune"):
        merged = cross_validate(config)
    said = caplog.text
    assert merged.endswith("1 of 2 proteins have an alignment, 1 give no homolog")
    counts = yaml.safe_load((tmp_path / "run" / "summary.yaml").read_text())["alignments"]
    assert (counts["proteins"], counts["with_alignment"], counts["without_homolog"]) == (2, 1, 1)
    assert (
        "0 training proteins" in said
        and "1 training proteins, of which each epoch learns a random stretch of 60" in said
    )
    assert "1 validation proteins, predicted in overlapping stretches of 60" in said
    assert "model.freeze_backbone: adapters are trained" in said
    assert "1 of 2 proteins have an alignment, 1 give no homolog" in said and "none of 2" not in said
    # The only homolog equals the protein, and more than 0.95 alike is not allowed.
    assert "1 validation rows are read alone: msa_sampling allows no homolog of their alignment" in said
    log = (tmp_path / "run" / "training.log").read_text()
    assert "base rate" in log and "minutes" in log


def test_alignments_that_match_no_protein_are_told(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "msa").mkdir()
    (tmp_path / "msa" / "1.a3m").write_text(">1\nMKTAY\n")
    with caplog.at_level(logging.INFO, "bindtune"):
        cross_validate(make("training.epochs=1", f"data.msa_dir={tmp_path}/msa"))
    (warned,) = [record for record in caplog.records if "has an alignment" in record.getMessage()]
    assert warned.levelno == logging.WARNING and "1.a3m" in warned.getMessage()
    assert "0 of " in (tmp_path / "run" / "training.log").read_text()


def test_alignments_alone_adapt_the_language_model(make: Make, tmp_path: Path) -> None:
    (tmp_path / "msa").mkdir()
    for seed in range(4):
        own = sequence(seed, 30)
        (tmp_path / "msa" / f"q{seed}.a3m").write_text(f">query\n{own}\n>h\n{own[:9]}-{own[10:20]}ACDEFGHIKLM\n")
    config = make("training.ions=[]", "data.fasta_path=null", f"data.msa_dir={tmp_path}/msa", "training.epochs=1")
    cross_validate(config)
    assert (tmp_path / "run" / "folds.csv").read_text().count("q") == 4
    assert (tmp_path / "run" / "fold_1" / "best_e1_binding_model_lora" / "adapter_model.safetensors").is_file()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no alignment"):
        cross_validate(make("training.ions=[]", "data.fasta_path=null", f"data.msa_dir={tmp_path}/empty", out="other"))


# -------------------------------------------------------------------- numbers


def test_validation_figures_are_those_of_the_best_epochs_predictions(make: Make, tmp_path: Path) -> None:
    cross_validate(make("training.epochs=1", "training.mlm_weight=0", "training.pos_weight_mode=linear"), fold=1)
    rows = pq.read_table(tmp_path / "run" / "fold_1" / "oof.parquet").to_pydict()
    labels, scores = np.array(rows["label"]), np.array(rows["probability"], np.float64)
    text = (tmp_path / "run" / "fold_1" / "history.csv").read_text().splitlines()
    warning = next(
        row for row in (dict(zip(text[0].split(","), line.split(","), strict=True)) for line in text[1:])
        if (row["split"], row["ion"]) == ("validation", "ZN")
    )  # fmt: skip
    assert float(warning["auroc"]) == pytest.approx(roc_auc_score(labels, scores))
    assert float(warning["auprc"]) == pytest.approx(average_precision_score(labels, scores))
    assert float(warning["base_rate"]) == pytest.approx(labels.mean())
    assert float(warning["mcc"]) == pytest.approx(matthews_corrcoef(labels, scores >= float(warning["threshold"])))
    # HRA by the definition: precision against recall from 0.7 on, by trapezoids.
    order = np.argsort(-scores)
    hits = labels[order].cumsum()
    recall, precision = hits / hits[-1], hits / np.arange(1, len(hits) + 1)
    grid = np.unique(np.concatenate([[0.7], recall[recall > 0.7]]))
    at_first = np.interp(0.7, *(values[np.flatnonzero(np.diff(recall, prepend=0))] for values in (recall, precision)))
    area, last = 0.0, (0.7, at_first)
    for point in zip(recall[recall > 0.7], precision[recall > 0.7], strict=True):
        area += (point[0] - last[0]) * (point[1] + last[1]) / 2
        last = point
    assert len(grid) > 1 and float(warning["hra_raw"]) == pytest.approx(area)
    assert float(warning["hra"]) == pytest.approx(area / 0.3)
    proteins = trainer.read_fold(make("training.mlm_weight=0"), 1).training
    counts = [sum(int((values == label).sum()) for values in proteins.labels) for label in (0, 1)]
    weight = torch.tensor(counts[0] / counts[1], dtype=torch.float64)
    logits = torch.logit(torch.tensor(scores))
    loss = F.binary_cross_entropy_with_logits(logits, torch.tensor(labels).double(), pos_weight=weight)
    assert float(warning["loss_bce"]) == pytest.approx(float(loss), rel=1e-4)


def test_the_rate_rises_from_the_first_step_and_ends_at_its_lowest(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    step = torch.optim.AdamW.step

    def note(self: Any, *arguments: Any, **named: Any) -> Any:
        rates.append(self.param_groups[0]["lr"])
        return step(self, *arguments, **named)

    monkeypatch.setattr(torch.optim.AdamW, "step", note)
    cross_validate(make("training.epochs=3", "training.patience=0", "training.min_lr=1e-5"), fold=1)
    steps = len(rates) // 3
    rise = [3e-3 * (number + 1) / steps for number in range(steps)]
    angles = np.pi * np.arange(1, 2 * steps + 1) / (2 * steps)
    assert rates == pytest.approx([*rise, *(1e-5 + (3e-3 - 1e-5) * (1 + np.cos(angles)) / 2)])


@pytest.mark.parametrize(("metric", "min_delta"), [("auprc", 0.0), ("loss", 0.0), ("loss", 100.0)])
def test_the_epoch_is_kept_by_the_metric_and_a_better_later_one_is_said(
    make: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    metric: Any,
    min_delta: float,
) -> None:
    later = epoch_selection.Later(3, 0.2, 0.1)
    monkeypatch.setattr(
        epoch_selection, "clearly_better_later", lambda means, chosen: later if len(means) == 3 else None
    )
    chosen = (f"training.selection_metric={metric}", f"training.min_delta={min_delta}")
    cross_validate(make("training.epochs=3", "training.patience=0", "training.learning_rate=0.01", *chosen), fold=1)
    with (tmp_path / "run" / "fold_1" / HISTORY).open() as table:
        means = [row for row in csv.DictReader(table) if (row["split"], row["ion"]) == ("validation", "mean")]
    heads = torch.load(tmp_path / "run" / "fold_1" / "best_e1_binding_model_heads.pt", weights_only=True)
    best = max(means, key=lambda row: float(row[metric]) * (-1 if metric == "loss" else 1))
    assert heads["epoch"] == (1 if min_delta else int(best["epoch"]))
    (said,) = (one for one in caplog.records if "has a mean AUPRC of" in one.getMessage())
    assert said.levelname == "WARNING" and said.getMessage() == (
        f"fold 1: epoch 3 has a mean AUPRC of 0.2000 in validation, the kept epoch {heads['epoch']} of 0.1000: it was "
        f"chosen by {epoch_selection.NAMES[metric]} (training.selection_metric={metric}, "
        f"training.min_delta={min_delta:g})"
    )
