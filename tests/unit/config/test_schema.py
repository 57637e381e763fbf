"""The JSON schema accepts what the loader accepts and refuses what an editor should mark."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from bindtune.config import build
from bindtune.config.binding import EARLIER_NAMES, WITHOUT_EFFECT
from bindtune.config.commands import COMMANDS, settings_of
from bindtune.config.schema import settings_schema
from bindtune.config.settings import Settings, section_of
from bindtune.errors import ConfigError

CONFIGS = Path(__file__).parents[3] / "configs"
SHIPPED = {
    "pretrain.yaml": "pretrain",
    "pretrain-tiny.yaml": "pretrain",
    "binding.yaml": "train",
    "binding-tiny.yaml": "train",
    "windows.yaml": "windows",
    "probe.yaml": "probe",
    "sites.yaml": "sites",
}


def problems(command: str, values: Any) -> list[str]:
    """What a validator says of settings, each with its place."""
    errors = Draft202012Validator(settings_schema(command)).iter_errors(values)
    return [f"{'.'.join(map(str, error.path))}: {error.message}" for error in errors]


def nested(path: str, value: Any) -> dict[str, Any]:
    name, _, rest = path.partition(".")
    return {name: nested(rest, value) if rest else value}


@pytest.mark.parametrize("command", COMMANDS)
def test_it_is_a_schema_of_the_draft_that_it_names(command: str) -> None:
    schema = settings_schema(command)
    assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    Draft202012Validator.check_schema(schema)
    assert schema["title"] == f"Settings of bindtune {command}"
    assert problems(command, {}) == []  # the rest may stand on the command line


@pytest.mark.parametrize("command", COMMANDS)
def test_every_setting_has_its_description_and_default(command: str) -> None:
    schema = settings_schema(command)

    def check(model: type[Settings], described: dict[str, Any]) -> None:
        assert described["additionalProperties"] is False
        for name, field in model.model_fields.items():
            setting = described["properties"][name]
            assert setting["description"].startswith(field.description or "?"), name
            assert ("default" in setting) != field.is_required(), name
            if (section := section_of(field.annotation)) is not None:
                check(section, schema["$defs"][section.__name__])

    check(settings_of(command), schema)


def test_all_shipped_files_are_tested() -> None:
    assert {path.name for path in CONFIGS.glob("*.yaml")} == SHIPPED.keys()


@pytest.mark.parametrize(("name", "command"), SHIPPED.items())
def test_shipped_files_fit_and_a_typo_does_not(name: str, command: str) -> None:
    # An editor reads YAML 1.2, in which 4e-3 is a number; PyYAML makes a text of it.
    values = yaml.safe_load((CONFIGS / name).read_text().replace("4e-3", "4.0e-3"))
    assert problems(command, values) == []
    assert "'sede' was unexpected" in problems(command, {**values, "sede": 1})[0]
    fields = settings_of(command).model_fields
    section = next((name for name in values if section_of(fields[name].annotation) is not None), None)
    if section is not None:
        assert problems(command, {**values, section: {**values[section], "sede": 1}})[0].startswith(f"{section}: ")


@pytest.mark.parametrize(
    ("command", "values", "accepted"),
    [
        ("windows", {"peaks": "p.bed", "test_chromosomes": 9}, True),
        ("windows", {"gene_type": ["protein_coding"], "validation_chromosomes": ["X", 8]}, True),
        ("windows", {"format": "csv"}, False),
        ("windows", {"stride": 0}, False),
        ("windows", {"peaks": [1.5]}, False),
        ("pretrain", {"report_to": "none"}, True),
        ("pretrain", {"report_to": ["wandb", "mlflow"], "masking": None}, True),
        ("pretrain", {"report_to": "elsewhere"}, False),
        ("pretrain", {"learning_rate": -1}, False),
        ("train", {"training": {"pos_weight_mode": None}, "lora": None}, True),
        ("train", {"training": None}, False),
        ("train", {"data": {"fasta_path": {"ZN": "a.fa"}}}, True),
        ("train", {"data": {"fasta_path": 3}}, False),
        ("predict", {"ions": "ZN,CA"}, True),
        ("evaluate", {"ions": ["ZN"], "level": 0.9}, True),
        ("embed", {"per": "token"}, True),
        ("embed", {"per": "protein"}, True),
        ("embed", {"per": "atom"}, False),
        ("score", {"reduction": "none"}, True),
    ],
)
def test_it_agrees_with_the_loader(command: str, values: dict[str, Any], accepted: bool) -> None:
    complete = {
        "windows": {"peaks": "p.bed", "region_fasta": "r.fa", "out": "o"},
        "pretrain": {"train_file": "t"},
        "train": {"data": {"fasta_path": "a_{ION}.fa"}},
        "predict": {"run": "r", "fasta": "f", "out": "o"},
        "evaluate": {"run": "r", "fasta": "f", "out": "o"},
        "embed": {"model": "m", "fasta": "f", "out": "o.parquet"},
        "score": {"model": "m", "parent": "p", "variants": "v", "out": "o"},
    }[command]
    values = {**complete, **values}
    assert (problems(command, values) == []) is accepted
    if accepted:
        build(settings_of(command), values)
    else:
        with pytest.raises(ConfigError):
            build(settings_of(command), values)


def test_earlier_names_fit_and_carry_the_limits_of_the_present_ones() -> None:
    for earlier, present in EARLIER_NAMES.items():
        value: Any = {"max_num_samples": 3} if present.endswith("msa_sampling") else 1
        value = True if present.endswith("train_mlm_head") else 0.5 if present.endswith("dropout") else value
        assert problems("train", nested(earlier, value)) == [], earlier
        assert problems("train", nested(earlier, "?")), earlier
        build(settings_of("train"), {"data": {"fasta_path": "a"}, **nested(earlier, value)})
    for name in WITHOUT_EFFECT:
        assert problems("train", nested(name, "anything")) == [], name
    assert problems("train", {"general": {"gpu": 0}}) != []
    assert settings_schema("train")["properties"]["general"]["deprecated"] is True
