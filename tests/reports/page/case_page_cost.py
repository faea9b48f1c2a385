"""What a case's page costs: ``python -m tests.reports.page.case_page_cost``.

A CT of 512 x 512 with three maps and two readers, in all planes that its page shows; a radiograph of 2048 x 2048.
CPU seconds of a whole sheet, its two passes and its PDF included; the aim is a quarter of a second for a page.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from pipeline.conclusions.shown_cases.page_pixels import with_page_pixels
from pipeline.findings.pictures.panels import CasePanels, View, save_panels
from reports.sheets import render_sheets
from tests.reports import example

AIM = 0.25
REPEATS = 5


def view(shape, role="main", plane="axial", methods=("gradcam", "hirescam", "layercam")):
    """Return a plane of noise with a lesion, an outline each, and smooth maps."""
    rows, columns = np.indices(shape).astype(np.float32)
    away = np.hypot(rows / shape[0] - 0.4, columns / shape[1] - 0.6)
    image = (np.random.default_rng(3).normal(0, 40, shape) + 900 * (away < 0.1) - 600).astype(np.float32)
    maps = {name: np.exp(-(((away + 0.1 * place) / 0.2) ** 2)) - 0.3 for place, name in enumerate(methods)}
    masks = {"A": away < 0.1, "B": away < 0.12}
    zoom = (shape[0] // 4, shape[0] // 2, shape[1] // 2, 3 * shape[1] // 4)
    shown = View(image, (0.8, 0.8), ("R", "L", "A", "P"), "plane", masks, maps, np.ones(shape, bool), role=role,
                 plane=plane, number=12, planes=200, position_mm=-31.5, thickness_mm=1.0,
                 peaks=dict.fromkeys(methods, (shape[0] // 3, shape[1] // 3)), zoom=zoom)  # fmt: skip
    return with_page_pixels(shown)


def case(views):
    """Return a case's panels with ranges and thresholds over all views."""
    ranges = {name: (float(plane.min()), float(plane.max())) for name, plane in views[0].maps.items()}
    thresholds = {name: high / 2 for name, (_, high) in ranges.items()}
    return CasePanels("S0007", "nodule", "HU", (-1000.0, 400.0), ranges, thresholds, tuple(views))


def volume():
    """Return the panels of a CT: two slices with every map, five planes with the first."""
    others = (("lesion", "sagittal"), ("lesion", "coronal"), ("peak", "sagittal"), ("peak", "coronal"))
    planes = [view((512, 512)), view((512, 512))]
    planes += [view((300, 512), role, plane, ("gradcam",)) for role, plane in others]
    return case([*planes, view((512, 512), "maximum", "axial", ("gradcam",))])


def seconds(panels):
    """Return the least CPU seconds that a sheet of one case takes."""
    with tempfile.TemporaryDirectory() as folder:
        entry = example.results().cases[0]
        run = example.write_run(Path(folder), example.results(cases=(entry,)))
        save_panels(panels, run / str(entry.panels))
        taken = []
        for _ in range(REPEATS):
            start = time.process_time()
            render_sheets(run)
            taken.append(time.process_time() - start)
    return min(taken)


if __name__ == "__main__":
    for name, panels in (("CT, 512 x 512", volume()), ("radiograph, 2048 x 2048", case([view((2048, 2048))]))):
        sys.stdout.write(f"{name}: {seconds(panels):.2f} s (aim {AIM} s)\n")
