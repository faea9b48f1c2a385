"""The view in space: NiiVue where there is a graphics card, a sentence where there is none; it never stands in a file.

Chromium draws WebGL by software here, which the page refuses; tests that look at what is drawn tell it another name.
"""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from pipeline.conclusions.shown_cases import case_volume
from reports.viewer import assets
from tests.reports.viewer.example_run import BRIGHT, BRIGHTEST, CT, imaged, write_viewed_run
from tests.viewer.canvas import cuts_of, pixel_of
from tests.viewer.conftest import serving

pytestmark = pytest.mark.viewer
READY = ".case[data-ready]"
DRAWN = ".space[data-ready]"

NAMED = """(() => {
  const own = WebGL2RenderingContext.prototype.getParameter;
  WebGL2RenderingContext.prototype.getParameter = function (what) {
    return what === 0x9246 ? 'A graphics card' : own.call(this, what);
  };
})();"""
"""Gives the software renderer another name: what it draws is the same."""

SEEN = """Object.defineProperty(window, 'niivue', { configurable: true, set(library) {
  let known;
  Object.defineProperty(library, 'Niivue', { configurable: true, enumerable: true, get: () => known, set(own) {
    known = class extends own { constructor(...given) { super(...given); window.viewer = this; } };
  } });
  Object.defineProperty(window, 'niivue', { value: library });
} });"""
"""Lets the test see the viewer that the page makes."""


@pytest.fixture
def drawn(opened, served):
    """The CT in space, with the cross on its bright voxel, in a small window: software draws each pixel."""
    return in_space(opened(f"{served}#case-0", READY, size=(800, 600), before=NAMED + SEEN))


def in_space(page):
    point_at(page, BRIGHT[CT])
    page.click("button.in-space")
    page.wait_for_selector(f"{DRAWN}, .space p:has-text('No 3D view')")
    if page.locator(DRAWN).count() == 0:
        assert "no WebGL 2" in page.inner_text(".space")
        pytest.skip("3D graphics are switched off in this browser")
    page.mouse.move(2, 2)
    frames(page)
    return page


def grid():
    return imaged(CT).image.geometry


def point_at(page, voxel):
    """Put the cross at a voxel by pressing on the axial plane, when it shows the voxel's slice."""
    axial, canvas = cuts_of(grid(), voxel)["axial"], page.locator("canvas[data-plane='axial']")
    canvas.focus()
    while (away := voxel[axial.axis] - int(canvas.get_attribute("data-slice"))) != 0:
        page.keyboard.press("ArrowDown" if away > 0 else "ArrowUp")
    size = canvas.evaluate("canvas => [canvas.width, canvas.height]")
    x, y = pixel_of(axial, grid().shape, voxel, size)
    canvas.click(position={"x": x, "y": y})


def frames(page):
    """Let the page draw."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def place_of(page):
    """Return where NiiVue's cross is, in millimetres."""
    return np.array(page.evaluate("[...viewer.frac2mm(viewer.scene.crosshairPos)].slice(0, 3)"))


def value_at(page, layer, place):
    """Return what NiiVue reads of a layer at a place in millimetres, by its own affine."""
    script = "([layer, mm]) => viewer.volumes[layer].getValue(...viewer.volumes[layer].mm2vox(mm))"
    return page.evaluate(script, [layer, [float(each) for each in place]])


def colour_at(page, place):
    """Return the pixel of NiiVue's canvas at a place, through which its slices are laid; its cross is hidden."""
    script = """(mm) => {
      const { gl, opts } = viewer, before = opts.crosshairWidth;
      opts.crosshairWidth = 0;
      viewer.scene.crosshairPos = viewer.mm2frac(mm);
      viewer.drawScene();
      const [x, y] = viewer.frac2canvasPos(viewer.mm2frac(mm));
      const pixel = new Uint8Array(4);
      gl.readPixels(Math.round(x), gl.canvas.height - Math.round(y), 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
      opts.crosshairWidth = before;
      return [...pixel];
    }"""
    return page.evaluate(script, [float(each) for each in place])


def test_a_page_without_a_graphics_card_says_so_and_keeps_its_planes(opened, served):
    page = opened(f"{served}#case-0", READY)
    page.click("button.in-space")
    page.wait_for_selector(".space p:has-text('No 3D view')")
    said = page.inner_text(".space")
    assert "without a graphics card" in said or "no WebGL 2" in said
    assert page.locator("canvas[data-plane]").count() == 3
    assert page.locator(".space canvas").count() == 0
    assert page.evaluate("'niivue' in window") is False


def test_the_library_is_asked_for_only_when_somebody_wants_it(opened, served):
    asked = []
    page = opened(f"{served}#case-0", READY, size=(800, 600), before=NAMED)
    page.on("request", lambda request: asked.append(request.url))
    assert page.evaluate("performance.getEntriesByType('resource').map((each) => each.name.split('/').at(-1))") == ["0"]
    page.click("button.in-space")
    page.wait_for_selector(f"{DRAWN}, .space p:has-text('No 3D view')")
    own = [url.rpartition("/")[2] for url in asked if not url.startswith("data:")]
    assert own == (["library"] if page.locator(DRAWN).count() else [])


def test_a_marked_voxel_is_in_space_where_the_patient_has_it(drawn):
    expected = grid().world(np.array([BRIGHT[CT]]))[0]
    assert place_of(drawn) == pytest.approx(expected, abs=1e-3)
    assert value_at(drawn, 0, expected) == BRIGHTEST
    for axis in range(3):
        beside = np.array(BRIGHT[CT])
        beside[axis] += 1
        place = grid().world(beside[None])[0]
        assert value_at(drawn, 0, place) == imaged(CT).image.array[tuple(beside)]


def test_a_marked_voxel_is_drawn_where_the_cross_is(drawn):
    for setting in ("mapShown", "outlinesShown"):
        drawn.uncheck(f"input[data-setting='{setting}']")
    frames(drawn)
    expected = grid().world(np.array([BRIGHT[CT]]))[0]
    assert colour_at(drawn, expected)[0] > 200  # slices are drawn smoothed
    assert max(colour_at(drawn, expected + 4)[:3]) < 190


def test_the_map_in_space_is_the_audit_s_and_keeps_its_sign(drawn):
    heatmap, generator = imaged(CT).maps["gradcam"].heatmap, np.random.default_rng(5)
    signs = set()
    for _ in range(40):
        voxel = tuple(int(generator.integers(size)) for size in heatmap.array.shape)
        got = value_at(drawn, 1, grid().world(np.array([voxel]))[0])
        if heatmap.seen[voxel]:
            assert got == pytest.approx(float(heatmap.array[voxel]), abs=1e-4)
            signs.add(got > 0)
        else:
            assert got is None or np.isnan(got)
    assert signs == {True, False}


@pytest.mark.parametrize("reduced", [True, False])
def test_blocks_lie_where_their_voxels_lie(opened, tmp_path, monkeypatch, reduced):
    if reduced:
        monkeypatch.setattr(case_volume, "CROP_VOXELS", 200)
        monkeypatch.setattr(case_volume, "_SMALL_SIDE", 8)
    else:
        text = assets._text
        monkeypatch.setattr(assets, "_text", lambda name: text(name).replace("IN_SPACE = 2 ** 23", "IN_SPACE = 2 ** 9"))
    study, strides = imaged(CT), np.array((3, 3, 2) if reduced else (2, 3, 2))
    with serving(write_viewed_run(tmp_path / "run")) as address:
        page = in_space(opened(f"{address}#case-0", READY, size=(800, 600), before=NAMED + SEEN))
        assert f"blocks of {' x '.join(map(str, strides))} voxels" in page.inner_text(".space")
        laid, blocks = study.maps["gradcam"], np.argwhere(np.ones(-(-np.array(grid().shape) // strides), bool))
        brightest = max(blocks, key=lambda block: value_at(page, 0, middle_of(block, strides)))
        assert tuple(brightest) == tuple(np.array(BRIGHT[CT]) // strides)
        marked = {tuple(voxel // strides) for mask in study.masks for voxel in np.argwhere(mask.array)}
        for block in blocks[::7]:
            place = laid.step @ np.append(
                np.minimum(block * strides + (strides - 1) / 2, np.array(grid().shape) - 1), 1
            )
            expected = map_coordinates(laid.values, place[:3, None], order=1, mode="nearest")[0]
            got = value_at(page, 1, middle_of(block, strides))
            assert got is None or np.isnan(got) or got == pytest.approx(expected, abs=1e-4)
            if value_at(page, 2, middle_of(block, strides)):
                assert tuple(block) in marked


def middle_of(block, strides):
    """Return where the middle of a block lies, in millimetres."""
    return grid().world((block * strides + (strides - 1) / 2)[None])[0]


def test_colours_begin_at_the_threshold_warm_for_and_cold_against(drawn):
    drawn.uncheck("input[data-setting='outlinesShown']")
    heatmap = imaged(CT).maps["gradcam"].heatmap

    def warmth(values):
        """Return how much redder than blue the place of the largest of these values is."""
        voxel = np.array(np.unravel_index(np.argmax(np.where(heatmap.seen, values, -9)), values.shape))
        frames(drawn)
        red, _, blue, _ = colour_at(drawn, grid().world(voxel[None])[0])
        return red - blue

    drawn.fill("#threshold", "5")
    assert warmth(heatmap.array) > 20
    assert warmth(-heatmap.array) < -20
    drawn.uncheck("input[data-setting='negative']")
    assert warmth(-heatmap.array) == 0
    drawn.check("input[data-setting='negative']")
    drawn.fill("#threshold", "199")
    assert warmth(heatmap.array) > 20
    assert warmth(-heatmap.array) == 0
    drawn.uncheck("input[data-setting='mapShown']")
    assert warmth(heatmap.array) == 0


def test_outlines_are_the_masks_surfaces_in_the_readers_colours(drawn):
    masks = [np.pad(mask.array, 1) for mask in imaged(CT).masks]
    shifted = [[np.roll(mask, step, axis) for axis in range(3) for step in (1, -1)] for mask in masks]
    surfaces = [mask & ~np.logical_and.reduce(others) for mask, others in zip(masks, shifted, strict=True)]
    drawn_as = set()
    for voxel in np.argwhere(masks[0] | masks[1]):
        value = value_at(drawn, 2, grid().world(voxel[None] - 1)[0])
        readers = {number for number, surface in enumerate(surfaces, 1) if surface[tuple(voxel)]}
        assert value in (readers or {0})
        drawn_as.add(value)
    assert drawn_as == {0, 1, 2}
    script = """() => { const { lut, min } = viewer.volumes[2].colormapLabel;
      return [1, 2].map((value) => [...lut.slice(4 * (value - min), 4 * (value - min) + 4)]); }"""
    assert drawn.evaluate(script) == [[0x39, 0xE6, 0xC8, 255], [0xFF, 0x8A, 0xD8, 255]]


def test_the_cross_goes_both_ways_and_letters_follow_the_view(drawn):
    assert drawn.evaluate("viewer.opts.isRadiologicalConvention") is True
    drawn.keyboard.press("n")
    frames(drawn)
    assert drawn.evaluate("viewer.opts.isRadiologicalConvention") is False
    target = grid().world(np.array([[9, 6, 3]]))[0]
    move = "(mm) => { viewer.scene.crosshairPos = viewer.mm2frac(mm); viewer.createOnLocationChange(); }"
    drawn.evaluate(move, [float(each) for each in target])
    assert drawn.inner_text(".readout .value").endswith("voxel 9, 6, 3")
    assert drawn.get_attribute("canvas[data-plane='axial']", "data-slice") == "3"


def test_a_lost_graphics_card_is_told_of(drawn):
    drawn.evaluate("viewer.gl.getExtension('WEBGL_lose_context').loseContext()")
    drawn.wait_for_selector(".space p:has-text('gave the 3D view up')")
    assert drawn.locator(".space canvas").count() == 0


def test_a_closed_case_leaves_nothing_behind(drawn):
    drawn.keyboard.press(".")
    drawn.wait_for_selector(".case[data-ready]:not([data-study='S-CT'])")
    assert drawn.evaluate("viewer.gl.isContextLost()") is True
    assert drawn.locator(".in-space").count() == 0, "a radiograph has no third direction"
    drawn.keyboard.press(".")
    drawn.wait_for_selector(".case[data-study='S-HIDDEN'][data-ready]")
    assert drawn.locator(".in-space, canvas").count() == 0, "what is withheld is so here, too"


def test_a_library_that_was_changed_does_not_run(opened, browser, served):
    page = browser.new_page()
    page.add_init_script(NAMED)
    page.route("**/library", lambda route: route.fulfill(status=200, body="document.title = 'taken'"))
    page.goto(f"{served}#case-0")
    page.wait_for_selector(READY)
    page.click("button.in-space")
    page.wait_for_selector(".space p:has-text('No 3D view')")
    assert page.title() != "taken"
    page.close()


def test_a_file_has_no_button_for_it(opened, page_file):
    page = opened(f"{page_file.as_uri()}#case-0", READY)
    assert page.locator(".in-space").count() == 0
    assert b"niivue" not in page_file.read_bytes().lower()
