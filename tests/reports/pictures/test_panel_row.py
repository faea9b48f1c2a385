"""Panels on the page: the drawing of a row, checked on the page's own pixels."""

import io
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas

from pipeline.findings.pictures.panels import CasePanels, View
from pipeline.findings.scores import MapPeak
from reports.case_page import hidden_peak
from reports.page import draw
from reports.page.layout import CONTENT
from reports.pictures import raster
from reports.pictures.case_panels import SMALLEST, case_rows, map_view, plane_words, sizes_for, window_words
from reports.pictures.legend import _marks
from reports.pictures.panel_row import GAP, Panel, PanelRow, readers_of
from tests.reports import example

DPI = 216


def single(shape, pixel_mm, where, **more):
    """Return a case whose image is black but for one pixel, which the only expert marked."""
    image = np.zeros(shape, np.float32)
    image[where] = 1
    seen = np.ones(shape, bool)
    view = View(image, pixel_mm, ("R", "L", "A", "P"), "one pixel", {"A": image > 0}, {"cam": image}, seen, **more)
    return CasePanels("S1", "nodule", "HU", (0, 1), {"cam": (0.0, 1.0)}, {"cam": 0.5}, (view,))


def row_of(case, *panels, tallest=120.0, width=CONTENT):
    return PanelRow(lambda: case, panels or (Panel("image", 0), Panel("map", 0, "cam")), tallest, width, "the panels")


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
    row = row_of(case, Panel("image", 0), Panel("image", 0))
    page = page_of(row, tmp_path)
    width, height = row._sizes[0]
    assert width / height == pytest.approx(shape[1] * pixel_mm[1] / (shape[0] * pixel_mm[0]))
    half = np.arange(page.shape[1]) < page.shape[1] // 2
    dark = (page.max(axis=2) < 12) & half
    left, top, right, bottom = box_of(dark & (dark.sum(axis=0) > 0.5 * dark.sum(axis=0).max()))
    assert right - left == pytest.approx(width, abs=1.5)
    assert bottom - top == pytest.approx(height, abs=1.5)
    expected = np.array([
        left + where[1] * width / shape[1], top + where[0] * height / shape[0],
        left + (where[1] + 1) * width / shape[1], top + (where[0] + 1) * height / shape[0],
    ])  # fmt: skip
    for column, side in ((0.0, half), (row._cell + GAP, ~half)):
        cyan = (page[..., 2] > 180) & (page[..., 1] > 160) & (page[..., 0] < 90) & side
        np.testing.assert_allclose(box_of(cyan), expected + np.array([column, 0, column, 0]), atol=1.2)


def test_a_peak_is_crossed_where_it_lies_and_in_its_own_panel_only(tmp_path):
    case = single((20, 20), (1.0, 1.0), (2, 3), peaks={"cam": (12, 15)})
    bare = single((20, 20), (1.0, 1.0), (2, 3))
    pages = [page_of(row_of(one), tmp_path) for one in (case, bare)]
    changed = np.abs(pages[0] - pages[1]).max(axis=2) > 60
    left, top, right, bottom = box_of(changed)
    row = row_of(case)
    width = row._sizes[1][0]
    x = 20 + row._cell + GAP + (row._cell - width) / 2 + 15.5 * width / 20
    assert (left + right) / 2 == pytest.approx(x, abs=1)
    assert bottom - top < 14
    assert right - left < 14


def test_a_zoom_shows_its_part_alone_at_its_own_scale(tmp_path):
    case = single((20, 40), (1.0, 1.0), (4, 33), zoom=(0, 10, 28, 38))
    row = row_of(case, Panel("image", 0), Panel("zoom", 0, zoom=True))
    zoomed, tall = row._sizes[1]
    assert zoomed == pytest.approx(tall)
    assert row._scales[1] > row._scales[0]
    page = page_of(row, tmp_path)
    right = np.arange(page.shape[1]) > page.shape[1] // 2
    cyan = (page[..., 2] > 180) & (page[..., 1] > 160) & (page[..., 0] < 90) & right
    left, _, right_edge, _ = box_of(cyan)
    assert right_edge - left == pytest.approx(zoomed / 10, abs=1.5)  # a pixel is a tenth of the zoom's width


def test_a_zoom_of_a_plane_with_fewer_pixels_shows_those_of_the_image(tmp_path):
    case = single((20, 40), (1.0, 1.0), (4, 33), zoom=(0, 10, 28, 38))
    close = single((20, 20), (0.5, 0.5), (9, 10)).views[0]
    case = replace(case, views=(replace(case.views[0], close=close),))
    row = row_of(case, Panel("image", 0), Panel("zoom", 0, zoom=True))
    assert row._sizes[1] == row_of(case, Panel("zoom", 0, zoom=True), width=row._cell)._sizes[0]
    page = page_of(row, tmp_path)
    right = np.arange(page.shape[1]) > page.shape[1] // 2
    cyan = (page[..., 2] > 180) & (page[..., 1] > 160) & (page[..., 0] < 90) & right
    left, _, right_edge, _ = box_of(cyan)
    assert right_edge - left == pytest.approx(row._sizes[1][0] / 20, abs=1.5)


def test_maps_beside_each_other_share_their_scale():
    lesion, peak = example.view(), example.view((20, 72), (6.5, 0.78))
    case = example.panels("S", lesion, peak)
    row = row_of(case, Panel("a", 0, "gradcam"), Panel("b", 1, "gradcam"))
    assert row._scales[0] == row._scales[1]


@pytest.mark.parametrize("unit", ["mm", "px"])
def test_a_scale_bar_names_the_unit_of_the_images_lengths(unit, tmp_path, monkeypatch):
    case = single((10, 12), (1.0, 1.0), (1, 8))
    case = CasePanels(**{**vars(case), "length_unit": unit})
    words = []
    monkeypatch.setattr(Canvas, "drawString", lambda *at_text, **_: words.append(at_text[3]))
    row_of(case).drawOn(Canvas(str(tmp_path / "x.pdf")), 0, 0)
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
    row_of(case).drawOn(Canvas(str(tmp_path / "x.pdf")), 0, 0)
    assert {limits for _, limits in seen} == {draw.Range(-0.5, 7.25)}
    steps = next(values for values, _ in seen if np.ndim(values) == 1)
    np.testing.assert_allclose(steps[[0, -1]], [-0.5, 7.25], atol=0.1)
    assert {"\u22120.5", "7.25"} <= set(words)


# without colour


def grey_of(picture):
    return np.asarray(picture.convert("L")).astype(int)


def test_evidence_against_is_dotted_and_agreement_has_lines_without_colour():
    case = single((40, 40), (1.0, 1.0), (0, 0))
    values = np.zeros((40, 40), np.float32)
    values[:, :20], values[:, 20:] = 1.0, -1.0
    mask = np.zeros((40, 40), bool)
    mask[:20, :20] = True
    flat = np.zeros((40, 40), np.float32)
    view = View(**{**vars(case.views[0]), "image": flat, "maps": {"cam": values}, "masks": {"A": mask}})
    grey = grey_of(raster.map_raster(raster.PagePlane(view), (0, 1), "cam", draw.Range(-1.0, 1.0), 0.5))
    both, map_only, against = grey[10:290, 10:290], grey[310:590, 10:290], grey[10:590, 310:590]
    assert np.ptp(map_only) == 0  # a region outside of every outline stays plain
    assert 0.15 < np.mean(both == 20) < 0.5
    assert 0.02 < np.mean(against == 20) < 0.15
    assert not np.array_equal(both[:200, :200], against[:200, :200])


def test_no_line_of_pixels_is_left_out_where_a_picture_has_more_of_them_than_its_place():
    case = single((530, 8), (1.0, 1.0), (0, 0))
    for row in range(530):
        image = np.zeros((530, 8), np.float32)
        image[row] = 1
        plane = raster.PagePlane(replace(case.views[0], image=image), longest=520)
        assert raster.image_raster(plane, (0, 1)).getextrema()[1] > 50


def test_readers_keep_their_line():
    case = single((4, 4), (1, 1), (0, 0))
    view = case.views[0]
    other = View(**{**vars(view), "masks": {"C": view.masks["A"], "B": view.masks["A"]}})
    assert readers_of(CasePanels(**{**vars(case), "views": (view, other)})) == ("A", "C", "B")


def test_the_legend_names_what_the_case_has_and_nothing_else():
    case = single((4, 4), (1, 1), (0, 0))
    view = case.views[0]
    everything = View(**{**vars(view), "seen": np.zeros((4, 4), bool), "peaks": {"cam": (1, 1)}})
    bare = View(**{**vars(view), "masks": {}})
    signed = {"ranges": {"cam": (-1.0, 1.0)}}
    words = [
        [label for _, _, label in _marks(CasePanels(**{**vars(case), **facts, "views": (one,)}))]
        for one, facts in ((view, {}), (everything, signed), (bare, {"thresholds": {"cam": None}}))
    ]
    assert words[0] == ["A's outline", "map's region", raster.BOTH]
    assert words[1] == [*words[0], "map's peak", raster.AGAINST, "not seen by the model"]
    assert words[2] == []


# sizes


@pytest.mark.parametrize("room", [300.0, 450.0, 600.0])
@pytest.mark.parametrize("shape", [(64, 72), (20, 72), (90, 40)])
def test_the_slice_is_wide_and_everything_fits_where_it_can(room, shape):
    view = example.view(shape)
    case = example.panels("S", View(**{**vars(view), "zoom": (0, 20, 0, 20)}))
    titles = {name: name for name in view.maps}
    sizes = sizes_for(case, titles, room)
    rows = case_rows(lambda: case, titles, sizes, lambda panel: panel.title)
    assert sizes.width >= SMALLEST - 1e-6
    assert 70 * mm <= SMALLEST
    assert rows[0].alternative_text == "The image, with the experts' outlines; Zoom on the lesion"
    if sizes.maps > 31 * mm:  # not the smallest, which stand for "does not fit"
        assert sum(row.height for row in rows) <= room + 1


def test_words_of_planes_and_windows():
    view = example.view()
    slice_ = View(**{**vars(view), "plane": "axial", "number": 23, "planes": 60, "position_mm": -12.53,
                     "thickness_mm": 7.5})  # fmt: skip
    assert plane_words(slice_) == "axial slice 23 of 60 at \u221212.5 mm (slices 7.5 mm apart)"
    assert plane_words(view) == "the whole picture"
    case = CasePanels(**{**vars(example.panels("S", view)), "window_rule": "the image header's"})
    assert window_words(case) == "shown from \u22121000 to 400 HU, the image header's"


def of_slices(case):
    """Return the case with two planes, of which the second holds the first map's peak and the first the second's."""
    first = replace(case.views[0], role="main", plane="axial", number=12, planes=30, position_mm=-8.0,
                    peaks={"hirescam": (5, 5)})  # fmt: skip
    second = replace(first, number=17, position_mm=12.0, peaks={"gradcam": (5, 5)})
    return replace(case, views=(first, second))


def test_a_map_is_shown_in_a_plane_through_its_peak():
    case = of_slices(next(panels for _, panels in example.cases() if panels is not None))
    assert map_view(case, "gradcam") == 1
    assert map_view(case, "hirescam") == 0
    assert map_view(case, "layercam") == 1, "where no plane has it, that of the first map"
    own = replace(case.views[0], role="own_peak", peaks={"layercam": (2, 2)})
    case = replace(case, views=(*case.views, own))
    assert map_view(case, "layercam") == 2
    titles = {name: name for name in case.views[0].maps}
    rows = case_rows(lambda: case, titles, sizes_for(case, titles, 500), lambda panel: f"{panel.title}|{panel.view}")
    assert "layercam, at \u22128 mm|2" in " ".join(row.alternative_text for row in rows)
    assert len(rows) == 2, "it is no plane of the survey"


def test_a_peak_in_no_plane_is_told_with_its_place():
    entry, panels = next((entry, panels) for entry, panels in example.cases() if panels is not None)
    case = of_slices(panels)
    peak = MapPeak(region="body", body_region="body", place="left", position_mm=(1.0, 2.0, 33.25),
                   normalised=(0.5, 0.5), value=1.0)  # fmt: skip
    scores = tuple(scores.model_copy(update={"peak": peak, "target": case.target}) for scores in entry.audit.map_scores)
    entry = entry.model_copy(update={"audit": entry.audit.model_copy(update={"map_scores": scores})})
    assert hidden_peak(entry, case, "layercam") == "at 33.2 mm"
    assert hidden_peak(entry, case, "gradcam") is None
    assert hidden_peak(entry, case, "hirescam") is None
    assert hidden_peak(entry, replace(case, views=case.views[:1]), "gradcam") == "at 33.2 mm"
    unplaced = tuple(replace(view, position_mm=None) for view in case.views)
    assert hidden_peak(entry, replace(case, views=unplaced), "layercam") == "in another slice"
