import numpy as np
import pytest
from pydicom.sequence import Sequence

from pipeline.errors import Reason
from pipeline.studies.readers import read_image
from tests.pipeline.studies.writers import Dataset, projection, refusal

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
    path = projection(tmp_path / "SECRET.dcm", ARRAY)
    assert "neither" in refusal(Reason.NO_GEOMETRY, lambda: read_image(path))


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
        ({"NumberOfFrames": 3}, Reason.UNSUPPORTED_FORMAT),
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, Reason.NOT_A_SINGLE_CHANNEL),
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
