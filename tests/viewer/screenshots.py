"""The pictures of docs/viewer.md, of two runs: ``python -m tests.viewer.screenshots CT_RUN RADIOGRAPH_RUN``.

The view in space is drawn by software here, which the page would refuse: the renderer is given another name.
"""

import sys
import tempfile
import threading
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from flows.viewing.desk import Desk
from flows.viewing.server import viewing
from reports.viewer.build import open_context, write_page
from tests.viewer.test_space import NAMED

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


def shoot_in_space(browser: Browser, run: Path, target: Path) -> None:
    """Photograph the first case of a run in space, served as ``camaudit view`` does."""
    with tempfile.TemporaryDirectory() as folder, viewing(Desk(open_context(run), Path(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        page = browser.new_page(viewport={"width": 1360, "height": 700})
        page.add_init_script(NAMED)
        page.goto(f"{server.admission.address}#case-0")
        page.click("button.in-space")
        page.wait_for_selector(".space[data-ready]")
        page.locator(".space .drawn").screenshot(path=target)
        page.close()
        server.shutdown()
        thread.join()


def main() -> None:
    """Photograph a case in three planes, one of a single picture, and the first in space."""
    ct, radiograph = map(Path, sys.argv[1:])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--disable-3d-apis"])
        shoot(browser, ct, DOCS / "viewer-ct.png", "")
        shoot(browser, radiograph, DOCS / "viewer-radiograph.png", "")
        browser.close()
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium")
        shoot_in_space(browser, ct, DOCS / "viewer-3d.png")
        browser.close()


if __name__ == "__main__":
    main()
