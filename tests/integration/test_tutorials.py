"""The commands of tutorials and notebooks run, block by block as they are printed, with less to compute.

Every ```bash block is run, but for those with a line `<!-- not run: why -->` before them: what needs a GPU, a network
or an installation. Sizes are lowered by documented options alone, which a `bindtune` on the PATH puts behind those
of the page.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

DOCS = Path(__file__).parents[2] / "docs"
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))
BLOCK = re.compile(r"(?:^<!-- not run: (?P<why>.+) -->\n)?^```bash\n(?P<commands>(?:.*\n)*?)^```$", re.MULTILINE)

SMALLER = """#!/bin/sh
python=python
case "$1" in
    train) python={python} && set -- "$@" training.epochs=1 training.num_folds=2 ;;
    pretrain) set -- "$@" --max_steps 2 --eval_steps 1 --save_steps 1 --logging_steps 1 ;;
    probe) set -- "$@" --draws 20 --folds 2 ;;
    predict) python={python} ;;
    align) set -- "$@" --iterations 1 ;;
esac
exec $python -m bindtune "$@"
"""


def blocks(page: Path) -> list[str]:
    """The commands that are run."""
    return [block["commands"] for block in BLOCK.finditer(page.read_text()) if not block["why"]]


def smaller(folder: Path, python: Path, *, anew: bool) -> dict[str, str]:
    """The environment in which commands compute little; `anew` starts some in interpreters of their own."""
    (folder / "bin").mkdir()
    (folder / "bin" / "python").symlink_to(python)
    (folder / "bin" / "bindtune").write_text(SMALLER.format(python=sys.executable if anew else "python"))
    (folder / "bin" / "bindtune").chmod(0o755)
    return os.environ | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}


def run(page: Path, folder: Path, python: Path, *, anew: bool = True) -> None:
    """Run a page; `anew` starts training and prediction in interpreters of their own."""
    environment = smaller(folder, python, anew=anew)
    work = folder / "work"
    work.mkdir()
    for commands in blocks(page):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands], cwd=work, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr}"


def test_blocks_with_a_reason_are_left_out(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    left_out = "<!-- not run: needs a GPU -->\n```bash\ntwo\n```\n\n"
    page.write_text(f"{left_out}```bash\none\nmore\n```\n\n{left_out}```text\nthree\n```\n\n```bash\nlast\n```\n")
    assert blocks(page) == ["one\nmore\n", "last\n"]


def test_every_tutorial_is_listed() -> None:
    listed = (DOCS / "tutorials" / "index.md").read_text()
    for page in (DOCS / "tutorials").glob("*.md"):
        assert page.stem == "index" or page.stem in listed


@pytest.mark.slow
def test_pretraining(tmp_path: Path, warm_python: Path) -> None:
    run(DOCS / "tutorials" / "pretraining.md", tmp_path, warm_python)
    assert "Loss" in (tmp_path / "work" / "adaptive" / "report.html").read_text()
    assert (tmp_path / "work" / "standard" / "model.safetensors").exists()


@pytest.mark.slow
def test_probe(tmp_path: Path, warm_python: Path) -> None:
    run(DOCS / "tutorials" / "probe.md", tmp_path, warm_python)
    page = (tmp_path / "work" / "probe" / "report.html").read_text()
    assert "Arm gc-region" in page and "Arm shuffled" in page


@pytest.mark.slow
def test_structures(tmp_path: Path, warm_python: Path) -> None:
    page = DOCS / "tutorials" / "structures.md"
    run(page, tmp_path, warm_python, anew=False)
    work = tmp_path / "work"
    for line in (work / "labels" / "ZN_train.fa").read_text().splitlines()[:3]:
        assert line in page.read_text()
    assert "\n".join((work / "alignments" / "homologs.tsv").read_text().splitlines()[:3]) in page.read_text()
    for ion, counts in json.loads((work / "labels" / "summary.json").read_text())["ions"].items():
        assert f"{ion}: {counts['ions']} ions, {counts['kept']} kept; {counts['records']} prot" in page.read_text()
    assert "72 of 72 proteins have an alignment, 0 give no homolog" in (work / "run" / "training.log").read_text()
    assert (work / "predictions" / "predictions.tsv").exists()
    assert "Scan of family001_10" in (work / "scan" / "report.html").read_text()


@pytest.mark.slow
def test_rare_earths(tmp_path: Path, warm_python: Path) -> None:
    run(DOCS / "how-to" / "rare-earths.md", tmp_path, warm_python, anew=False)
    work = tmp_path / "work"
    rows = (work / "transfer" / "test_metrics.csv").read_text().splitlines()
    assert [row.partition(",")[0] for row in rows] == ["ion", "LREE", "ZN", "any head", "mean"]
    assert "REE" in (work / "run" / "metrics.csv").read_text()


@pytest.mark.slow
def test_binding(tmp_path: Path, warm_python: Path) -> None:
    page = DOCS / "tutorials" / "binding.md"
    run(page, tmp_path, warm_python)
    made = tmp_path / "work" / "run"
    assert "Results by ion" in (made / "report.html").read_text()
    tree = page.read_text().partition("```text\nrun/\n")[2].partition("```")[0]
    for name in re.findall(r"^  (\S+)", tree, re.MULTILINE):
        assert (made / name).exists(), name
    # The page shows the first protein, and says how many there are.
    assert (tmp_path / "work" / "proteins" / "ZN_train.fa").read_text().splitlines()[1] in page.read_text()
    assert "126 proteins in 43 groups" in (made / "training.log").read_text()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_kept_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert 'find_spec("bindtune") is None:\n    %pip install' in code[0].source
    assert f"docs/notebooks/{path.name})" in notebook.cells[0].source  # the link to Colab
    assert f"notebooks/{path.name}" in (DOCS / "tutorials" / "index.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "rows"), [("binding", ["family", "spread"]), ("pretraining", ["tokens_ref", "masked_marginal"])]
)
def test_notebook(
    name: str, rows: list[str], tmp_path: Path, warm_python: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A notebook runs from its first cell to its last, and shows its report, its figure and its predictions."""
    for variable, value in smaller(tmp_path, warm_python, anew=False).items():
        monkeypatch.setenv(variable, value)
    (tmp_path / "work").mkdir()
    notebook = nbformat.read(DOCS / "notebooks" / f"{name}.ipynb", as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": tmp_path / "work"}}).execute()
    outputs = {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}
    assert "srcdoc" in outputs["report"][-1].data["text/html"]
    assert outputs["figure"][-1].data["image/png"]
    (table,) = outputs["table"]
    text = table.data["text/plain"] if table.output_type == "execute_result" else table.text
    assert all(word in text for word in rows)
