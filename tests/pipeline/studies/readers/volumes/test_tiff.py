"""TIFF as ImageJ, OME and scanners write it, against tifffile."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from camaudit.testing.readers import check_reader
from pipeline.errors import Reason
from pipeline.studies.index.headers import describe
from pipeline.studies.readers import BUILT_IN, MaskRequest, read_image, read_mask
from pipeline.studies.readers.images import tiff
from tests.pipeline.studies.writers import dot, refusal

GREY8 = (np.arange(30).reshape(6, 5) * 8).astype(np.uint8)
GREY16 = (np.arange(30).reshape(6, 5) * 2000).astype(np.uint16)
STACK = (np.arange(4 * 6 * 5).reshape(4, 6, 5) * 500).astype(np.uint16)


def scan_says(path):
    with path.open("rb") as file:
        return describe(file, path.stat().st_size, BUILT_IN, path.name)["reason"]


def both(path, reason):
    refusal(Reason(reason), lambda: read_image(path))
    assert scan_says(path) == reason


@pytest.mark.parametrize("array", [GREY8, GREY16], ids=["8", "16"])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
@pytest.mark.parametrize(("order", "big"), [("<", False), ("<", True), (">", False)])
def test_grey_is_bright_where_the_file_says_bright(tmp_path, array, order, photometric, big):
    if (order, photometric, array.dtype.itemsize) == (">", "miniswhite", 2):
        pytest.skip("Pillow knows no such pixels: see below")
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, array, byteorder=order, photometric=photometric, bigtiff=big)
    image = read_image(path)
    theirs = tifffile.imread(path)
    top = np.iinfo(array.dtype).max
    np.testing.assert_array_equal(image.volume.array, top - theirs if photometric == "miniswhite" else theirs)
    assert (image.volume.geometry.unit, image.volume.geometry.oriented) == ("px", False)
    assert scan_says(path) is None


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("array", [GREY8, GREY16], ids=["8", "16"])
def test_packed(tmp_path, array, compression):
    Image.fromarray(array).save(tmp_path / "a.tif", compression=compression)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").volume.array, array)


def test_dots_per_inch_are_no_spacing(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREY8, resolution=(300, 300), resolutionunit="INCH")
    assert read_image(tmp_path / "a.tif").volume.geometry.unit == "px"


def test_imagejs_spacing(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREY8, imagej=True, resolution=(1 / 0.2, 1 / 0.3), metadata={"unit": "mm"})
    image = read_image(path)
    np.testing.assert_allclose(image.volume.geometry.spacing, (0.3, 0.2), rtol=1e-5)
    assert image.header["pixel spacing"] == "ImageJ"
    tifffile.imwrite(path, GREY8, imagej=True, resolution=(5, 5), metadata={"unit": "SECRET"})
    assert read_image(path).volume.geometry.unit == "px"


def test_imagejs_stack_is_a_volume_only_with_its_spacings(tmp_path):
    path = tmp_path / "a.tif"
    about = {"unit": "mm", "spacing": 2.5, "axes": "ZYX"}
    tifffile.imwrite(path, STACK, imagej=True, resolution=(1 / 0.2, 1 / 0.3), metadata=about)
    image = read_image(path)
    np.testing.assert_array_equal(image.volume.array, STACK.transpose(2, 1, 0))
    np.testing.assert_allclose(image.volume.geometry.spacing, (0.2, 0.3, 2.5), rtol=1e-5)
    assert (image.volume.geometry.unit, image.volume.geometry.oriented) == ("mm", False)
    for lacking in ({"unit": "mm", "axes": "ZYX"}, {"spacing": 2.5, "axes": "ZYX"}):
        tifffile.imwrite(path, STACK, imagej=True, resolution=(5, 5), metadata=lacking)
        both(path, "no_geometry")
    tifffile.imwrite(path, STACK, photometric="minisblack")
    both(path, "no_geometry")


def test_omes_stack(tmp_path):
    path = tmp_path / "a.ome.tif"
    sizes = {"PhysicalSizeX": 200.0, "PhysicalSizeY": 300.0, "PhysicalSizeZ": 2.5, "PhysicalSizeZUnit": "mm"}
    tifffile.imwrite(path, STACK, metadata={"axes": "ZYX", **sizes})
    np.testing.assert_allclose(read_image(path).volume.geometry.spacing, (0.2, 0.3, 2.5))
    tifffile.imwrite(path, STACK, metadata={"axes": "ZYX", **sizes, "PhysicalSizeZ": None})
    both(path, "no_geometry")
    for axes in ("CYX", "TYX"):
        tifffile.imwrite(path, STACK, metadata={"axes": axes, **sizes}, photometric="minisblack")
        both(path, "several_volumes")


def test_what_is_no_grey_stack_is_refused_alike(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((6, 5, 3), np.uint8), photometric="rgb")
    both(path, "not_a_single_channel")
    tifffile.imwrite(path, GREY8.astype(np.float32))
    both(path, "not_a_single_channel")
    with tifffile.TiffWriter(path) as file:
        file.write(GREY8)
        file.write(GREY8[:3])
    both(path, "not_readable")
    tifffile.imwrite(path, GREY8, extratags=[(274, "H", 1, 6, True)])
    both(path, "no_geometry")
    path.write_bytes(b"II*\0" + bytes(40))
    both(path, "not_readable")
    tifffile.imwrite(path, GREY16, byteorder=">", photometric="miniswhite")
    both(path, "not_readable")


def test_truncated_pixels(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((60, 50), np.uint16))
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content[:-500])
    refusal(Reason.NOT_READABLE, lambda: read_image(tmp_path / "a.tif"))


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path):
    path = tmp_path / "a.tif"
    Image.new("L", (60, 50)).save(path, compression="tiff_adobe_deflate")
    content = bytearray(path.read_bytes())
    for tag in (256, 257):
        at = content.index(tag.to_bytes(2, "little") + b"\3\0\1\0\0\0")
        content[at + 2] = 4
        content[at + 8 : at + 12] = (90_000).to_bytes(4, "little")
    path.write_bytes(content)
    refusal(Reason.TOO_LARGE, lambda: read_image(path))


def test_masks(tmp_path):
    tifffile.imwrite(tmp_path / "image.tif", GREY16)
    image = read_image(tmp_path / "image.tif")
    tifffile.imwrite(tmp_path / "mask.tif", dot((6, 5), (4, 2), 1).astype(np.uint8) * 255)
    assert np.argwhere(read_mask(tmp_path / "mask.tif", image).marked).tolist() == [[4, 2]]
    tifffile.imwrite(
        tmp_path / "map.tif", dot((6, 5), (4, 2), 1).astype(np.uint8) + dot((6, 5), (0, 0), 2).astype(np.uint8)
    )
    wanted = MaskRequest("nodule", 2)
    assert np.argwhere(read_mask(tmp_path / "map.tif", image, wanted).marked).tolist() == [[0, 0]]
    tifffile.imwrite(tmp_path / "other.tif", np.zeros((5, 6), np.uint8))
    refusal(Reason.OTHER_GRID, lambda: read_mask(tmp_path / "other.tif", image), excluded=True)
    tifffile.imwrite(tmp_path / "white.tif", np.zeros((6, 5), np.uint8), photometric="miniswhite")
    refusal(Reason.UNSUPPORTED_FORMAT, lambda: read_mask(tmp_path / "white.tif", image))


def test_a_stack_of_masks(tmp_path):
    about = {"unit": "mm", "spacing": 2.5, "axes": "ZYX"}
    tifffile.imwrite(tmp_path / "image.tif", STACK, imagej=True, resolution=(5, 5), metadata=about)
    image = read_image(tmp_path / "image.tif")
    tifffile.imwrite(tmp_path / "mask.tif", dot((4, 6, 5), (3, 1, 2), 255).astype(np.uint8), photometric="minisblack")
    assert np.argwhere(read_mask(tmp_path / "mask.tif", image).marked).tolist() == [[2, 1, 3]]


def test_the_generic_checks(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", dot((60, 50), (4, 2)))
    check_reader(tiff, [tmp_path / "a.tif"])
