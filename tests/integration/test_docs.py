"""The documentation builds without a warning, names every command and setting, and loads nothing from elsewhere."""

import os
import re
import subprocess
import sys
from html import unescape
from importlib.util import find_spec
from pathlib import Path

import pytest

import bindtune
from bindtune.cli import app
from bindtune.config import PretrainConfig, Settings, WindowsConfig
from bindtune.config.commands import COMMANDS, settings_of
from bindtune.config.settings import section_of

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if find_spec("sphinx") is None or find_spec("myst_parser") is None or find_spec("pydata_sphinx_theme") is None:
        message = "sphinx and its parts are not installed (pip install 'bindtune[docs]')"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    folder = tmp_path_factory.mktemp("site")
    words = ["-E", "-W", "--keep-going", "-q", "-b", "html", "-d", folder / "trees", ROOT / "docs", folder / "html"]
    done = subprocess.run([sys.executable, "-m", "sphinx", *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return Path(folder / "html")


def text(page: Path) -> str:
    return re.sub(r"<[^>]+>", "", page.read_text())


@pytest.mark.slow
def test_reference_is_complete(site: Path) -> None:
    commands, settings, names = (
        text(site / "reference" / f"{name}.html") for name in ("commands", "settings", "python")
    )
    for command in app.registered_commands:
        assert f"bindtune {command.name or command.callback.__name__}" in commands  # type: ignore[union-attr]
    for model in (PretrainConfig, WindowsConfig):
        for name in model.model_fields:
            assert f"--{name.replace('_', '-')}" in commands
    for name in bindtune.__all__:
        assert name in names
    assert not re.search(r"\.\. [\w-]+::", commands + settings + names)  # no directive was left as text


def documented(model: type[Settings], before: str = "") -> dict[str, str]:
    """Help text of every setting, sections and what is in them, by the name that a file or an override has for it."""
    rows: dict[str, str] = {}
    for name, field in model.model_fields.items():
        rows[before + name] = " ".join((field.description or "").split())
        if (section := section_of(field.annotation)) is not None:
            rows |= documented(section, f"{before}{name}.")
    return rows


@pytest.mark.slow
def test_every_setting_of_every_command_is_in_the_reference(site: Path) -> None:
    page = (site / "reference" / "settings.html").read_text()
    titles = re.findall(r"<h2>(.*?)<a", page)
    assert titles == [f"bindtune {command}" for command in COMMANDS]
    for command in COMMANDS:
        section = page.partition(f"<h2>bindtune {command}<a")[2].partition("<h2>")[0]
        rows = [re.findall(r"<td>(.*?)</td>", row, re.DOTALL) for row in re.findall(r"<tr.*?</tr>", section, re.DOTALL)]
        cells = [[unescape(" ".join(re.sub(r"<[^>]+>", "", cell).split())) for cell in row] for row in rows]
        shown = {row[0]: row[2] for row in cells if row}
        assert shown == documented(settings_of(command)), command
        defaults = {row[0]: row[1] for row in cells if row}
        assert {name for name, default in defaults.items() if default == "required"} == {
            name for name, field in settings_of(command).model_fields.items() if field.is_required()
        }
    assert "training.validation_msa_sampling.max_num_samples" in page


@pytest.mark.slow
def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 15
    for page in pages:
        loaded = re.findall(r"<(?:script|img|link)\b[^>]*?(?:src|href)=\"(https?:[^\"]+)\"", page.read_text())
        assert loaded == [], page


@pytest.mark.slow
def test_local_links_of_plain_pages_exist() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        if "_build" in page.parts:
            continue
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page}: {target}"


def test_every_diagram_is_drawn_from_the_code_and_shown(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "pictures.py", "--out", tmp_path], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    drawn = {path.name for path in tmp_path.iterdir()}
    assert drawn == {path.name for path in (ROOT / "docs" / "images").glob("*.svg")}
    pages = "".join(page.read_text() for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
    assert {name for name in drawn if f"images/{name})" not in pages and f"images/{name}\n" not in pages} == set()
