"""Whether a pretraining run can start or resume in a folder."""

from pathlib import Path

import pytest

from bindtune.config import PretrainConfig, build
from bindtune.errors import ConfigError
from bindtune.training.pretraining.run_folder import find_checkpoint


def settings(run: Path, resume: str | None) -> PretrainConfig:
    values = {"train_file": str(run.parent / "train.parquet"), "output_dir": str(run)}
    return build(PretrainConfig, {**values, "resume_from_checkpoint": resume})


@pytest.mark.parametrize("resume", [None, "auto"])
@pytest.mark.parametrize(
    "names",
    [
        [],
        [".lock"],
        [".lock", ".provenance.json.1f67daf7.part"],
        [".lock", "provenance.json", ".config.yaml.1f67daf7.part"],
    ],
)
def test_what_a_kill_leaves_before_the_first_checkpoint_is_no_obstacle(
    tmp_path: Path, resume: str | None, names: list[str]
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name in names:
        (run / name).touch()
    assert find_checkpoint(settings(run, resume)) is None


@pytest.mark.parametrize("name", ["notes.txt", ".notes"])
def test_other_files_are_an_obstacle(tmp_path: Path, name: str) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / name).touch()
    with pytest.raises(ConfigError, match="is not empty; choose another output_dir"):
        find_checkpoint(settings(run, None))
    with pytest.raises(ConfigError, match="is not empty and holds no run to resume"):
        find_checkpoint(settings(run, "auto"))
