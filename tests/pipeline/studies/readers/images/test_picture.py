import zlib

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import Reason
from pipeline.studies.readers import read_image
from pipeline.studies.readers.shared import base
from tests.pipeline.studies.writers import refusal

GREY = np.arange(6 * 4, dtype=np.uint8).reshape(6, 4) * 10
RGB = np.random.default_rng(0).integers(0, 256, (6, 4, 3)).astype(np.uint8)
LUMINANCE = 0.299 * RGB[..., 0] + 0.587 * RGB[..., 1] + 0.114 * RGB[..., 2]


def write(path, array, mode=None, **options):
    picture = Image.fromarray(array)
    (picture if mode is None else picture.convert(mode)).save(path, **options)
    return path


def test_a_grey_picture_is_row_by_column_in_pixels(tmp_path):
    image = read_image(write(tmp_path / "SECRET.png", GREY, dpi=(300, 300)))
    np.testing.assert_array_equal(image.volume.array, GREY)
    geometry = image.volume.geometry
    assert (geometry.shape, geometry.spacing, geometry.oriented) == ((6, 4), (1, 1), False)
    assert geometry.unit == "px"
    assert geometry.letters() == (("", ""), ("", ""))
    assert image.header == {
        "photometric": "grey",
        "pixel spacing": "not stated; distances in pixels",
        "voi lut": "none stated",
    }


def test_sixteen_bits_are_sixteen_bits(tmp_path):
    values = GREY.astype(np.uint16) * 250 + 3
    np.testing.assert_array_equal(read_image(write(tmp_path / "a.png", values)).volume.array, values)


def test_one_bit_is_nothing_and_one(tmp_path):
    image = read_image(write(tmp_path / "a.png", GREY > 100))
    np.testing.assert_array_equal(image.volume.array, GREY > 100)


@pytest.mark.parametrize("mode", [None, "RGBA"])
def test_colour_becomes_luminance(tmp_path, mode):
    image = read_image(write(tmp_path / "a.png", RGB, mode))
    np.testing.assert_allclose(image.volume.array, LUMINANCE, rtol=1e-6)
    assert image.header["photometric"] == "RGB to ITU-R BT.601 luminance"


def test_a_palette_is_looked_up(tmp_path):
    picture = Image.fromarray(GREY % 3, mode=None)
    picture = picture.convert("P")
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    picture.save(tmp_path / "a.png")
    found = read_image(tmp_path / "a.png").volume.array
    np.testing.assert_allclose(found, np.array([76.245, 149.685, 29.07])[GREY % 3], rtol=1e-6)


def test_a_jpeg_is_what_its_decoder_gives(tmp_path):
    flat = np.full((16, 16), 137, np.uint8)
    for name, array in (("a.jpg", flat), ("b.jpeg", np.stack([flat] * 3, -1))):
        np.testing.assert_allclose(read_image(write(tmp_path / name, array)).volume.array, flat, atol=1)


def test_a_picture_is_known_by_its_bytes_and_not_by_its_name(tmp_path):
    write(tmp_path / "a.png", GREY).rename(tmp_path / "a.dcm")
    np.testing.assert_array_equal(read_image(tmp_path / "a.dcm").volume.array, GREY)
    write(tmp_path / "b.bmp", GREY).rename(tmp_path / "b.png")
    refusal(Reason.UNSUPPORTED_FORMAT, lambda: read_image(tmp_path / "b.png"))


def turned(path):
    exif = Image.Exif()
    exif[0x0112] = 6
    return write(path, GREY, exif=exif)


def animated(path):
    frames = [Image.fromarray(GREY), Image.fromarray(GREY[::-1].copy())]
    frames[0].save(path, format="PNG", save_all=True, append_images=frames[1:])
    return path


def half_transparent(path):
    alpha = np.full((6, 4, 1), 255, np.uint8)
    alpha[0, 0] = 254
    return write(path, np.concatenate([RGB, alpha], axis=-1))


def chunk(kind, content):
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")


def png(path, *, width=4, height=6, depth=8, colour=2):
    """Write a PNG by hand: depths and sizes that no library here writes."""
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([depth, colour, 0, 0, 0])
    rows = b"".join(b"\0" + row.tobytes() for row in RGB.astype(f">u{depth // 8}"))
    chunks = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    return path


def deep_colour(path):
    return png(path, depth=16)


def swollen(path):
    return png(path, width=40000, height=40000)


def cut(path):
    path.write_bytes(
        write(path, np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)).read_bytes()[:-900]
    )
    return path


@pytest.mark.parametrize(
    ("make", "reason", "words"),
    [
        (turned, Reason.NO_GEOMETRY, "EXIF"),
        (animated, Reason.SEVERAL_VOLUMES, "2 frames"),
        (half_transparent, Reason.NOT_A_SINGLE_CHANNEL, "transparent"),
        (deep_colour, Reason.NOT_A_SINGLE_CHANNEL, "neither grey nor 8-bit RGB"),
        (swollen, Reason.TOO_LARGE, "more pixels than can be decoded"),
        (cut, Reason.NOT_READABLE, "cannot be read"),
    ],
)
def test_what_is_no_plain_picture_is_refused(tmp_path, make, reason, words):
    path = make(tmp_path / "SECRET.png")
    assert words in refusal(reason, lambda: read_image(path))


def test_the_pictures_written_by_hand_are_good_but_for_their_fault(tmp_path):
    np.testing.assert_allclose(read_image(png(tmp_path / "a.png")).volume.array, LUMINANCE, rtol=1e-6)


def test_a_cmyk_jpeg_is_refused(tmp_path):
    path = write(tmp_path / "SECRET.jpg", RGB, "CMYK")
    assert "CMYK" in refusal(Reason.NOT_A_SINGLE_CHANNEL, lambda: read_image(path))


def test_the_size_is_checked_before_anything_is_decoded(tmp_path, monkeypatch):
    path = write(tmp_path / "SECRET.png", GREY)
    monkeypatch.setattr(base, "CAP_BYTES", 6 * 4 * 8 - 1)
    refusal(Reason.TOO_LARGE, lambda: read_image(path))
