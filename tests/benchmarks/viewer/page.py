"""What the page costs a reader: ``python -m tests.benchmarks.viewer.page``.

A CT of 512 x 512 x 128 kept whole, served and picked beside a page on a disk, in Chromium without a graphics card:
seconds to the first picture, slices a second, milliseconds a threshold. And the size of a page of 1,000 studies with 40
such cases cut to crops. Noise in every voxel, as a CT has it: what packs worst. Exits 1 where a limit is passed.
"""

import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright

from flows.viewing.desk import Desk
from flows.viewing.server import viewing
from pipeline.conclusions.shown_cases.case_volume import cut_volume
from pipeline.conclusions.shown_cases.cases import cut_panels
from pipeline.conclusions.shown_cases.picture_facts import picture_facts
from pipeline.findings.pictures.panels import save_panels
from pipeline.findings.pictures.volumes import save_volume, volume_name
from pipeline.findings.results import CaseEntry
from pipeline.studies.geometry import Geometry
from reports.viewer.build import open_context, write_page
from tests.reports import example
from tests.reports.viewer.example_run import BRIGHT, CT, imaged, write_viewed_run

SHAPE, STUDIES, SHOWN = (512, 512, 128), 1000, 40
FIRST, SLICES, THRESHOLD, SIZE = 3.0, 20.0, 50.0, 60 * 10**6
"""Seconds to the first picture, slices a second, milliseconds a threshold, bytes of the page of 40 cases."""

_SLICES = """async () => {
  const canvas = document.querySelector("canvas[data-plane='axial']");
  const start = performance.now();
  for (let step = 0; step < 40; step += 1) {
    canvas.dispatchEvent(new WheelEvent("wheel", { deltaY: step < 20 ? 120 : -120, cancelable: true }));
    await new Promise(requestAnimationFrame);
  }
  return 40_000 / (performance.now() - start);
}"""
_THRESHOLDS = """async () => {
  const slider = document.querySelector("#threshold");
  let worst = 0;
  for (let step = 10; step < 190; step += 20) {
    const start = performance.now();
    slider.value = String(step);
    slider.dispatchEvent(new Event("input"));
    worst = Math.max(worst, performance.now() - start);
    await new Promise(requestAnimationFrame);
  }
  return worst;
}"""


def write_case(folder: Path, study: str, keep: str) -> CaseEntry:
    """Write one large case's files and return its entry."""
    grid = Geometry(SHAPE, np.diag([-0.7, -0.7, 1.25, 1.0]))
    BRIGHT[study] = (300, 260, 60)
    content = imaged(study, grid)
    heatmaps = {name: laid.heatmap for name, laid in content.maps.items()}
    thresholds = {name: laid.evidence.threshold for name, laid in content.maps.items()}
    panels = cut_panels(content.image, content.masks, heatmaps, thresholds, study=study, window=(-1000, 400))
    save_panels(panels, folder / f"cases/{study}.npz")
    save_volume(cut_volume(content.image, content.masks, content.maps, study, keep), folder / volume_name(study))
    return CaseEntry(
        study=study,
        rule="typical",
        panels=f"cases/{study}.npz",
        volume=volume_name(study),
        picture=picture_facts(panels),
        audit=example.audit(study),
    )


def copied(folder: Path, entry: CaseEntry, study: str) -> CaseEntry:
    """Write a case again under another name: its size is what matters."""
    for name, other in ((entry.panels, f"cases/{study}.npz"), (entry.volume, volume_name(study))):
        shutil.copy(folder / str(name), folder / other)
    update = {"study": study, "panels": f"cases/{study}.npz", "volume": volume_name(study)}
    return entry.model_copy(update=update)


def with_cases(folder: Path, cases: tuple[CaseEntry, ...]) -> None:
    """Let a run's results show these cases, of a cohort of 1,000 studies."""
    results = open_context(folder).results.model_copy(update={"cases": cases})
    (folder / "results.json").write_text(results.model_dump_json())
    head, first = (folder / "per_study.csv").read_text().splitlines()[:2]
    rows = [first.replace(CT, f"S{number:04d}", 1) for number in range(STUDIES) for _ in range(6)]
    (folder / "per_study.csv").write_text("\n".join([head, *rows]) + "\n")


def looked_at(page: Page, address: str, picked: Sequence[Path]) -> tuple[float, float, float]:
    """Return seconds to the volume's first picture, slices a second and milliseconds of the slowest threshold."""
    start = time.perf_counter()
    page.goto(address)
    page.wait_for_selector(".case[data-ready]", state="attached")
    if picked:
        page.set_input_files(".picker input", picked)
    page.wait_for_selector(".panes[data-planes='3']", state="attached")
    first = time.perf_counter() - start
    return first, page.evaluate(_SLICES), page.evaluate(_THRESHOLDS)


def measured(folder: Path) -> list[tuple[str, float, float, bool]]:
    """Return what was measured: name, value, limit, and whether it is kept."""
    run = write_viewed_run(folder / "run", volumes="none")
    with_cases(run, (write_case(run, CT, "whole"),))
    whole = write_page(run, folder / "whole.html")
    rows: list[tuple[str, float, float, bool]] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--disable-3d-apis"])
        with viewing(Desk(open_context(run), run / "reviews")) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            served, picked = f"{server.admission.address}#case-0", f"{whole.page.as_uri()}#case-0"
            for name, address, files in (("served", served, ()), ("picked", picked, whole.cases)):
                page = browser.new_page(viewport={"width": 1600, "height": 900})
                first, slices, threshold = looked_at(page, address, files)
                rows += [(f"{name}: first picture, s", first, FIRST, first < FIRST)]
                rows += [(f"{name}: slices a second", slices, SLICES, slices > SLICES)]
                rows += [(f"{name}: threshold, ms", threshold, THRESHOLD, threshold < THRESHOLD)]
            server.shutdown()
            thread.join()
        browser.close()
    for name, path in (("page of a whole case, MB", whole.page), ("its file, MB", whole.cases[0])):
        rows.append((name, path.stat().st_size / 1e6, float("inf"), True))
    entry = write_case(run, CT, "crops")
    with_cases(run, tuple(copied(run, entry, f"S{number:04d}") for number in range(SHOWN)))
    start = time.perf_counter()
    size = write_page(run, folder / "crops.html").page.stat().st_size
    rows.append(("40 cases, seconds to write", time.perf_counter() - start, float("inf"), True))
    rows.append(("40 cases, MB", size / 1e6, SIZE / 1e6, size < SIZE))
    return rows


def main() -> None:
    """Measure, print, and exit 1 where a limit is passed."""
    with tempfile.TemporaryDirectory() as folder:
        rows = measured(Path(folder))
    for name, value, limit, kept in rows:
        print(f"{name:32} {value:10.2f}  limit {limit:8.2f}  {'' if kept else 'PASSED THE LIMIT'}")
    sys.exit(0 if all(kept for *_, kept in rows) else 1)


if __name__ == "__main__":
    main()
