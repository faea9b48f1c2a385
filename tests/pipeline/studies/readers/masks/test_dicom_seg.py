import copy
import zlib
from pathlib import Path

import highdicom
import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    XRayAngiographicImageStorage,
    generate_uid,
)
from rle.rle import encode_row

from pipeline.errors import Reason
from pipeline.studies.geometry import Geometry
from pipeline.studies.readers import MaskRequest, read_image, read_mask
from pipeline.studies.readers.shared.base import ImageFile, ReadOptions
from pipeline.studies.volume import Volume
from tests.pipeline.studies.readers.images.enhanced import enhanced
from tests.pipeline.studies.writers import (
    OBLIQUE,
    edited,
    grid,
    nifti,
    projection,
    refusal,
    save,
    segmentation,
    slices,
)

DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
SHAPE = (8, 6, 5)
ROTATED = grid(OBLIQUE, (0.7, 0.9, 2.5), (40.0, -12.5, 100.25))
DOWN = ROTATED @ np.diag([1, 1, -1, 1])
TILTED = grid(np.diag([-1, -1, 1]), (0.7, 0.9, 2.5), (40.0, -12.5, 100.25))
TILTED[1, 2] = 0.9


def blobs():
    """Return masks (slice, row, column, segment): two that overlap, each with empty slices."""
    masks = np.zeros((5, 6, 8, 2), dtype=bool)
    masks[1, 2:4, 5:8, 0] = True
    masks[4, 0, 1, 0] = True
    masks[1, 3:6, 6, 1] = True
    return masks


def placed(masks, affine, geometry):
    """Return where written masks (slice, row, column) lie on a grid, each voxel by its own position."""
    expected = np.zeros(geometry.shape, bool)
    for k, j, i in np.argwhere(masks):
        index = np.linalg.solve(geometry.affine, affine @ (i, j, k, 1))[:3]
        np.testing.assert_allclose(index, np.rint(index), atol=1e-4)
        expected[tuple(np.rint(index).astype(int))] = True
    return expected


def study(folder, affine=ROTATED):
    images = slices(np.zeros(SHAPE, np.int16), affine)
    return read_image(save(folder / "image", images)), images


@pytest.mark.parametrize("affine", [ROTATED, DOWN, TILTED])
@pytest.mark.parametrize(("label", "segment"), [("Lesion", 0), ("lesion", 0), ("VESSEL", 1)])
def test_overlapping_sparse_segments_land_each_on_its_own(tmp_path, affine, label, segment):
    image, images = study(tmp_path, affine)
    path = segmentation(tmp_path / "seg.dcm", images, blobs(), ["Lesion", "Vessel"])
    marked = read_mask(path, image, label).marked
    np.testing.assert_array_equal(marked, placed(blobs()[..., segment], affine, image.volume.geometry))
    assert len(dcmread(path).PerFrameFunctionalGroupsSequence) < 5


def test_frames_in_reverse_order_land_on_the_same_slices(tmp_path):
    image, images = study(tmp_path)
    path = segmentation(tmp_path / "seg.dcm", images, blobs()[..., :1], ["Lesion"])

    def reverse(dataset):
        frames = dataset.pixel_array
        dataset.PerFrameFunctionalGroupsSequence = Sequence(reversed(dataset.PerFrameFunctionalGroupsSequence))
        dataset.PixelData = np.packbits(frames[::-1].ravel(), bitorder="little").tobytes()

    expected = read_mask(path, image, None).marked
    assert expected.sum() == 7
    np.testing.assert_array_equal(read_mask(edited(path, reverse), image, None).marked, expected)


def test_the_volume_of_another_program_is_the_same(tmp_path):
    image, images = study(tmp_path)
    path = segmentation(tmp_path / "seg.dcm", images, blobs(), ["Lesion", "Vessel"])
    volume = highdicom.seg.segread(path).get_volume(segment_numbers=[1], combine_segments=False)
    for voxel in np.argwhere(volume.array[..., 0]):
        position = np.array([-1, -1, 1]) * (volume.affine @ (*voxel, 1))[:3]
        index = np.linalg.solve(image.volume.geometry.affine, (*position, 1))[:3]
        assert read_mask(path, image, "lesion").marked[tuple(np.rint(index).astype(int))]
    assert volume.array.sum() == read_mask(path, image, "lesion").marked.sum()


def test_several_lesions_of_one_label_are_one_mask(tmp_path):
    image, images = study(tmp_path)
    path = segmentation(tmp_path / "seg.dcm", images, blobs(), ["Lesion", "lesion"])
    assert read_mask(path, image, "lesion").marked.sum() == blobs().any(-1).sum()


def test_fractions_count_from_half_of_the_maximum(tmp_path):
    image, images = study(tmp_path)
    fractions = np.zeros((5, 6, 8, 1), np.float32)
    fractions[2, 3, 4:8, 0] = (0.45, 0.5, 0.55, 1)
    more = {"kind": "FRACTIONAL", "max_fractional_value": 100}
    path = segmentation(tmp_path / "seg.dcm", images, fractions, ["Lesion"], **more)
    found = read_mask(path, image, None)
    np.testing.assert_array_equal(found.marked, placed(fractions[..., 0] >= 0.5, ROTATED, image.volume.geometry))
    assert found.header == {"mask threshold": "half of the maximum fractional value"}


def test_a_label_map_is_read(tmp_path):
    image, images = study(tmp_path)
    labels = np.zeros((5, 6, 8), np.uint8)
    labels[1, 2:4, 5:8], labels[4, 0, 1] = 1, 2
    path = segmentation(tmp_path / "seg.dcm", images, labels, ["Lesion", "Vessel"], kind="LABELMAP")
    found = read_mask(path, image, "vessel").marked
    np.testing.assert_array_equal(found, placed(labels == 2, ROTATED, image.volume.geometry))


def test_a_segmentation_lands_on_a_nifti_of_its_image(tmp_path):
    _, images = study(tmp_path)
    turned = ROTATED @ np.array([[0.0, 0, -1, 7], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    image = read_image(nifti(tmp_path / "image.nii", np.zeros((6, 5, 8), np.int16), turned))
    path = segmentation(tmp_path / "seg.dcm", images, blobs()[..., :1], ["Lesion"])
    expected = placed(blobs()[..., 0], ROTATED, image.volume.geometry)
    np.testing.assert_array_equal(read_mask(path, image, None).marked, expected)


def test_no_wanted_label(tmp_path):
    image, images = study(tmp_path)
    path = segmentation(tmp_path / "SECRET.dcm", images, blobs(), ["SECRET", "Vessel"])
    for label in ("lesion", None):
        words = refusal(Reason.MASK_MISSING_LABEL, lambda label=label: read_mask(path, image, label), excluded=True)
        assert "2 segments" in words
    only = segmentation(path, images, blobs()[..., :1], ["Segment_1"])
    assert read_mask(only, image, "lesion").marked.sum() == 7


def test_an_only_segment_of_another_name_is_not_the_wanted_one(tmp_path):
    image, images = study(tmp_path)
    path = segmentation(tmp_path / "SECRET.dcm", images, blobs()[..., :1], ["SECRET"])
    words = refusal(Reason.MASK_MISSING_LABEL, lambda: read_mask(path, image, "nodule"), excluded=True)
    assert "its number" in words
    assert read_mask(path, image, MaskRequest("nodule", 1)).marked.sum() == 7
    by_study = read_mask(path, image, MaskRequest("nodule", by_reference=True))
    assert (by_study.marked.sum(), list(by_study.header)) == (7, ["label's name"])


def test_another_frame_of_reference_is_excluded(tmp_path):
    image, images = study(tmp_path)
    path = segmentation(tmp_path / "SECRET.dcm", images, blobs()[..., :1], ["Lesion"])
    other = edited(path, lambda dataset: setattr(dataset, "FrameOfReferenceUID", generate_uid()))
    words = refusal(Reason.OTHER_FRAME_OF_REFERENCE, lambda: read_mask(other, image, None), excluded=True)
    assert words == "the mask's frame of reference differs from the image's"


def test_a_mask_of_another_image_is_excluded(tmp_path):
    image, _ = study(tmp_path)
    others = slices(np.zeros(SHAPE, np.int16), ROTATED)
    path = segmentation(tmp_path / "SECRET.dcm", others, blobs()[..., :1], ["Lesion"])
    words = refusal(Reason.OTHER_IMAGE, lambda: read_mask(path, image, None), excluded=True)
    assert words == "the mask names 5 images, and the study's image is none of them"


def crop(dataset):
    frames = dataset.pixel_array[:, :-2, :-4]
    dataset.Rows, dataset.Columns = 4, 4
    dataset.PixelData = np.packbits(frames.ravel(), bitorder="little").tobytes()


def move(millimetres):
    def apply(dataset):
        for frame in dataset.PerFrameFunctionalGroupsSequence:
            frame.PlanePositionSequence[0].ImagePositionPatient[2] += millimetres

    return apply


def coarsen(dataset):
    dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing = [1.8, 1.4]


def turn(dataset):
    orientation = dataset.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 0.8, 0.6]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (crop, "(4, 4, 1)"),
        (move(0.3), "is not the image's"),
        (move(50), "on slice"),
        (coarsen, "1.4 x 1.8 mm"),
        (turn, "do not lie in planes"),
    ],
)
def test_another_grid_is_excluded(tmp_path, change, words):
    image, images = study(tmp_path)
    path = segmentation(tmp_path / "SECRET.dcm", images, blobs()[..., :1], ["Lesion"])
    edited(path, change)
    assert words in refusal(Reason.OTHER_GRID, lambda: read_mask(path, image, None), excluded=True)


def test_a_frame_without_position_is_refused(tmp_path):
    image, images = study(tmp_path)
    path = segmentation(tmp_path / "SECRET.dcm", images, blobs()[..., :1], ["Lesion"])

    def lose(dataset):
        del dataset.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence

    refusal(Reason.NO_GEOMETRY, lambda: read_mask(edited(path, lose), image, None))


def test_truncated_and_foreign_files_are_refused(tmp_path):
    image, images = study(tmp_path)
    path = segmentation(tmp_path / "SECRET.dcm", images, blobs()[..., :1], ["Lesion"])
    edited(path, lambda dataset: setattr(dataset, "PixelData", b"\0\0"))
    refusal(Reason.TRUNCATED, lambda: read_mask(path, image, None))
    edited(path, lambda dataset: setattr(dataset, "NumberOfFrames", 10**9))
    refusal(Reason.TOO_LARGE, lambda: read_mask(path, image, None))
    slice_file = next((tmp_path / "image").iterdir())
    refusal(Reason.UNSUPPORTED_FORMAT, lambda: read_mask(slice_file, image, None))
    refusal(Reason.UNSUPPORTED_FORMAT, lambda: read_mask(tmp_path / "image", image, None))
    report = Path(get_testdata_file("test-SR.dcm", download=False))
    refusal(Reason.UNSUPPORTED_FORMAT, lambda: read_mask(report, image, None))


def test_a_segmentation_lands_on_the_enhanced_image_that_it_names(tmp_path):
    """Its frames name frames of one file; where they lie is what counts, also when the numbers are wrong."""
    images = slices(np.zeros(SHAPE, np.int16), ROTATED)
    path = segmentation(tmp_path / "seg.dcm", images, blobs(), ["Lesion", "Vessel"])
    source = enhanced(tmp_path / "image.dcm", np.zeros(SHAPE, np.int16), ROTATED, order=[3, 0, 4, 1, 2])
    image = read_image(source)

    def rename(dataset):
        (uid,) = image.instances
        for item in dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence:
            item.ReferencedSOPInstanceUID = uid
        for frame in dataset.PerFrameFunctionalGroupsSequence:
            one = frame.DerivationImageSequence[0].SourceImageSequence[0]
            one.ReferencedSOPInstanceUID, one.ReferencedFrameNumber = uid, 5

    marked = read_mask(edited(path, rename), image, "lesion").marked
    np.testing.assert_array_equal(marked, placed(blobs()[..., 0], ROTATED, image.volume.geometry))


@pytest.fixture
def film(tmp_path):
    path = projection(
        tmp_path / "film.dcm", np.zeros((6, 8), np.uint8), PixelSpacing=[0.2, 0.3], PatientOrientation=["L", "F"]
    )
    return read_image(path), dcmread(path)


def test_a_projection_is_marked_by_its_own_frames(tmp_path, film):
    image, source = film
    marked = np.zeros((1, 6, 8, 1), bool)
    marked[0, 1, 5:, 0] = True
    path = segmentation(tmp_path / "seg.dcm", [source], marked, ["Lesion"])
    found = read_mask(path, image, "lesion").marked
    np.testing.assert_array_equal(found, marked[0, :, :, 0])


def test_frames_of_another_projection_are_left_out(tmp_path, film):
    image, source = film
    marked = np.zeros((2, 6, 8), bool)
    marked[0, 1, 5:], marked[1, 4, :2] = True, True
    path = segmentation(tmp_path / "seg.dcm", [source], marked[:1, ..., None], ["Lesion"])

    def add_other(dataset):
        second = copy.deepcopy(dataset.PerFrameFunctionalGroupsSequence[0])
        second.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID = generate_uid()
        dataset.PerFrameFunctionalGroupsSequence.append(second)
        dataset.NumberOfFrames = 2
        dataset.PixelData = np.packbits(marked.ravel(), bitorder="little").tobytes()

    edited(path, add_other)
    np.testing.assert_array_equal(read_mask(path, image, None).marked, marked[0])


def test_a_projections_mask_must_name_it_and_cover_it(tmp_path, film):
    image, source = film
    path = segmentation(tmp_path / "SECRET.dcm", [source], np.ones((1, 6, 8, 1), bool), ["Lesion"])
    stranger = ImageFile(image.volume, {}, frozenset({"1.2.3.4"}))
    refusal(Reason.OTHER_IMAGE, lambda: read_mask(path, stranger, None), excluded=True)
    small = ImageFile(Volume(np.zeros((6, 7), np.float32), Geometry((6, 7), np.eye(4))), {}, image.instances)
    assert "(6, 8)" in refusal(Reason.OTHER_GRID, lambda: read_mask(path, small, None), excluded=True)

    def derived(dataset):
        group = dataset.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0]
        group.SourceImageSequence[0].SpatialLocationsPreserved = "NO"

    edited(path, derived)
    refusal(Reason.OTHER_GRID, lambda: read_mask(path, image, None), excluded=True)

    def of_the_whole(dataset):
        del dataset.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence

    edited(path, of_the_whole)
    assert read_mask(path, image, None).marked.all()

    def nameless(dataset):
        for name in ("ReferencedSeriesSequence", "SourceImageSequence", "ReferencedImageSequence"):
            if name in dataset:
                delattr(dataset, name)

    edited(path, nameless)
    refusal(Reason.OTHER_IMAGE, lambda: read_mask(path, image, None), excluded=True)


def test_a_picture_that_is_no_instance_cannot_be_named(tmp_path, film):
    """Were the mask's frames only left out, the picture would pass for one on which nothing is marked."""
    image, source = film
    path = segmentation(tmp_path / "SECRET.dcm", [source], np.ones((1, 6, 8, 1), bool), ["Lesion"])
    picture = ImageFile(image.volume)
    words = refusal(Reason.OTHER_IMAGE, lambda: read_mask(path, picture, None), excluded=True)
    assert words == "the mask names 1 images, and the study's image is none of them"


@pytest.fixture
def angiogram(tmp_path):
    """An XA of four frames, and a segmentation whose first frame was drawn on 2, whose second on 3 and 4."""
    path = projection(tmp_path / "SECRET_xa.dcm", np.zeros((6, 8), np.uint8), ImagerPixelSpacing=[0.2, 0.3])
    source = dcmread(path)
    marked = np.zeros((2, 6, 8), bool)
    marked[0, 1, 5:], marked[1, 4, :2] = True, True
    mask = segmentation(tmp_path / "SECRET.dcm", [source], marked[:1, ..., None], ["Lesion"])

    def several(dataset):
        dataset.Modality, dataset.SOPClassUID, dataset.NumberOfFrames = "XA", XRayAngiographicImageStorage, 4
        dataset.file_meta.MediaStorageSOPClassUID = XRayAngiographicImageStorage
        dataset.PixelData = bytes(4 * 6 * 8)

    def drawn(dataset):
        dataset.PerFrameFunctionalGroupsSequence.append(copy.deepcopy(dataset.PerFrameFunctionalGroupsSequence[0]))
        dataset.NumberOfFrames = 2
        dataset.PixelData = np.packbits(marked.ravel(), bitorder="little").tobytes()
        for frame, numbers in zip(dataset.PerFrameFunctionalGroupsSequence, (2, [3, 4]), strict=True):
            frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber = numbers

    return edited(path, several), edited(mask, drawn), marked


@pytest.mark.parametrize(("chosen", "frame"), [(1, 0), (2, 1), (3, 1)])
def test_a_frame_is_marked_by_what_was_drawn_on_it(angiogram, chosen, frame):
    path, mask, marked = angiogram
    found = read_mask(mask, read_image(path, ReadOptions(volume=chosen)), None).marked
    np.testing.assert_array_equal(found, marked[frame])


def test_a_frame_that_nobody_looked_at_has_no_mask(angiogram):
    path, mask, marked = angiogram
    first = read_image(path, ReadOptions(volume=0))
    words = refusal(Reason.OTHER_IMAGE, lambda: read_mask(mask, first, None), excluded=True)
    assert words == "the mask was drawn on other frames of the image than frame 1, which is read"

    def of_all(dataset):
        (derivation,) = dataset.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence
        del derivation.SourceImageSequence[0].ReferencedFrameNumber

    np.testing.assert_array_equal(read_mask(edited(mask, of_all), first, None).marked, marked[0])


# -- what a frame says of itself comes before what all frames share


@pytest.mark.parametrize("name", ["PlaneOrientationSequence", "PixelMeasuresSequence"])
def test_a_frames_own_group_comes_before_the_shared_one(tmp_path, name):
    image, images = study(tmp_path)
    path = segmentation(tmp_path / "seg.dcm", images, blobs()[..., :1], ["Lesion"])
    expected = read_mask(path, image, None).marked

    def contradict(dataset):
        shared = dataset.SharedFunctionalGroupsSequence[0]
        for frame in dataset.PerFrameFunctionalGroupsSequence:
            setattr(frame, name, copy.deepcopy(shared.get(name)))
        shared.PlaneOrientationSequence[0].ImageOrientationPatient = [0, 1, 0, 1, 0, 0]
        shared.PixelMeasuresSequence[0].PixelSpacing = [1.8, 1.4]
        for other in {"PlaneOrientationSequence", "PixelMeasuresSequence"} - {name}:
            setattr(shared, other, copy.deepcopy(before[other]))

    shared = dcmread(path).SharedFunctionalGroupsSequence[0]
    before = {
        other: copy.deepcopy(shared.get(other)) for other in ("PlaneOrientationSequence", "PixelMeasuresSequence")
    }
    np.testing.assert_array_equal(read_mask(edited(path, contradict), image, None).marked, expected)


def test_a_frames_own_segment_comes_before_the_shared_one(tmp_path):
    image, images = study(tmp_path)
    path = segmentation(tmp_path / "seg.dcm", images, blobs(), ["Lesion", "Vessel"])
    expected = read_mask(path, image, "lesion").marked
    assert "SegmentIdentificationSequence" in dcmread(path).PerFrameFunctionalGroupsSequence[0]

    def contradict(dataset):
        own = dataset.PerFrameFunctionalGroupsSequence[-1].SegmentIdentificationSequence
        dataset.SharedFunctionalGroupsSequence[0].SegmentIdentificationSequence = copy.deepcopy(own)

    np.testing.assert_array_equal(read_mask(edited(path, contradict), image, "lesion").marked, expected)


def test_a_segment_that_all_frames_share_is_theirs(tmp_path):
    image, images = study(tmp_path)
    path = segmentation(tmp_path / "seg.dcm", images, blobs()[..., :1], ["Lesion"])
    dataset = dcmread(path)
    assert "SegmentIdentificationSequence" in dataset.SharedFunctionalGroupsSequence[0]
    assert "SegmentIdentificationSequence" not in dataset.PerFrameFunctionalGroupsSequence[0]
    assert read_mask(path, image, None).marked.sum() == 7


# -- encodings


@pytest.mark.parametrize(
    "syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless, ExplicitVRBigEndian], ids=lambda syntax: syntax.keyword
)
def test_fractions_in_every_transfer_syntax(tmp_path, syntax):
    images = slices(np.zeros((40, 36, 2), np.int16), ROTATED)
    image = read_image(save(tmp_path / "image", images))
    fractions = np.linspace(0, 1, 2 * 36 * 40, dtype=np.float32).reshape(2, 36, 40, 1)
    path = segmentation(tmp_path / "seg.dcm", images, fractions, ["Lesion"], kind="FRACTIONAL")
    expected = read_mask(path, image, None).marked
    assert expected.sum() == 36 * 40
    dataset = dcmread(path)
    if syntax.is_encapsulated:
        dataset.compress(syntax, generate_instance_uid=False)
        dataset.save_as(path)
    else:
        plain = Dataset(dataset)
        plain.file_meta = dataset.file_meta
        plain.file_meta.TransferSyntaxUID = syntax
        plain.save_as(path, enforce_file_format=True)
    np.testing.assert_array_equal(read_mask(path, image, None).marked, expected)


def test_bits_in_big_endian(tmp_path):
    """Which highdicom refuses: bits are packed into bytes, which have no order of their own (PS3.5 8.1.1 and D.3)."""
    image, images = study(tmp_path)
    path = segmentation(tmp_path / "seg.dcm", images, blobs()[..., :1], ["Lesion"])
    expected, dataset = read_mask(path, image, None).marked, dcmread(path)
    plain = Dataset(dataset)
    plain.file_meta = dataset.file_meta
    plain.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    plain.save_as(path, enforce_file_format=True)
    assert expected.sum() == 7
    np.testing.assert_array_equal(read_mask(path, image, None).marked, expected)


def packed(frame):
    return np.packbits(frame.ravel(), bitorder="little").tobytes()


def run_lengths(content):
    """Return one RLE frame of one segment, encoded by pylibjpeg."""
    segment = bytes(encode_row(content))
    return np.array([1, 64, *[0] * 14], "<u4").tobytes() + segment + b"\0" * (len(segment) % 2)


def deflated(content):
    squeeze = zlib.compressobj(wbits=-15)
    return squeeze.compress(content) + squeeze.flush()


def encode(path, syntax, encoded):
    """Put encoded frames into a file; pydicom does not know every syntax that it writes."""
    dataset = dcmread(path)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([one + b"\0" * (len(one) % 2) for one in encoded])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path, implicit_vr=False, little_endian=True, force_encoding=True)


@pytest.mark.parametrize("pixels", [packed, lambda frame: frame.astype(np.uint8).tobytes()], ids=["bits", "bytes"])
@pytest.mark.parametrize(("syntax", "squeeze"), [(RLELossless, run_lengths), (DEFLATED_FRAMES, deflated)])
def test_encoded_frames_of_one_bit(tmp_path, pixels, syntax, squeeze):
    """The masks are 6 x 7: no frame ends with a whole byte."""
    affine = grid(OBLIQUE, (0.7, 0.9, 2.5), (40.0, -12.5, 100.25))
    images = slices(np.zeros((7, 6, 5), np.int16), affine)
    image = read_image(save(tmp_path / "image", images))
    masks = np.random.default_rng(0).random((5, 6, 7, 1)) < 0.5
    path = segmentation(tmp_path / "seg.dcm", images, masks, ["Lesion"])
    expected = read_mask(path, image, None).marked
    assert expected.sum() == masks.sum()
    frames = dcmread(path).pixel_array
    encode(path, syntax, [squeeze(pixels(frame)) for frame in frames])
    np.testing.assert_array_equal(read_mask(path, image, None).marked, expected)


def test_deflated_frames_of_fractions(tmp_path):
    image, images = study(tmp_path)
    fractions = np.zeros((5, 6, 8, 1), np.float32)
    fractions[2, 3, 4:8, 0] = (0.45, 0.5, 0.55, 1)
    path = segmentation(
        tmp_path / "seg.dcm", images, fractions, ["Lesion"], kind="FRACTIONAL", max_fractional_value=100
    )
    expected = read_mask(path, image, None).marked
    frames = dcmread(path).pixel_array.reshape(-1, 6, 8)
    encode(path, DEFLATED_FRAMES, [deflated(frame.tobytes()) for frame in frames])
    np.testing.assert_array_equal(read_mask(path, image, None).marked, expected)
    assert expected.sum() == 3


def test_encoded_frames_that_are_short_or_missing_are_refused(tmp_path):
    image, images = study(tmp_path)
    path = segmentation(tmp_path / "SECRET.dcm", images, blobs()[..., :1], ["Lesion"])
    frames = dcmread(path).pixel_array
    for encoded in ([deflated(b"")] * 2, [deflated(packed(frames[0])[:-1])] * 2, [deflated(packed(frames[0]))]):
        encode(path, DEFLATED_FRAMES, encoded)
        refusal(Reason.TRUNCATED, lambda: read_mask(path, image, None))
    broken = run_lengths(packed(frames[0]))
    encode(path, RLELossless, [b"\2" + broken[1:]] * 2)
    assert "not 2" in refusal(Reason.NOT_READABLE, lambda: read_mask(path, image, None))
    encode(path, RLELossless, [broken[:66]] * 2)
    refusal(Reason.TRUNCATED, lambda: read_mask(path, image, None))
    bomb = deflated(bytes(10**7))
    encode(path, DEFLATED_FRAMES, [bomb] * 2)
    assert not read_mask(path, image, None).marked.any()
    encode(path, RLELossless, [broken] * 2)
    edited(path, lambda dataset: setattr(dataset, "NumberOfFrames", 10**9))
    refusal(Reason.TOO_LARGE, lambda: read_mask(path, image, None))


def test_a_deflated_file_is_read(tmp_path):
    image, images = study(tmp_path)
    path = segmentation(tmp_path / "seg.dcm", images, blobs()[..., :1], ["Lesion"])
    expected = read_mask(path, image, None).marked
    deflate = DeflatedExplicitVRLittleEndian
    edited(path, lambda dataset: setattr(dataset.file_meta, "TransferSyntaxUID", deflate))
    np.testing.assert_array_equal(read_mask(path, image, None).marked, expected)


def test_frames_that_are_not_described_are_refused(tmp_path):
    image, images = study(tmp_path)
    path = segmentation(tmp_path / "SECRET.dcm", images, blobs()[..., :1], ["Lesion"])
    edited(path, lambda dataset: dataset.PerFrameFunctionalGroupsSequence.pop())
    words = refusal(Reason.NOT_READABLE, lambda: read_mask(path, image, None))
    assert words == "the mask has 2 frames, and PerFrameFunctionalGroupsSequence describes 1"


def test_the_background_of_a_label_map_is_no_segment(tmp_path):
    """Its number is 0, or what PixelPaddingValue says."""
    image, images = study(tmp_path)
    labels = np.zeros((5, 6, 8), np.uint8)
    labels[1, 2:4, 5:8], labels[4, 0, 1] = 1, 2
    path = segmentation(tmp_path / "seg.dcm", images, labels, ["Lesion", "Vessel"], kind="LABELMAP")
    assert dcmread(path).SegmentSequence[0].SegmentNumber == 0
    edited(path, lambda dataset: setattr(dataset, "PixelPaddingValue", 2))
    np.testing.assert_array_equal(
        read_mask(path, image, None).marked, placed(labels == 1, ROTATED, image.volume.geometry)
    )


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_each_segment_is_highdicoms(tmp_path, kind):
    image, images = study(tmp_path)
    masks = blobs() & ~np.roll(blobs(), 1, axis=-1) if kind == "LABELMAP" else blobs()
    path = segmentation(tmp_path / "seg.dcm", images, masks, ["Lesion", "Vessel"], kind=kind)
    for number, label in enumerate(("lesion", "vessel"), start=1):
        volume = highdicom.seg.segread(path).get_volume(segment_numbers=[number], combine_segments=False)
        affine = np.diag([-1.0, -1, 1, 1]) @ volume.affine
        marked = np.argwhere(volume.array[..., 0])
        places = marked @ affine[:3, :3].T + affine[:3, 3]
        into = np.linalg.inv(image.volume.geometry.affine)
        expected = np.zeros(image.volume.geometry.shape, bool)
        expected[tuple(np.rint(places @ into[:3, :3].T + into[:3, 3]).astype(int).T)] = True
        np.testing.assert_array_equal(read_mask(path, image, label).marked, expected)
