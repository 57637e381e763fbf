"""What every command promises: quick help, exit codes, one line on stderr, both spellings of options."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bindtune.cli import main
from bindtune.config import PretrainConfig, ProbeConfig, SitesConfig, WindowsConfig, load, load_binding
from bindtune.demo.tiny_e1 import make_tiny_e1
from bindtune.runs.exclusive import only_writer

ROOT = Path(__file__).parents[2]


def bindtune(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "bindtune", *words], capture_output=True, text=True)


def test_help_imports_no_torch() -> None:
    loaded = "import sys, bindtune.cli; print([m for m in ('torch', 'transformers', 'numpy') if m in sys.modules])"
    loaded_modules = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert loaded_modules.stdout.strip() == "[]"


def test_importing_the_package_imports_no_torch() -> None:
    code = "import sys, bindtune; assert 'torch' not in sys.modules; bindtune.EclipAdaptiveMLMCollator; print('ok')"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "ok\n"


def test_every_promised_option_is_there_in_both_spellings() -> None:
    promised = """
        model_name_or_path train_file validation_file output_dir use_adaptive_masking target_mlm_prob eclip_mlm_lo
        eclip_mlm_hi min_flanking_prob max_seq_length max_train_samples max_eval_samples preprocessing_num_workers
        num_train_epochs max_steps per_device_train_batch_size per_device_eval_batch_size learning_rate weight_decay
        gradient_accumulation_steps warmup_ratio lr_scheduler_type max_grad_norm optim fp16 bf16 seed report_to
        gradient_checkpointing early_stopping_patience eval_strategy eval_steps save_steps save_total_limit
        logging_steps dataloader_num_workers resume_from_checkpoint
    """.split()  # noqa: SIM905 (easier to compare with the documentation)
    assert set(promised) <= set(PretrainConfig.model_fields)
    shown = bindtune("pretrain", "--help").stdout
    for name in promised:
        assert f"--{name.replace('_', '-')}" in shown


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run the command line in this process; the exit code."""
    monkeypatch.setattr(sys, "argv", ["bindtune", *words])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


@pytest.mark.parametrize("command", ["demo", "smoke"])
def test_a_folder_that_another_process_writes_is_refused(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with only_writer(tmp_path / "out"):
        assert call(monkeypatch, command, "--out", str(tmp_path / "out")) == 2
        assert capsys.readouterr() == ("", f"bindtune: {tmp_path / 'out'} is in use by another process\n")
        assert [path.name for path in (tmp_path / "out").iterdir()] == [".lock"]


@pytest.mark.parametrize("spelling", ["--train_file", "--train-file"])
def test_options_may_be_written_either_way(
    spelling: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "pretrain", spelling, "a.json", "--learning_rate", "-1") == 2
    assert capsys.readouterr().err == ("bindtune: learning_rate: Input should be greater than 0, found '-1'\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pretrain"], "train_file is required; `bindtune init pretrain` writes a file of settings for --config"),
        (["windows"], "out is required; `bindtune init windows` writes a file of settings for --config"),
        (["train"], "training.ions need labels; `bindtune init train` writes a file of settings"),
        (["check-lora"], "`bindtune init train` writes a file of settings for --config"),
        (
            ["init", "align"],
            "bindtune 0.1.0 has no files for 'align', expected one of pretrain, train, windows, probe, sites, slurm, ",
        ),
        (["schema", "trian"], "'trian' is no command with settings, expected windows, "),
        (["schema", "train", "--out", "train.yaml"], "--out train.yaml: the name of a schema must end in .json"),
        (["pretrain", "--train_file", "a", "--learning_rate", "fast"], "learning_rate"),
        (["pretrain", "--config", "missing.yaml"], "missing.yaml"),
        (["export", "missing-folder", "--out", "x"], "missing-folder"),
        (["smoke", "--train_file", "missing.json"], "missing.json"),
    ],
)
def test_what_a_user_can_fix_is_one_line_and_exit_code_2(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, *words) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("bindtune:")]
    assert len(lines) == 1
    assert message in lines[0]


@pytest.mark.parametrize(
    ("words", "way_on"),
    [
        (["windows", "--peaks", "a", "--region_fasta", "b"], "the same command"),
        (["pretrain", "--train_file", "a"], "the same command and --resume_from_checkpoint auto"),
        (["pretrain", "--train_file", "a", "--resume-from-checkpoint=auto"], "the same command"),
        (["train"], "the same command and --resume auto"),
        (["train", "--resume", "auto"], "the same command"),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_ctrl_c_says_how_to_go_on(
    words: list[str],
    way_on: str,
    wrapped: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def press(*_: object, **__: object) -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(60)
        except KeyboardInterrupt:
            if not wrapped:
                raise
            raise ValueError("as pydantic does") from None

    monkeypatch.setattr("bindtune.cli.load", press)
    monkeypatch.setattr("bindtune.options.load", press)
    monkeypatch.setattr("bindtune.config.binding.load_binding", press)
    before = signal.getsignal(signal.SIGINT)
    assert call(monkeypatch, *words) == 130
    assert capsys.readouterr().err == f"bindtune: interrupted; go on with {way_on}\n"
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            OSError(errno.ENOSPC, "No space left", "a/b"),
            "a/b: No space left; make room, and go on with the same command",
        ),
        (OSError(errno.EROFS, "Read-only file system", "a/b"), "a/b: Read-only file system"),
        (OSError("no model\n of that name"), "no model of that name"),
    ],
)
def test_what_the_system_refuses_is_one_line(
    error: OSError, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("bindtune.options.load", fail)
    assert call(monkeypatch, "predict") == 2
    assert capsys.readouterr().err == f"bindtune: {line}\n"


def test_the_hint_is_left_out_where_something_was_given(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "train", "training.epochs=3") == 2
    assert "bindtune init" not in capsys.readouterr().err


def test_the_next_command_is_named(
    generated: tuple[Path, Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    genome = generated[0].parents[1] / "genome"
    files = {"--peaks": "peaks.bed", "--genome": "genome.fa", "--regions": "genes.bed"}
    words = [word for option, name in files.items() for word in (option, str(genome / name))]
    monkeypatch.chdir(tmp_path)
    for options, expected in (
        ((), "--validation_file 'a b/validation.parquet' "),
        (("--validation-fraction", "0", "--format", "jsonl", "--overwrite"), ""),
    ):
        assert call(monkeypatch, "windows", *words, "--out", "a b", "--stride", "256", *options) == 0
        train = "train.jsonl" if options else "train.parquet"
        last = capsys.readouterr().err.splitlines()[-1]
        assert last == f"next: bindtune pretrain --train_file 'a b/{train}' {expected}--output_dir run"
    monkeypatch.setenv("RANK", "1")
    assert call(monkeypatch, "windows", *words, "--out", "a b", "--overwrite") == 0
    assert "next:" not in capsys.readouterr().err


@pytest.mark.parametrize(("kind", "command"), [
    ("pretrain", "doctor"), ("train", "doctor"), ("probe", "probe --config"), ("slurm", None),
])  # fmt: skip
def test_init_names_the_command_that_takes_the_file(
    kind: str, command: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "init", kind, "--out", str(tmp_path)) == 0
    words = f"init train --out {tmp_path}" if command is None else f"{command} {tmp_path / kind}.yaml"
    assert capsys.readouterr().err.splitlines() == [f"next: bindtune {words}"]


def test_init_writes_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, "init", "train") == 0
    assert capsys.readouterr().out == "wrote train.yaml\n"
    before = (tmp_path / "train.yaml").read_bytes()
    assert call(monkeypatch, "init", "train") == 2
    assert capsys.readouterr().err.startswith("bindtune: train.yaml is there already and is left as it is")
    assert (tmp_path / "train.yaml").read_bytes() == before
    assert call(monkeypatch, "init", "slurm", "--out", str(tmp_path / "jobs")) == 0
    assert sorted(path.name for path in (tmp_path / "jobs").iterdir()) == [
        "predict.sbatch",
        "pretrain.sbatch",
        "train.sbatch",
    ]


def test_a_schema_is_printed_or_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "schema", "windows") == 0
    printed = capsys.readouterr().out
    assert json.loads(printed)["properties"]["stride"]["default"] == 256
    assert call(monkeypatch, "schema", "windows", "--out", str(tmp_path / "windows.schema.json")) == 0
    assert (tmp_path / "windows.schema.json").read_text() == printed


@pytest.mark.parametrize(
    ("words", "completions"),
    [
        ("bindtune pre", ["pretrain", "predict"]),
        ("bindtune pretrain --train-f", ["--train-file"]),
        ("bindtune init ", ["pretrain", "train", "windows", "probe", "sites", "slurm", "accelerate"]),
        ("bindtune schema ev", ["evaluate"]),
    ],
)
def test_a_shell_completes_without_torch(words: str, completions: list[str]) -> None:
    code = """
import sys
sys.argv = ["bindtune"]
from bindtune.cli import main
try:
    main()
finally:
    print("\\n" + ",".join(sorted({"torch", "transformers", "numpy"} & set(sys.modules))))
"""
    asked = {"_BINDTUNE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | asked)
    said, _, heavy = done.stdout.removesuffix("\n").rpartition("\n")
    assert said.split() == completions, done.stderr
    assert heavy == ""


def test_shipped_configurations_are_valid() -> None:
    shipped = {"pretrain.yaml": PretrainConfig, "pretrain-tiny.yaml": PretrainConfig, "windows.yaml": WindowsConfig}
    shipped |= {"probe.yaml": ProbeConfig, "sites.yaml": SitesConfig}
    assert {path.name for path in (ROOT / "configs").glob("*.yaml")} == {*shipped, "binding.yaml", "binding-tiny.yaml"}
    load_binding(ROOT / "configs" / "binding-tiny.yaml")
    binding = load_binding(ROOT / "configs" / "binding.yaml")
    assert (binding.training.pos_weight_mode, binding.data.clusters) == ("sqrt", "kmer")
    for name, model in shipped.items():
        load(model, config=ROOT / "configs" / name, options={})
    full = load(PretrainConfig, config=ROOT / "configs" / "pretrain.yaml", options={})
    assert full.use_adaptive_masking
    assert full.fp16


def test_verify_says_what_it_found_by_its_exit_code(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = make_tiny_e1(tmp_path / "model", seed=1)
    assert run("verify", model) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "5 of 5 checks passed"
    assert run("verify", model, "--release", "Profluent-Bio/E1-150m") == 1
    assert "FAILED  architecture: E1, 3 layers, width 64" in capsys.readouterr().out
    for words in ((tmp_path / "none",), (model, "--release", "E1")):
        assert run("verify", *words) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
