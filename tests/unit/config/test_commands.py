"""Every command that takes a file of settings is in the table, with the model that it uses."""

from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from bindtune import config
from bindtune.cli import app
from bindtune.config.commands import COMMANDS, settings_of
from bindtune.config.settings import Settings
from bindtune.errors import ConfigError

GROUP: Any = typer.main.get_command(app)
PARTS = {"Settings", "EnsembleConfig", "InferenceConfig", "ContextSettings", "LoraSettings"}
"""Bases and sections of other models."""


def test_every_command_with_a_file_of_settings_is_there() -> None:
    takes_a_file = {
        name for name, command in GROUP.commands.items() if "config" in {each.name for each in command.params}
    }
    assert takes_a_file == {*COMMANDS, "check-lora", "doctor"}  # these two read settings of other commands


def test_every_model_is_there() -> None:
    models = {
        name
        for name in config.__all__
        if isinstance(getattr(config, name), type) and issubclass(getattr(config, name), Settings)
    }
    assert {*COMMANDS.values()} == models - PARTS


FILE_ALONE = {"sites": {"ion_groups"}}
"""Settings that are mappings: they stand in a file alone."""


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "train"])
def test_a_command_has_the_options_of_its_model(command: str) -> None:
    options = {each.name for each in GROUP.commands[command].params} - {"config", "help"}
    assert options == settings_of(command).model_fields.keys() - FILE_ALONE.get(command, set())


def test_an_unknown_command_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"^'trian' is no command with settings, expected windows, .*'train'\?$"):
        settings_of("trian")


CONFIGS: dict[str, dict[str, Any]] = {
    "windows": {"peaks": ["p.bed"], "genome": "g.fa", "regions": "r.bed", "out": "o", "window": 512, "stride": 256},
    "sites": {"structures": "pdb", "ions": "ZN,CA", "out": "o", "cutoff": 3.5, "min_residues": 3},
    "align": {"fasta": "p.fa", "database": "d.fa", "out": "o", "evalue": 1e-5, "sensitivity": 5.7},
    "pretrain": {"train_file": "w.jsonl", "output_dir": "o", "masking": "adaptive", "learning_rate": 1e-4},
    "probe": {"positives": "p.fa", "negatives": "n.fa", "out": "o", "model": ["base=m"], "pooling": "cls"},
    "train": {"data": {"fasta_path": "x"}, "training": {"ions": ["ZN"]}, "lora": None},
    "predict": {"run": "r", "out": "o", "fasta": "p.fa", "structure": "s", "chain": "A"},
    "evaluate": {"run": "r", "out": "o", "fasta": "p.fa", "draws": 10, "level": 0.9},
    "scan": {"run": "r", "out": "o", "fasta": "p.fa", "positions": "1-9", "to": "A"},
    "embed": {"model": "m", "out": "e.parquet", "fasta": "p.fa", "per": "residue", "msa_dir": "m"},
    "score": {"model": "m", "out": "o", "parent": "p.fa", "variants": "v", "num_contexts": 2},
    "explain": {"probe": "p", "fasta": "s.fa", "out": "o", "motif_length": 10, "steps": 32},
    "compare": {"runs": ["a"], "arm": [], "tool": ["gpsite=pred"], "out": "c.html"},
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", COMMANDS)
def test_a_config_of_another_command_is_one_line(tmp_path: Path, command: str, kind: str) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(yaml.safe_dump(CONFIGS[kind]))

    def read() -> Settings:
        if command == "train":
            return config.load_binding(path, ["training.epochs=3"])
        return config.load(settings_of(command), config=path, options={})

    if command == kind:
        assert isinstance(read(), settings_of(command))
        return
    called = {"pretrain": "pretraining", "train": "binding"}.get(kind, kind)
    with pytest.raises(ConfigError) as failure:
        read()
    assert str(failure.value) == (
        f"{path}: this is a {called} config, for bindtune {kind}; bindtune {command} has other settings, which "
        f"`bindtune schema {command}` lists"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"train_file": "w.jsonl", "max_step": 3}, "unknown setting 'max_step'; did you mean 'max_steps'?"),
        ({"train_file": "w.jsonl", "window": 3}, "unknown setting 'window'"),  # one stray setting is named
        ({"nonsense": 3}, "unknown setting 'nonsense'"),
        ({"train_file": "w.jsonl", "learning_rate": "fast", "masking": "none"}, "learning_rate: "),
    ],
)
def test_a_config_with_faults_of_its_own_is_told_them(tmp_path: Path, content: dict[str, Any], message: str) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError) as error:
        config.load(settings_of("pretrain"), config=path, options={})
    assert message in str(error.value)
    assert "this is a" not in str(error.value)


@pytest.mark.parametrize("section", ["data", "training", "general", "msa_sampling", "lora"])
def test_a_section_alone_is_known(tmp_path: Path, section: str) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(yaml.safe_dump({section: {"seed": 1}}))
    with pytest.raises(ConfigError, match=r": this is a binding config, for bindtune train; bindtune pretrain has"):
        config.load(settings_of("pretrain"), config=path, options={"train_file": "w.jsonl"})
