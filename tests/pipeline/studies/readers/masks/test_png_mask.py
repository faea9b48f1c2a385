import json

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import Reason
from pipeline.studies.geometry import Geometry
from pipeline.studies.readers import MaskRequest, read_mask
from pipeline.studies.readers.shared.base import ImageFile
from pipeline.studies.volume import Volume
from tests.pipeline.studies.writers import refusal

SHAPE, MARK = (6, 9), (1, 7)


@pytest.fixture
def image():
    return ImageFile(Volume(np.zeros(SHAPE, np.float32), Geometry(SHAPE, np.eye(4))))


def png(path, array, mode=None):
    picture = Image.fromarray(array)
    (picture.convert(mode) if mode else picture).save(path, "PNG")
    return path


def marked(value, kind=np.uint8):
    array = np.zeros(SHAPE, kind)
    array[MARK] = value
    return array


@pytest.mark.parametrize("array", [marked(255), marked(1), marked(40_000, np.uint16), marked(True, bool)])
@pytest.mark.parametrize("name", ["mask.png", "no_ending"])
def test_a_marked_pixel_keeps_its_place(tmp_path, image, array, name):
    found = read_mask(png(tmp_path / name, array), image, "nodule").marked
    assert np.argwhere(found).tolist() == [list(MARK)]


def test_a_palettes_index_is_the_value(tmp_path, image):
    picture = Image.new("P", SHAPE[::-1])
    picture.putpalette([255, 0, 0, 0, 0, 0, 0, 255, 0])
    picture.putpixel(MARK[::-1], 2)
    picture.save(tmp_path / "mask.png")
    assert np.argwhere(read_mask(tmp_path / "mask.png", image, MaskRequest("n", 2)).marked).tolist() == [list(MARK)]


def test_a_value_is_chosen_by_the_manifest_or_the_dataset(tmp_path, image):
    array = marked(3)
    array[0, 0] = 1
    path = png(tmp_path / "mask.png", array)
    assert "2 values besides 0" in refusal(Reason.UNSUPPORTED_FORMAT, lambda: read_mask(path, image, "nodule"))
    assert np.argwhere(read_mask(path, image, MaskRequest("nodule", 3)).marked).tolist() == [list(MARK)]
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "lung": 1, "nodule": 3}}))
    assert np.argwhere(read_mask(path, image, "nodule").marked).tolist() == [list(MARK)]


def test_another_size_is_excluded(tmp_path, image):
    path = png(tmp_path / "SECRET.png", np.zeros(SHAPE[::-1], np.uint8))
    words = refusal(Reason.OTHER_GRID, lambda: read_mask(path, image, "n"), excluded=True)
    assert words == "the mask has (9, 6) pixels, the image (6, 9)"


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_grey_that_is_stored_as_colour_is_grey(tmp_path, image, mode):
    path = png(tmp_path / "mask.png", marked(255), mode)
    assert np.argwhere(read_mask(path, image, "n").marked).tolist() == [list(MARK)]


@pytest.mark.parametrize(("mode", "pixel"), [("RGB", (255, 0, 0)), ("RGBA", (255, 255, 255, 0)), ("LA", (255, 254))])
def test_colour_and_what_shines_through_are_refused(tmp_path, image, mode, pixel):
    picture = Image.open(png(tmp_path / "SECRET.png", marked(255), mode))
    picture.putpixel((0, 0), pixel)
    picture.save(tmp_path / "SECRET.png")
    refusal(Reason.NOT_A_SINGLE_CHANNEL, lambda: read_mask(tmp_path / "SECRET.png", image, "n"))


@pytest.mark.parametrize("first", [(255, 255, 255), (0, 0, 0)])
def test_a_palettes_background_is_the_one_that_looks_so(tmp_path, image, first):
    picture = Image.new("P", SHAPE[::-1])
    picture.putpalette([*first, 200, 30, 0])
    picture.putpixel(MARK[::-1], 1)
    picture.save(tmp_path / "SECRET.png")
    if first == (0, 0, 0):
        assert np.argwhere(read_mask(tmp_path / "SECRET.png", image, "n").marked).tolist() == [list(MARK)]
    else:
        words = refusal(Reason.UNSUPPORTED_FORMAT, lambda: read_mask(tmp_path / "SECRET.png", image, "n"))
        assert "palette" in words


def test_damaged_and_huge_pictures_are_refused(tmp_path, image):
    path = png(tmp_path / "SECRET.png", np.random.default_rng(0).integers(0, 2, SHAPE).astype(np.uint8))
    content = path.read_bytes()
    path.write_bytes(content[:-30])
    refusal(Reason.NOT_READABLE, lambda: read_mask(path, image, "n"))
    path.write_bytes(content[:16] + b"\0\0\xff\xff" * 2 + content[24:])
    refusal(Reason.TOO_LARGE, lambda: read_mask(path, image, "n"))
