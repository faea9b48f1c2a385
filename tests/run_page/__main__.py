"""``python -m tests.run_page [FOLDER]``: look at a run's pages in headless Chromium, and keep pictures of them.

A Prefect server of the loopback alone, with a database of its own, is started and ended; a small made-up audit runs on
it. Fails where a page lacks what it should show. Needs playwright and a Chromium (``CHROMIUM``, else the one on the
path); where they are missing it says so and ends with 2.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.pipeline.planted import plant

STUDIES, SHARD = 24, 4
WIDTH, HEIGHT = 1280, 1000
PATIENCE = 300_000  # milliseconds: a busy machine draws slowly
PAGES = {
    "Logs": ("shard 6 of 6: 4 studies", "report:"),
    "Artifacts": ("planted-verdicts", "planted-studies", "planted-report", "planted-progress"),
}
"""What each tab of the page of a run has to show."""


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def asked(address: str, content: object = None) -> object:
    """Return what the server's API answers."""
    body = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.load(reply)


@contextmanager
def server(home: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the address of a server and the environment of those who use it; end it by its number."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    environment = {
        **os.environ,
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"{address}/api",
        "PREFECT_SERVER_UI_API_URL": f"{address}/api",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "CAMAUDIT_STATE": str(home / "state"),
    }
    environment.pop("PREFECT_API_DATABASE_CONNECTION_URL", None)
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not _answers(f"{address}/api/health"):
            if process.poll() is not None:
                sys.exit(f"the Prefect server ended with exit code {process.returncode} while starting")
            time.sleep(0.5)
        yield address, environment
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(address: str) -> bool:
    try:
        asked(address)
    except OSError:
        return False
    return True


def audited(folder: Path, environment: dict[str, str]) -> None:
    """Run a small audit that the server is told of."""
    config = plant(folder, STUDIES, run={"device": "cpu", "replicates": 200, "shard_size": SHARD})
    command = [sys.executable, "-m", "flows", "run", str(config), "--quiet"]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


def photographed(address: str, chromium: str, folder: Path) -> list[Path]:
    """Look at each tab of the newest run's page; return the pictures."""
    from playwright.sync_api import sync_playwright

    (run,) = asked(f"{address}/api/flow_runs/filter", {"limit": 1})  # type: ignore[misc]
    pictures = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
            page.set_default_timeout(PATIENCE)
            page.goto(f"{address}/runs/flow-run/{run['id']}")
            for tab, texts in PAGES.items():
                page.get_by_role("tab", name=tab).or_(page.get_by_text(tab, exact=True)).first.click()
                for text in texts:
                    page.get_by_text(text).locator("visible=true").first.wait_for()
                pictures.append(folder / f"run-page-{tab.lower()}.png")
                page.screenshot(path=pictures[-1])
        finally:
            browser.close()
    return pictures


def main(folder: Path) -> None:
    """Start a server, run an audit on it, look at its page."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    try:
        import playwright  # noqa: F401
    except ImportError:
        chromium = None
    if chromium is None:
        print("needs playwright (pip) and a Chromium (apt), and one of them is missing", file=sys.stderr)
        sys.exit(2)
    with tempfile.TemporaryDirectory() as made, server(Path(made) / "prefect") as (address, environment):
        audited(Path(made) / "hospital", environment)
        for picture in photographed(address, chromium, folder):
            print(f"{picture}: shows all that it should")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path())
