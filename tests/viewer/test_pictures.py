"""What the page draws is where the patient has it, and what it says is what the audit measured."""

import re

import numpy as np
import pytest

from pipeline.config import OverlapConfig
from pipeline.evidence.metrics.map_evidence import MarkedVoxels, RegionOverlap
from pipeline.evidence.metrics.registry import evidence_of, score_all
from pipeline.findings.pictures.volumes import VOLUME_SHARES
from reports.viewer.build import write_page
from tests.reports.viewer.example_run import BRIGHT, BRIGHTEST, CT, DX, imaged, write_viewed_run
from tests.viewer.canvas import bare, cuts_of, hover, pixel_of, pixels, white_middle

pytestmark = pytest.mark.viewer
READY = ".case[data-ready]"


@pytest.fixture
def ct(opened, page_file, studies):
    """The CT with the cross on its bright voxel."""
    page = opened(f"{page_file.as_uri()}#case-0", READY)
    box = page.locator("canvas[data-plane='axial']").bounding_box()
    x, y = cut_and_pixel(page, studies[CT], "axial", BRIGHT[CT])
    page.mouse.click(box["x"] + x, box["y"] + y)
    return page


@pytest.fixture
def dx(opened, page_file):
    return opened(f"{page_file.as_uri()}#case-1", READY)


@pytest.fixture(scope="module")
def studies():
    return {study: imaged(study) for study in (CT, DX)}


def cut_and_pixel(page, study, plane, voxel, *, mirrored=False):
    grid = study.image.geometry
    cut = cuts_of(grid, voxel)[plane]
    size = page.eval_on_selector(f"canvas[data-plane='{plane}']", "canvas => [canvas.width, canvas.height]")
    return pixel_of(cut, grid.shape, voxel, size, mirrored=mirrored)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_a_marked_voxel_is_where_the_patient_has_it(ct, studies, plane, mirrored):
    bare(ct)
    if mirrored:
        ct.check("input[data-setting='neurological']")
    turned = mirrored and plane != "sagittal"
    x, y = white_middle(pixels(ct, plane))
    expected = cut_and_pixel(ct, studies[CT], plane, BRIGHT[CT], mirrored=turned)
    assert (x, y) == pytest.approx(expected, abs=1.5)
    letters = {"axial": "R L A P", "coronal": "R L S I", "sagittal": "A P S I"}[plane]
    shown = ct.get_attribute(f"canvas[data-plane='{plane}']", "data-letters")
    assert shown == (f"L R {letters[4:]}" if turned else letters)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_marked_pixel_is_where_the_picture_has_it(dx, studies, mirrored):
    bare(dx)
    if mirrored:
        dx.check("input[data-setting='neurological']")
    place = white_middle(pixels(dx, "projection"))
    assert place == pytest.approx(cut_and_pixel(dx, studies[DX], "projection", BRIGHT[DX], mirrored=mirrored), abs=1.5)
    assert dx.get_attribute("canvas", "data-letters") == ("L R S I" if mirrored else "R L S I")


def test_value_and_place_under_the_cursor_are_the_image_s(ct, studies):
    study = studies[CT]
    grid = study.image.geometry
    for plane in ("axial", "coronal", "sagittal"):
        text = hover(ct, plane, cut_and_pixel(ct, study, plane, BRIGHT[CT]))
        assert text.startswith(f"{BRIGHTEST} ")
        x, y, z = grid.world(np.array([BRIGHT[CT]]))[0]
        side, front, height = ("R" if x >= 0 else "L"), ("A" if y >= 0 else "P"), ("S" if z >= 0 else "I")
        assert f"{side} {abs(x):.1f}, {front} {abs(y):.1f}, {height} {abs(z):.1f} mm" in text
        assert text.endswith(f"voxel {', '.join(map(str, BRIGHT[CT]))}")


@pytest.mark.parametrize("plane", ["axial", "sagittal"])
def test_the_map_s_values_are_the_audit_s(ct, studies, plane):
    study = studies[CT]
    heatmap, generator = study.maps["gradcam"].heatmap, np.random.default_rng(1)
    cut = cuts_of(study.image.geometry, BRIGHT[CT])[plane]
    unseen = 0
    for _ in range(15):
        voxel = [int(generator.integers(size)) for size in heatmap.array.shape]
        voxel[cut.axis] = BRIGHT[CT][cut.axis]
        text = hover(ct, plane, cut_and_pixel(ct, study, plane, voxel))
        assert text.endswith(f"voxel {', '.join(map(str, voxel))}")
        if not heatmap.seen[tuple(voxel)]:
            unseen += 1
            assert "not seen by the model" in text
            continue
        said = float(re.search(r"map (\S+)", text).group(1).replace("\u2212", "-"))
        assert said == pytest.approx(float(heatmap.array[tuple(voxel)]), rel=6e-3, abs=1e-5)
    assert 0 < unseen < 15


@pytest.mark.parametrize("name", [CT, DX])
def test_scores_follow_the_threshold_as_the_audit_has_them(opened, page_file, studies, name):
    page = opened(f"{page_file.as_uri()}#case-{[CT, DX].index(name)}", READY)
    study = studies[name]
    laid = study.maps["gradcam"]
    own = laid.evidence.threshold
    order = sorted([*((share, share) for share in VOLUME_SHARES), (own / laid.evidence.extremes[1], "otsu")])
    for place in (0, 40, 111, [rule for _, rule in order].index("otsu"), len(order) - 1):
        page.fill("#threshold", str(place))
        evidence = evidence_of(laid.heatmap, OverlapConfig(), order[place][1])
        for mask in study.masks:
            overlap = RegionOverlap(evidence, MarkedVoxels(mask.array, study.image.geometry))
            scores = {score.name: score.value for score in score_all(overlap)}
            row = page.inner_text(f".live tbody tr:has(bdi:text-is('{mask.reader}'))").split()[1:]
            expected = [scores[metric] for metric in ("dice", "iou", "energy_in_mask", "hit_rate")]
            assert row == [f"{score:.3f}" for score in expected]
    page.click("text=the audit's >> visible=true")


def test_what_is_coloured_is_what_is_above_the_threshold(dx, studies):
    for setting in ("outlinesShown", "crossShown", "negative"):
        dx.uncheck(f"input[data-setting='{setting}']")
    dx.fill("#threshold", "60")
    study = studies[DX]
    heatmap = study.maps["gradcam"].heatmap
    threshold = float(re.search(r"above (\S+)", dx.inner_text(".readout .quiet")).group(1))
    shown = pixels(dx, "projection").astype(int)
    checked = 0
    for voxel in np.argwhere(heatmap.seen):
        value = heatmap.array[tuple(voxel)]
        if abs(value - threshold) < 0.01 * heatmap.array.max():
            continue
        x, y = cut_and_pixel(dx, study, "projection", voxel)
        red, green, blue, _ = shown[int(y), int(x)]
        if min(x, y, shown.shape[1] - x, shown.shape[0] - y) < 30 or red == green == blue == 255:
            continue
        assert (red == green == blue) == (value < threshold), voxel
        checked += 1
    assert checked > 1000


def test_the_wheel_and_the_keys_go_through_slices(ct):
    axial = "canvas[data-plane='axial']"
    start = int(ct.get_attribute(axial, "data-slice"))
    ct.hover(axial)
    ct.mouse.wheel(0, 120)
    assert int(ct.get_attribute(axial, "data-slice")) == start + 1
    ct.focus("canvas[data-plane='coronal']")
    before = int(ct.get_attribute("canvas[data-plane='coronal']", "data-slice"))
    ct.keyboard.press("ArrowUp")
    assert int(ct.get_attribute("canvas[data-plane='coronal']", "data-slice")) == before - 1
    ct.keyboard.press("PageDown")
    ct.keyboard.press("n")
    assert ct.get_attribute(axial, "data-mirrored") == "true"
    for _ in range(12):
        ct.keyboard.press("ArrowDown")
    assert int(ct.get_attribute("canvas[data-plane='coronal']", "data-slice")) == 23


def test_pressing_moves_the_other_planes_to_the_place(ct, studies):
    voxel = (9, 6, BRIGHT[CT][2])
    x, y = cut_and_pixel(ct, studies[CT], "axial", voxel)
    box = ct.locator("canvas[data-plane='axial']").bounding_box()
    ct.mouse.click(box["x"] + x, box["y"] + y)
    slices = {
        name: int(ct.get_attribute(f"canvas[data-plane='{name}']", "data-slice")) for name in ("coronal", "sagittal")
    }
    cuts = cuts_of(studies[CT].image.geometry, voxel)
    assert slices == {name: voxel[cuts[name].axis] for name in slices}


def test_readers_outlines_differ_without_colour(ct):
    shown = ct.inner_text(".readers")
    assert shown.split() == ["A", "A", "B", "B"]
    before = pixels(ct, "axial")
    ct.keyboard.press("o")
    assert (pixels(ct, "axial") != before).any()


def test_a_run_without_volumes_shows_its_planes(opened, tmp_path):
    run = write_viewed_run(tmp_path / "run", volumes="none")
    page = opened(f"{write_page(run, tmp_path / 'report.html').page.as_uri()}#case-0", READY)
    first = page.inner_text("figcaption")
    assert "plane" in first
    page.hover("canvas")
    page.mouse.wheel(0, 120)
    assert page.inner_text("figcaption") != first
    assert "keeps single planes" in page.inner_text(".side")


def test_a_withheld_case_shows_the_sentence_and_no_picture(opened, page_file):
    page = opened(f"{page_file.as_uri()}#case-2", READY)
    assert "withheld" in page.inner_text(".pictures")
    assert page.locator("canvas").count() == 0
