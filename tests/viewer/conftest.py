"""A browser without and with the switch that takes 3D graphics away, as most hospital computers have it."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flows.viewing.desk import Desk
from flows.viewing.server import viewing
from reports.viewer.build import open_context, write_page
from tests.reports.viewer.example_run import write_viewed_run

_OF_ITS_OWN_ORIGIN = (
    "An iframe which has both allow-scripts and allow-same-origin for its sandbox attribute can escape its sandboxing."
)
"""Said of every sandbox of a page that asks its own server; the page is in no frame, and the policy allows none."""

_OF_A_DRIVER = "GPU stall due to ReadPixels"
"""What the graphics driver says of its speed where a picture's pixel is read."""

CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="session", params=[(), ("--disable-3d-apis",)], ids=["as-is", "no-3d"])
def browser(request):
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install 'camaudit[viewer]'")
    if CHROMIUM is None:
        pytest.skip("needs Debian's chromium")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(request.param))
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Path:
    return write_viewed_run(tmp_path_factory.mktemp("viewed") / "run")


@pytest.fixture(scope="session")
def page_file(run, tmp_path_factory) -> Path:
    return write_page(run, tmp_path_factory.mktemp("page") / "report.html").page


@contextmanager
def serving(run: Path) -> Iterator[str]:
    """Yield the address of a run's page as ``camaudit view`` gives it."""
    with viewing(Desk(open_context(run), run / "reviews")) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server.admission.address
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="session")
def served(run) -> Iterator[str]:
    with serving(run) as address:
        yield address


@pytest.fixture
def opened(browser):
    """Open an address and wait until it is ready; at the end nothing may have failed or been said on the console."""
    said, pages = [], []

    def open_page(address: str, ready: str = "body[data-ready]", size=(1400, 900), before: str = ""):
        page = browser.new_page(viewport={"width": size[0], "height": size[1]})
        page.add_init_script(before)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
        pages.append(page)
        page.goto(address)
        page.wait_for_selector(ready, state="attached")
        return page

    yield open_page
    faults = [page.evaluate("document.body.dataset.faults ?? null") for page in pages]
    for page in pages:
        page.close()
    assert faults == [None] * len(faults)
    assert [text for text in said if text != _OF_ITS_OWN_ORIGIN and _OF_A_DRIVER not in text] == []
