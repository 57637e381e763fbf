"""A file to begin with has every setting, sets what its table says, and shows true defaults for the rest."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bindtune.config import BindingConfig, PretrainConfig, WindowsConfig, build, load, load_binding
from bindtune.config.commands import settings_of
from bindtune.config.settings import Settings, section_of
from bindtune.init.settings_file import settings_file
from bindtune.init.starters import DEFAULT, STARTERS

CONFIGS = Path(__file__).parents[3] / "configs"
SHIPPED = {
    "pretrain": "pretrain.yaml",
    "train": "binding.yaml",
    "windows": "windows.yaml",
    "probe": "probe.yaml",
    "sites": "sites.yaml",
}


def names(model: type[Settings], before: str = "") -> list[str]:
    """Every setting that is not a section."""
    inside: list[str] = []
    for name, field in model.model_fields.items():
        section = section_of(field.annotation)
        inside += [before + name] if section is None else names(section, f"{before}{name}.")
    return inside


def flat(values: dict[str, Any], before: str = "") -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict) and name != "ion_groups":
            result |= flat(value, f"{before}{name}.")
        else:
            result[before + name] = value
    return result


def uncommented(command: str) -> dict[str, Any]:
    """The values of a file in which the '#' before every setting is removed."""
    return flat(yaml.safe_load(re.sub(r"^( *)#(?=\w+:)", r"\1", settings_file(command), flags=re.MULTILINE)))


def chosen(command: str) -> dict[str, Any]:
    return {name: choice.value for name, choice in STARTERS[command].choices.items()}


@pytest.mark.parametrize("command", STARTERS)
def test_the_file_sets_what_its_table_says(command: str) -> None:
    values = flat(yaml.safe_load(settings_file(command)))
    assert values.keys() == chosen(command).keys()
    assert {name: values[name] for name, value in chosen(command).items() if value is not DEFAULT} == {
        name: value for name, value in chosen(command).items() if value is not DEFAULT
    }


@pytest.mark.parametrize("command", STARTERS)
def test_every_setting_is_there_with_its_help(command: str) -> None:
    assert sorted(uncommented(command)) == sorted(names(settings_of(command)))
    text = " ".join(line.strip().removeprefix("# ") for line in settings_file(command).splitlines())
    for name, field in settings_of(command).model_fields.items():
        assert field.description, name
        assert " ".join(field.description.split()) in text, name


@pytest.mark.parametrize("command", ["pretrain", "train"])
def test_the_defaults_that_it_shows_are_the_defaults(command: str, tmp_path: Path) -> None:
    (tmp_path / "as-it-is.yaml").write_text(settings_file(command))
    (tmp_path / "all.yaml").write_text(re.sub(r"^( *)#(?=\w+:)", r"\1", settings_file(command), flags=re.MULTILINE))
    if command == "train":
        assert load_binding(tmp_path / "as-it-is.yaml") == load_binding(tmp_path / "all.yaml")
    else:
        first, second = (
            load(PretrainConfig, config=tmp_path / f"{name}.yaml", options={}) for name in ("as-it-is", "all")
        )
        assert first == second


def test_the_defaults_of_windows_are_the_defaults(tmp_path: Path) -> None:
    defaults = build(WindowsConfig, {"peaks": "a", "region_fasta": "b", "out": "c"}).model_dump(mode="json")
    shown = {name: value for name, value in uncommented("windows").items() if name not in chosen("windows")}
    assert shown == {name: defaults[name] for name in shown} | {"region_fasta": None}
    assert "stride" in shown


@pytest.mark.parametrize("command", STARTERS)
def test_what_has_no_default_is_set_and_marked(command: str) -> None:
    fields = settings_of(command).model_fields
    required = {name for name, field in fields.items() if field.is_required()}
    assert required <= STARTERS[command].choices.keys()
    for block in settings_file(command).split("\n\n"):
        setting = block.splitlines()[-1].strip().partition(":")[0]
        marked = {name.rpartition(".")[2] for name, choice in STARTERS[command].choices.items() if choice.fill_in}
        assert ("FILL IN." in block) == (setting in marked), block


def test_a_section_without_a_choice_is_a_comment_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    choices = {name: choice for name, choice in STARTERS["train"].choices.items() if not name.startswith("lora.")}
    monkeypatch.setitem(STARTERS, "train", type(STARTERS["train"])(choices))
    text = settings_file("train")
    assert "\n#lora:\n\n  # Rank.\n  #r: 16\n" in text
    values = yaml.safe_load(text)
    assert "lora" not in values  # null would train every weight
    assert build(BindingConfig, values).lora is not None


@pytest.mark.parametrize("command", STARTERS)
def test_lines_are_short_and_floats_are_numbers_in_every_yaml(command: str) -> None:
    text = settings_file(command)
    assert max(map(len, text.splitlines())) < 120
    assert not re.search(r"(?<![\d.])\d+e-?\d", text)  # 1e-4 is a text in YAML 1.1 and a number in YAML 1.2
    assert text.endswith("\n") and not text.endswith("\n\n")


@pytest.mark.parametrize("command", STARTERS)
def test_the_repository_has_the_same_file(command: str) -> None:
    shipped = CONFIGS / SHIPPED[command]
    assert shipped.read_text() == settings_file(command), (
        f"renew {shipped.name}: bindtune init {command} --out NEW, and move NEW/{command}.yaml there"
    )


def test_pretraining_turns_adaptive_masking_and_fp16_on() -> None:
    values = build(PretrainConfig, yaml.safe_load(settings_file("pretrain")))
    assert (values.masking_mode, values.fp16) == ("adaptive", True)
    assert PretrainConfig.model_fields["use_adaptive_masking"].default is False
    text = settings_file("pretrain")
    assert "# Write false on a CPU. On an A100 or newer, bf16 works too. The default is false.\nfp16: true\n" in text


def test_training_needs_no_extra() -> None:
    """MMseqs2 comes with an extra; the built-in search finds similar proteins without it."""
    assert yaml.safe_load(settings_file("train"))["data"]["clusters"] == "kmer"
