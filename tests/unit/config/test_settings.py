"""Settings: what is refused and how, what wins, and that nothing is lost on the way to a file and back."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from bindtune.config import PretrainConfig, build, dump, load, read_yaml
from bindtune.errors import ConfigError, InputError


def settings(**options: Any) -> PretrainConfig:
    return build(PretrainConfig, {"train_file": "t.json", **options})


def test_defaults_are_the_full_run() -> None:
    values = settings().model_dump(mode="json")
    expected = {
        "model_name_or_path": "zhihan1996/DNABERT-2-117M",
        "output_dir": "models/dnabert2_tapt_eclip",
        "use_adaptive_masking": False,
        "target_mlm_prob": 0.15,
        "eclip_mlm_lo": 0.20,
        "eclip_mlm_hi": 0.25,
        "min_flanking_prob": 0.05,
        "max_seq_length": 512,
        "per_device_train_batch_size": 32,
        "gradient_accumulation_steps": 2,
        "learning_rate": 3e-5,
        "lr_scheduler_type": "cosine",
        "warmup_ratio": 0.05,
        "max_grad_norm": 1.0,
        "early_stopping_patience": 5,
        "eval_strategy": "steps",
        "eval_steps": 2000,
        "save_steps": 2000,
        "save_total_limit": 3,
        "adam_beta1": 0.9,
        "adam_beta2": 0.98,
        "adam_epsilon": 1e-6,
        "fp16": False,
        "bf16": False,
        "report_to": ["tensorboard"],
        "resume_from_checkpoint": None,
        "region_overlap": "any",
    }
    assert {name: values[name] for name in expected} == expected


def test_every_option_that_users_know_is_there() -> None:
    names = [
        "model_name_or_path", "train_file", "validation_file", "output_dir", "use_adaptive_masking",
        "target_mlm_prob", "eclip_mlm_lo", "eclip_mlm_hi", "min_flanking_prob", "max_seq_length",
        "max_train_samples", "max_eval_samples", "preprocessing_num_workers", "num_train_epochs", "max_steps",
        "per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps",
        "learning_rate", "weight_decay", "warmup_ratio", "lr_scheduler_type", "max_grad_norm", "optim", "fp16",
        "bf16", "gradient_checkpointing", "early_stopping_patience", "eval_strategy", "eval_steps",
        "save_steps", "save_total_limit", "logging_steps", "dataloader_num_workers", "seed", "report_to",
        "resume_from_checkpoint",
    ]  # fmt: skip
    assert set(names) <= set(PretrainConfig.model_fields)


def test_every_field_is_explained() -> None:
    for name, field in PretrainConfig.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("learning_rat", "learning_rate"),
        ("lr_sheduler_type", "lr_scheduler_type"),
        ("eclip_lo", "eclip_mlm_lo"),
        ("train-file", "train_file"),
        ("num_epochs", "num_train_epochs"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(wrong: str, right: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown setting '{wrong}'; did you mean '{right}'"):
        settings(**{wrong: 1})


def test_a_name_like_no_other_gets_no_guess() -> None:
    with pytest.raises(ConfigError, match=r"^unknown setting 'zzz'$"):
        settings(zzz=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", "fast"),
        ("learning_rate", 0),
        ("learning_rate", -1e-5),
        ("learning_rate", "nan"),
        ("learning_rate", float("inf")),
        ("max_seq_length", 2),
        ("max_seq_length", 5.5),
        ("max_train_samples", 0),
        ("max_steps", 0),
        ("max_steps", -2),
        ("num_train_epochs", 0),
        ("fp16", "perhaps"),
        ("eval_strategy", "sometimes"),
        ("eval_masking", "none"),
        ("region_overlap", "most"),
        ("report_to", "paper"),
        ("report_to", None),
        ("seed", -1),
        ("seed", 2**32),
        ("warmup_ratio", 1.0),
        ("adam_beta2", 1.0),
        ("save_total_limit", 0),
        ("early_stopping_patience", -1),
        ("resume_from_checkpoint", True),
        ("train_file", 5),
        ("gradient_accumulation_steps", "two"),
    ],
)
def test_a_wrong_value_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=name):
        settings(**{name: value})


def test_several_problems_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        build(PretrainConfig, {"learning_rate": "fast", "zzz": 1}, source=Path("run.yaml"))
    message = str(caught.value)
    assert message.startswith("run.yaml: ")
    assert "\n" not in message
    for problem in ("train_file is required", "learning_rate: ", "'fast'", "unknown setting 'zzz'"):
        assert problem in message


def test_settings_that_do_not_fit_together() -> None:
    with pytest.raises(ConfigError, match="fp16 and bf16"):
        settings(fp16=True, bf16=True)
    with pytest.raises(ConfigError, match="save_steps 1000 is not a multiple of eval_steps 300"):
        settings(validation_file="v.json", save_steps=1000, eval_steps=300)
    settings(validation_file="v.json", save_steps=900, eval_steps=300)
    settings(save_steps=1000, eval_steps=300)
    settings(validation_file="v.json", save_steps=1000, eval_steps=300, eval_strategy="epoch")


def test_text_becomes_what_it_says() -> None:
    values = settings(learning_rate="1e-6", max_steps="20", fp16="true", report_to="none", max_train_samples="7")
    assert values.learning_rate == 1e-6
    assert (values.max_steps, values.fp16, values.report_to, values.max_train_samples) == (20, True, ["none"], 7)


def test_yaml_numbers_without_a_point_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("train_file: a.json\nlearning_rate: 1e-6\nadam_epsilon: 1E-8\nreport_to: [tensorboard, wandb]\n")
    assert read_yaml(path)["learning_rate"] == 1e-6  # YAML 1.1 takes it for text
    values = load(PretrainConfig, config=path, options={})
    assert (values.learning_rate, values.adam_epsilon) == (1e-6, 1e-8)
    assert values.report_to == ["tensorboard", "wandb"]


def test_the_command_line_wins(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("train_file: a.json\nseed: 1\nfp16: true\n")
    values = load(PretrainConfig, config=path, options={"seed": "2", "fp16": False})
    assert (values.train_file, values.seed, values.fp16) == (Path("a.json"), 2, False)
    assert load(PretrainConfig, config=None, options={"train_file": "b"}).seed == 42


def test_an_error_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("train_file: a.json\nsede: 1\n")
    with pytest.raises(ConfigError, match=r"run\.yaml: unknown setting 'sede'; did you mean 'seed'"):
        load(PretrainConfig, config=path, options={})


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"- a\n- b\n", "expected names and values, found list"),
        (b"just text", "expected names and values, found str"),
        (b"a: 1\nb: [1, 2\nc: 3\n", ":3: not YAML"),
        (b"a: \t1\n\tb: 2\n", "not YAML"),
        (b"a: \xff\xfe\n", "cannot be read"),
        (b"a: \x00\n", "not YAML"),
        (b"a: !!python/object/apply:os.getcwd []\n", "not YAML"),
    ],
)
def test_what_is_no_settings_file(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_yaml(path)
    assert str(caught.value).startswith(str(path))
    assert problem in str(caught.value)


def test_a_number_as_a_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("train_file: a.json\n1: 2\n")
    with pytest.raises(ConfigError, match="1"):
        load(PretrainConfig, config=path, options={})


def test_no_file_a_folder_and_an_empty_file(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(InputError, match=str(path)):
            read_yaml(path)
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert read_yaml(tmp_path / "empty.yaml") == {}


def test_what_is_dumped_loads_to_the_same(tmp_path: Path) -> None:
    original = settings(learning_rate=1e-6, validation_file="ü.json", report_to=["wandb", "mlflow"], max_steps=7)
    path = tmp_path / "config.yaml"
    path.write_text(dump(original), encoding="utf-8")
    assert load(PretrainConfig, config=path, options={}) == original
    assert set(yaml.safe_load(path.read_text())) == set(PretrainConfig.model_fields)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        settings().seed = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("options", "mode", "switch"),
    [
        ({}, "uniform", False),
        ({"use_adaptive_masking": True}, "adaptive", True),
        ({"masking": "adaptive"}, "adaptive", True),
        ({"masking": "uniform"}, "uniform", False),
        ({"masking": "peak-only"}, "peak-only", False),
        ({"masking": "peak-only", "use_adaptive_masking": False}, "peak-only", False),
        ({"masking": None, "use_adaptive_masking": "yes"}, "adaptive", True),
    ],
)
def test_masking_and_its_switch_agree(tmp_path: Path, options: dict[str, Any], mode: str, switch: bool) -> None:
    settings = build(PretrainConfig, {"train_file": "t.json", **options})
    assert settings.masking_mode == mode
    assert settings.use_adaptive_masking is switch
    (tmp_path / "config.yaml").write_text(dump(settings))
    assert load(PretrainConfig, config=tmp_path / "config.yaml", options={}) == settings


@pytest.mark.parametrize(
    ("masking", "switch"), [("adaptive", False), ("uniform", True), ("peak-only", True), ("peak-only", "true")]
)
def test_masking_against_its_switch_is_refused(masking: str, switch: Any) -> None:
    with pytest.raises(ConfigError, match=f"masking is {masking}, and use_adaptive_masking is "):
        build(PretrainConfig, {"train_file": "t.json", "masking": masking, "use_adaptive_masking": switch})


def test_the_file_is_not_blamed_for_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("train_file: t.json\nseed: 3\n")
    with pytest.raises(ConfigError, match=r"^learning_rate: .*found 'fast'$"):
        load(PretrainConfig, config=path, options={"learning_rate": "fast"})
    with pytest.raises(ConfigError, match=r"^save_steps 6 is not a multiple"):
        options = {"save_steps": 6, "eval_steps": 4, "validation_file": "v.json"}
        load(PretrainConfig, config=path, options=options)
    path.write_text("train_file: t.json\nsede: 3\n")
    with pytest.raises(ConfigError, match=r"run\.yaml: unknown setting 'sede'.*; on the command line: learning_rate: "):
        load(PretrainConfig, config=path, options={"learning_rate": "fast"})
