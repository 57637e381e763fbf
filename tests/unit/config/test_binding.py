"""Settings of binding-site training: the original's file, the names it had, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from bindtune.config import build, dump
from bindtune.config.binding import BindingConfig, load_binding
from bindtune.errors import ConfigError, InputError

ORIGINAL = """\
general:
  seed: 1
  gpu_id: 0
  debug: false
data:
  fasta_path: data/fasta
  msa_dir: data/msa
training:
  ions: [CA, ZN, MN, LREE, HREE, REE]
  epochs: 40
  batch_size: 2
  accum_steps: 4
  learning_rate: 1e-4
  mlm_weight: 1.0
  mlm_probability: 0.15
  weight_decay: 0.035
  warmup_epochs: 5
  min_lr: 1e-6
  num_folds: 5
  early_stop_patience: 5
  pos_weight_mode: sqrt
  label_smoothing: 0.05
  loss_type: bce
  focal_gamma: 2.0
  focal_alpha: 0.25
  threshold_method: youden
  save_model: true
  use_bf16: true
  model_dtype: bfloat16
  compile_flex_attention: true
  num_workers: 2
  output_dir: results/e1_binding
  ddp_find_unused_parameters: true
  msa_sampling:
    max_num_samples: 64
    max_token_length: 8192
    max_query_length: 1024
    max_query_similarity: 0.95
    min_query_similarity: 0.0
    neighbor_similarity_lower_bound: 0.8
  validation_msa_sampling:
    max_num_samples: 128
    max_token_length: 12288
    max_query_length: 1280
    max_query_similarity: 0.95
    min_query_similarity: 0.0
    neighbor_similarity_lower_bound: 0.8
model:
  checkpoint: Synthyra/Profluent-E1-600M
  dropout: 0.3
lora:
  r: 16
  alpha: 32
  lora_dropout: 0.2
  bias: none
  train_mlm_head: false
  target_modules: [q_proj, k_proj, v_proj, o_proj, w1, w2, w3]
---
notes: [anything at all
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text)
    return path


def config(*overrides: str, **sections: Any) -> BindingConfig:
    """Settings in memory, with labelled files unless said otherwise."""
    values = {"data": {"fasta_path": "d"}, **sections}
    return build(BindingConfig, values) if not overrides else load_binding(None, ["data.fasta_path=d", *overrides])


def test_the_originals_file_loads_unchanged(tmp_path: Path) -> None:
    values = load_binding(written(tmp_path, ORIGINAL)).model_dump(mode="json")
    options = yaml.safe_load(ORIGINAL.partition("---")[0])
    training = {**options["training"], "patience": 5, "seed": 1, "learning_rate": 1e-4, "min_lr": 1e-6}
    meaningless = ("save_model", "model_dtype", "compile_flex_attention", "ddp_find_unused_parameters")
    for name in ("early_stop_patience", *meaningless):
        del training[name]
    assert {name: values["training"][name] for name in training} == training
    assert type(values["training"]["min_lr"]) is float
    assert values["training"]["train_mlm_head"] is False
    assert values["model"] == {**options["model"], "freeze_backbone": False}
    assert values["lora"] == {
        "r": 16, "alpha": 32, "dropout": 0.2, "bias": "none", "target_modules": options["lora"]["target_modules"],
    }  # fmt: skip
    assert {name: values["data"][name] for name in options["data"]} == options["data"]
    named = {line.partition(":")[0] for line in values["ignored_keys"]}
    assert named == {"general.gpu_id", "general.debug", *(f"training.{name}" for name in meaningless)}
    assert all(len(line.partition(": ")[2]) > 10 for line in values["ignored_keys"])


def test_the_defaults() -> None:
    values = config().model_dump(mode="json")
    training = {
        "ions": ["CA", "ZN", "MG"], "epochs": 30, "batch_size": 2, "accum_steps": 4, "learning_rate": 1e-4,
        "num_folds": 5, "mlm_weight": 0.4, "mlm_probability": 0.15, "threshold_method": "mcc", "focal_alpha": 0.75,
        "output_dir": "results/e1_binding", "patience": 7, "warmup_epochs": 3, "weight_decay": 0.01,
    }  # fmt: skip
    assert {name: values["training"][name] for name in training} == training
    assert values["lora"]["target_modules"] == ["q_proj", "k_proj", "v_proj", "o_proj", "w1", "w2", "w3"]
    assert (values["lora"]["r"], values["lora"]["alpha"]) == (16, 32)
    assert values["training"]["validation_msa_sampling"] is None
    assert config().training.validation_context == config().training.msa_sampling
    assert values["ignored_keys"] == []


def test_further_documents_are_notes_and_a_broken_first_one_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "data: {fasta_path: d}\n---\ntraining: {epochs: 99}\n---\n: [\n")
    assert load_binding(path).training.epochs == 30
    with pytest.raises(InputError, match=r"run\.yaml:2: not YAML"):
        load_binding(written(tmp_path, "data: [1\ntraining: {a: b\n---\nnotes: 1\n"))


def test_aliases_stand_for_their_settings() -> None:
    values = config(
        general={"seed": 9},
        training={"early_stop_patience": 3},
        lora={"lora_dropout": 0.3, "lora_alpha": 8, "train_mlm_head": True},
        msa_sampling={"max_num_samples": 5},
        validation_msa_sampling={"max_num_samples": 6},
    )
    assert (values.training.seed, values.training.patience, values.training.train_mlm_head) == (9, 3, True)
    assert values.lora is not None
    assert (values.lora.dropout, values.lora.alpha, values.lora.r) == (0.3, 8, 16)
    assert values.training.msa_sampling.max_num_samples == 5
    assert values.training.validation_context.max_num_samples == 6
    assert config(general=None).training.seed == config(general={}).training.seed == 1


def test_an_alias_and_its_setting_must_agree() -> None:
    assert config(training={"early_stop_patience": 3, "patience": 3}).training.patience == 3
    with pytest.raises(ConfigError, match=r"training\.early_stop_patience and training\.patience are the same setting"):
        config(training={"early_stop_patience": 3, "patience": 4})


@pytest.mark.parametrize(
    ("sections", "name", "right"),
    [
        ({"trainig": {}}, "trainig", "training"),
        ({"training": {"epoch": 3}}, "training.epoch", "epochs"),
        (
            {"training": {"msa_sampling": {"max_num_sample": 3}}},
            "training.msa_sampling.max_num_sample",
            "max_num_samples",
        ),
        (
            {"training": {"validation_msa_sampling": {"max_query_len": 64}}},
            "training.validation_msa_sampling.max_query_len",
            "max_query_length",
        ),
        ({"lora": {"target_module": []}}, "lora.target_module", "target_modules"),
        ({"model": {"check_point": "x"}}, "model.check_point", "checkpoint"),
        ({"data": {"fasta_path": "d", "msa_dirs": "m"}}, "data.msa_dirs", "msa_dir"),
        ({"general": {"sed": 1, "gpu_id": 0}}, "general.sed", "seed"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(sections: dict[str, Any], name: str, right: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(**sections)
    assert f"unknown setting '{name}'; did you mean '{right}'?" in str(caught.value)


def test_overrides_are_yaml() -> None:
    values = config(
        "training.epochs=3",
        "training.learning_rate=1e-6",
        "training.ions=[ZN, 'CA']",
        "training.msa_sampling.max_token_length=2048",
        "data.msa_dir=null",
        "lora=null",
    )
    assert (values.training.epochs, values.training.learning_rate) == (3, 1e-6)
    assert values.training.ions == ["ZN", "CA"]
    assert values.training.msa_sampling.max_token_length == 2048
    assert values.training.msa_sampling.max_num_samples == 64
    assert (values.lora, values.data.msa_dir) == (None, None)
    assert (
        config("lora.target_modules=[q_proj]", "lora.r=4").lora
        == config(lora={"r": 4, "target_modules": ["q_proj"]}).lora
    )
    assert config("training.epochs=3", "training.epochs=4").training.epochs == 4


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("training.patience=2", lambda c: c.training.patience == 2),
        ("training.early_stop_patience=2", lambda c: c.training.patience == 2),
        ("training.seed=7", lambda c: c.training.seed == 7),
        ("general.seed=7", lambda c: c.training.seed == 7),
        ("lora.dropout=0.5", lambda c: c.lora.dropout == 0.5),
        ("lora.lora_dropout=0.5", lambda c: c.lora.dropout == 0.5),
        ("msa_sampling.max_num_samples=3", lambda c: c.training.msa_sampling.max_num_samples == 3),
        ("lora=null", lambda c: c.lora is None),
        ("training.save_model=false", lambda c: len(c.ignored_keys) == 6),
    ],
)
def test_overrides_win_over_the_file_under_either_name(tmp_path: Path, override: str, value: Any) -> None:
    path = written(tmp_path, ORIGINAL)
    before, after = load_binding(path), load_binding(path, [override])
    assert value(after)
    assert after.training.msa_sampling.max_token_length == before.training.msa_sampling.max_token_length
    assert after.training.epochs == before.training.epochs
    assert {line.partition(":")[0] for line in after.ignored_keys} == {
        line.partition(":")[0] for line in before.ignored_keys
    }


def test_giving_up_the_adapters_keeps_what_stood_beside_them(tmp_path: Path) -> None:
    path = written(tmp_path, ORIGINAL.replace("train_mlm_head: false", "train_mlm_head: true"))
    values = load_binding(path, ["lora=null"])
    assert values.lora is None
    assert values.training.train_mlm_head


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("training.epochs", "is no setting, expected section.key=value"),
        ("=3", "is no setting"),
        ("training.ions=[ZN", "the value is not YAML"),
        ("training.epochs=0", "training.epochs"),
        ("training.epochs.more=1", "training.epochs"),
        ("training.epoch=3", "did you mean 'epochs'"),
        ("general.sead=3", "unknown setting 'general.sead'; did you mean 'seed'?"),
        ("training=3", "training"),
        ("general=3", "general: expected names and values, found 3"),
    ],
)
def test_what_is_no_override(override: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(override)
    assert problem in str(caught.value)


def test_the_forms_of_fasta_path() -> None:
    ions = {"ions": ["ZN", "CA"]}
    listed = build(BindingConfig, {"data": {"fasta_path": ["z.fa", "c.fa"]}, "training": ions})
    assert listed.label_paths == {"ZN": "z.fa", "CA": "c.fa"}
    named = build(BindingConfig, {"data": {"fasta_path": {"CA": "c.fa", "ZN": "z.fa"}}, "training": ions})
    assert named.label_paths == {"ZN": "z.fa", "CA": "c.fa"}
    assert config(data={"fasta_path": "x/{ION}.fa"}).label_paths == "x/{ION}.fa"
    with pytest.raises(ConfigError, match=r"lists 1 files for 2 ions"):
        build(BindingConfig, {"data": {"fasta_path": ["z.fa"]}, "training": ions})
    alone = build(BindingConfig, {"data": {"unlabelled_fasta": "u.fa"}, "training": {"ions": []}})
    assert alone.label_paths == {}


@pytest.mark.parametrize(
    ("sections", "problem"),
    [
        ({"data": {}}, "data.fasta_path is required"),
        ({"training": {"ions": []}}, "data.unlabelled_fasta or data.msa_dir is required"),
        (
            {"data": {"unlabelled_fasta": "u"}, "training": {"ions": [], "mlm_weight": 0}},
            "mlm_weight must be above 0",
        ),
        ({"training": {"ions": ["ZN", "ZN"]}}, "an ion comes twice"),
        ({"training": {"ions": ["../ZN"]}}, "the name of an ion is letters"),
        ({"training": {"ions": ["+ZN"]}}, "'+ZN' begins with +, which spreadsheets take for a formula"),
        ({"training": {"learning_rate": "fast"}}, "training.learning_rate"),
        ({"training": {"label_smoothing": 0.5}}, "training.label_smoothing"),
        ({"training": {"mlm_probability": 1.0}}, "training.mlm_probability"),
        ({"training": {"loss_type": "hinge"}}, "training.loss_type"),
        ({"training": None}, "training"),
        ({"model": {"dropout": 1}}, "model.dropout"),
        ({"lora": {"r": 0}}, "lora.r"),
    ],
)
def test_what_cannot_be(sections: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(**sections)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        (["training.loss_type=focal", "training.pos_weight_mode=linear"], ["training.pos_weight_mode"]),
        (["training.loss_type=bce", "training.pos_weight_mode=linear"], []),
        (["training.loss_type=focal"], []),
        (["training.mlm_weight=0", "training.train_mlm_head=true"], ["training.train_mlm_head"]),
        (["training.mlm_weight=0.1", "training.train_mlm_head=true"], []),
        (["training.mlm_weight=0"], []),
        (["model.freeze_backbone=true"], ["model.freeze_backbone"]),
        (["model.freeze_backbone=true", "lora=null"], []),
        (["general.debug=true", "model.freeze_backbone=true"], ["general.debug", "model.freeze_backbone"]),
    ],
)
def test_settings_that_change_nothing_are_named(overrides: list[str], named: list[str]) -> None:
    config = load_binding(None, ["data.fasta_path=x", *overrides])
    assert [setting.partition(":")[0] for setting in config.without_effect] == named


def test_null_pos_weight_mode_is_none() -> None:
    assert config(training={"pos_weight_mode": None}).training.pos_weight_mode == "none"


def test_what_is_dumped_loads_to_the_same(tmp_path: Path) -> None:
    for overrides in ((), ("lora=null",), ("lora.target_modules=all-linear", "training.min_lr=1e-9")):
        original = load_binding(written(tmp_path, ORIGINAL), overrides)
        copy = tmp_path / "config.yaml"
        copy.write_text(dump(original), encoding="utf-8")
        assert load_binding(copy) == original


def test_every_setting_is_explained() -> None:
    whole = config()
    for section in (whole, whole.data, whole.training, whole.training.msa_sampling, whole.model, whole.lora):
        for name, field in type(section).model_fields.items():  # type: ignore[union-attr]
            assert field.description, name
            assert field.description.endswith("."), name


def test_the_file_is_not_blamed_for_overrides(tmp_path: Path) -> None:
    path = written(tmp_path, "data: {fasta_path: d}\ntraining: {epochs: 3}\n")
    with pytest.raises(ConfigError, match=r"^training\.epochs: .*found -1"):
        load_binding(path, ["training.epochs=-1"])
    with pytest.raises(ConfigError, match=r"^unknown setting 'training\.epoch'"):
        load_binding(path, ["training.epoch=2"])
    path.write_text("data: {fasta_path: d}\ntraining: {epochs: 0}\n")
    with pytest.raises(ConfigError, match=r"run\.yaml: training\.epochs: .*found 0$"):
        load_binding(path, ["training.seed=2"])
    with pytest.raises(ConfigError, match=r"run\.yaml: training\.epochs: .*; on the command line: training\.seed: "):
        load_binding(path, ["training.seed=x"])
