"""Panels on the page: the drawing of a view, checked on the page's own pixels."""

import io
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image
from reportlab.pdfgen.canvas import Canvas

from pipeline.findings.panels import CasePanels, View
from reports.page import draw
from reports.page.layout import CONTENT
from reports.panels import OVERHEAD, Grid, Legend, PictureRow, grid_for, readers_of

DPI = 216


def single(shape, pixel_mm, where):
    """Return a case whose image is black but for one pixel, which the only expert marked."""
    image = np.zeros(shape, np.float32)
    image[where] = 1
    seen = np.ones(shape, bool)
    view = View(image, pixel_mm, ("R", "L", "A", "P"), "one pixel", {"A": image > 0}, {"cam": image}, seen)
    return CasePanels("S1", "nodule", "HU", (0, 1), {"cam": (0.0, 1.0)}, {"cam": 0.5}, (view,))


def page_of(row, tmp_path):
    """Return the drawn row as RGB pixels; the row's lower left corner is at (20, 20) points of the page."""
    if shutil.which("pdftoppm") is None:
        pytest.skip("pdftoppm (poppler-utils) is not installed")
    path = tmp_path / "row.pdf"
    canvas = Canvas(str(path), pagesize=(row.width + 40, row.height + 40))
    row.drawOn(canvas, 20, 20)
    canvas.save()
    made = subprocess.run(["pdftoppm", "-r", str(DPI), "-png", path], capture_output=True, check=True)
    return np.asarray(Image.open(io.BytesIO(made.stdout)).convert("RGB")).astype(int)


def box_of(where):
    """Return (left, top, right, bottom) of marked pixels in points, y from the top."""
    rows, columns = np.nonzero(where)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) * 72 / DPI


@pytest.mark.parametrize(
    ("shape", "pixel_mm", "where"),
    [((10, 12), (1.0, 1.0), (1, 8)), ((10, 12), (1.0, 1.0), (8, 1)), ((8, 40), (6.5, 0.78), (1, 30))],
)
def test_a_pixel_and_its_outline_are_where_they_should_be(shape, pixel_mm, where, tmp_path):
    case = single(shape, pixel_mm, where)
    row = PictureRow(lambda: case, 0, 0, {"cam": "CAM"}, Grid(4, 120))
    page = page_of(row, tmp_path)
    width, height = row._size
    assert width / height == pytest.approx(shape[1] * pixel_mm[1] / (shape[0] * pixel_mm[0]))
    dark = (page.max(axis=2) < 12) & (np.arange(page.shape[1]) < page.shape[1] // 4)
    left, top, right, bottom = box_of(dark & (dark.sum(axis=0) > 0.5 * dark.sum(axis=0).max()))
    assert right - left == pytest.approx(width, abs=1.5)
    assert bottom - top == pytest.approx(height, abs=1.5)
    expected = np.array([
        left + where[1] * width / shape[1], top + where[0] * height / shape[0],
        left + (where[1] + 1) * width / shape[1], top + (where[0] + 1) * height / shape[0],
    ])  # fmt: skip
    inside = np.zeros(dark.shape, bool)
    scale = DPI / 72
    inside[int((top + 2) * scale) : int((bottom - 2) * scale), int((left + 2) * scale) : int((right - 2) * scale)] = (
        True
    )
    np.testing.assert_allclose(box_of(inside & (page.min(axis=2) > 200)), expected, atol=1.0)
    shift = (CONTENT + 2.0) / 4
    cyan = (page[..., 2] > 180) & (page[..., 1] > 160) & (page[..., 0] < 90)
    cyan &= np.abs(np.arange(page.shape[1]) / scale - (left + shift + width / 2)) < width / 2
    np.testing.assert_allclose(box_of(cyan), expected + np.array([shift, 0, shift, 0]), atol=1.2)


@pytest.mark.parametrize("unit", ["mm", "px"])
def test_a_scale_bar_names_the_unit_of_the_images_lengths(unit, tmp_path, monkeypatch):
    case = single((10, 12), (1.0, 1.0), (1, 8))
    case = CasePanels(**{**vars(case), "length_unit": unit})
    words = []
    monkeypatch.setattr(Canvas, "drawString", lambda *at_text, **_: words.append(at_text[3]))
    PictureRow(lambda: case, 0, 0, {"cam": "CAM"}, Grid(4, 120)).drawOn(Canvas(str(tmp_path / "x.pdf")), 0, 0)
    assert f"2 {unit}" in words


def test_a_colour_bar_runs_over_the_whole_range(tmp_path, monkeypatch):
    case = single((10, 12), (1.0, 1.0), (1, 8))
    case = CasePanels(**{**vars(case), "ranges": {"cam": (-0.5, 7.25)}})
    seen = []
    original = draw.colours_of
    monkeypatch.setattr(
        draw, "colours_of", lambda values, limits: seen.append((values, limits)) or original(values, limits)
    )
    words = []
    for name in ("drawString", "drawRightString"):
        monkeypatch.setattr(Canvas, name, lambda *at_text, **_: words.append(at_text[3]))
    row = PictureRow(lambda: case, 0, 0, {"cam": "CAM"}, Grid(4, 120))
    row.drawOn(Canvas(str(tmp_path / "x.pdf")), 0, 0)
    assert {limits for _, limits in seen} == {draw.Range(-0.5, 7.25)}
    steps = next(values for values, _ in seen if np.ndim(values) == 1)
    np.testing.assert_allclose(steps[[0, -1]], [-0.5, 7.25], atol=0.1)
    assert {"\u22120.50", "7.25"} <= set(words)


def test_readers_keep_their_line_and_views_count_their_rows():
    case = single((4, 4), (1, 1), (0, 0))
    view = case.views[0]
    other = View(**{**vars(view), "masks": {"C": view.masks["A"], "B": view.masks["A"]}})
    both = CasePanels(**{**vars(case), "views": (view, other)})
    assert readers_of(both) == ("A", "C", "B")
    for methods, rows in ((1, 1), (2, 2), (3, 2), (4, 3)):
        maps = {str(number): view.maps["cam"] for number in range(methods)}
        assert Grid(4, 100).rows(View(**{**vars(view), "maps": maps})) == rows


@pytest.mark.parametrize("room", [150.0, 250.0, 420.0, 600.0])
@pytest.mark.parametrize("shape", [(30, 30), (20, 60), (60, 20)])
def test_a_grid_has_the_largest_pictures_that_fit(room, shape):
    case = single(shape, (1.0, 1.0), (0, 0))
    view = case.views[0]
    grid = grid_for(case, room, (70, 200))
    if grid is None:
        assert room < 70 + OVERHEAD + 14 + 1 or shape == (20, 60)
        return
    width, height = grid.size(view)
    assert grid.rows(view) * (height + OVERHEAD) <= room
    assert width / height == pytest.approx(shape[1] / shape[0])
    assert height <= 200
    for per_row in (2, 3, 4):
        tallest = min(200.0, (room - 14) / Grid(per_row, 0).rows(view) - OVERHEAD)
        assert tallest < 70 or Grid(per_row, tallest).size(view)[1] <= height + 1


def test_the_legend_names_hatching_only_where_there_is_some():
    case = single((4, 4), (1, 1), (0, 0))
    view = case.views[0]
    hidden = View(**{**vars(view), "seen": np.zeros((4, 4), bool)})
    words = [
        [place[4] for place in Legend(CasePanels(**{**vars(case), "views": (one,)}))._places] for one in (view, hidden)
    ]
    assert words[0] == ["outline by A", "map only", "expert only", "both"]
    assert words[1] == [*words[0], "not seen by the model"]
