import zipfile
from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import OutputError
from pipeline.findings.pictures.panels import CasePanels, View, load_panels, save_panels

PLANE = np.arange(12, dtype=np.float32).reshape(3, 4)
VIEW = View(
    PLANE, (0.5, 0.7), ("R", "L", "A", "P"), "plane 2 of 5", {"anna": PLANE > 6}, {"gradcam": -PLANE}, PLANE > 0
)
PANELS = CasePanels("S", "nodule", "HU", (0, 1), {"gradcam": (-11, 0)}, {"gradcam": 0.5}, (VIEW,))


@pytest.mark.parametrize("unit", ["mm", "px"])
def test_panels_come_back_as_they_went(unit, tmp_path):
    panels = replace(PANELS, length_unit=unit, views=(VIEW, replace(VIEW, caption="plane 4 of 5")))
    save_panels(panels, tmp_path / "p.npz")
    loaded = load_panels(tmp_path / "p.npz")
    assert replace(loaded, views=()) == replace(panels, views=())
    for view, kept in zip(loaded.views, panels.views, strict=True):
        assert (view.pixel_mm, tuple(view.letters), view.caption) == (kept.pixel_mm, kept.letters, kept.caption)
        pairs = [(view.image, kept.image), (view.seen, kept.seen)]
        pairs += [(view.masks["anna"], kept.masks["anna"]), (view.maps["gradcam"], kept.maps["gradcam"])]
        assert all(np.array_equal(left, right) and left.dtype == right.dtype for left, right in pairs)


def test_a_part_shown_close_comes_back_with_its_own_pixels(tmp_path):
    close = replace(
        VIEW, image=PLANE[1:], seen=PLANE[1:] > 0, masks={"anna": PLANE[1:] > 7}, maps={}, pixel_mm=(0.1, 0.2)
    )
    save_panels(replace(PANELS, views=(VIEW, replace(VIEW, close=close))), tmp_path / "p.npz")
    without, with_ = load_panels(tmp_path / "p.npz").views
    assert without.close is None
    assert (with_.close.pixel_mm, with_.close.maps) == ((0.1, 0.2), {})
    np.testing.assert_array_equal(with_.close.image, PLANE[1:])
    np.testing.assert_array_equal(with_.close.masks["anna"], PLANE[1:] > 7)
    assert list(with_.masks) == ["anna"]
    np.testing.assert_array_equal(with_.image, PLANE)


def test_a_damaged_file_of_panels_is_refused(tmp_path):
    (tmp_path / "p.npz").write_bytes(b"no")
    with pytest.raises(OutputError, match="cannot be read"):
        load_panels(tmp_path / "p.npz")


def test_what_does_not_shrink_is_kept_as_it_is(tmp_path):
    generator = np.random.default_rng(0)
    noise = generator.random((200, 300), np.float32)
    half = np.where(np.arange(200)[:, None] < 100, noise, np.float32(0))
    view = replace(VIEW, image=np.rint(100 * noise), seen=noise > 2, masks={}, maps={"noise": noise, "half": half})
    save_panels(replace(PANELS, views=(view,)), tmp_path / "p.npz")
    with zipfile.ZipFile(tmp_path / "p.npz") as file:
        packed = {entry.filename: entry.compress_type == zipfile.ZIP_DEFLATED for entry in file.infolist()}
    assert packed == {
        "0/image.npy": True, "0/seen.npy": True, "0/map/noise.npy": False, "0/map/half.npy": True, "facts.npy": True,
    }  # fmt: skip
    (loaded,) = load_panels(tmp_path / "p.npz").views
    np.testing.assert_array_equal(loaded.maps["noise"], noise)
    np.testing.assert_array_equal(loaded.maps["half"], half)


def test_the_same_panels_give_the_same_bytes(tmp_path):
    for name in ("a.npz", "b.npz"):
        save_panels(PANELS, tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
