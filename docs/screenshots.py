"""Make the pictures of reports that the documentation shows, from report pages or run folders.

    python docs/screenshots.py pretraining=RUN binding=RUN probe=RUN compare=PAGE compare-arms=PAGE compare-tools=PAGE
        prediction=FOLDER scan=FOLDER
        explanation=FOLDER [--out docs/images]

For each name: NAME.png at desktop width, NAME-phone.png at phone width and NAME-dark.png, as report-NAME*.png. Of a
page with a table of proteins, also NAME-protein*.png with the first protein opened, and its structure where it has one.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from bindtune.reports.report import write_report

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PROTEIN_HEIGHT, STRUCTURE_HEIGHT = 620, 900
VIEWS = {"": (1280, 1500, "light"), "-phone": (390, 1400, "light"), "-dark": (1280, 1000, "dark")}


def main() -> None:
    """Read the command line and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN", help="a run folder, or a report's .html file")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "images")
    parser.add_argument("--whole", action="store_true", help="the whole page instead of its beginning")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium") or sys.exit("chromium is not installed")
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        for argument in arguments.runs:
            name, _, folder = argument.partition("=")
            page = Path(folder)
            if page.is_dir():
                page = write_report(page, Path(temporary) / f"{name}.html")
            take(browser, page.resolve(), stem=arguments.out / f"report-{name}", whole=arguments.whole)
        browser.close()


def take(browser: Browser, page: Path, *, stem: Path, whole: bool) -> None:
    """Take every view of one page."""
    for suffix, (width, height, scheme) in VIEWS.items():
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        tab = context.new_page()
        tab.goto(page.as_uri())
        _save(tab, stem.with_name(f"{stem.name}{suffix}.png"), whole=whole)
        names = tab.locator(".protein-table tbody a")
        if names.count():
            names.first.click()
            tab.wait_for_selector(".sequence .line")
            show = tab.get_by_role("button", name="Show the structure")
            has_structure = show.count() > 0
            if has_structure:
                show.click()
                tab.wait_for_selector(".scene[data-drawn]", timeout=120_000)
                tab.wait_for_timeout(4000)  # until the view stands still
            tab.set_viewport_size({"width": width, "height": STRUCTURE_HEIGHT if has_structure else PROTEIN_HEIGHT})
            tab.evaluate("document.querySelector('.protein-part').scrollIntoView({ behavior: 'instant' })")
            _save(tab, stem.with_name(f"{stem.name}-protein{suffix}.png"), whole=False)
        context.close()


def _save(tab: Page, path: Path, *, whole: bool) -> None:
    tab.screenshot(path=path, full_page=whole)
    Image.open(path).convert("RGB").quantize(160, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
