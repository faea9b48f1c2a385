import highdicom
import nibabel
import numpy as np
import pytest
from highdicom.legacy import LegacyConvertedEnhancedCTImage
from pydicom.uid import EnhancedCTImageStorage, EnhancedMRImageStorage, EnhancedPETImageStorage, generate_uid

from pipeline.errors import Reason
from pipeline.studies.readers import read_image
from pipeline.studies.readers.shared import base
from tests.pipeline.studies.peers import assert_same, by_dcm2niix, by_highdicom, by_simpleitk
from tests.pipeline.studies.readers.images.enhanced import enhanced, item
from tests.pipeline.studies.writers import FRAME, OBLIQUE, dot, edited, grid, refusal, slices

SHAPE, MARK = (7, 5, 6), (5, 1, 4)
SHUFFLED = [3, 0, 5, 1, 4, 2]
STRAIGHT = grid(np.diag([-1, -1, 1]), (0.7, 0.9, 2.5), (40.0, -12.5, 100.25))
ROTATED = grid(OBLIQUE, (0.7, 0.9, 2.5), (40.0, -12.5, 100.25))
FLIPPED = ROTATED @ np.diag([-1, 1, -1, 1])
TILTED = STRAIGHT.copy()
TILTED[1, 2] = 0.9
DOWN = [5, 4, 3, 2, 1, 0]
KINDS = (EnhancedCTImageStorage, EnhancedMRImageStorage, EnhancedPETImageStorage)
NOISE = np.random.default_rng(0).integers(-500, 1000, SHAPE).astype(np.int16)


def found(image):
    index = np.unravel_index(image.volume.array.argmax(), image.volume.array.shape)
    return image.volume.geometry.world(np.array([index]))[0]


@pytest.mark.parametrize("order", [None, SHUFFLED])
@pytest.mark.parametrize("affine", [STRAIGHT, ROTATED, FLIPPED, TILTED])
def test_a_marked_voxel_keeps_its_place(tmp_path, affine, order):
    image = read_image(enhanced(tmp_path / "SECRET.dcm", dot(SHAPE, MARK), affine, order=order))
    np.testing.assert_allclose(found(image), (affine @ (*MARK, 1))[:3], atol=1e-5)
    assert image.volume.geometry.shape == SHAPE
    assert image.volume.geometry.frame_of_reference == FRAME
    assert image.header.get("tilt") == ("19.8 degrees, affine sheared" if affine is TILTED else None)


@pytest.mark.parametrize("rescales", [[(1, 0)], [(0.25, -3)], [(1 + k, -k) for k in range(6)]])
@pytest.mark.parametrize("order", [None, SHUFFLED])
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("affine", [STRAIGHT, ROTATED])
def test_frames_and_their_rescales_are_highdicoms(tmp_path, affine, own, order, rescales):
    path = enhanced(tmp_path / "a.dcm", NOISE, affine, order=order, rescales=rescales, own=own)
    image = read_image(path)
    assert_same(image.volume, by_highdicom(path))
    told = {1: "slope 1, intercept 0", 0.25: "slope 0.25, intercept -3"}[rescales[0][0]]
    assert image.header["rescale"] == ("differs by slice, each applied" if len(rescales) > 1 else told)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("order", [None, DOWN])
@pytest.mark.parametrize("affine", [STRAIGHT, ROTATED, FLIPPED])
def test_ordered_frames_are_simpleitks(tmp_path, affine, order, own, kind):
    path = enhanced(tmp_path / "a.dcm", NOISE, affine, order=order, rescales=[(2, -10)], own=own, kind=kind)
    assert_same(read_image(path).volume, by_simpleitk(path))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("order", "own"), [(None, False), (None, True), (DOWN, False), (DOWN, True), (SHUFFLED, False)]
)
@pytest.mark.parametrize("affine", [STRAIGHT, ROTATED, FLIPPED])
def test_frames_are_dcm2niixs(tmp_path, affine, order, own, kind):
    """Frames out of order that state their orientation each are mixed up by dcm2niix: highdicom vouches for those."""
    path = enhanced(tmp_path / "a.dcm", NOISE, affine, order=order, rescales=[(2, -10)], own=own, kind=kind)
    assert_same(read_image(path).volume, by_dcm2niix(path, tmp_path / "out"))


def test_a_file_that_highdicom_wrote_is_the_series_that_it_was_made_of(tmp_path):
    images = slices(NOISE, ROTATED)
    for number, image in enumerate(images):
        image.RescaleSlope, image.RescaleIntercept = 1 + number, -number
        image.AcquisitionNumber, image.ImageType = 1, ["ORIGINAL", "PRIMARY", "AXIAL"]
        image.KVP, image.ReconstructionDiameter, image.PositionReferenceIndicator = 100, 100, ""
        image.Laterality, image.PatientPosition = "", "HFS"
    made = LegacyConvertedEnhancedCTImage(
        legacy_datasets=images,
        series_instance_uid=generate_uid(),
        series_number=2,
        sop_instance_uid=generate_uid(),
        instance_number=1,
    )
    made.save_as(tmp_path / "a.dcm")
    scaled = np.stack([NOISE[:, :, k] * (1.0 + k) - k for k in range(6)], axis=2)
    image = read_image(tmp_path / "a.dcm")
    assert_same(image.volume, (scaled, ROTATED))
    assert_same(image.volume, by_highdicom(tmp_path / "a.dcm"))


def test_a_rescale_of_the_whole_file_counts_where_frames_state_none(tmp_path):
    def move(dataset):
        del dataset.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence
        dataset.RescaleSlope, dataset.RescaleIntercept = 2, -5

    path = edited(enhanced(tmp_path / "a.dcm", NOISE, ROTATED), move)
    assert_same(read_image(path).volume, (NOISE * 2.0 - 5, ROTATED))


def test_one_frame_is_a_grid_of_one_slice(tmp_path):
    image = read_image(enhanced(tmp_path / "a.dcm", NOISE[:, :, :1], ROTATED))
    assert_same(image.volume, (NOISE[:, :, :1], ROTATED))
    assert image.header["slice step"] == "one slice; its thickness"


def per_frame(change, *indices):
    def apply(dataset):
        for index, frame in enumerate(dataset.PerFrameFunctionalGroupsSequence):
            if not indices or index in indices:
                change(frame, index)

    return apply


def position(axis, millimetres):
    def apply(frame, _):
        frame.PlanePositionSequence[0].ImagePositionPatient[axis] += millimetres

    return apply


def pairs(dataset):
    """Two frames at each of three positions."""
    for index, frame in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        frame.PlanePositionSequence[0].ImagePositionPatient[2] = 10.0 + index // 2


def echoes(dataset):
    """A third dimension with two values, though every frame has a place of its own."""
    dataset.DimensionIndexSequence.append(item(DimensionIndexPointer=0x00189082)[0])
    for index, frame in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        frame.FrameContentSequence[0].DimensionIndexValues = [1, index + 1, 1 + index // 3]


def set_to(name, value):
    return lambda dataset: setattr(dataset, name, value)


def turned(frame, _):
    frame.PlaneOrientationSequence = item(ImageOrientationPatient=[1, 0, 0, 0, 0, -1])


def unplaced(frame, _):
    del frame.PlanePositionSequence


def stack_of(frame, index):
    frame.FrameContentSequence[0].StackID = str(index // 3)


def localizer(frame, _):
    frame.CTImageFrameTypeSequence[0].FrameType = ["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"]


def coarse(frame, _):
    frame.PixelMeasuresSequence = item(PixelSpacing=[0.9, 0.71])


def no_slope(dataset):
    dataset.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence[0].RescaleSlope = 0


@pytest.mark.parametrize(
    ("damage", "reason", "words"),
    [
        (pairs, Reason.SEVERAL_VOLUMES, "each of 3 positions is held by 2 slices"),
        (echoes, Reason.SEVERAL_VOLUMES, "6 frames hold 2 times, echoes or contrasts"),
        (per_frame(position(2, 2.5), 1), Reason.IRREGULAR_SERIES, "1 of 6 slices repeat a position"),
        (per_frame(position(2, 40), 5), Reason.IRREGULAR_SERIES, "mm apart"),
        (per_frame(position(0, 0.2), 3), Reason.IRREGULAR_SERIES, "off a straight, even row"),
        (per_frame(turned, 2), Reason.MIXED_SERIES, "orientations"),
        (per_frame(coarse, 2), Reason.MIXED_SERIES, "pixel spacings"),
        (per_frame(stack_of), Reason.MIXED_SERIES, "2 stacks"),
        (per_frame(unplaced, 2), Reason.NO_GEOMETRY, "no ImagePositionPatient"),
        (per_frame(localizer, 4), Reason.LOCALIZER, "localizer"),
        (set_to("ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"]), Reason.LOCALIZER, "localizer"),
        (set_to("PhotometricInterpretation", "PALETTE COLOR"), Reason.NOT_A_SINGLE_CHANNEL, "colour"),
        (set_to("ConcatenationUID", generate_uid()), Reason.UNSUPPORTED_FORMAT, "concatenation"),
        (set_to("InConcatenationTotalNumber", 2), Reason.UNSUPPORTED_FORMAT, "concatenation"),
        (
            set_to("NumberOfFrames", 5),
            Reason.NOT_READABLE,
            "NumberOfFrames is 5, and PerFrameFunctionalGroupsSequence describes 6",
        ),
        (set_to("PixelData", b"\0" * 10), Reason.TRUNCATED, "10 bytes of the 420"),
        (no_slope, Reason.NOT_READABLE, "RescaleSlope is 0"),
    ],
)
def test_what_is_no_volume_is_refused(tmp_path, damage, reason, words):
    path = edited(enhanced(tmp_path / "SECRET.dcm", NOISE, STRAIGHT), damage)
    assert words in refusal(reason, lambda: read_image(path))


def test_slices_taken_one_after_the_other_are_one_volume(tmp_path):
    def timed(dataset):
        dataset.DimensionIndexSequence.append(item(DimensionIndexPointer=0x00189074)[0])
        for index, frame in enumerate(dataset.PerFrameFunctionalGroupsSequence):
            frame.FrameContentSequence[0].DimensionIndexValues = [1, index + 1, index + 1]

    path = edited(enhanced(tmp_path / "a.dcm", NOISE, ROTATED), timed)
    assert_same(read_image(path).volume, (NOISE, ROTATED))


def test_the_size_is_checked_before_anything_is_decoded(tmp_path, monkeypatch):
    path = enhanced(tmp_path / "SECRET.dcm", np.zeros((70, 50, 60), np.int16), STRAIGHT)
    monkeypatch.setattr(base, "CAP_BYTES", 70 * 50 * 60 * 4 - 1)
    refusal(Reason.TOO_LARGE, lambda: read_image(path))


def test_highdicom_refuses_what_we_shear(tmp_path):
    path = enhanced(tmp_path / "a.dcm", NOISE, TILTED)
    with pytest.raises(RuntimeError, match="volume"):
        highdicom.imread(path).get_volume()
    assert_same(read_image(path).volume, (NOISE, TILTED))


@pytest.mark.parametrize("kind", ["13.1.1", "13.1.2", "13.1.3"])
def test_an_x_ray_volume_is_read_slice_by_slice_where_its_frames_lie(tmp_path, kind):
    array = (np.arange(4 * 5 * 6) % 100).astype(np.int16).reshape(4, 5, 6)
    affine = grid(np.array([[0, 0, -1], [1, 0, 0], [0, -1, 0]]), (0.1, 0.1, 1.0), (60.0, -20.0, 30.0))
    path = enhanced(tmp_path / "a.dcm", array, affine, order=[3, 1, 0, 2, 5, 4], kind=f"1.2.840.10008.5.1.4.1.1.{kind}")
    image = read_image(edited(path, lambda dataset: setattr(dataset, "Modality", "MG")))
    theirs = nibabel.as_closest_canonical(nibabel.Nifti1Image(image.volume.array, image.volume.geometry.affine))
    ours = nibabel.as_closest_canonical(nibabel.Nifti1Image(array.astype(np.float32), affine))
    np.testing.assert_array_equal(theirs.get_fdata(), ours.get_fdata())
    np.testing.assert_allclose(theirs.affine, ours.affine, atol=1e-5)
