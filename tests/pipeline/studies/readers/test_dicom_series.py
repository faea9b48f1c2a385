import itertools
import shutil

import numpy as np
import pytest
import SimpleITK
from pydicom import dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    SegmentationStorage,
    generate_uid,
)

from pipeline.errors import Reason
from pipeline.studies.readers import base, read_image
from pipeline.studies.readers import dicom as dicom_shared
from tests.pipeline.studies.writers import FRAME, OBLIQUE, SERIES, dicom, dot, grid, refusal, save, slices

SHAPE, MARK = (7, 5, 6), (5, 1, 4)
STRAIGHT = grid(np.diag([-1, -1, 1]), (0.7, 0.9, 2.5), (40.0, -12.5, 100.25))
ROTATED = grid(OBLIQUE, (0.7, 0.9, 2.5), (40.0, -12.5, 100.25))


@pytest.fixture
def images():
    return slices(dot(SHAPE, MARK), STRAIGHT)


def found(image):
    """Return where the brightest voxel lies (RAS mm)."""
    index = np.unravel_index(image.volume.array.argmax(), image.volume.array.shape)
    return image.volume.geometry.world(np.array([index]))[0]


def by_simpleitk(folder):
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    volume = reader.Execute()
    k, j, i = np.unravel_index(SimpleITK.GetArrayFromImage(volume).argmax(), volume.GetSize()[::-1])
    return np.array([-1, -1, 1]) * volume.TransformIndexToPhysicalPoint((int(i), int(j), int(k)))


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [3, 0, 5, 1, 4, 2]])
@pytest.mark.parametrize("affine", [STRAIGHT, ROTATED, ROTATED @ np.diag([1, -1, 1, 1])])
def test_a_marked_voxel_keeps_its_place(tmp_path, affine, order):
    image = read_image(save(tmp_path / "SECRET", slices(dot(SHAPE, MARK), affine), order))
    np.testing.assert_allclose(found(image), (affine @ (*MARK, 1))[:3], atol=1e-4)
    np.testing.assert_allclose(found(image), by_simpleitk(tmp_path / "SECRET"), atol=1e-4)
    assert image.volume.geometry.shape == SHAPE
    assert image.volume.geometry.frame_of_reference == FRAME


def test_slices_written_against_the_normal_are_turned(tmp_path):
    down = STRAIGHT @ np.diag([1, 1, -1, 1])
    image = read_image(save(tmp_path, slices(dot(SHAPE, MARK), down)))
    assert image.volume.geometry.affine[2, 2] == pytest.approx(2.5)
    np.testing.assert_allclose(found(image), (down @ (*MARK, 1))[:3], atol=1e-5)


def test_tilted_gantry_keeps_its_sheared_affine(tmp_path):
    tilted = STRAIGHT.copy()
    tilted[1, 2] = 0.9
    image = read_image(save(tmp_path, slices(dot(SHAPE, MARK), tilted)))
    np.testing.assert_allclose(image.volume.geometry.affine, tilted, atol=1e-5)
    np.testing.assert_allclose(found(image), (tilted @ (*MARK, 1))[:3], atol=1e-5)
    assert image.header["tilt"] == "19.8 degrees, affine sheared"


def test_instance_numbers_and_thickness_are_not_believed(tmp_path, images):
    for image, number in zip(images, (4, 4, 1, 6, 2, 3), strict=True):
        image.InstanceNumber, image.SliceThickness = number, 0.1
    image = read_image(save(tmp_path, images))
    np.testing.assert_allclose(image.volume.geometry.affine, STRAIGHT, atol=1e-6)
    assert image.volume.array[MARK] == 900


def test_each_slice_has_its_own_rescale(tmp_path):
    images = slices(np.full(SHAPE, 10, dtype=np.int16), STRAIGHT)
    for index, image in enumerate(images):
        image.RescaleSlope, image.RescaleIntercept = 1 + index, -index
    image = read_image(save(tmp_path, images))
    assert [float(value) for value in image.volume.array[0, 0]] == [10.0, 19.0, 28.0, 37.0, 46.0, 55.0]
    assert image.header["rescale"] == "differs by slice, each applied"


def test_a_copy_of_a_file_counts_once(tmp_path, images):
    save(tmp_path, images)
    shutil.copy(tmp_path / "SECRET002.dcm", tmp_path / "SECRET_copy.dcm")
    image = read_image(tmp_path)
    np.testing.assert_allclose(image.volume.geometry.affine, STRAIGHT, atol=1e-6)
    assert image.volume.geometry.shape == SHAPE


def test_other_objects_in_the_folder_are_passed_over(tmp_path, images):
    save(tmp_path, images)
    dicom(SegmentationStorage, np.zeros((9, 9), np.uint8)).save_as(tmp_path / "a.dcm", enforce_file_format=True)
    (tmp_path / "README.txt").write_text("SECRET")
    (tmp_path / ".DS_Store").write_text("SECRET")
    assert read_image(tmp_path).volume.geometry.shape == SHAPE


def test_one_slice_is_a_grid_of_one_slice(tmp_path, images):
    image = read_image(save(tmp_path, images[4:5]))
    np.testing.assert_allclose(found(image), (STRAIGHT @ (*MARK, 1))[:3], atol=1e-6)
    assert image.volume.geometry.shape == (7, 5, 1)
    assert image.header["slice step"] == "one slice; its thickness"


@pytest.mark.parametrize(("thickness", "step"), [(3, 3), (None, 1), (0, 1), (-2, 1)])
def test_one_slice_is_as_thick_as_it_says_or_1_mm(tmp_path, images, thickness, step):
    images[0].SliceThickness = thickness
    affine = read_image(save(tmp_path, images[:1])).volume.geometry.affine
    np.testing.assert_allclose(affine[:3, 2], [0, 0, step], atol=1e-9)


def test_monochrome1_slices_keep_their_values(tmp_path, images):
    for image in images:
        image.PhotometricInterpretation = "MONOCHROME1"
    assert read_image(save(tmp_path, images)).volume.array[MARK] == 900


def change(name, value, *indices):
    def apply(images):
        for index in indices or range(len(images)):
            setattr(images[index], name, value)

    return apply


def shifted(axis, millimetres):
    def apply(images):
        images[2].ImagePositionPatient[axis] += millimetres

    return apply


@pytest.mark.parametrize(
    ("damage", "reason", "words"),
    [
        (lambda images: images.pop(2), Reason.IRREGULAR_SERIES, "2.500 to 5.000 mm apart"),
        (shifted(2, 0.05), Reason.IRREGULAR_SERIES, "mm apart"),
        (shifted(0, 0.2), Reason.IRREGULAR_SERIES, "off a straight, even row"),
        (shifted(2, 2.5), Reason.IRREGULAR_SERIES, "repeat a position"),
        (change("SeriesInstanceUID", generate_uid(), 3, 4), Reason.MIXED_SERIES, "2 different series"),
        (change("FrameOfReferenceUID", generate_uid(), 3), Reason.MIXED_SERIES, "frames of reference"),
        (change("ImageOrientationPatient", [1, 0, 0, 0, 0, -1], 0), Reason.MIXED_SERIES, "localizer"),
        (change("PixelSpacing", [0.9, 0.71], 1), Reason.MIXED_SERIES, "pixel spacings"),
        (change("PixelSpacing", [0, 0.7]), Reason.NO_GEOMETRY, "cannot be read"),
        (change("ImagePositionPatient", None, 1), Reason.NO_GEOMETRY, "no position"),
        (change("RescaleSlope", 0, 1), Reason.NOT_READABLE, "slope is 0"),
        (change("NumberOfFrames", 2), Reason.UNSUPPORTED_FORMAT, "several frames"),
        (change("ImageType", ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]), Reason.UNSUPPORTED_FORMAT, "mosaic"),
        (change("SamplesPerPixel", 3), Reason.NOT_A_SINGLE_CHANNEL, "colour"),
        (change("PhotometricInterpretation", "PALETTE COLOR"), Reason.NOT_A_SINGLE_CHANNEL, "colour"),
        (change("PixelData", b"\0" * 20, 5), Reason.TRUNCATED, "20 bytes of the 70"),
        (change("RescaleSlope", "1e308", 4), Reason.NOT_FINITE, "NaN or infinite"),
    ],
)
def test_what_is_no_volume_is_refused(tmp_path, images, damage, reason, words):
    damage(images)
    assert words in refusal(reason, lambda: read_image(save(tmp_path / "SECRET", images)))


def test_a_file_of_another_size_is_refused(tmp_path, images):
    other = slices(np.zeros((8, 5, 6), np.int16), STRAIGHT)
    assert "sizes" in refusal(Reason.MIXED_SERIES, lambda: read_image(save(tmp_path, images[:3] + other[3:])))


def test_one_instance_with_two_contents_is_refused(tmp_path, images):
    save(tmp_path, images)
    twin = dcmread(tmp_path / "SECRET002.dcm")
    twin.PixelData = b"\1\0" * 35
    twin.save_as(tmp_path / "SECRET_twin.dcm")
    refusal(Reason.MIXED_SERIES, lambda: read_image(tmp_path))


@pytest.mark.parametrize(
    ("keep", "reason"),
    [
        (0, Reason.NOT_READABLE),
        (90, Reason.NOT_READABLE),
        (200, Reason.NOT_READABLE),
        (700, Reason.NOT_READABLE),
        (-40, Reason.TRUNCATED),
    ],
)
def test_a_truncated_file_is_refused_not_left_out(tmp_path, images, keep, reason):
    save(tmp_path, images)
    last = tmp_path / "SECRET005.dcm"
    last.write_bytes(last.read_bytes()[:keep])
    refusal(reason, lambda: read_image(tmp_path))


def test_an_empty_folder_and_garbage_are_refused(tmp_path):
    refusal(Reason.MISSING_FILE, lambda: read_image(tmp_path))
    garbage = tmp_path / "SECRET.dcm"
    garbage.write_bytes(b"SECRET" * 100)
    refusal(Reason.UNSUPPORTED_FORMAT, lambda: read_image(garbage))
    garbage.write_bytes(b"\0" * 128 + b"DICM" + b"SECRET/1.2.3.4" * 50)
    refusal(Reason.NOT_READABLE, lambda: read_image(garbage))
    garbage.write_bytes(b"")
    refusal(Reason.TRUNCATED, lambda: read_image(garbage))


def test_the_size_is_checked_before_anything_is_decoded(tmp_path, images, monkeypatch):
    monkeypatch.setattr(base, "CAP_BYTES", 7 * 5 * 6 * 4 - 1)
    refusal(Reason.TOO_LARGE, lambda: read_image(save(tmp_path, images)))


def test_a_deflated_bomb_is_refused(tmp_path, images, monkeypatch):
    images[0].file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    path = tmp_path / "SECRET.dcm"
    images[0].save_as(path, enforce_file_format=True)
    assert read_image(path).volume.geometry.shape == (7, 5, 1)
    monkeypatch.setattr(dicom_shared, "_DEFLATED_CAP", 200)
    assert "inflates" in refusal(Reason.TOO_LARGE, lambda: read_image(path))
    monkeypatch.setattr(dicom_shared, "_DEFLATED_FILE_CAP", 100)
    assert "deflated file has" in refusal(Reason.TOO_LARGE, lambda: read_image(path))


def test_two_echoes_in_one_folder_are_refused(tmp_path, images):
    echoes = slices(dot(SHAPE, MARK), STRAIGHT)
    assert {one.SeriesInstanceUID for one in itertools.chain(images, echoes)} == {SERIES}
    assert "6 of 12" in refusal(Reason.IRREGULAR_SERIES, lambda: read_image(save(tmp_path, images + echoes)))


def test_only_coded_facts_leave(tmp_path, images):
    image = read_image(save(tmp_path / "SECRET", images))
    assert image.header == {
        "Modality": "CT",
        "Manufacturer": "SIEMENS",
        "PatientSex": "F",
        "PhotometricInterpretation": "MONOCHROME2",
        "RescaleType": "HU",
        "slice step": "measured between positions",
        "rescale": "slope 1, intercept 0",
    }
