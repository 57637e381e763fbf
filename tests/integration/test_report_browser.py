"""Reports in a real browser: they render, ask nobody for anything, fit a phone, and show hostile names as text.

Every interaction is tried: search, sort, filters, pages, links to a protein, the threshold, values under the pointer,
zoom, and files that are saved.
"""

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pyarrow.parquet as pq
import pytest
from axe_playwright_python.sync_playwright import Axe
from matplotlib.image import imread
from tests.prediction_folder import SEQUENCE, write_prediction_folder

from bindtune.reports.report import write_report
from bindtune.runs.eval_records import read_record_losses

HOSTILE = "<script>alert(1)</script>"
HOSTILE_ION = "<img src=x onerror=alert(2)>$x_1$"


@pytest.fixture(scope="module")
def pages(
    pretraining_run: Path, write_binding_run: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    runs = {
        "pretraining": pretraining_run,
        "binding": write_binding_run(folder / "whole", ions=("ZN", HOSTILE_ION)),
        "unfinished": write_binding_run(folder / "unfinished", done=2),
        "prediction": write_prediction_folder(
            folder / "prediction", sequences={"helix": SEQUENCE, HOSTILE: 5 * SEQUENCE}, structures=["helix"]
        ),
    }
    return {name: write_report(run, folder / f"{name}.html") for name, run in runs.items()}


def visit(browser: Any, page: Path, *, width: int, scheme: str = "light") -> tuple[Any, dict[str, list[str]]]:
    """Open a page and note everything it asks for or complains about."""
    seen: dict[str, list[str]] = {"requests": [], "console": [], "errors": [], "dialogs": []}
    tab = browser.new_page()
    tab.set_viewport_size({"width": width, "height": 900})
    tab.emulate_media(color_scheme=scheme)
    tab.on("request", lambda request: seen["requests"].append(request.url))
    tab.on("console", lambda message: seen["console"].append(message.text))
    tab.on("pageerror", lambda error: seen["errors"].append(str(error)))

    def refuse(dialog: Any) -> None:
        seen["dialogs"].append(dialog.message)
        dialog.dismiss()

    tab.on("dialog", refuse)
    tab.goto(page.as_uri())
    tab.wait_for_load_state("networkidle")
    return tab, seen


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pretraining", "binding", "unfinished"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_renders_quietly_and_fits(
    browser: Any, pages: dict[str, Path], name: str, width: int, scheme: str
) -> None:
    tab, seen = visit(browser, pages[name], width=width, scheme=scheme)
    try:
        assert [url for url in seen["requests"] if not url.startswith(("file://", "data:"))] == []
        assert [url for url in seen["requests"] if url.startswith("file://")] == [pages[name].as_uri()]
        assert (seen["console"], seen["errors"], seen["dialogs"]) == ([], [], [])
        for details in tab.locator("details").all():  # what is folded away must fit as well
            details.evaluate("element => { element.open = true }")
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.evaluate("document.body.scrollWidth") <= width
        drawings = tab.locator(".drawing svg")
        assert drawings.count() >= 4
        assert all(box["width"] > 150 and box["height"] > 100 for box in (d.bounding_box() for d in drawings.all()))
        ids = tab.evaluate("Array.from(document.querySelectorAll('[id]'), element => element.id)")
        assert len(ids) == len(set(ids))
        anchors = tab.evaluate("Array.from(document.querySelectorAll('nav a'), a => a.hash.slice(1))")
        assert anchors
        assert set(anchors) <= set(ids)
        unnamed = tab.locator("[role=img]:not([aria-label]), img:not([alt])")
        assert unnamed.count() == 0
        assert tab.locator("html").get_attribute("lang") == "en"
    finally:
        tab.close()


@pytest.mark.slow
def test_hostile_names_are_text(browser: Any, pages: dict[str, Path]) -> None:
    tab, seen = visit(browser, pages["binding"], width=1280)
    try:
        # The page's own script and values as JSON; no name became an element.
        kinds = tab.evaluate("Array.from(document.scripts, script => script.type)")
        assert kinds.count("") == 1
        assert set(kinds) == {"", "application/json"}
        tab.locator(".protein-table a", has_text=HOSTILE).click()
        tab.wait_for_selector(".sequence .line")
        assert tab.locator(".protein-part h3").inner_text().startswith(HOSTILE)
        tab.locator(".controls").get_by_label("Ion").select_option(label=HOSTILE_ION)
        tab.locator(".protein-part h3", has_text="onerror").wait_for()
        assert tab.locator("img").count() == 0
        assert seen["errors"] == []
        assert seen["dialogs"] == []
        shown = tab.locator("main").inner_text()
        assert "<img src=x onerror=alert(2)>$x_1$: precision and recall" in shown
        source = pages["binding"].read_text()
        assert HOSTILE not in source
    finally:
        tab.close()


@pytest.fixture(scope="module")
def rows(pages: dict[str, Path], write_binding_run: Callable[..., Path]) -> dict[str, np.ndarray]:
    """The run's own table of predictions, of zinc."""
    table = pq.read_table(pages["binding"].parent / "whole" / "oof.parquet").to_pydict()
    columns = {name: np.array(values) for name, values in table.items()}
    return {name: values[columns["ion"] == "ZN"] for name, values in columns.items()}


@pytest.fixture
def tab(browser: Any, pages: dict[str, Path]) -> Any:
    opened, seen = visit(browser, pages["binding"], width=1280)
    yield opened
    assert (seen["errors"], seen["dialogs"]) == ([], [])
    assert [url for url in seen["requests"] if not url.startswith(("file://", "data:", "blob:"))] == []
    opened.close()


def column(tab: Any, number: int) -> list[str]:
    return [row.strip() for row in tab.locator(f".protein-table tbody tr > :nth-child({number})").all_inner_texts()]


def saved(tab: Any, button: Any) -> str:
    with tab.expect_download() as download:
        button.click()
    return Path(download.value.path()).read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_table_sorts_filters_searches_and_has_pages(tab: Any, rows: dict[str, np.ndarray]) -> None:
    with_sites = {name for name, label in zip(rows["protein"], rows["label"], strict=True) if label}
    status = tab.locator(".protein-table [role=status]")
    assert status.inner_text() == f"1 to 25 of {len(with_sites)} proteins"
    tab.get_by_label("Next page of proteins").click()
    assert status.inner_text() == f"26 to {len(with_sites)} of {len(with_sites)} proteins"
    tab.get_by_label("Sort by Average precision").click()
    falling = list(map(float, column(tab, 7)))
    assert status.inner_text().startswith("1 to 25 of")
    assert falling == sorted(falling, reverse=True)
    assert tab.locator("th[aria-sort=descending]").inner_text().startswith("Average precision")
    tab.get_by_label("Sort by Average precision").click()
    rising = list(map(float, column(tab, 7)))
    assert rising == sorted(rising)
    assert rising[0] < falling[-1]
    tab.locator(".controls").get_by_label("Search").fill("p0000")
    assert all(name.startswith("P0000") for name in column(tab, 1))
    assert len(column(tab, 1)) == sum(name.startswith("P0000") for name in with_sites)
    tab.locator(".controls").get_by_label("Search").fill("")
    tab.locator(".controls").get_by_label("Fold").select_option("3")
    assert set(column(tab, 2)) == {"3"}
    tab.locator(".controls").get_by_label("Fold").select_option("")
    tab.locator(".controls").get_by_label("Proteins").select_option("missed")
    sites, hits = (list(map(int, column(tab, number))) for number in (4, 5))
    assert sites
    assert all(hit_count < all_sites for hit_count, all_sites in zip(hits, sites, strict=True))


@pytest.mark.slow
def test_a_link_opens_a_protein_and_the_threshold_recounts(
    browser: Any, pages: dict[str, Path], rows: dict[str, np.ndarray]
) -> None:
    name = "P00004"
    own = rows["protein"] == name
    labels, probabilities = rows["label"][own] == 1, rows["probability"][own]
    address = f"{pages['binding'].as_uri()}#{urlencode({'protein': name, 'ion': 'ZN'})}"
    tab = browser.new_page()
    tab.goto(address)
    tab.wait_for_selector(".sequence .line")
    try:
        assert tab.locator(".protein-part h3").inner_text() == f"{name}: ZN"
        lines = tab.locator(".sequence .line")
        assert lines.count() == -(-len(labels) // 60)
        assert lines.nth(1).locator(".from").inner_text() == "61"
        assert "".join(tab.locator(".sequence .residue").all_inner_texts()) == "".join(rows["residue"][own])
        kinds = {"hit": labels & (probabilities >= 0.25), "missed": labels & (probabilities < 0.25),
                 "false": ~labels & (probabilities >= 0.25)}  # fmt: skip
        for kind, expected in kinds.items():
            places = tab.evaluate(f"Array.from(document.querySelectorAll('.sequence .{kind}'), c => +c.dataset.place)")
            assert places == np.flatnonzero(expected).tolist()
        slider = tab.locator(".protein-part input[type=range]")
        slider.fill("60")
        called, every = probabilities >= 0.595, rows["probability"] >= 0.595
        for item, (truth, calls) in enumerate([(labels, called), (rows["label"] == 1, every)]):
            message = tab.locator(".counts li").nth(item).inner_text()
            hits = int((truth & calls).sum())
            assert f"({hits} of {int(calls.sum())})" in message
            assert f"recall {hits / truth.sum():.2f} ({hits} of {int(truth.sum())})" in message
            assert ("fewer than 100" in message) == (min(calls.sum(), truth.sum()) < 100)
        assert slider.get_attribute("aria-valuetext") == "0.595"
        site = int(np.flatnonzero(labels)[0])
        tab.locator(".sequence .residue").nth(site).click()
        message = tab.locator(".protein-part [role=status]").inner_text()
        assert f"{rows['residue'][own][site]}{site + 1}: probability" in message
        assert abs(float(re.findall(r"probability (\d\.\d+)", message)[0]) - probabilities[site]) <= 0.0051
        assert "a site" in message
        tab.keyboard.press("ArrowRight")  # the click gave the letters the focus
        assert f"{site + 2}: probability" in tab.locator(".protein-part [role=status]").inner_text()
        table = list(csv.DictReader(io.StringIO(saved(tab, tab.get_by_label("Save the residues as CSV")))))
        assert [int(row["label"]) for row in table] == labels.astype(int).tolist()
        assert [int(row["called"]) for row in table] == called.astype(int).tolist()
        tab.locator(".protein-table a").nth(2).click()
        tab.locator(".protein-part h3").filter(has_not_text=name).wait_for()
        assert "protein=" in tab.url
    finally:
        tab.close()


@pytest.mark.slow
def test_tables_and_charts_are_saved(tab: Any, rows: dict[str, np.ndarray]) -> None:
    table = list(csv.DictReader(io.StringIO(saved(tab, tab.get_by_label("Save the chosen proteins as CSV")))))
    assert {row["protein"] for row in table} == {
        name for name, label in zip(rows["protein"], rows["label"], strict=True) if label
    }
    whole = list(csv.reader(io.StringIO(saved(tab, tab.get_by_label("Save the table as CSV: Each ion, all folds")))))
    assert whole[0][0] == "Ion"
    assert whole[1][0] == "ZN"
    chart = "ZN: precision and recall"
    points = list(csv.DictReader(io.StringIO(saved(tab, tab.get_by_label(f"Save the values as CSV: {chart}")))))
    curve = [(float(row["recall"]), float(row["precision"])) for row in points if row["curve"].startswith("AUPRC")]
    assert curve[-1][0] == 1
    assert curve[-1][1] == pytest.approx(rows["label"].mean(), abs=1e-5)
    svg = saved(tab, tab.get_by_label(f"Save as SVG: {chart}"))
    assert svg.startswith("<svg")
    assert f"<title>{chart}</title>" in svg
    assert "var(" not in svg
    assert "#0072b2" in svg
    with tab.expect_download() as download:
        tab.get_by_label(f"Save as PNG: {chart}").click()
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_charts_show_values_and_zoom(tab: Any) -> None:
    figure = tab.locator("figure.chart").first
    figure.scroll_into_view_if_needed()
    box = figure.locator("svg").bounding_box()
    tab.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.5)
    tip = figure.locator(".tip")
    for share in np.linspace(0.05, 0.95, 40):  # somewhere on the way down there is the curve
        tab.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * share)
        if tip.is_visible():
            break
    assert re.search(r"recall: [01][.\d]*, precision: [01][.\d]*", tip.inner_text())
    before = figure.locator(".grid text").all_text_contents()
    figure.get_by_label("Zoom in", exact=False).click()
    assert figure.locator(".curves").get_attribute("transform").startswith("matrix(2 0 0 2")
    assert figure.locator(".grid text").all_text_contents() != before
    figure.get_by_label("Show the whole chart", exact=False).click()
    assert figure.locator(".grid text").all_text_contents() == before
    tab.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.3)
    tab.mouse.down()
    tab.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.6)
    tab.mouse.up()
    assert "matrix" in figure.locator(".curves").get_attribute("transform")
    calibration = tab.locator("figure.chart", has_text="ZN: calibration")
    counts = calibration.locator(".point-note").all_text_contents()
    assert counts
    assert all(re.fullmatch(r"[\d.]+[kM]?", count) for count in counts)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "width", "scheme"), [
    ("binding", 1280, "light"), ("binding", 390, "dark"), ("prediction", 390, "light"),
    ("prediction", 1280, "dark"), ("pretraining", 1280, "dark"), ("unfinished", 390, "light"),
])  # fmt: skip
def test_no_serious_fault_of_accessibility(
    browser: Any, pages: dict[str, Path], name: str, width: int, scheme: str
) -> None:
    tab, _ = visit(browser, pages[name], width=width, scheme=scheme)
    try:
        if name in ("binding", "prediction"):
            tab.locator(".protein-table a").nth(3 if name == "binding" else 0).click()
            tab.wait_for_selector(".sequence .line")
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert serious_faults(tab) == []
    finally:
        tab.close()


def serious_faults(tab: Any) -> list[tuple[str, str]]:
    """What axe-core finds: rule and element."""
    faults = [fault for fault in Axe().run(tab).response["violations"] if fault["impact"] in ("serious", "critical")]
    return [(fault["id"], fault["nodes"][0]["html"][:200]) for fault in faults]


@pytest.mark.slow
def test_a_structure_and_its_sequence_choose_residues_both_ways(browser: Any, pages: dict[str, Path]) -> None:
    tab, seen = visit(browser, pages["prediction"], width=360)
    tab.set_viewport_size({"width": 360, "height": 300})  # a small drawing: software renders it here
    try:
        tab.locator(".protein-table a", has_text="helix").click()
        tab.get_by_label("Show the structure").click()
        scene = tab.locator(".scene")
        tab.wait_for_selector(".scene[data-drawn=helix]")
        status = tab.locator(".protein-part [role=status]").first
        tab.locator(".sequence .residue").nth(9).click()
        tab.wait_for_selector(".scene[data-residue='10']")
        assert status.inner_text().endswith("; A:10 in the structure")
        # Back: the view has turned to residue 10, so that it or a residue before it is in the middle of the drawing.
        tab.wait_for_timeout(1000)
        tab.evaluate("""() => { delete document.querySelector('.scene').dataset.residue;
                        document.querySelector('.sequence .chosen').classList.remove('chosen'); }""")
        scene.scroll_into_view_if_needed()
        box = scene.bounding_box()
        for across, down in [(x, y) for y in (0.5, 0.45, 0.55) for x in (0.5, 0.46, 0.54, 0.42, 0.58)]:
            tab.mouse.click(box["x"] + across * box["width"], box["y"] + down * box["height"])
            tab.wait_for_timeout(300)
            if scene.get_attribute("data-residue"):
                break
        number = int(scene.get_attribute("data-residue"))
        assert status.inner_text().startswith(f"{SEQUENCE[number - 1]}{number}: probability")
        assert tab.locator(".sequence .chosen").get_attribute("data-place") == str(number - 1)
        for scheme, ground in (("dark", (18, 24, 22)), ("light", (255, 255, 255))):
            tab.emulate_media(color_scheme=scheme)
            assert any(corner(tab, scene) == ground for _ in range(20))
        scenes = {}
        for ion in ("ZN", "CA"):
            tab.locator(".controls").get_by_label("Ion").select_option(label=ion)
            tab.locator(".protein-part h3", has_text=f"helix: {ion}").wait_for()
            scenes[ion] = json.loads(saved(tab, tab.get_by_label("Scene for Mol* (.mvsj)")))
        sticks = {ion: positions_of_sticks(scene) for ion, scene in scenes.items()}
        for ion, letters in {"ZN": "CH", "CA": "DE"}.items():
            assert sticks[ion] == {n for n, letter in enumerate(SEQUENCE, 1) if letter in letters}
        assert serious_faults(tab) == []
        assert (seen["errors"], seen["dialogs"]) == ([], [])
        assert [url for url in seen["requests"] if not url.startswith(("file://", "data:", "blob:"))] == []
    finally:
        tab.close()


def corner(tab: Any, scene: Any) -> tuple[int, int, int]:
    """The colour of a drawing near its upper left corner, a quarter of a second later."""
    tab.wait_for_timeout(250)
    red, green, blue = imread(io.BytesIO(scene.screenshot()))[12, 12, :3] * 255
    return round(red), round(green), round(blue)


def positions_of_sticks(scene: dict[str, Any]) -> set[int]:
    """Residues that a scene shows as sticks."""
    model = scene["root"]["children"][0]["children"][0]["children"][0]
    looks = {part["children"][0]["params"]["type"]: part["params"]["selector"] for part in model["children"]}
    assert set(looks) == {"cartoon", "ball_and_stick", "spacefill"}
    return {residue["auth_seq_id"] for residue in looks["ball_and_stick"]}


@pytest.mark.slow
def test_the_table_of_windows_sorts_filters_and_searches(
    browser: Any, pages: dict[str, Path], pretraining_run: Path
) -> None:
    records = read_record_losses(pretraining_run / "eval_records.parquet")
    tab, seen = visit(browser, pages["pretraining"], width=1280)
    try:
        status = tab.locator(".window-table [role=status]")
        total = records.masked[:, 0].sum()
        assert status.inner_text().startswith(
            f"1 to {min(25, len(records.record))} of {len(records.record)} windows, loss "
        )
        assert f"over {total} masked tokens" in status.inner_text()
        shown_loss = float(re.findall(r"loss ([\d.]+)", status.inner_text())[0])
        assert shown_loss == pytest.approx(records.loss[:, 0].sum() / total, abs=2e-3)
        tab.get_by_label("Sort by Loss", exact=True).click()
        cells = tab.locator(".window-table tbody tr > :nth-child(3)").all_inner_texts()
        assert list(map(float, cells)) == sorted(map(float, cells), reverse=True)
        worst = (records.loss[:, 0] / np.maximum(records.masked[:, 0], 1)).max()
        assert float(cells[0]) == pytest.approx(worst, abs=6e-4)
        tab.locator(".window-browser .controls").get_by_label("Windows").select_option("peaks")
        assert f" of {(records.masked[:, 1] > 0).sum()} windows" in status.inner_text()
        name = tab.locator(".window-table tbody th").first.inner_text()
        tab.locator(".window-browser .controls").get_by_label("Search").fill(name.upper())
        rows = list(csv.DictReader(io.StringIO(saved(tab, tab.get_by_label("Save the chosen windows as CSV")))))
        assert name in {row["window"] for row in rows}
        assert all(name.lower() in row["window"].lower() for row in rows)
        assert (seen["errors"], seen["console"]) == ([], [])
    finally:
        tab.close()


@pytest.mark.slow
def test_a_prediction_counts_calls_at_every_threshold(browser: Any, pages: dict[str, Path]) -> None:
    tab, _ = visit(browser, pages["prediction"], width=1280)
    try:
        table = pq.read_table(pages["prediction"].parent / "prediction" / "predictions.parquet").to_pylist()
        zinc = [row for row in table if row["ion"] == "ZN"]
        heads = [head.split("\n")[0].strip() for head in tab.locator(".protein-table thead th").all_inner_texts()]
        assert heads == ["Protein", "Residues", "Called residues", "Highest probability"]
        called = [str(sum(row["call"] for row in zinc if row["protein"] == name)) for name in ("helix", HOSTILE)]
        assert column(tab, 3) == called
        tab.locator(".protein-table a").first.click()
        tab.locator(".protein-part input[type=range]").fill("70")
        own = [row for row in zinc if row["protein"] == "helix"]
        counts = tab.locator(".counts li").all_inner_texts()
        for text, rows in zip(counts, (own, zinc), strict=True):
            calls = sum(row["probability"] >= 0.695 for row in rows)
            assert text.endswith(f": {calls} of {len(rows)} residues called")
        saved_rows = list(csv.DictReader(io.StringIO(saved(tab, tab.get_by_label("Save the residues as CSV")))))
        assert list(saved_rows[0]) == ["protein", "ion", "position", "residue", "probability", "called"]
        assert [int(row["called"]) for row in saved_rows] == [int(row["probability"] >= 0.695) for row in own]
    finally:
        tab.close()


@pytest.mark.slow
def test_print_shows_figures_and_no_buttons(tab: Any) -> None:
    tab.emulate_media(media="print")
    assert tab.locator(".tools:visible, .controls:visible, nav:visible").count() == 0
    assert tab.locator(".drawing svg").first.is_visible()
    assert tab.locator(".protein-table table").is_visible()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(browser: Any, pages: dict[str, Path], scheme: str) -> None:
    tab, _ = visit(browser, pages["binding"], width=1280, scheme=scheme)
    try:
        colours = tab.evaluate(
            """() => { const probe = document.createElement('span'); document.body.append(probe);
               const names = ['paper', 'raised', 'ink', 'soft', 'accent', 'warn', 'warn-ink'];
               const found = names.map(name => { probe.style.color = `var(--${name})`;
                 return [name, getComputedStyle(probe).color.match(/[0-9]+/g).slice(0, 3).map(Number)]; });
               probe.remove(); return Object.fromEntries(found); }"""
        )
    finally:
        tab.close()
    for front, back in [("ink", "paper"), ("soft", "paper"), ("soft", "raised"), ("accent", "paper"),
                        ("warn-ink", "warn")]:  # fmt: skip
        assert contrast(colours[front], colours[back]) >= 4.5, (front, back)


def contrast(first: list[int], second: list[int]) -> float:
    """WCAG 2's contrast ratio."""

    def luminance(colour: list[int]) -> float:
        parts = [value / 255 for value in colour]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)
