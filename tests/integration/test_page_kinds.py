"""Every kind of page in a real browser: no serious fault of accessibility, nothing wider than a phone or a sheet of
paper, nothing folded away in print, no request, no error of a script.
"""

import csv
import io
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from tests.prediction_folder import SEQUENCE, write_prediction_folder

from bindtune.config import ExplainConfig, ProbeConfig, ScanConfig, build
from bindtune.inference.scan import scan
from bindtune.probing.explain import explain
from bindtune.probing.run import probe
from bindtune.reports.arm_page import write_arms
from bindtune.reports.compare import compare_runs
from bindtune.reports.compare_tools import compare_run_with_tools
from bindtune.reports.compared_tools import tool_sources
from bindtune.reports.report import write_report
from bindtune.runs.scan_table import read_scan

KINDS = (
    "pretraining", "binding", "prediction", "probe", "explanation", "scan", "comparison of runs", "comparison of arms",
    "comparison with tools",
)  # fmt: skip
PHONE, PAPER = 375, 718  # px; A4 without margins of 1 cm
SCANNED = "MKCHHCDEAAWYCHDKLMNPQRSTVW"


def quiet(text: str) -> None:
    pass


def another_seed(run: Path, copy: Path, *, seed: int, shift: float) -> Path:
    """A copy of a binding run with another seed, whose sites have higher probabilities."""
    shutil.copytree(run, copy)
    config = yaml.safe_load((copy / "config.yaml").read_text())
    config["training"]["seed"] = seed
    (copy / "config.yaml").write_text(yaml.safe_dump(config))
    table = pq.read_table(copy / "oof.parquet")
    drawn = np.random.default_rng(seed).normal(0, 0.4, len(table))
    probability = table["probability"].to_numpy()
    logit = np.log(probability / (1 - probability)) + shift * table["label"].to_numpy() + drawn
    place = table.column_names.index("probability")
    changed = table.set_column(place, "probability", pa.array(1 / (1 + np.exp(-logit))))
    pq.write_table(changed, copy / "oof.parquet")
    return copy


def tool_table(run: Path, path: Path) -> Path:
    """Predictions of another tool for the zinc residues of a run."""
    table = pq.read_table(run / "oof.parquet")
    zinc = table.filter(pc.equal(table["ion"], "ZN")).to_pylist()
    drawn = np.random.default_rng(1).random(len(zinc))
    rows = [(row["protein"], row["position"], "ZN", f"{value:.4f}") for row, value in zip(zinc, drawn, strict=True)]
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([("protein", "position", "ion", "probability"), *rows])
    return path


def probe_folders(folder: Path) -> tuple[Path, Path]:
    """A probe of the composition baselines on windows with a motif, and its explanation."""
    drawn = random.Random(4)
    records: dict[str, list[str]] = {"bound": [], "unbound": []}
    for name, motif in (("bound", "TGTAAATA"), ("unbound", "")):
        for number in range(40):
            letters = "".join(drawn.choices("ACGT", k=40))
            letters = letters[:16] + motif + letters[16 + len(motif) :]
            records[name].append(f">{name}{number}\n{letters}\n")
        (folder / f"{name}.fa").write_text("".join(records[name]))
    files = {"positives": str(folder / "bound.fa"), "negatives": str(folder / "unbound.fa")}
    probed, explained = folder / "probe", folder / "explanation"
    probe(build(ProbeConfig, files | {"out": str(probed), "draws": 5, "folds": 2}), notify=quiet)
    values = {"probe": str(probed), "out": str(explained), "fasta": files["positives"], "model": ["4-mer"]}
    explain(build(ExplainConfig, values), notify=quiet)
    return probed, explained


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kinds")


@pytest.fixture(scope="module")
def pages(
    folder: Path, pretraining_run: Path, binding_run: Path, write_binding_run: Callable[..., Path]
) -> dict[str, Path]:
    """One page of each kind."""
    run = write_binding_run(folder / "run", proteins=12)
    arms = {
        name: [another_seed(run, folder / f"{name}{seed}", seed=seed, shift=shift) for seed in (1, 2, 3)]
        for name, shift in (("base", 0.0), ("adapted", 1.5))
    }
    (folder / "p.fa").write_text(f">p1\n{SCANNED}\n")
    scanned = {"run": binding_run, "fasta": folder / "p.fa", "protein": "p1", "out": folder / "scan",
               "ions": ["ZN"], "positions": "3-5,13", "sites": "4,26"}  # fmt: skip
    scan(build(ScanConfig, scanned))
    probed, explained = probe_folders(folder)
    prediction = write_prediction_folder(folder / "prediction", sequences={"helix": SEQUENCE}, structures=["helix"])
    folders = {
        "pretraining": pretraining_run, "binding": run, "prediction": prediction, "probe": probed,
        "explanation": explained, "scan": folder / "scan",
    }  # fmt: skip
    written = {name: write_report(each, folder / f"{name}.html") for name, each in folders.items()}
    compared = {name: folder / f"{name}.html" for name in KINDS if name.startswith("comparison")}
    compare_runs([arms["base"][0], arms["adapted"][0]], compared["comparison of runs"], draws=20)
    write_arms([f"{name}={','.join(map(str, runs))}" for name, runs in arms.items()], compared["comparison of arms"])
    sources = tool_sources([f"other={tool_table(run, folder / 'tool.csv')}"], [], position_base=1, identity=None)
    compare_run_with_tools(run, sources, compared["comparison with tools"], draws=20, seed=1)
    return written | compared


@pytest.fixture
def visit(browser: Any, pages: dict[str, Path]) -> Any:
    """Opens a page of a kind at phone width; at the end nothing was asked for and no script complained."""
    tab = browser.new_page()
    requests: list[str] = []
    errors: list[str] = []
    tab.on("request", lambda request: requests.append(request.url))
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("console", lambda message: errors.append(message.text))

    def opened(name: str) -> Any:
        tab.set_viewport_size({"width": PHONE, "height": 800})
        tab.goto(pages[name].as_uri())
        return tab

    yield opened
    tab.close()
    assert errors == []
    assert [url for url in requests if not url.startswith(("file://", "data:", "blob:"))] == []
    assert {url for url in requests if url.startswith("file://")} <= {page.as_uri() for page in pages.values()}


def too_wide(tab: Any, width: int) -> list[str]:
    """Elements that reach beyond the page, where the page can be scrolled sideways."""
    if tab.evaluate("document.documentElement.scrollWidth") <= width:
        return []
    found: list[str] = tab.evaluate(
        """width => [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > width + .5)
           .map(e => `${e.tagName} ${e.getAttribute('class')}: ${e.textContent.slice(0, 50)}`).slice(0, 5)""",
        width,
    )
    return found or ["?"]


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_page_suits_readers_phones_and_paper(visit: Callable[[str], Any], name: str) -> None:
    tab = visit(name)
    for scheme in ("light", "dark"):
        tab.emulate_media(color_scheme=scheme, media="screen")
        tab.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
        assert (scheme, too_wide(tab, PHONE)) == (scheme, [])
        faults = [each for each in Axe().run(tab).response["violations"] if each["impact"] in ("serious", "critical")]
        assert [(scheme, each["id"], each["nodes"][0]["html"][:200]) for each in faults] == []
    tab.evaluate("document.querySelectorAll('details').forEach(each => { each.open = false })")
    tab.set_viewport_size({"width": PAPER, "height": 1000})
    tab.emulate_media(color_scheme="light", media="print")
    assert too_wide(tab, PAPER) == []
    closed = tab.evaluate(
        """() => [...document.querySelectorAll('main details')].filter(each =>
           ![...each.children].some(inner => inner.tagName !== 'SUMMARY' && inner.checkVisibility(
             { contentVisibilityAuto: true }) && inner.getBoundingClientRect().height > 0))
           .map(each => each.querySelector('summary').textContent)"""
    )
    assert closed == []


@pytest.mark.slow
def test_a_heat_map_shows_the_change_under_the_pointer(visit: Callable[[str], Any], folder: Path) -> None:
    tab = visit("scan")
    tab.set_viewport_size({"width": 1280, "height": 900})
    largest: dict[tuple[int, str], dict[str, Any]] = {}
    for table in read_scan(folder / "scan" / "scan.parquet"):
        for row in table.to_pylist():
            key = (row["position"], row["mutant"])
            if key not in largest or abs(row["change"]) >= abs(largest[key]["change"]):
                largest[key] = row
    figure = tab.locator("figure.chart").first
    figure.scroll_into_view_if_needed()
    box = figure.locator("svg").bounding_box()
    scale = box["width"] / 616
    rows = "GAVLIMPFWYSTNQCHKRDE"
    for position, letter in ((4, "W"), (13, "G"), (3, "E")):
        x, y = 16 + 10 * (position - 3) + 5, 14 + 10 * rows.index(letter) + 5
        tab.mouse.move(box["x"] + x * scale, box["y"] + y * scale)
        change = largest[position, letter]["change"]
        text = figure.locator(".tip").inner_text()
        assert text.split("\n")[0] == f"{SCANNED[position - 1]}{position}{letter}"
        shown = re.fullmatch(r"change of the probability: ([+\u2212]\d\.\d{4})", text.split("\n")[1])
        assert shown is not None
        assert float(shown[1].replace("\u2212", "-")) == pytest.approx(change, abs=6e-5)
    tab.mouse.move(box["x"] + 21 * scale, box["y"] + (14 + 10 * rows.index("C") + 5) * scale)
    assert figure.locator(".tip").inner_text() == "C3\nthe protein's own residue"
    tab.mouse.move(box["x"] + 71 * scale, box["y"] + 20 * scale)  # residue 8 was not scanned
    assert not figure.locator(".tip").is_visible()
    with tab.expect_download() as download:
        figure.get_by_label("Save the values as CSV: ", exact=False).click()
    cells = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8"))))
    assert {(int(cell["position"]), cell["substitution"]) for cell in cells} == set(largest)
    for cell in cells:
        row = largest[int(cell["position"]), cell["substitution"]]
        assert cell["residue"] == row["residue"]
        assert float(cell["change"]) == pytest.approx(row["change"], abs=6e-5)
