import numpy as np
import pytest
from pydicom.sequence import Sequence
from pydicom.uid import (
    RLELossless,
    SecondaryCaptureImageStorage,
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
    XRayAngiographicImageStorage,
)

from pipeline.errors import Reason
from pipeline.studies.readers import ReadOptions, read_image
from pipeline.studies.readers.shared import base
from tests.pipeline.studies.writers import Dataset, dicom, projection, refusal

ARRAY = np.arange(6 * 4, dtype=np.uint8).reshape(6, 4)


def test_axes_are_row_and_column_by_the_patient_orientation(tmp_path):
    path = projection(tmp_path / "a.dcm", ARRAY, PixelSpacing=[0.2, 0.3], PatientOrientation=["L", "F"])
    image = read_image(path)
    geometry = image.volume.geometry
    np.testing.assert_array_equal(image.volume.array, ARRAY)
    assert geometry.shape == (6, 4)
    assert geometry.letters() == (("S", "I"), ("R", "L"))
    assert geometry.spacing == (0.2, 0.3)
    np.testing.assert_allclose(geometry.world(np.array([[5, 0], [0, 3]])), [[0, 0, -1.0], [-0.9, 0, 0]], atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(geometry.affine[:3, 2]), 1)


@pytest.mark.parametrize(
    ("orientation", "letters"),
    [
        (["P", "F"], (("S", "I"), ("A", "P"))),
        (["A", "H"], (("I", "S"), ("P", "A"))),
        (["RA", "FL"], (("S", "I"), ("L", "R"))),
        (["L", "R"], (("", ""), ("", ""))),
        (["X", "F"], (("", ""), ("", ""))),
        ("L", (("", ""), ("", ""))),
        (None, (("", ""), ("", ""))),
    ],
)
def test_orientations(tmp_path, orientation, letters):
    path = projection(tmp_path / "a.dcm", ARRAY, PixelSpacing=[0.2, 0.3], PatientOrientation=orientation)
    geometry = read_image(path).volume.geometry
    assert geometry.letters() == letters
    assert geometry.oriented == (letters[0][0] != "")
    assert geometry.spacing == (0.2, 0.3)


def test_pixel_spacing_goes_before_the_imagers(tmp_path):
    path = projection(tmp_path / "a.dcm", ARRAY, PixelSpacing=[0.2, 0.3], ImagerPixelSpacing=[0.4, 0.5])
    image = read_image(path)
    assert (image.volume.geometry.spacing, image.header["pixel spacing"]) == ((0.2, 0.3), "PixelSpacing")
    image = read_image(projection(path, ARRAY, ImagerPixelSpacing=[0.4, 0.5]))
    assert (image.volume.geometry.spacing, image.header["pixel spacing"]) == ((0.4, 0.5), "ImagerPixelSpacing")
    path = projection(tmp_path / "SECRET.dcm", ARRAY, ImagerPixelSpacing=[0, 0.5])
    assert "not two numbers above 0" in refusal(Reason.NO_GEOMETRY, lambda: read_image(path))


@pytest.mark.parametrize(
    ("array", "more", "expected"),
    [
        (ARRAY, {}, 255.0 - ARRAY),
        (ARRAY, {"BitsStored": 5, "HighBit": 4}, 31.0 - ARRAY),
        (ARRAY.astype(np.int16) - 12, {}, -1.0 - (ARRAY - 12.0)),
        (ARRAY, {"RescaleSlope": 2, "RescaleIntercept": 100}, 100.0 + 2 * (255.0 - ARRAY)),
    ],
)
def test_monochrome1_is_inverted_within_its_range(tmp_path, array, more, expected):
    path = tmp_path / "a.dcm"
    projection(path, array, PixelSpacing=[1, 1], PhotometricInterpretation="MONOCHROME1", **more)
    image = read_image(path)
    np.testing.assert_array_equal(image.volume.array, expected)
    assert image.header["photometric"] == "MONOCHROME1 inverted"
    assert image.header["voi lut"] == "not applied"


def test_the_modality_transform_is_applied_and_the_display_window_is_not(tmp_path):
    more = {"RescaleSlope": 2, "RescaleIntercept": -10, "WindowCenter": 5, "WindowWidth": 2}
    image = read_image(projection(tmp_path / "a.dcm", ARRAY, PixelSpacing=[1, 1], **more))
    np.testing.assert_array_equal(image.volume.array, ARRAY * 2.0 - 10)


def test_a_modality_table_is_applied(tmp_path):
    table = Dataset()
    table.LUTDescriptor, table.ModalityLUTType = [24, 0, 16], "US"
    table.add_new("LUTData", "US", [int(value) for value in 1000 - np.arange(24) ** 2])
    more = {"PixelSpacing": [1, 1], "ModalityLUTSequence": Sequence([table])}
    image = read_image(projection(tmp_path / "a.dcm", ARRAY, **more))
    np.testing.assert_array_equal(image.volume.array, 1000.0 - ARRAY.astype(float) ** 2)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"NumberOfFrames": 3}, Reason.SEVERAL_VOLUMES),
        ({"PhotometricInterpretation": "HSV"}, Reason.NOT_A_SINGLE_CHANNEL),
        (
            {
                "PhotometricInterpretation": "CMYK",
                "SamplesPerPixel": 4,
                "PlanarConfiguration": 0,
                "PixelData": bytes(96),
            },
            Reason.NOT_A_SINGLE_CHANNEL,
        ),
        ({"SharedFunctionalGroupsSequence": [Dataset()]}, Reason.UNSUPPORTED_FORMAT),
        ({"PixelData": b"\0\0"}, Reason.TRUNCATED),
        ({"RescaleSlope": 0, "RescaleIntercept": 1}, Reason.NOT_READABLE),
        ({"Rows": 65535, "Columns": 65535}, Reason.TOO_LARGE),
    ],
)
def test_what_is_no_projection_is_refused(tmp_path, more, reason):
    path = projection(tmp_path / "SECRET.dcm", ARRAY, PixelSpacing=[1, 1], **more)
    refusal(reason, lambda: read_image(path))


def test_a_folder_of_one_projection_is_that_projection(tmp_path):
    projection(tmp_path / "a.dcm", ARRAY, PixelSpacing=[1, 1])
    assert read_image(tmp_path).volume.geometry.shape == (6, 4)


# -- the display transform, when it is asked for


def windowed(values, centre, width, low, high):
    """PS3.3 C.11.2.1.2.1, the linear function, voxel by voxel."""
    shown = []
    for value in values.ravel():
        if value <= centre - 0.5 - (width - 1) / 2:
            shown.append(low)
        elif value > centre - 0.5 + (width - 1) / 2:
            shown.append(high)
        else:
            shown.append(((value - (centre - 0.5)) / (width - 1) + 0.5) * (high - low) + low)
    return np.reshape(shown, values.shape)


APPLY = ReadOptions(voi="apply")


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_window_is_applied_on_demand(tmp_path, photometric):
    more = {"WindowCenter": [34, 5], "WindowWidth": [20, 3], "RescaleSlope": 2, "RescaleIntercept": 10}
    path = tmp_path / "a.dcm"
    projection(path, ARRAY, PixelSpacing=[1, 1], PhotometricInterpretation=photometric, **more)
    expected = windowed(ARRAY * 2.0 + 10, 34, 20, 10, 520)
    image = read_image(path, APPLY)
    inverted = photometric == "MONOCHROME1"
    np.testing.assert_allclose(image.volume.array, 530 - expected if inverted else expected, rtol=1e-6)
    assert image.header["voi lut"] == "window applied"
    assert read_image(path).header["voi lut"] == "not applied"
    assert not np.allclose(read_image(path).volume.array, image.volume.array)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_table_goes_before_a_window(tmp_path, photometric):
    table = Dataset()
    table.LUTDescriptor = [24, 3, 10]
    table.add_new("LUTData", "US", [int(value) for value in np.arange(24) ** 2])
    more = {"VOILUTSequence": Sequence([table]), "WindowCenter": 5, "WindowWidth": 2}
    path = projection(tmp_path / "a.dcm", ARRAY, PixelSpacing=[1, 1], PhotometricInterpretation=photometric, **more)
    expected = np.clip(ARRAY.astype(int) - 3, 0, 23) ** 2
    image = read_image(path, APPLY)
    inverted = photometric == "MONOCHROME1"
    np.testing.assert_array_equal(image.volume.array, 23**2 - expected if inverted else expected)
    assert image.header["voi lut"] == "table applied"


def test_a_table_takes_the_nearest_whole_number(tmp_path):
    table = Dataset()
    table.LUTDescriptor = [24, 0, 16]
    table.add_new("LUTData", "US", list(range(100, 124)))
    more = {"VOILUTSequence": Sequence([table]), "RescaleSlope": 0.3, "RescaleIntercept": 0}
    image = read_image(projection(tmp_path / "a.dcm", ARRAY, PixelSpacing=[1, 1], **more), APPLY)
    np.testing.assert_array_equal(image.volume.array, 100 + np.rint(ARRAY * 0.3))


def test_a_picture_that_states_no_display_keeps_its_values(tmp_path):
    image = read_image(projection(tmp_path / "a.dcm", ARRAY, PixelSpacing=[1, 1]), APPLY)
    np.testing.assert_array_equal(image.volume.array, ARRAY)
    assert image.header["voi lut"] == "none stated"


# -- frames


@pytest.mark.parametrize("kind", [XRayAngiographicImageStorage, UltrasoundMultiFrameImageStorage])
def test_one_frame_is_read_when_it_is_chosen(tmp_path, kind):
    frames = np.arange(3 * 6 * 4, dtype=np.uint8).reshape(3, 6, 4)
    more = {"SOPClassUID": kind, "Modality": "XA", "NumberOfFrames": 3, "PixelData": frames.tobytes()}
    path = projection(tmp_path / "SECRET.dcm", ARRAY, ImagerPixelSpacing=[0.2, 0.3], **more)
    image = read_image(path, ReadOptions(volume=2))
    np.testing.assert_array_equal(image.volume.array, frames[2])
    assert image.header["volume"] == "frames 0 to 2: 2 chosen"
    words = refusal(Reason.SEVERAL_VOLUMES, lambda: read_image(path))
    assert words == "the file holds 3 frames; archive.volume would choose one"
    assert "(index 3) fits none of the 3 frames" in refusal(
        Reason.SEVERAL_VOLUMES, lambda: read_image(path, ReadOptions(volume=3))
    )


def test_a_single_frame_is_read_whatever_is_chosen(tmp_path):
    path = projection(tmp_path / "a.dcm", ARRAY, PixelSpacing=[1, 1], NumberOfFrames=1)
    image = read_image(path, ReadOptions(volume=7))
    np.testing.assert_array_equal(image.volume.array, ARRAY)
    assert "volume" not in image.header


def test_the_size_that_counts_is_that_of_the_chosen_frame(tmp_path, monkeypatch):
    image = dicom(XRayAngiographicImageStorage, np.zeros((128, 128), np.uint8))
    image.Modality, image.PixelSpacing, image.NumberOfFrames = "XA", [1, 1], 20
    image.PixelData = bytes(20 * 128 * 128)
    image.compress(RLELossless)
    image.save_as(tmp_path / "SECRET.dcm", enforce_file_format=True)
    monkeypatch.setattr(base, "CAP_BYTES", 128 * 128)
    assert read_image(tmp_path / "SECRET.dcm", ReadOptions(volume=3)).volume.geometry.shape == (128, 128)
    monkeypatch.setattr(base, "CAP_BYTES", 128 * 128 - 1)
    refusal(Reason.TOO_LARGE, lambda: read_image(tmp_path / "SECRET.dcm", ReadOptions(volume=3)))


# -- captures and ultrasound

RGB = np.random.default_rng(0).integers(0, 256, (6, 4, 3)).astype(np.uint8)
GREY = 0.299 * RGB[..., 0] + 0.587 * RGB[..., 1] + 0.114 * RGB[..., 2]


def capture(path, array, **attributes):
    more = {"SOPClassUID": SecondaryCaptureImageStorage, "Modality": "OT", **attributes}
    if array.ndim == 3:
        colour = {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3, "PlanarConfiguration": 0}
        more = {**colour, "PixelData": array.tobytes(), **more}
    return projection(path, array if array.ndim == 2 else array[..., 0].copy(), **more)


def test_a_capture_without_spacing_is_in_pixels_and_says_so(tmp_path):
    image = read_image(capture(tmp_path / "a.dcm", ARRAY))
    np.testing.assert_array_equal(image.volume.array, ARRAY)
    assert (image.volume.geometry.spacing, image.volume.geometry.oriented) == ((1, 1), False)
    assert image.header["pixel spacing"] == "not stated; distances in pixels"


@pytest.mark.parametrize(
    ("attributes", "spacing", "source"),
    [
        ({"PixelSpacing": [0.2, 0.3]}, (0.2, 0.3), "PixelSpacing"),
        ({"NominalScannedPixelSpacing": [0.4, 0.5]}, (0.4, 0.5), "NominalScannedPixelSpacing"),
        ({"PixelAspectRatio": ["4", "3"]}, (4 / 3, 1), "not stated; distances in pixels, by the aspect ratio"),
        ({"PixelSpacing": [0, 0]}, (1, 1), "not stated; distances in pixels"),
    ],
)
def test_a_captures_spacing(tmp_path, attributes, spacing, source):
    image = read_image(capture(tmp_path / "a.dcm", ARRAY, **attributes))
    assert image.volume.geometry.spacing == pytest.approx(spacing)
    assert image.header["pixel spacing"] == source
    assert image.volume.geometry.unit == ("px" if source.startswith("not stated") else "mm")


def region(**attributes):
    found = Dataset()
    stated = {"RegionSpatialFormat": 1, "PhysicalUnitsXDirection": 3, "PhysicalUnitsYDirection": 3}
    for name, value in {**stated, "PhysicalDeltaX": 0.03, "PhysicalDeltaY": -0.02, **attributes}.items():
        setattr(found, name, value)
    return found


@pytest.mark.parametrize(
    ("regions", "spacing"),
    [
        ([region()], (0.2, 0.3)),
        ([region(), region()], (1, 1)),
        ([region(RegionSpatialFormat=2)], (1, 1)),
        ([region(PhysicalUnitsYDirection=4)], (1, 1)),
        ([region(PhysicalDeltaX=0)], (1, 1)),
    ],
)
def test_the_only_region_of_tissue_gives_the_spacing(tmp_path, regions, spacing):
    more = {"SOPClassUID": UltrasoundImageStorage, "SequenceOfUltrasoundRegions": Sequence(regions)}
    image = read_image(capture(tmp_path / "a.dcm", ARRAY, **more))
    assert image.volume.geometry.spacing == pytest.approx(spacing)
    assert (image.header["pixel spacing"] == "ultrasound region") == (spacing != (1, 1))


@pytest.mark.parametrize("planar", [0, 1])
def test_rgb_becomes_luminance(tmp_path, planar):
    stored = np.moveaxis(RGB, -1, 0) if planar else RGB
    path = capture(tmp_path / "a.dcm", RGB, PlanarConfiguration=planar, PixelData=stored.tobytes())
    image = read_image(path)
    np.testing.assert_allclose(image.volume.array, GREY, rtol=1e-6)
    assert image.header["photometric"] == "RGB to ITU-R BT.601 luminance"
    assert image.volume.geometry.shape == (6, 4)


def test_grey_stored_as_rgb_is_that_grey(tmp_path):
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    image = read_image(capture(tmp_path / "a.dcm", np.stack([values] * 3, axis=-1)))
    np.testing.assert_array_equal(image.volume.array, values)


def test_a_palette_is_looked_up(tmp_path):
    tables = np.random.default_rng(1).integers(0, 2**16, (3, 24)).astype(np.uint16)
    more = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name, table in zip(("Red", "Green", "Blue"), tables, strict=True):
        more[f"{name}PaletteColorLookupTableDescriptor"] = [24, 0, 16]
        more[f"{name}PaletteColorLookupTableData"] = table.tobytes()
    image = read_image(capture(tmp_path / "a.dcm", ARRAY, **more))
    weights = np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(image.volume.array, (weights @ tables)[ARRAY], rtol=1e-6)
    assert image.header["photometric"] == "palette to ITU-R BT.601 luminance"


def test_a_ybr_picture_is_the_luminance_of_its_rgb(tmp_path):
    """The Y of full-range YBR is the luminance itself (PS3.3 C.7.6.3.1.2), but for rounding to RGB and back."""
    luma = np.arange(60, 60 + 24, dtype=np.uint8).reshape(6, 4)
    ybr = np.stack([luma, np.full_like(luma, 120), np.full_like(luma, 140)], axis=-1)
    image = read_image(capture(tmp_path / "a.dcm", ybr, PhotometricInterpretation="YBR_FULL"))
    np.testing.assert_allclose(image.volume.array, luma, atol=1)


def test_halved_colours_take_two_thirds_and_no_less(tmp_path):
    """YBR_FULL_422 stores one pair of colours for two pixels (PS3.3 C.7.6.3.1.2)."""
    stored = np.stack([RGB[:, ::2, 0], RGB[:, 1::2, 0], RGB[:, ::2, 1], RGB[:, ::2, 2]], axis=-1).tobytes()
    more = {"PhotometricInterpretation": "YBR_FULL_422"}
    assert read_image(capture(tmp_path / "SECRET.dcm", RGB, PixelData=stored, **more)).volume.array.shape == (6, 4)
    path = capture(tmp_path / "SECRET.dcm", RGB, PixelData=stored[:-2], **more)
    assert "46 bytes of the 48" in refusal(Reason.TRUNCATED, lambda: read_image(path))


@pytest.mark.parametrize("photometric", ["HSV", "YBR_PARTIAL_420"])
def test_colours_of_another_space_are_refused(tmp_path, photometric):
    path = capture(tmp_path / "SECRET.dcm", RGB, PhotometricInterpretation=photometric)
    refusal(Reason.NOT_A_SINGLE_CHANNEL, lambda: read_image(path))


def test_a_picture_that_says_where_it_lies_is_a_slice(tmp_path):
    place = {"ImagePositionPatient": [1, 2, 3], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
    image = read_image(capture(tmp_path / "a.dcm", ARRAY, PixelSpacing=[0.2, 0.3], **place))
    assert image.volume.geometry.shape == (4, 6, 1)
    np.testing.assert_allclose(image.volume.geometry.affine[:3, 3], [-1, -2, 3])


def test_colours_fewer_than_announced_are_truncated(tmp_path):
    path = capture(tmp_path / "SECRET.dcm", RGB, PixelData=RGB.tobytes()[:-2])
    assert "70 bytes of the 72" in refusal(Reason.TRUNCATED, lambda: read_image(path))
