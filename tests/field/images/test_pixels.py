"""DICOM pixels: where they lie in their words, what a table or a window makes of them, and dcmtk's word for it."""

import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image
from pydicom.dataelem import DataElement
from pydicom.uid import ImplicitVRLittleEndian, RLELossless

from tests.field.making import RAMP, film, image_of, item, refused, series, volume
from tests.pipeline.studies.writers import save

VALUES = (np.arange(14 * 12).reshape(14, 12) * 24).astype(np.uint16)  # 0 to 4008


@pytest.mark.parametrize("shift", [0, 2, 4])
@pytest.mark.parametrize("signed", [False, True])
def test_pixels_lie_below_their_high_bit(tmp_path, shift, signed):
    stored = (RAMP.astype(np.int32) % 4096 - (2048 if signed else 0)).astype(np.int16)
    words = ((stored.astype(np.int32) << shift) & 0xFFFF).astype(np.uint16)
    words |= np.uint16((1 << shift) - 1)  # an overlay in the bits below
    words |= np.uint16((0xFFFF << (12 + shift)) & 0xFFFF if not signed else 0)  # and above
    about = {"BitsStored": 12, "HighBit": 11 + shift, "PixelRepresentation": int(signed)}
    image = volume(tmp_path, series(words, RescaleIntercept=-1024, **about))
    np.testing.assert_array_equal(image.volume.array, stored.astype(np.float32) - 1024)


def test_high_bits_in_compressed_pixels_are_refused_but_for_run_lengths(tmp_path):
    images = series((RAMP << 4).astype(np.uint16), BitsStored=12, HighBit=15, PixelRepresentation=0)
    for image in images:
        image.compress(RLELossless)
    np.testing.assert_array_equal(volume(tmp_path / "rle", images).volume.array, RAMP)
    for image in images:
        image.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.90"
    assert refused(image_of(save(tmp_path / "j2k", images)), "unsupported_format", "HighBit")


@pytest.mark.parametrize(
    ("about", "attribute"),
    [
        ({"HighBit": 4}, "HighBit"), ({"BitsStored": 20}, "BitsStored"), ({"BitsStored": None}, "BitsStored"),
        ({"PixelRepresentation": None}, "PixelRepresentation"), ({"BitsAllocated": 12}, "BitsAllocated"),
        ({"PhotometricInterpretation": None}, "PhotometricInterpretation"), ({"Rows": 0}, "Rows"),
    ],
)  # fmt: skip
def test_what_the_values_hang_on_is_stated_or_refused(tmp_path, about, attribute):
    assert refused(image_of(save(tmp_path, series(**about))), "not_readable", attribute)


@pytest.mark.parametrize("stated", [True, False])
def test_an_empty_rescale_is_none(tmp_path, stated):
    nothing = "" if stated else None
    images = series(RescaleSlope=nothing, RescaleIntercept=nothing)
    np.testing.assert_array_equal(volume(tmp_path / "a", images).volume.array, RAMP)
    film(tmp_path / "b.dcm", VALUES, RescaleSlope="", RescaleIntercept="5")
    np.testing.assert_array_equal(image_of(tmp_path / "b.dcm").volume.array, VALUES + 5.0)


@pytest.mark.parametrize("text", ["a", "1\\2", "inf"])
def test_a_rescale_that_is_no_number_is_refused_by_name(tmp_path, text):
    images = series()
    images[1][0x00281053] = DataElement(0x00281053, "LO", text.split("\\"))
    assert refused(image_of(save(tmp_path, images)), "not_readable", "RescaleSlope")


def test_the_share_of_padding_is_told(tmp_path):
    array = RAMP.copy()
    array[:6] = -2000
    images = series(array)
    for one in images:
        one[0x00280120] = DataElement(0x00280120, "US", 63536)  # without its sign
    image = volume(tmp_path / "ct", images)
    assert image.header["pixel padding"] == "50.0 % of the voxels"
    pixels = np.full((4, 5), 7, np.uint8)
    pixels[0] = 250
    flat = image_of(film(tmp_path / "cr.dcm", pixels, PixelPaddingValue=240, PixelPaddingRangeLimit=255))
    assert flat.header["pixel padding"] == "25.0 % of the pixels"


def table(first, entries, bits, kind=np.uint16):
    made = item(LUTExplanation="NORMAL")
    made.add(DataElement(0x00283002, "US", [len(entries) % 65536, first % 65536, bits]))
    made.add(DataElement(0x00283006, "OW", np.asarray(entries, kind).tobytes()))
    return made


TWINS = [("MONOCHROME2", VALUES), ("MONOCHROME1", (4095 - VALUES).astype(np.uint16))]


@pytest.mark.parametrize(
    ("entries", "bits", "kind"),
    [
        (np.arange(4096), 16, np.uint16), (np.arange(4096), 12, np.uint16), (np.arange(4096) // 16, 8, np.uint8),
        (np.arange(4096) // 16, 8, np.uint16), (np.arange(4096) * 16 + 15, 16, np.uint16),
    ],
)  # fmt: skip
def test_twins_through_one_table_are_one_picture(tmp_path, entries, bits, kind):
    read = []
    for name, pixels in TWINS:
        about = {"PhotometricInterpretation": name, "BitsStored": 12, "HighBit": 11}
        path = film(tmp_path / f"{name}.dcm", pixels, **about, VOILUTSequence=[table(0, entries, bits, kind)])
        read.append(image_of(path, voi="apply").volume.array)
    np.testing.assert_array_equal(read[0], entries.astype(kind)[VALUES])
    np.testing.assert_array_equal(read[1], read[0])


@pytest.mark.parametrize("slope", [1, -1])
def test_twins_through_a_window_are_one_picture(tmp_path, slope):
    read = []
    for name, pixels in TWINS:
        about = {"PhotometricInterpretation": name, "BitsStored": 12, "HighBit": 11, "RescaleSlope": slope}
        centre = 1500 if (name == "MONOCHROME2") == (slope > 0) else 2596
        about |= {"RescaleIntercept": 0 if slope > 0 else 4095, "WindowCenter": centre, "WindowWidth": 1001}
        read.append(image_of(film(tmp_path / f"{name}.dcm", pixels, **about), voi="apply").volume.array)
    np.testing.assert_allclose(read[1], read[0], atol=4.2)  # a window's centre lies half a value beside
    assert np.sign(np.corrcoef(read[0].ravel(), VALUES.ravel())[0, 1]) == np.sign(slope)


@pytest.mark.parametrize("implicit", [False, True])
def test_a_table_may_begin_below_zero(tmp_path, implicit):
    stored = (VALUES.astype(np.int32) - 2000).astype(np.int16)
    entries = np.arange(4096)
    path = film(tmp_path / "a.dcm", stored, VOILUTSequence=[table(-2000, entries, 12)])
    if implicit:
        from pydicom import dcmread

        dataset = dcmread(path)
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        dataset.save_as(path, implicit_vr=True, little_endian=True)
    np.testing.assert_array_equal(image_of(path, voi="apply").volume.array, VALUES)


def test_a_modality_table_of_many_entries_is_read(tmp_path):
    entries = (np.arange(40_000) // 16).astype(np.uint16)
    path = film(tmp_path / "a.dcm", (VALUES * 9).astype(np.uint16), ModalityLUTSequence=[table(0, entries, 16)])
    np.testing.assert_array_equal(image_of(path).volume.array, entries[VALUES * 9])


@pytest.mark.parametrize("change", ["LUTDescriptor", "LUTData", "short"])
def test_a_table_that_contradicts_itself_is_refused(tmp_path, change):
    broken = table(0, np.arange(4096), 12)
    if change == "short":
        broken.LUTData = broken.LUTData[:100]
    else:
        delattr(broken, change)
    path = film(tmp_path / "a.dcm", VALUES, VOILUTSequence=[broken])
    assert refused(image_of(path, voi="apply"), "not_readable", "LUT")


@pytest.mark.parametrize(("attribute", "value"), [("WindowWidth", 0), ("VOILUTFunction", "OTHER")])
def test_a_window_that_is_none_is_refused_by_name(tmp_path, attribute, value):
    about = {"WindowCenter": 100, "WindowWidth": 50} | {attribute: value}
    assert refused(image_of(film(tmp_path / "a.dcm", VALUES, **about), voi="apply"), "not_readable", attribute)


@pytest.mark.parametrize(
    ("photometric", "shape", "inverted"),
    [
        ("MONOCHROME2", "IDENTITY", False), ("MONOCHROME2", "INVERSE", True), ("MONOCHROME1", "INVERSE", True),
        ("MONOCHROME1", "IDENTITY", True), ("MONOCHROME2", "", False),
    ],
)  # fmt: skip
def test_an_inverse_presentation_is_one_inversion(tmp_path, photometric, shape, inverted):
    about = {"PhotometricInterpretation": photometric, "PresentationLUTShape": shape, "BitsStored": 12, "HighBit": 11}
    image = image_of(film(tmp_path / "a.dcm", VALUES, **about))
    np.testing.assert_array_equal(image.volume.array, 4095.0 - VALUES if inverted else VALUES)
    assert ("inverted" in image.header["photometric"]) is inverted


WINDOW = {"WindowCenter": 1500, "WindowWidth": 1001}


@pytest.mark.skipif(shutil.which("dcm2pnm") is None, reason="dcmtk is not installed")
@pytest.mark.parametrize(
    "about",
    [
        {}, WINDOW, WINDOW | {"PhotometricInterpretation": "MONOCHROME1"}, {"PresentationLUTShape": "INVERSE"},
        {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
        WINDOW | {"RescaleSlope": -1, "RescaleIntercept": 4095}, WINDOW | {"VOILUTFunction": "SIGMOID"},
        {"VOILUTSequence": [table(0, 4095 - np.arange(4096), 12)]},
        {"VOILUTSequence": [table(0, np.arange(4096) // 16, 8)]}, {"HighBit": 15},
        WINDOW | {"RescaleSlope": 2, "RescaleIntercept": -1024},
    ],
    ids=range(11),
)  # fmt: skip
def test_the_display_is_dcmtks(tmp_path, about):
    """Both as grey of 8 bits: the same picture, and the same way round."""
    pixels = (VALUES << 4).astype(np.uint16) if about.get("HighBit") == 15 else VALUES
    path = film(tmp_path / "a.dcm", pixels, **({"BitsStored": 12, "HighBit": 11} | about))
    option = ["--use-voi-lut", "1"] if "VOILUTSequence" in about else ["--use-window", "1"]
    option = option if {"VOILUTSequence", "WindowCenter"} & about.keys() else ["--no-windowing"]
    subprocess.run(["dcm2pnm", *option, "+op", str(path), str(tmp_path / "a.pgm")], check=True, capture_output=True)
    theirs = np.asarray(Image.open(tmp_path / "a.pgm")).astype(np.float64)
    ours = image_of(path, voi="apply").volume.array
    low, high = _range(about)
    np.testing.assert_allclose((ours - low) / (high - low) * 255, theirs, atol=1.6)


def _range(about):
    slope, intercept = about.get("RescaleSlope", 1), about.get("RescaleIntercept", 0)
    if "VOILUTSequence" in about:
        return 0, 2 ** about["VOILUTSequence"][0].LUTDescriptor[2] - 1
    return tuple(sorted((intercept, 4095 * slope + intercept)))
