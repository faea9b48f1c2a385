import itertools
import logging
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EncapsulatedPDFStorage,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    KeyObjectSelectionDocumentStorage,
    MRSpectroscopyStorage,
    RLELossless,
    SegmentationStorage,
    generate_uid,
)

from pipeline.errors import Reason
from pipeline.studies.readers import read_image
from pipeline.studies.readers.dicom import data_set as dicom_shared
from pipeline.studies.readers.dicom.pixel_format import format_of
from pipeline.studies.readers.images import dicom_series
from pipeline.studies.readers.shared import base
from tests.pipeline.studies.peers import assert_same, by_dcm2niix, by_simpleitk
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


def brightest(peer):
    array, affine = peer
    return (affine @ (*np.unravel_index(array.argmax(), array.shape), 1))[:3]


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [3, 0, 5, 1, 4, 2]])
@pytest.mark.parametrize("affine", [STRAIGHT, ROTATED, ROTATED @ np.diag([1, -1, 1, 1])])
def test_a_marked_voxel_keeps_its_place(tmp_path, affine, order):
    image = read_image(save(tmp_path / "SECRET", slices(dot(SHAPE, MARK), affine), order))
    np.testing.assert_allclose(found(image), (affine @ (*MARK, 1))[:3], atol=1e-4)
    np.testing.assert_allclose(found(image), brightest(by_simpleitk(tmp_path / "SECRET")), atol=1e-4)
    assert image.volume.geometry.shape == SHAPE
    assert image.volume.geometry.frame_of_reference == FRAME


def test_slices_written_against_the_normal_are_turned(tmp_path):
    down = STRAIGHT @ np.diag([1, 1, -1, 1])
    image = read_image(save(tmp_path, slices(dot(SHAPE, MARK), down)))
    assert image.volume.geometry.affine[2, 2] == pytest.approx(2.5)
    np.testing.assert_allclose(found(image), (down @ (*MARK, 1))[:3], atol=1e-5)


@pytest.mark.parametrize(("axis", "shift"), [(1, 0.9), (1, -0.9), (0, 0.9)])
def test_tilted_gantry_keeps_its_sheared_affine(tmp_path, axis, shift):
    tilted = STRAIGHT.copy()
    tilted[axis, 2] = shift
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


def test_a_table_is_applied_to_each_slice(tmp_path, images):
    table = Dataset()
    table.LUTDescriptor, table.ModalityLUTType = [901, 0, 16], "US"
    table.add_new("LUTData", "US", list(range(1000, 1901)))
    for image in images:
        image.ModalityLUTSequence = [table]
        del image.RescaleSlope, image.RescaleIntercept
    image = read_image(save(tmp_path, images))
    assert (image.volume.array[MARK], image.volume.array[0, 0, 0]) == (1900, 1000)
    assert image.header["rescale"] == "table"


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
        (
            change("SeriesInstanceUID", generate_uid(), 3, 4),
            Reason.MIXED_SERIES,
            "2 different values of SeriesInstanceUID",
        ),
        (
            change("FrameOfReferenceUID", generate_uid(), 3),
            Reason.MIXED_SERIES,
            "2 different values of FrameOfReferenceUID",
        ),
        (change("ImageOrientationPatient", [1, 0, 0, 0, 0, -1], 0), Reason.MIXED_SERIES, "localizer"),
        (change("PixelSpacing", [0.9, 0.71], 1), Reason.MIXED_SERIES, "pixel spacings"),
        (change("PixelSpacing", [0, 0.7]), Reason.NO_GEOMETRY, "cannot be read"),
        (change("ImagePositionPatient", None, 1), Reason.NO_GEOMETRY, "no ImagePositionPatient"),
        (change("RescaleSlope", 0, 1), Reason.NOT_READABLE, "RescaleSlope is 0"),
        (change("NumberOfFrames", 2), Reason.UNSUPPORTED_FORMAT, "several frames"),
        (change("ImageType", ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]), Reason.MOSAIC, "mosaic"),
        (change("ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"], 2), Reason.LOCALIZER, "localizer"),
        (change("EchoTime", 80, 0, 2, 4), Reason.MIXED_SERIES, "2 different values of EchoTime"),
        (change("DiffusionBValue", 1000.0, 3, 4, 5), Reason.MIXED_SERIES, "2 different values of DiffusionBValue"),
        (
            change("TemporalPositionIdentifier", 2, 5),
            Reason.MIXED_SERIES,
            "2 different values of TemporalPositionIdentifier",
        ),
        (change("Modality", "MR", 5), Reason.MIXED_SERIES, "2 different values of Modality"),
        (change("ImageOrientationPatient", None, 1), Reason.NO_GEOMETRY, "no ImageOrientationPatient"),
        (change("PixelSpacing", None), Reason.NO_GEOMETRY, "no PixelSpacing"),
        (change("SamplesPerPixel", 3), Reason.NOT_A_SINGLE_CHANNEL, "colour"),
        (change("PhotometricInterpretation", "PALETTE COLOR"), Reason.NOT_A_SINGLE_CHANNEL, "colour"),
        (
            change("PhotometricInterpretation", "MONOCHROME1", 5),
            Reason.MIXED_SERIES,
            "2 different values of PhotometricInterpretation",
        ),
        (change("PixelData", b"\0" * 20, 5), Reason.TRUNCATED, "20 bytes of the 70"),
        (change("RescaleSlope", "1e308", 4), Reason.NOT_FINITE, "NaN or infinite"),
    ],
)
def test_what_is_no_volume_is_refused(tmp_path, images, damage, reason, words):
    damage(images)
    assert words in refusal(reason, lambda: read_image(save(tmp_path / "SECRET", images)))


def test_a_file_of_another_size_is_refused(tmp_path, images):
    other = slices(np.zeros((8, 5, 6), np.int16), STRAIGHT)
    assert "2 different values of Columns" in refusal(
        Reason.MIXED_SERIES, lambda: read_image(save(tmp_path, images[:3] + other[3:]))
    )


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
    for name in ("README", "index.txt"):
        (tmp_path / name).write_text("no DICOM")
    refusal(Reason.MISSING_FILE, lambda: read_image(tmp_path))
    garbage = tmp_path / "SECRET.dcm"
    garbage.write_bytes(b"SECRET" * 100)
    refusal(Reason.UNSUPPORTED_FORMAT, lambda: read_image(garbage))
    garbage.write_bytes(b"\0" * 128 + b"DICM" + b"SECRET/1.2.3.4" * 50)
    refusal(Reason.NOT_READABLE, lambda: read_image(garbage))
    garbage.write_bytes(b"")
    refusal(Reason.TRUNCATED, lambda: read_image(garbage))


def test_the_size_is_checked_before_anything_is_decoded(tmp_path, monkeypatch):
    folder = save(tmp_path, slices(np.zeros((70, 50, 6), np.int16), STRAIGHT))
    monkeypatch.setattr(base, "CAP_BYTES", 70 * 50 * 6 * 4 - 1)
    refusal(Reason.TOO_LARGE, lambda: read_image(folder))
    monkeypatch.setattr(base, "CAP_BYTES", 70 * 50 * 6 * 4)
    assert read_image(folder).volume.geometry.shape == (70, 50, 6)


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
    words = refusal(Reason.SEVERAL_VOLUMES, lambda: read_image(save(tmp_path, images + echoes)))
    assert "each of 6 positions is held by 2 slices" in words


def test_only_coded_facts_leave(tmp_path, images):
    image = read_image(save(tmp_path / "SECRET", images))
    assert image.header == {
        "Modality": "CT",
        "Manufacturer": "SIEMENS",
        "PatientSex": "F",
        "PhotometricInterpretation": "MONOCHROME2",
        "SliceThickness": "7.5",
        "RescaleType": "HU",
        "slice step": "measured between positions",
        "rescale": "slope 1, intercept 0",
        "voi lut": "not applied",
    }


@pytest.mark.parametrize(
    ("said", "told"),
    [(["NO"] * 6, "NO"), (["NO"] * 5 + [None], None), ([None] + ["NO"] * 5, None), (["NO"] * 5 + ["YES"], "YES")],
    ids=["all", "not the last", "not the first", "one yes"],
)
def test_that_nothing_is_burned_in_has_to_be_said_of_every_slice(tmp_path, images, said, told):
    for image, word in zip(images, said, strict=True):
        if word:
            image.BurnedInAnnotation = word
    assert read_image(save(tmp_path, images)).header.get("BurnedInAnnotation") == told


# -- series with one property changed: every case of a study of four readers, none of which got all of them right

NOISE = np.random.default_rng(0).integers(-500, 1000, SHAPE).astype(np.int16)


def numbered(*numbers):
    """Give the slices these instance numbers; None takes one away."""

    def apply(images):
        for image, number in zip(images, numbers, strict=True):
            image.InstanceNumber = number
            if number is None:
                del image.InstanceNumber
        return images

    return apply


def rescaled(images):
    images[3].RescaleSlope, images[3].RescaleIntercept = 2, -7
    return images


def copied(images):
    return [*images, images[2]]


@pytest.mark.parametrize("affine", [STRAIGHT, ROTATED])
@pytest.mark.parametrize(
    "change_of",
    [
        pytest.param(lambda images: images, id="control"),
        pytest.param(lambda images: images[::-1], id="files in reverse"),
        pytest.param(numbered(4, 4, 1, 6, 2, 3), id="InstanceNumber shuffled"),
        pytest.param(numbered(1, 1, 1, 1, 1, 1), id="InstanceNumber all equal"),
        pytest.param(numbered(None, None, None, None, None, None), id="InstanceNumber absent"),
        pytest.param(numbered(1, 2, None, 4, 5, 6), id="InstanceNumber absent once"),
        pytest.param(copied, id="a file twice"),
        pytest.param(rescaled, id="rescale differs on one slice"),
    ],
)
def test_what_is_one_volume_is_read_exactly(tmp_path, affine, change_of):
    expected = NOISE.astype(float)
    if change_of is rescaled:
        expected[:, :, 3] = expected[:, :, 3] * 2 - 7
    folder = save(tmp_path / "image", change_of(slices(NOISE, affine)))
    (folder / "index.txt").write_text("no DICOM")
    assert_same(read_image(folder).volume, (expected, affine), apart=1e-4)


def again(images):
    (other,) = slices(NOISE[:, :, 2:3], STRAIGHT)
    other.ImagePositionPatient = images[2].ImagePositionPatient
    return [*images, other]


def thrice(images):
    for index in (4, 5):
        images[index].ImagePositionPatient[2] += 5.0 * (index - 3)
    return images


def second_series(images):
    others, uid = slices(NOISE, STRAIGHT @ np.diag([1, 1, 1, 1])), generate_uid()
    for number, other in enumerate(others):
        other.SeriesInstanceUID, other.ImagePositionPatient[2] = uid, 101.5 + 2.5 * number
    return images + others


def scout(images):
    (other,) = slices(NOISE[:, :, :1], STRAIGHT)
    other.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    return [*images, other]


def taller_once(images):
    (other,) = slices(np.zeros((SHAPE[0], SHAPE[1] + 1, 1), np.int16), STRAIGHT)
    other.ImagePositionPatient = images[3].ImagePositionPatient
    return [*images[:3], other, *images[4:]]


def coarser_once(images):
    images[4].PixelSpacing = [0.9, 0.71]
    return images


def constant_once(images):
    images[1].RescaleSlope = 0
    return images


def acquired_twice(images):
    """A tilted gantry, and a second acquisition with another step."""
    for index, image in enumerate(images):
        image.AcquisitionNumber = 1 + index // 3
        image.ImagePositionPatient[1] += 0.3 * index
        image.ImagePositionPatient[2] += 4.5 * max(index - 2, 0)
    return images


@pytest.mark.parametrize(
    ("change_of", "reason"),
    [
        pytest.param(again, Reason.IRREGULAR_SERIES, id="a position twice"),
        pytest.param(lambda images: images[:2] + images[4:], Reason.IRREGULAR_SERIES, id="two slices missing"),
        pytest.param(thrice, Reason.IRREGULAR_SERIES, id="one step, then three"),
        pytest.param(second_series, Reason.MIXED_SERIES, id="two series"),
        pytest.param(scout, Reason.MIXED_SERIES, id="a localizer among the slices"),
        pytest.param(coarser_once, Reason.MIXED_SERIES, id="PixelSpacing differs on one slice"),
        pytest.param(taller_once, Reason.MIXED_SERIES, id="Rows differ on one slice"),
        pytest.param(constant_once, Reason.NOT_READABLE, id="RescaleSlope is 0"),
        pytest.param(acquired_twice, Reason.IRREGULAR_SERIES, id="tilt and two acquisitions"),
    ],
)
def test_what_is_not_one_volume_is_refused(tmp_path, change_of, reason):
    images = change_of(slices(NOISE, STRAIGHT))
    refusal(reason, lambda: read_image(save(tmp_path / "SECRET", images)))


@pytest.mark.parametrize("missing", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
def test_slices_that_do_not_say_where_they_lie_are_refused(tmp_path, images, missing):
    for image in images:
        delattr(image, missing)
    refusal(Reason.NO_GEOMETRY, lambda: read_image(save(tmp_path, images)))


# -- against other programs


@pytest.mark.parametrize("affine", [STRAIGHT, ROTATED, ROTATED @ np.diag([-1, 1, -1, 1])])
def test_a_series_is_simpleitks_and_dcm2niixs(tmp_path, affine):
    folder = save(tmp_path / "image", rescale_all(slices(NOISE, affine)), [3, 0, 5, 1, 4, 2])
    ours = read_image(folder).volume
    assert_same(ours, by_simpleitk(folder))
    assert_same(ours, by_dcm2niix(folder, tmp_path / "out"))


def rescale_all(images):
    for image in images:
        image.RescaleSlope, image.RescaleIntercept = 2, -1024
    return images


def test_a_tilted_gantry_is_where_it_is_and_not_where_simpleitk_puts_it(tmp_path):
    tilted = STRAIGHT.copy()
    tilted[1, 2] = 0.9
    folder = save(tmp_path / "image", slices(NOISE, tilted))
    assert_same(read_image(folder).volume, (NOISE, tilted), apart=1e-4)
    with pytest.raises(AssertionError):
        assert_same(read_image(folder).volume, by_simpleitk(folder))


SYNTAXES = [RLELossless, JPEG2000Lossless, JPEGLSLossless, DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian]


@pytest.mark.parametrize("syntax", [*SYNTAXES, ExplicitVRBigEndian], ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize(("bits", "signed"), [(16, True), (12, False), (12, True)])
def test_every_transfer_syntax_gives_the_same_voxels(tmp_path, syntax, bits, signed):
    values = np.random.default_rng(2).integers(0, 2000, (40, 36, 3)) - (1000 if signed else 0)
    images = slices(values.astype(np.int16 if signed else np.uint16), ROTATED)
    for image in images:
        image.BitsStored, image.HighBit = bits, bits - 1
        if syntax.is_encapsulated:
            image.compress(syntax, generate_instance_uid=False)
        elif syntax == ExplicitVRBigEndian:
            image.PixelData = np.frombuffer(image.PixelData, np.int16).byteswap().tobytes()
    folder = tmp_path / "image"
    folder.mkdir()
    for number, image in enumerate(images):
        plain = Dataset(image)  # which does not remember that it was little endian
        plain.file_meta = image.file_meta
        plain.file_meta.TransferSyntaxUID = syntax
        plain.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    assert_same(read_image(folder).volume, (values, ROTATED), apart=1e-4)


def test_bits_that_do_not_belong_to_the_pixel_are_passed_over(tmp_path):
    images = slices(np.full(SHAPE, 5 + (1 << 13), np.uint16), STRAIGHT)  # an overlay in the unused bits
    for image in images:
        image.BitsStored, image.HighBit = 12, 11
    assert (read_image(save(tmp_path, images)).volume.array == 5).all()


@pytest.mark.parametrize(
    ("slope", "intercept", "dtype"),
    [(1, -1024, np.int16), (1, -1000.3, np.int16), (0.37, -3.1, np.uint16), (1, 7, np.int32)],
)
def test_a_rescale_is_exact_to_float32(tmp_path, slope, intercept, dtype):
    stored = np.random.default_rng(1).integers(0, 2**15 - 1 if dtype is not np.int32 else 2**26, SHAPE).astype(dtype)
    images = slices(stored, STRAIGHT)
    for image in images:
        image.RescaleSlope, image.RescaleIntercept = slope, intercept
    expected = (stored * np.float64(slope) + intercept).astype(np.float32)
    assert_same(read_image(save(tmp_path, images)).volume, (expected, STRAIGHT), apart=1e-4)


@pytest.mark.parametrize("name", ["reportsi.dcm", "test-SR.dcm", "rtplan.dcm", "rtdose.dcm", "waveform_ecg.dcm"])
def test_what_is_no_image_is_refused_as_that(name):
    path = Path(get_testdata_file(name, download=False))
    words = refusal(Reason.NOT_AN_IMAGE, lambda: read_image(path))
    assert words == "the DICOM file holds a report, a plan, a dose, a signal or the like"


@pytest.mark.parametrize("kind", [KeyObjectSelectionDocumentStorage, EncapsulatedPDFStorage, MRSpectroscopyStorage])
def test_documents_and_spectra_are_no_images(tmp_path, kind):
    folder = save(tmp_path / "SECRET", [dicom(kind, np.zeros((4, 4), np.uint8))])
    refusal(Reason.NOT_AN_IMAGE, lambda: read_image(folder))
    folder = save(folder, slices(NOISE, STRAIGHT))
    assert read_image(folder).volume.geometry.shape == SHAPE


def test_nothing_leaks_from_a_guarded_read(tmp_path, images, recwarn):
    """Filters of warnings and of log records are as they were, and what a library said stays inside."""
    for image in images:
        image.BitsStored, image.HighBit = 12, 11  # pydicom warns that it cannot return a view
    before = list(warnings.filters), [list(logging.getLogger(name).filters) for name in ("pydicom", "nibabel")]
    read_image(save(tmp_path, images))
    assert (
        list(warnings.filters),
        [list(logging.getLogger(name).filters) for name in ("pydicom", "nibabel")],
    ) == before
    assert not recwarn.list


def test_pixels_are_let_go(tmp_path, images):
    path = next(save(tmp_path, images).iterdir())
    with path.open("rb") as file:
        header, _ = dicom_shared.read_header(file, path.stat().st_size)
    opened = dicom_shared.open_file(path, [])
    stored, behind = dicom_shared.stored_values(opened, header, format_of(header))
    assert (stored.shape, behind) == ((5, 7), 0)
    assert "PixelData" not in opened.dataset


def test_a_file_larger_than_any_array_is_not_read(tmp_path, images, monkeypatch):
    folder = save(tmp_path / "SECRET", images[:1])
    monkeypatch.setattr(base, "CAP_BYTES", 7 * 5 * 4)
    refusal(Reason.TOO_LARGE, lambda: read_image(folder))


def test_pixels_are_read_once_and_after_the_gate(tmp_path, images, monkeypatch):
    """One parse of each header, none of the pixels before the series has passed the gate."""
    opened = []
    parse = dicom_shared.dcmread

    def counted(*arguments, **options):
        opened.append(options.get("stop_before_pixels", False))
        return parse(*arguments, **options)

    monkeypatch.setattr(dicom_shared, "dcmread", counted)
    read_image(save(tmp_path / "a", images))
    assert opened == [True] * (len(images) + 1)  # and the first once more, for its facts
    monkeypatch.setattr(dicom_series, "stored_values", lambda _: pytest.fail("pixels were decoded"))
    refusal(Reason.IRREGULAR_SERIES, lambda: read_image(save(tmp_path / "SECRET", images[:2] + images[3:])))
