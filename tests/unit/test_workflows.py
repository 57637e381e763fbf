"""Workflows call make targets that exist, the same that one calls by hand, and nothing else."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))


def steps(workflow: Path) -> list[dict[str, Any]]:
    jobs = yaml.safe_load(workflow.read_text())["jobs"].values()
    return [step for job in jobs for step in job["steps"]]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_call_targets_that_exist_and_nothing_else(workflow: Path) -> None:
    commands = [step["run"] for step in steps(workflow) if "run" in step]
    assert commands
    for command in commands:
        program, target, *variables = command.split()
        assert program == "make"
        assert target in TARGETS
        assert variables in ([], ["PYTHON=python"])
    content = yaml.safe_load(workflow.read_text())
    assert content["permissions"] == {"contents": "read"}
    assert "secrets" not in workflow.read_text()


def test_workflows_try_every_version_and_both_ends() -> None:
    contents = {path.stem: yaml.safe_load(path.read_text()) for path in WORKFLOWS}
    assert contents["tests"]["jobs"]["units"]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13", "3.14"]
    called = {step["run"].split()[1] for workflow in WORKFLOWS for step in steps(workflow) if "run" in step}
    assert called == {"test", "quick", "demo", "docs", "test-newest", "test-lowest"}
    assert "schedule" in contents["versions"][True]  # YAML 1.1 reads `on` as a truth value
