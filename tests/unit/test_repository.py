"""Files at the root of the repository name things that exist: links, make targets, paths, tools, commands."""

import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from markdown_it import MarkdownIt

from bindtune.cli import app
from bindtune.config.commands import COMMANDS
from bindtune.init.files import KINDS

ROOT = Path(__file__).parents[2]
GROUP: Any = typer.main.get_command(app)
REPOSITORY = yaml.safe_load((ROOT / "CITATION.cff").read_text())["repository-code"]
RAW = REPOSITORY.replace("https://github.com/", "https://raw.githubusercontent.com/")


def read(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text())


def links(text: str) -> list[str]:
    """Where links and images of a Markdown page lead."""
    tokens = [child for token in MarkdownIt().parse(text) for child in token.children or ()]
    return [str(token.attrs[name]) for token in tokens for name in ("href", "src") if name in token.attrs]


def in_repository(url: str) -> Path | None:
    """The file that a link into the repository leads to."""
    for before in (f"{REPOSITORY}/blob/main/", f"{REPOSITORY}/tree/main/", f"{RAW}/main/"):
        if url.startswith(before):
            return ROOT / url.removeprefix(before).partition("#")[0]
    return None


def test_links_are_found_in_every_form() -> None:
    assert links("[a](b) ![c](d) [e][f] <https://g.org>\n\n[f]: h\n") == ["b", "d", "h", "https://g.org"]


def test_links_of_the_readme_work_where_a_registry_shows_it() -> None:
    text = (ROOT / "README.md").read_text()
    targets = links(text)
    assert len(targets) > 15
    assert [url for url in targets if not url.startswith("https://")] == []
    files = [path for url in targets if (path := in_repository(url)) is not None]
    assert len(files) > 15
    assert [path for path in files if not path.exists()] == []
    # A reference without a definition stays text.
    assert "][" not in MarkdownIt().render(text)


def test_every_page_that_names_the_repository_names_the_same_one() -> None:
    pages = [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / ".github").rglob("*.yml"),
        ROOT / "pyproject.toml",
    ]
    for page in pages:
        for url in re.findall(r"https://(?:raw\.githubusercontent|github)\.com/bindtune/[^\s)\"'>]+", page.read_text()):
            assert url.startswith((REPOSITORY, RAW)), f"{page}: {url}"
            assert (in_repository(url) or ROOT).exists(), f"{page}: {url}"


def test_project_urls_lead_into_the_repository() -> None:
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]
    assert urls.keys() == {"Documentation", "Repository", "Issues", "Changelog"}
    assert urls["Repository"] == REPOSITORY
    assert all(url.startswith(REPOSITORY) for url in urls.values())


@pytest.mark.parametrize("page", ["README.md", "docs/how-to/install.md"])
def test_commands_of_a_page_exist_with_their_options(page: str) -> None:
    code = re.findall(r"^```(?:bash)?\n(.*?)^```$", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in code for line in block.replace("\\\n", " ").splitlines() if line.startswith("bindtune ")]
    assert len(lines) > 5
    for line in lines:
        _, name, *words = shlex.split(line, comments=True)
        if name.startswith("--"):
            continue
        options = {each for parameter in GROUP.commands[name].params for each in parameter.opts}
        used = {word.partition("=")[0].replace("_", "-") for word in words if word.startswith("--")}
        assert used <= options, line
        assert name != "init" or words[0] in KINDS, line
        assert name != "schema" or words[0] in COMMANDS, line


@pytest.mark.parametrize("name", [".readthedocs.yaml", ".pre-commit-config.yaml", "environment.yml", "CITATION.cff"])
def test_yaml_at_the_root_is_a_mapping(name: str) -> None:
    assert isinstance(read(name), dict)


def test_pre_commit_runs_what_lint_runs() -> None:
    hooks = read(".pre-commit-config.yaml")["repos"][0]["hooks"]
    done = subprocess.run(
        ["make", "-n", "-o", ".venv/.installed", "lint"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    lint = [line.removesuffix(" --check") for line in done.stdout.splitlines() if line.startswith(".venv/bin/")]
    assert [hook["entry"].removesuffix(" --force-exclude") for hook in hooks] == lint


def test_the_container_copies_what_exists_and_runs_as_a_user() -> None:
    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    instructions = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    copied = [name for word, rest in instructions if word == "COPY" for name in rest.split()[:-1]]
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(copied) == allowed
    assert all((ROOT / name).exists() for name in copied)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {project["readme"], *project["license-files"]} <= set(copied)  # the build reads them
    by_word = dict(instructions)
    assert by_word["USER"] == "1000"
    assert re.fullmatch(r"python:3\.1[1-4]-slim", by_word["FROM"])
    assert by_word["ENTRYPOINT"] == '["bindtune"]'


def test_the_documentation_service_builds_as_make_docs_does() -> None:
    settings = read(".readthedocs.yaml")
    assert settings["sphinx"] == {"configuration": "docs/conf.py", "fail_on_warning": True}
    assert (ROOT / "docs" / "conf.py").is_file()


def test_issue_forms_have_what_the_service_requires() -> None:
    forms = [path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config"]
    assert len(forms) == 2
    for form in (yaml.safe_load(path.read_text()) for path in forms):
        assert {"name", "description", "body"} <= form.keys()
        names = [field["id"] for field in form["body"]]
        assert len(set(names)) == len(names)
        assert all(field["attributes"]["label"] for field in form["body"])
