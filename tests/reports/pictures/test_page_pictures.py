"""A case's page as a picture, with tolerance: what is seen is what the arrays hold, and a slip is noticed."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pipeline.findings.pictures.panels import CasePanels, View, save_panels
from reports import case_page
from reports.page import draw
from reports.pictures import panel_row
from reports.sheets import render_sheets
from tests.reports import example
from tests.reports.pictures.page_pictures import DIFFERENT, ExpectedPicture, differences, pictures_on

pytestmark = pytest.mark.skipif(shutil.which("pdftoppm") is None, reason="pdftoppm (poppler-utils) is not installed")

SHAPE, ZOOM = (40, 48), (4, 20, 24, 40)
CYAN, WHITE = "#00e5ff", "#ffffff"


def lopsided():
    """Return the panels of a picture in which no two corners are alike, with one expert and two maps."""
    rows, columns = np.indices(SHAPE)
    image = (rows / 80 + columns / 160).astype(np.float32)
    image[2:9, 4:12], image[30:38, 40:46] = 0.5, 0.3
    mask = np.zeros(SHAPE, bool)
    mask[8:14, 28:36] = mask[12:17, 31:33] = True
    near, far = (np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 40).astype(np.float32)
                 for row, column in ((11, 32), (33, 8)))  # fmt: skip
    view = View(image, (1.0, 1.0), ("R", "L", "A", "P"), "projection", {"A": mask}, {"gradcam": near, "layercam": far},
                np.ones(SHAPE, bool), zoom=ZOOM)  # fmt: skip
    ranges = {"gradcam": (0.0, 1.0), "layercam": (0.0, 1.0)}
    return CasePanels("S0007", "nodule", "HU", (0.0, 1.0), ranges, {"gradcam": 0.5, "layercam": 0.5}, (view,))


def expected():
    """Return what the page's pictures show, in their order: slice, zoom, both maps."""
    (view,) = lopsided().views
    top, bottom, left, right = ZOOM
    part = (slice(top, bottom), slice(left, right))
    mask = view.masks["A"]
    maps = [
        ExpectedPicture(view.image, ((plane > 0.5, WHITE), (mask, CYAN)), plane, (plane > 0.5) & mask)
        for plane in (view.maps["gradcam"], view.maps["layercam"])
    ]
    return [
        ExpectedPicture(view.image, ((mask, CYAN),)),
        ExpectedPicture(view.image[part], ((mask[part], CYAN),)),
        *maps,
    ]


def page(folder):
    """Return the pictures of the sheet of the one case."""
    (entry, *_) = example.results().cases
    run = example.write_run(folder, example.results(cases=(entry,)))
    save_panels(lopsided(), run / str(entry.panels))
    (path,) = render_sheets(run).iterdir()
    pictures = pictures_on(path)
    return [picture for picture in pictures if min(picture.size) > 60]  # the legend's samples are smaller


def test_what_is_seen_is_what_the_arrays_hold(tmp_path):
    far = differences(page(tmp_path), expected())
    assert len(far) == 4
    assert max(far) < DIFFERENT, far


def flipped(make, axis):
    return lambda *facts: Image.fromarray(np.flip(np.asarray(make(*facts)), axis).copy())


def moved(rows, columns):
    outline = draw.outline
    return lambda mask: [[(row + rows, column + columns) for row, column in polygon] for polygon in outline(mask)]


def without_the_second_map(make):
    def rows(*facts):
        first, maps = make(*facts)
        return [first, panel_row.PanelRow(maps._load, maps._panels[:1], 170.0, maps.width, "one map")]

    return rows


def swapped(make):
    def rows(*facts):
        first, maps = make(*facts)
        names = [panel.method for panel in maps._panels][::-1]
        panels = [replace(panel, method=name) for panel, name in zip(maps._panels, names, strict=True)]
        return [first, panel_row.PanelRow(maps._load, panels, 170.0, maps.width, "two maps")]

    return rows


SLIPS = {
    "image upside down": (panel_row, "image_raster", flipped(panel_row.image_raster, 0), {0, 1}),
    "image mirrored": (panel_row, "image_raster", flipped(panel_row.image_raster, 1), {0, 1}),
    "map upside down": (panel_row, "map_raster", flipped(panel_row.map_raster, 0), {2, 3}),
    "map mirrored": (panel_row, "map_raster", flipped(panel_row.map_raster, 1), {2, 3}),
    "outline a pixel lower": (draw, "outline", moved(1, 0), {0, 1, 2, 3}),
    "outline a pixel to the right": (draw, "outline", moved(0, 1), {0, 1, 2, 3}),
    "no outline": (draw, "outline", lambda mask: [], {0, 1, 2, 3}),
    "panel lost": (case_page, "case_rows", without_the_second_map(case_page.case_rows), {3}),
    "maps swapped": (case_page, "case_rows", swapped(case_page.case_rows), {2, 3}),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_is_noticed(slip, tmp_path, monkeypatch):
    module, name, wrong, where = SLIPS[slip]
    monkeypatch.setattr(module, name, wrong)
    far = differences(page(tmp_path), expected())
    noticed = {place for place, value in enumerate(far) if value is None or value >= DIFFERENT}
    assert noticed == where, far
