import shutil
import subprocess

import numpy as np
import pytest
import SimpleITK
from pydicom import Dataset, dcmread
from pydicom.uid import RTStructureSetStorage, generate_uid

from pipeline.errors import Reason
from pipeline.studies.geometry import Geometry
from pipeline.studies.readers import read_image, read_mask
from pipeline.studies.readers.shared.base import ImageFile
from pipeline.studies.volume import Volume
from tests.pipeline.studies.writers import FRAME, OBLIQUE, dicom, edited, grid, nifti, projection, refusal, save, slices

SHAPE = (70, 64, 5)
STRAIGHT = grid(np.diag([-1, -1, 1]), (0.7, 0.9, 2.5), (40.0, -12.5, 100.25))
ROTATED = grid(OBLIQUE, (0.7, 0.9, 2.5), (40.0, -12.5, 100.25))
TILTED = STRAIGHT.copy()
TILTED[1, 2] = 0.9


def circle(column, row, place, radius, points=400):
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.stack([column + radius * np.cos(angle), row + radius * np.sin(angle), np.full(points, place)], axis=1)


def disc(column, row, place, radius, shape=SHAPE):
    """Return the voxels of a slice whose centres lie inside, over the whole grid."""
    i, j, k = np.ogrid[: shape[0], : shape[1], : shape[2]]
    return ((i - column) ** 2 + (j - row) ** 2 <= radius**2) & (k == place)


def items(*attributes):
    made = []
    for values in attributes:
        item = Dataset()
        for name, value in values.items():
            setattr(item, name, value)
        made.append(item)
    return made


def structure_set(path, structures, affine, *, frame=FRAME, kind="CLOSED_PLANAR", images=(), listed=()):
    """Write structures (name, contours in voxel indices) as an RT structure set; ``images``: what contours name."""
    dataset = dicom(RTStructureSetStorage, np.zeros((1, 1), np.uint8))
    for name in ("PixelData", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(dataset, name)
    dataset.Modality, dataset.StructureSetLabel = "RTSTRUCT", "SECRET"
    named = [{"ReferencedSOPInstanceUID": uid, "ReferencedSOPClassUID": RTStructureSetStorage} for uid in listed]
    series = items({"SeriesInstanceUID": generate_uid(), "ContourImageSequence": items(*named)})
    study = items({"ReferencedSOPInstanceUID": generate_uid(), "RTReferencedSeriesSequence": series})
    dataset.ReferencedFrameOfReferenceSequence = items(
        {"FrameOfReferenceUID": frame, "RTReferencedStudySequence": study}
    )
    dataset.StructureSetROISequence = items(
        *(
            {"ROINumber": 7 + number, "ROIName": name, "ReferencedFrameOfReferenceUID": frame}
            for number, (name, _) in enumerate(structures)
        )
    )
    dataset.ROIContourSequence = []
    for number, (_, contours) in enumerate(structures):
        holder = Dataset()
        holder.ReferencedROINumber = 7 + number
        if contours is not None:
            holder.ContourSequence = [contour(points, affine, kind, images) for points in contours]
        dataset.ROIContourSequence.append(holder)
    dataset.save_as(path, enforce_file_format=True)
    return path


def contour(points, affine, kind, images):
    made = Dataset()
    made.ContourGeometricType, made.NumberOfContourPoints = kind, len(points)
    places = (points @ affine[:3, :3].T + affine[:3, 3]) * (-1, -1, 1)
    made.ContourData = [f"{value:.6f}" for value in places.ravel()]
    if images:
        named = ({"ReferencedSOPInstanceUID": uid, "ReferencedSOPClassUID": RTStructureSetStorage} for uid in images)
        made.ContourImageSequence = items(*named)
    return made


def study(folder, affine=STRAIGHT, shape=SHAPE):
    return read_image(save(folder / "image", slices(np.zeros(shape, np.int16), affine)))


def on_image(expected, affine, image):
    """Return voxels of the written grid on the image's, each by its own position."""
    found = np.zeros(image.volume.geometry.shape, bool)
    places = np.argwhere(expected) @ affine[:3, :3].T + affine[:3, 3]
    into = np.linalg.inv(image.volume.geometry.affine)
    found[tuple(np.rint(places @ into[:3, :3].T + into[:3, 3]).astype(int).T)] = True
    return found


NESTED = [
    circle(30.3, 33.2, 2, 25.3),
    circle(30.3, 33.2, 2, 17.2),
    circle(30.3, 33.2, 2, 9.1),
    circle(20.2, 20.1, 3, 8.4),
]
EXPECTED = disc(30.3, 33.2, 2, 25.3) & ~disc(30.3, 33.2, 2, 17.2) | disc(30.3, 33.2, 2, 9.1) | disc(20.2, 20.1, 3, 8.4)


@pytest.mark.parametrize("affine", [STRAIGHT, ROTATED, TILTED, ROTATED @ np.diag([1, 1, -1, 1])])
def test_rings_and_islands_land_on_their_slices(tmp_path, affine):
    image = study(tmp_path, affine)
    path = structure_set(tmp_path / "rt.dcm", [("Lesion", NESTED)], affine)
    found = read_mask(path, image, None)
    np.testing.assert_array_equal(found.marked, on_image(EXPECTED, affine, image))
    assert found.header == {}


def test_the_circle_of_2872_voxels(tmp_path):
    image = study(tmp_path)
    path = structure_set(tmp_path / "rt.dcm", [("Lesion", [circle(32.25, 31.2, 1, 30.25, 2000)])], STRAIGHT)
    found = read_mask(path, image, None).marked
    assert found.sum() == 2872
    np.testing.assert_array_equal(found, on_image(disc(32.25, 31.2, 1, 30.25), STRAIGHT, image))


def test_contours_land_on_a_nifti_of_their_image(tmp_path):
    order = [2, 0, 1]
    turned = np.eye(4)
    turned[:3, :3] = np.eye(3)[:, order]
    image = read_image(
        nifti(tmp_path / "image.nii", np.zeros([SHAPE[axis] for axis in order], np.int16), ROTATED @ turned)
    )
    path = structure_set(tmp_path / "rt.dcm", [("Lesion", NESTED)], ROTATED)
    np.testing.assert_array_equal(read_mask(path, image, None).marked, EXPECTED.transpose(order))


def test_contours_drawn_across_the_slices_are_read_in_their_own_planes(tmp_path):
    image = study(tmp_path, shape=(9, 12, 14))
    outline = np.array([[2, 1.5, 3.5], [2, 8.5, 3.5], [2, 8.5, 10.5], [2, 1.5, 10.5]])
    path = structure_set(tmp_path / "rt.dcm", [("Lesion", [outline])], STRAIGHT)
    expected = np.zeros((9, 12, 14), bool)
    expected[2, 2:9, 4:11] = True
    np.testing.assert_array_equal(read_mask(path, image, None).marked, on_image(expected, STRAIGHT, image))


@pytest.mark.parametrize(("label", "expected"), [("vessel", [20.3, 20.2]), (" LESION ", [9.3, 9.2])])
def test_a_structure_is_chosen_by_its_name(tmp_path, label, expected):
    image = study(tmp_path)
    structures = [("Lesion", [circle(9.3, 9.2, 1, 3.1)]), ("Vessel", [circle(20.3, 20.2, 1, 3.1)]), ("Empty", None)]
    path = structure_set(tmp_path / "SECRET.dcm", structures, STRAIGHT)
    marked = read_mask(path, image, label).marked
    np.testing.assert_array_equal(marked, on_image(disc(*expected, 1, 3.1), STRAIGHT, image))
    assert not read_mask(path, image, "empty").marked.any()
    words = refusal(Reason.MASK_MISSING_LABEL, lambda: read_mask(path, image, "SECRET"), excluded=True)
    assert "none of the mask's 3 structures" in words
    words = refusal(Reason.MASK_MISSING_LABEL, lambda: read_mask(path, image, None), excluded=True)
    assert "has 3 structures" in words


def test_structures_of_one_name_are_united_and_not_crossed_out(tmp_path):
    image = study(tmp_path)
    path = structure_set(
        tmp_path / "rt.dcm", [("Lesion", [circle(9.3, 9.2, 1, 5.1)]), ("lesion", [circle(9.3, 9.2, 1, 3.1)])], STRAIGHT
    )
    assert read_mask(path, image, "lesion").marked.sum() == disc(9.3, 9.2, 1, 5.1).sum()


def test_another_frame_of_reference_is_excluded(tmp_path):
    image = study(tmp_path)
    path = structure_set(tmp_path / "SECRET.dcm", [("Lesion", NESTED)], STRAIGHT, frame=generate_uid())
    words = refusal(Reason.OTHER_FRAME_OF_REFERENCE, lambda: read_mask(path, image, None), excluded=True)
    assert words == "the mask's frame of reference differs from the image's"

    def lose(dataset):
        del dataset.StructureSetROISequence[0].ReferencedFrameOfReferenceUID

    edited(path, lose)
    refusal(Reason.OTHER_FRAME_OF_REFERENCE, lambda: read_mask(path, image, None), excluded=True)


def test_images_named_must_be_the_studys_where_any_are_named(tmp_path):
    image = study(tmp_path)
    other, own = generate_uid(), sorted(image.instances)[0]
    path = tmp_path / "SECRET.dcm"
    for named in ({"images": [other]}, {"listed": [other]}, {"images": [other], "listed": [own]}):
        structure_set(path, [("Lesion", NESTED)], STRAIGHT, **named)
        words = refusal(Reason.OTHER_IMAGE, lambda: read_mask(path, image, None), excluded=True)
        assert words == "the mask names 1 images, and the study's image is none of them"
    for named in ({"images": [own, other]}, {"listed": [other, own]}, {"images": [own], "listed": [other]}):
        structure_set(path, [("Lesion", NESTED)], STRAIGHT, **named)
        assert read_mask(path, image, None).marked.any()


def test_open_contours_and_points_are_left_out_and_told(tmp_path):
    image = study(tmp_path)
    path = structure_set(
        tmp_path / "rt.dcm", [("Lesion", [*NESTED, circle(60, 60, 2, 2), circle(50, 50, 2, 2)])], STRAIGHT
    )

    def open_up(dataset):
        contours = dataset.ROIContourSequence[0].ContourSequence
        contours[4].ContourGeometricType, contours[5].ContourGeometricType = "POINT", "OPEN_PLANAR"

    found = read_mask(edited(path, open_up), image, None)
    np.testing.assert_array_equal(found.marked, on_image(EXPECTED, STRAIGHT, image))
    assert found.header == {"contours left out": "1 OPEN_PLANAR, 1 POINT"}


@pytest.mark.parametrize("kind", ["SECRET", ""])
def test_a_contour_of_a_type_that_nobody_knows_is_refused(tmp_path, kind):
    image = study(tmp_path)
    path = structure_set(tmp_path / "SECRET.dcm", [("Lesion", NESTED)], STRAIGHT)
    edited(
        path, lambda dataset: setattr(dataset.ROIContourSequence[0].ContourSequence[1], "ContourGeometricType", kind)
    )
    assert "ContourGeometricType" in refusal(Reason.NOT_READABLE, lambda: read_mask(path, image, None))


@pytest.mark.parametrize("kind", ["POINT", "OPEN_PLANAR", "OPEN_NONPLANAR"])
def test_a_structure_without_closed_contours_has_no_area(tmp_path, kind):
    image = study(tmp_path)
    path = structure_set(tmp_path / "SECRET.dcm", [("Lesion", [circle(9.3, 9.2, 1, 5.1)])], STRAIGHT, kind=kind)
    words = refusal(Reason.MASK_WITHOUT_AREA, lambda: read_mask(path, image, None), excluded=True)
    assert words == f"0 closed contours enclose no voxel's centre; left out: 1 {kind}"


def test_specks_below_a_voxel_are_told_and_alone_are_no_mask(tmp_path):
    image = study(tmp_path)
    speck = circle(50.5, 50.5, 2, 0.4)
    path = structure_set(tmp_path / "SECRET.dcm", [("Lesion", [*NESTED, speck])], STRAIGHT)
    assert read_mask(path, image, None).header == {"contours smaller than a voxel": "1 of 5"}
    structure_set(path, [("Lesion", [speck])], STRAIGHT)
    words = refusal(Reason.MASK_WITHOUT_AREA, lambda: read_mask(path, image, None), excluded=True)
    assert words == "1 closed contours enclose no voxel's centre; left out: none"


@pytest.mark.parametrize(("place", "reach"), [(-0.6, "-1.50"), (4.6, "11.50"), (40, "100.00")])
def test_contours_on_no_slice_are_excluded(tmp_path, place, reach):
    image = study(tmp_path)
    path = structure_set(tmp_path / "SECRET.dcm", [("Lesion", [*NESTED, circle(9, 9, place, 5)])], STRAIGHT)
    words = refusal(Reason.OTHER_GRID, lambda: read_mask(path, image, None), excluded=True)
    assert "1 of 5 contours lie on no slice" in words
    assert reach in words
    assert "the image's 5 slices from 0 to 10.00 mm" in words


def test_half_a_slice_is_tolerated_and_told(tmp_path):
    image = study(tmp_path)
    path = structure_set(
        tmp_path / "rt.dcm", [("Lesion", [circle(9.3, 9.2, 1.4, 5.1), circle(9.3, 9.2, 3.4, 5.1)])], STRAIGHT
    )
    found = read_mask(path, image, None)
    np.testing.assert_array_equal(
        found.marked, on_image(disc(9.3, 9.2, 1, 5.1) | disc(9.3, 9.2, 3, 5.1), STRAIGHT, image)
    )
    assert found.header == {
        "contours off their slices": "up to 1.00 mm",
        "slices without a contour": "1 between the first and the last",
    }


def test_contours_of_other_slices_do_not_cross_each_other_out(tmp_path):
    image = study(tmp_path)
    path = structure_set(
        tmp_path / "SECRET.dcm", [("Lesion", [circle(9.3, 9.2, 1, 5.1), circle(9.3, 9.2, 1.3, 5.1)])], STRAIGHT
    )
    words = refusal(Reason.OTHER_GRID, lambda: read_mask(path, image, None), excluded=True)
    assert words.startswith("contours 0.75 mm apart fall on one slice of the image, whose slices lie 2.50 mm apart")


def test_contours_in_other_planes_are_excluded(tmp_path):
    image = study(tmp_path)
    slant = np.outer(np.cos(np.linspace(0, 2 * np.pi, 400, endpoint=False)), (0, 0, 0.8))
    slanted = circle(30.3, 30.2, 2, 20) + slant
    path = structure_set(tmp_path / "rt.dcm", [("Lesion", [slanted - slant * 0.4])], STRAIGHT)
    assert read_mask(path, image, None).marked.sum() == disc(30.3, 30.2, 2, 20).sum()
    path = structure_set(tmp_path / "SECRET.dcm", [("Lesion", [slanted])], STRAIGHT)
    words = refusal(Reason.OTHER_GRID, lambda: read_mask(path, image, None), excluded=True)
    assert words.startswith("a contour's points lie up to 2.00 mm from the slice of the image that is nearest to it")
    assert "1.25 mm is half a slice" in words


@pytest.mark.parametrize("column", [2.5, 66.5])
def test_contours_that_leave_the_image_are_excluded(tmp_path, column):
    image = study(tmp_path)
    path = structure_set(tmp_path / "SECRET.dcm", [("Lesion", [circle(column, 30, 2, 3)])], STRAIGHT)
    assert read_mask(path, image, None).marked.any()
    structure_set(path, [("Lesion", [circle(column, 30, 2, 4)])], STRAIGHT)
    words = refusal(Reason.OTHER_GRID, lambda: read_mask(path, image, None), excluded=True)
    assert words.endswith("of an image plane of 70 x 64")


def test_contours_that_are_no_points_are_refused(tmp_path):
    image = study(tmp_path)
    path = structure_set(tmp_path / "SECRET.dcm", [("Lesion", [circle(9, 9, 1, 5, 20)])], STRAIGHT)

    def change(name, value):
        return lambda dataset: setattr(dataset.ROIContourSequence[0].ContourSequence[0], name, value)

    edited(path, change("NumberOfContourPoints", 21))
    assert "20 points of the 21" in refusal(Reason.TRUNCATED, lambda: read_mask(path, image, None))
    edited(path, change("ContourData", ["1", "2", "3", "4"]))
    assert "4 numbers" in refusal(Reason.NOT_READABLE, lambda: read_mask(path, image, None))
    edited(path, lambda dataset: delattr(dataset.ROIContourSequence[0].ContourSequence[0], "ContourData"))
    refusal(Reason.TRUNCATED, lambda: read_mask(path, image, None))


def test_a_projection_has_no_structures(tmp_path):
    film = read_image(projection(tmp_path / "film.dcm", np.zeros((6, 8), np.uint8), PixelSpacing=[0.2, 0.3]))
    path = structure_set(tmp_path / "SECRET.dcm", [("Lesion", NESTED)], STRAIGHT)
    assert "(6, 8)" in refusal(Reason.OTHER_GRID, lambda: read_mask(path, film, None), excluded=True)


def test_a_set_without_structures_is_refused(tmp_path):
    path = structure_set(tmp_path / "SECRET.dcm", [], STRAIGHT)
    image = study(tmp_path)
    refusal(Reason.MASK_MISSING_LABEL, lambda: read_mask(path, image, "lesion"), excluded=True)


# -- plastimatch, a program that shares nothing with us


def plastimatch(folder, path, affine, shape, order=(0, 1, 2)):
    """Return plastimatch's mask of the only structure on a grid that DICOM and NRRD can state without shear."""
    image = SimpleITK.Image([int(size) for size in shape], SimpleITK.sitkInt16)
    lps = np.diag([-1.0, -1, 1, 1]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    SimpleITK.WriteImage(image, str(folder / "grid.mha"))
    call = ["plastimatch", "convert", "--input", path, "--fixed", folder / "grid.mha", "--xor-contours"]
    call += ["--output-prefix", folder / "out", "--prefix-format", "mha"]
    subprocess.run([str(part) for part in call], check=True, capture_output=True)
    (written,) = (folder / "out").iterdir()
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(written))).transpose(2, 1, 0) != 0


needs_plastimatch = pytest.mark.skipif(shutil.which("plastimatch") is None, reason="plastimatch is not installed")
AXIAL = grid(np.diag([-1, -1, 1]), (0.7, 0.7, 2.5), (24.3, 22.1, 100.25))


@needs_plastimatch
@pytest.mark.parametrize("contours", [NESTED, [circle(32.25, 31.2, 1, 30.25, 2000)]], ids=["nested", "circle"])
def test_plastimatch_marks_the_same_voxels(tmp_path, contours):
    image = study(tmp_path, AXIAL)
    path = structure_set(tmp_path / "rt.dcm", [("Lesion", contours)], AXIAL)
    peer = plastimatch(tmp_path, path, AXIAL, SHAPE)
    np.testing.assert_array_equal(read_mask(path, image, None).marked, on_image(peer, AXIAL, image))


@needs_plastimatch
@pytest.mark.parametrize("seed", range(3))
def test_plastimatch_marks_the_same_voxels_of_random_outlines(tmp_path, seed):
    random = np.random.default_rng(seed)
    contours = [np.column_stack([random.uniform(3, 60, (9, 2)), np.full(9, place)]) for place in (0, 1, 1, 2, 2, 2, 4)]
    image = study(tmp_path, AXIAL)
    path = structure_set(tmp_path / "rt.dcm", [("Lesion", contours)], AXIAL)
    peer = on_image(plastimatch(tmp_path, path, AXIAL, SHAPE), AXIAL, image)
    np.testing.assert_array_equal(read_mask(path, image, None).marked, peer)


# -- a real structure set


@pytest.fixture
def real(data, tmp_path):
    """The CT slices, and their structure set with the frame of reference that its writer made up replaced."""
    shutil.copy(data / "ct-rtstruct" / "rt.dcm", tmp_path / "rt.dcm")
    frame = dcmread(data / "ct-rtstruct" / "ct_1.dcm", stop_before_pixels=True).FrameOfReferenceUID

    def mend(dataset):
        dataset.StructureSetROISequence[0].ReferencedFrameOfReferenceUID = frame
        dataset.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID = frame

    return read_image(data / "ct-rtstruct"), edited(tmp_path / "rt.dcm", mend)


def test_a_real_set_of_another_frame_of_reference_is_excluded(data):
    """Its writer (rt-utils) invented the frame; which image it belongs to is only claimed."""
    folder = data / "ct-rtstruct"
    image = read_image(folder)
    assert image.volume.geometry.spacing == pytest.approx((0.488281, 0.488281, 5.0))
    refusal(Reason.OTHER_FRAME_OF_REFERENCE, lambda: read_mask(folder / "rt.dcm", image, None), excluded=True)


def test_a_real_set_is_what_its_numbers_say(real):
    """A square with a square hole in it, of which one corner is cut off; its writer calls both plain contours."""
    image, path = real
    x = -125 + 0.488281 * np.arange(512)[:, None]
    y = x.T
    outer = (x > -51) & (x < -27) & (y > -51) & (y < -27)
    hole = (x > -47) & (x < -32) & (y > -47) & (y < -32) & (x + y > -93)
    found = read_mask(path, image, "roi-1")
    np.testing.assert_array_equal(found.marked[:, :, 0], outer & ~hole)
    assert not found.marked[:, :, 1].any()


@needs_plastimatch
def test_plastimatch_marks_the_same_voxels_of_a_real_set(real, tmp_path):
    image, path = real
    peer = plastimatch(tmp_path, path, image.volume.geometry.affine, image.volume.geometry.shape)
    np.testing.assert_array_equal(read_mask(path, image, None).marked, peer)


def test_a_stranger_image_without_instances_is_matched_by_place_alone(tmp_path):
    geometry = Geometry(SHAPE, STRAIGHT)
    image = ImageFile(Volume(np.zeros(SHAPE, np.float32), geometry))
    path = structure_set(tmp_path / "rt.dcm", [("Lesion", NESTED)], STRAIGHT, images=[generate_uid()])
    np.testing.assert_array_equal(read_mask(path, image, None).marked, EXPECTED)
