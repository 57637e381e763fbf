"""Reports in a real browser: they render, ask nobody for anything, fit a phone, and show hostile names as text."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bindtune.reports.report import write_report

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def pages(
    pretraining_run: Path, write_binding_run: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    runs = {
        "pretraining": pretraining_run,
        "binding": write_binding_run(folder / "whole", ions=("ZN", "<img src=x onerror=alert(2)>$x_1$")),
        "unfinished": write_binding_run(folder / "unfinished", done=2),
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
        assert tab.locator("script").count() == 0
        assert tab.locator("img").count() == 0
        assert seen["dialogs"] == []
        shown = tab.locator("main").inner_text()
        assert "<img src=x onerror=alert(2)>$x_1$: precision and recall" in shown
        source = pages["binding"].read_text()
        assert HOSTILE not in source
    finally:
        tab.close()


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


def contrast(one: list[int], other: list[int]) -> float:
    """WCAG 2's contrast ratio."""

    def luminance(colour: list[int]) -> float:
        parts = [value / 255 for value in colour]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
