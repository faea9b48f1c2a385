"""Whole volumes beside a page on a disk: shown when they are picked, refused when they are not the page's."""

import gzip

import numpy as np
import pytest

from reports.viewer import build
from reports.viewer.build import write_page
from tests.reports.viewer.example_run import BRIGHT, BRIGHTEST, CT, imaged
from tests.viewer.canvas import cuts_of, hover, pixel_of

pytestmark = pytest.mark.viewer
READY = ".case[data-ready]"
WHOLE = ".panes[data-planes='3']"


@pytest.fixture
def whole(run, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "CROP_VOXELS", 1)
    return write_page(run, tmp_path / "report.html")


def test_planes_are_shown_until_the_volume_is_picked(opened, whole):
    page = opened(f"{whole.page.as_uri()}#case-0", READY)
    assert page.locator(WHOLE).count() == 0
    assert f"report-cases/{CT}.case" in page.inner_text(".picker")
    page.set_input_files(".picker input", whole.cases)
    page.wait_for_selector(WHOLE)
    assert page.inner_text(".picker output") == f"Shown: {CT}.case"
    grid = imaged(CT).image.geometry
    size = page.eval_on_selector("canvas[data-plane='axial']", "canvas => [canvas.width, canvas.height]")
    cut = cuts_of(grid, BRIGHT[CT])["axial"]
    while (away := BRIGHT[CT][cut.axis] - int(page.get_attribute("canvas[data-plane='axial']", "data-slice"))) != 0:
        page.hover("canvas[data-plane='axial']")
        page.mouse.wheel(0, 120 if away > 0 else -120)
    text = hover(page, "axial", pixel_of(cut, grid.shape, np.array(BRIGHT[CT]), size))
    assert text.startswith(f"{BRIGHTEST} ")


def test_one_pick_serves_every_case(opened, whole):
    page = opened(f"{whole.page.as_uri()}#case-0", READY)
    page.set_input_files(".picker input", whole.cases)
    page.wait_for_selector(WHOLE)
    page.keyboard.press(".")
    page.wait_for_selector(".case[data-study='S-DX'][data-ready]")
    assert page.inner_text(".picker output") == "Shown: S-DX.case"
    page.keyboard.press(",")
    page.wait_for_selector(f".case[data-study='{CT}'][data-ready] {WHOLE}")


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content[:-1],
        lambda content: content + b"\0",
        lambda content: gzip.compress(b"alert(1)"),
        lambda content: b"",
        lambda content: bytes([content[0] ^ 1]) + content[1:],
    ],
)
def test_a_changed_file_is_named_and_not_used(opened, whole, change):
    path = whole.cases[0]
    path.write_bytes(change(path.read_bytes()))
    page = opened(f"{whole.page.as_uri()}#case-0", READY)
    page.set_input_files(".picker input", path)
    page.wait_for_selector(".picker output:has-text('is not the file that this page was written with')")
    assert page.locator(WHOLE).count() == 0
    assert page.locator("canvas").count() > 0


def test_another_case_s_file_is_not_this_one_s(opened, whole):
    page = opened(f"{whole.page.as_uri()}#case-0", READY)
    page.set_input_files(".picker input", whole.cases[1])
    page.wait_for_selector(f".picker output:has-text('{CT}.case is not among them')")
    whole.cases[0].write_bytes(whole.cases[1].read_bytes())
    page.set_input_files(".picker input", whole.cases[0])
    page.wait_for_selector(".picker output:has-text('is not the file')")


def test_a_withheld_case_asks_for_no_file(opened, whole):
    page = opened(f"{whole.page.as_uri()}#case-2", READY)
    assert page.locator(".picker, canvas").count() == 0
