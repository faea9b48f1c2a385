"""The pictures of docs/viewer.md, of two runs: ``python -m tests.viewer.screenshots CT_RUN RADIOGRAPH_RUN``."""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from reports.viewer.build import write_page

DOCS = Path(__file__).resolve().parents[2] / "docs"


def shoot(browser: Browser, run: Path, target: Path, keys: str) -> None:
    """Photograph the first case of a run, after pressing keys."""
    with tempfile.TemporaryDirectory() as folder:
        page = browser.new_page(viewport={"width": 1360, "height": 860})
        page.goto(f"{write_page(run, Path(folder) / 'report.html').page.as_uri()}#case-0")
        page.wait_for_selector(".case[data-ready]", state="attached")
        page.hover("canvas >> nth=0")
        for key in keys:
            page.keyboard.press(key)
        page.screenshot(path=target)
        page.close()


def main() -> None:
    """Photograph a case in three planes and one of a single picture."""
    ct, radiograph = map(Path, sys.argv[1:])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--disable-3d-apis"])
        shoot(browser, ct, DOCS / "viewer-ct.png", "")
        shoot(browser, radiograph, DOCS / "viewer-radiograph.png", "")
        browser.close()


if __name__ == "__main__":
    main()
