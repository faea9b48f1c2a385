"""Whose a mask is: by what it names, or not at all."""

import copy

import nrrd
import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.config import disable_value_validation
from pydicom.uid import generate_uid

from tests.field.making import (
    AFFINE,
    RAMP,
    SHAPE,
    film,
    image_of,
    item,
    label_map,
    mask,
    refused,
    scanned,
    series,
    volume,
)
from tests.pipeline.studies.readers.masks.test_rtstruct import circle, structure_set
from tests.pipeline.studies.writers import save, segmentation

BIG = (40, 40, 7)


def planned(folder):
    """Write a CT and return its slices with their folder."""
    images = series(np.zeros(BIG, np.int16))
    save(folder / "ct", images)
    return images


def contours(images, kinds=("CLOSED_PLANAR",)):
    square = np.array([[3, 3], [12, 3], [12, 12], [3, 12]]) + 0.5
    lps = np.diag([-1.0, -1, 1, 1]) @ AFFINE
    found = []
    for index in range(1, 6):
        points = np.c_[square, np.full(4, index)] @ lps[:3, :3].T + lps[:3, 3]
        named = item(ReferencedSOPClassUID=images[0].SOPClassUID, ReferencedSOPInstanceUID=images[index].SOPInstanceUID)
        about = {"ContourGeometricType": kinds[index % len(kinds)], "NumberOfContourPoints": 4}
        data = [f"{part:.4f}" for part in points.ravel()]
        with disable_value_validation():  # INTERPOLATED_PLANAR is longer than a code may be
            found.append(item(**about, ContourImageSequence=[named], ContourData=data))
    return found


def structures(path, images, kinds=("CLOSED_PLANAR",)):
    structure_set(path, [("GTV", [circle(20, 20, 2, 5)])], AFFINE)
    dataset = dcmread(path)
    dataset.ROIContourSequence[0].ContourSequence = contours(images, kinds)
    dataset.save_as(path)
    return path


@pytest.mark.parametrize(
    "kinds", [("CLOSED_PLANAR", "INTERPOLATED_PLANAR"), ("INTERPOLATED_PLANAR",), ("CLOSEDPLANAR_XOR", "CLOSED_PLANAR")]
)
def test_every_closed_contour_is_drawn(tmp_path, kinds):
    images = planned(tmp_path)
    path = structures(tmp_path / "rt.dcm", images, kinds)
    assert mask(path, image_of(tmp_path / "ct"), label="GTV").marked.sum(axis=(0, 1)).tolist() == [0, *[81] * 5, 0]


def several_frames(path, images, own):
    """Let the set list a registered series' frame of reference first, and the structure state its own or none."""
    dataset = dcmread(path)
    other = generate_uid()
    first = item(FrameOfReferenceUID=other, RTReferencedStudySequence=[item(RTReferencedSeriesSequence=[
        item(SeriesInstanceUID=generate_uid(), ContourImageSequence=[
            item(ReferencedSOPInstanceUID=generate_uid()) for _ in range(300)])])])  # fmt: skip
    second = item(FrameOfReferenceUID=images[0].FrameOfReferenceUID)
    dataset.ReferencedFrameOfReferenceSequence = [first, second]
    roi = dataset.StructureSetROISequence[0]
    if own:
        roi.ReferencedFrameOfReferenceUID = images[0].FrameOfReferenceUID
    elif "ReferencedFrameOfReferenceUID" in roi:
        del roi.ReferencedFrameOfReferenceUID
    twin = copy.deepcopy(roi)
    twin.ROINumber, twin.ReferencedFrameOfReferenceUID = 9, other
    dataset.StructureSetROISequence.append(twin)
    dataset.save_as(path)


@pytest.mark.parametrize("own", [True, False])
def test_a_set_of_two_frames_goes_to_the_image_that_its_contours_name(tmp_path, own):
    images = planned(tmp_path / "a")
    path = structures(tmp_path / "a" / "rt.dcm", images)
    several_frames(path, images, own)
    studies, _, _ = scanned(tmp_path / "a")
    assert [[int(one.array.sum()) for one in study.masks] for study in studies] == [[405]]


@pytest.mark.parametrize("where", ["PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"])
def test_a_segmentation_whose_frames_alone_name_the_images(tmp_path, where):
    images, strangers = series(), series()
    for number, stranger in enumerate(strangers):
        stranger.SeriesInstanceUID, stranger.ImagePositionPatient = "1.2.3", [0, 0, 100 + 2.5 * number]
    save(tmp_path / "a" / "x", images)
    save(tmp_path / "a" / "y", strangers)
    marks = np.zeros((SHAPE[2], SHAPE[1], SHAPE[0], 1), bool)
    marks[2, 3, 4] = True
    path = segmentation(tmp_path / "a" / "seg.dcm", images, marks, ["Mass"])
    dataset = dcmread(path)
    del dataset.ReferencedSeriesSequence
    for name in ("SourceImageSequence", "ReferencedImageSequence"):
        if name in dataset:
            delattr(dataset, name)
    if where.startswith("Shared"):
        groups = [one for one in dataset.PerFrameFunctionalGroupsSequence if "DerivationImageSequence" in one]
        dataset.SharedFunctionalGroupsSequence[0].DerivationImageSequence = groups[0].DerivationImageSequence
        for one in groups:
            del one.DerivationImageSequence
    dataset.save_as(path)
    studies, _, numbers = scanned(tmp_path / "a")
    assert numbers.masks_used == 1
    assert sorted(int(one.array.sum()) for study in studies for one in study.masks) == [1]


def test_a_mask_that_is_a_secondary_capture(tmp_path):
    pixels = np.zeros((20, 30), np.uint8)
    pixels[4:9, 7:12] = 255
    image = image_of(film(tmp_path / "mg.dcm", np.zeros((20, 30), np.uint16)))
    drawn = film(tmp_path / "mask.dcm", pixels, SOPClassUID="1.2.840.10008.5.1.4.1.1.7")
    np.testing.assert_array_equal(mask(drawn, image, label="mass").marked, pixels > 0)
    other = film(tmp_path / "crop.dcm", pixels[:10], SOPClassUID="1.2.840.10008.5.1.4.1.1.7")
    refused(mask(other, image, label="mass"), "other_grid")
    turned = film(tmp_path / "turned.dcm", pixels, PhotometricInterpretation="MONOCHROME1")
    refused(mask(turned, image, label="mass"), "unsupported_format", "MONOCHROME1")
    grey = film(tmp_path / "grey.dcm", np.arange(600, dtype=np.uint16).reshape(20, 30))
    refused(mask(grey, image, label="mass"), "unsupported_format")


def slicer(path, array, offset, **header):
    about = {"space": "left-posterior-superior", "kinds": ["domain"] * 3, "encoding": "gzip"}
    lps = np.diag([-1.0, -1, 1, 1]) @ AFFINE
    about |= {"space directions": lps[:3, :3].T, "space origin": lps[:3, 3] + lps[:3, :3] @ np.array(offset)}
    nrrd.write(str(path), array, about | header)
    return path


NAMED = {"Segment0_ID": "Segment_1", "Segment0_Name": "tumour"}


@pytest.mark.parametrize("stated", ["3 6 2", "", "0 0 0"])
@pytest.mark.parametrize("old", [True, False])
def test_a_cropped_slicer_mask_lies_where_its_origin_says(tmp_path, stated, old):
    image = image_of(label_map(tmp_path / "ct.nii", RAMP))
    part = np.zeros((5, 4, 2), np.uint8)
    part[1:4, 1:3] = 1
    more = NAMED | ({} if old else {"Segment0_LabelValue": "1", "Segment0_Layer": "0"})
    more |= {"Segmentation_ReferenceImageExtentOffset": stated} if stated else {}
    found = mask(slicer(tmp_path / "m.seg.nrrd", part, (3, 6, 2), **more), image, label="tumour")
    expected = np.zeros(SHAPE, bool)
    expected[3:8, 6:10, 2:4] = part
    np.testing.assert_array_equal(found.marked, expected)
    assert "cropped" in found.header["mask extent"]


@pytest.mark.parametrize(
    ("offset", "stated", "named"),
    [((3, 6, 2), "1 1 1", NAMED), ((9, 12, 5), "", NAMED), ((3.4, 6, 2), "", NAMED), ((3, 6, 2), "", {})],
    ids=["contradicted", "outside", "between voxels", "no segments"],
)
def test_a_part_that_does_not_fit_is_refused(tmp_path, offset, stated, named):
    image = image_of(label_map(tmp_path / "ct.nii", RAMP))
    more = named | ({"Segmentation_ReferenceImageExtentOffset": stated} if stated else {})
    refused(mask(slicer(tmp_path / "m.seg.nrrd", np.ones((5, 4, 2), np.uint8), offset, **more), image), "other_grid")


def test_old_slicer_layers_are_told_apart_by_their_order(tmp_path):
    image = image_of(label_map(tmp_path / "ct.nii", RAMP))
    layers = np.zeros((2, *SHAPE), np.uint8)
    layers[0, 1, 1, 1], layers[1, 2, 2, 2] = 1, 1
    lps = np.diag([-1.0, -1, 1, 1]) @ AFFINE
    more = {f"Segment{n}_{key}": f"{name}" for n, name in enumerate(("liver", "tumour")) for key in ("ID", "Name")}
    more |= {"kinds": ["list", *["domain"] * 3], "space directions": np.vstack([np.full(3, np.nan), lps[:3, :3].T])}
    path = slicer(tmp_path / "m.seg.nrrd", layers, (0, 0, 0), **more)
    for number, name in enumerate(("liver", "tumour"), start=1):
        assert np.argwhere(mask(path, image, label=name).marked).tolist() == [[number] * 3]


PAIRS = [
    ("p1", "p2_mask", False), ("sub-01", "sub-02_seg", False), ("p10", "p1_mask", False), ("p1", "p10_mask", False),
    ("p1", "p1_mask", True), ("scan", "mask", True), ("t2", "gmseg", True), ("ct", "liver_mask", True),
    ("p1_t1", "p1_mask", True), ("p1_2", "p1_mask", False), ("case7_image", "case7_label", True),
]  # fmt: skip


@pytest.mark.parametrize(("image", "drawn", "paired"), PAIRS)
@pytest.mark.parametrize("ending", ["nii", "png"])
def test_a_mask_is_paired_by_its_name_or_not_at_all(tmp_path, image, drawn, paired, ending):
    root = tmp_path / "a"
    root.mkdir()
    marks = np.zeros(SHAPE, np.uint8)
    marks[2:5, 3:6] = 1
    for name, array in ((image, RAMP % 255), (drawn, marks)):
        if ending == "nii":
            label_map(root / f"{name}.nii", array.astype(np.uint8))
        else:
            Image.fromarray(array[..., 2].astype(np.uint8)).save(root / f"{name}.png")
    _, rows, numbers = scanned(root)
    assert [len(row.masks) for row in rows] == [int(paired)]
    assert numbers.excluded == ({} if paired else {"other_image": 1})


def test_of_two_images_of_one_name_neither_is_meant(tmp_path):
    root = tmp_path / "a"
    label_map(root / "p.nii", RAMP)
    label_map(root / "p.nii.gz", RAMP)
    label_map(root / "p_mask.nii", np.ones(SHAPE, np.uint8))
    assert scanned(root)[2].excluded == {"other_image": 1}


def test_a_volume_is_read_as_before(tmp_path):
    np.testing.assert_array_equal(volume(tmp_path).volume.array, RAMP)


def squares(path, *corners):
    """Write one structure whose contours on slice 3 are squares (first corner, side) in voxels."""
    structure_set(path, [("GTV", [circle(20, 20, 2, 5)])], AFFINE)
    lps = np.diag([-1.0, -1, 1, 1]) @ AFFINE
    drawn = []
    for x, y, side in corners:
        outline = np.array([[0, 0], [side, 0], [side, side], [0, side]]) + np.array([x + 0.5, y + 0.5])
        points = np.c_[outline, np.full(4, 3)] @ lps[:3, :3].T + lps[:3, 3]
        about = {"ContourGeometricType": "CLOSED_PLANAR", "NumberOfContourPoints": 4}
        drawn.append(item(**about, ContourData=[f"{part:.4f}" for part in points.ravel()]))
    dataset = dcmread(path)
    dataset.ROIContourSequence[0].ContourSequence = drawn
    dataset.save_as(path)
    return path


@pytest.mark.parametrize(
    ("corners", "even_odd", "union"),
    [
        ([(5, 5, 10), (5, 5, 10)], None, 100), ([(5, 5, 10), (5, 5, 10), (20, 20, 3)], 9, 109),
        ([(5, 5, 10), (10, 10, 10)], 150, 175), ([(5, 5, 10), (7, 7, 3)], 91, 91),
        ([(5, 5, 10), (20, 5, 10)], 200, 200),
        ([(5, 5, 10), (15, 5, 10)], 200, 200), ([(5, 5, 10), (7, 7, 3), (5, 5, 10)], 9, 91),
    ],
    ids=["twice", "twice and another", "overlap", "hole", "apart", "side by side", "twice with a hole"],
)  # fmt: skip
def test_contours_that_cancel_out_are_told_or_united(tmp_path, corners, even_odd, union):
    planned(tmp_path)
    image, path = image_of(tmp_path / "ct"), squares(tmp_path / "rt.dcm", *corners)
    united = mask(path, image, label="GTV", contours="union")
    assert united.marked.sum() == union
    found = mask(path, image, label="GTV")
    if even_odd is None:
        refused(found, "mask_without_area", "union")
        return
    assert found.marked.sum() == even_odd
    assert ("voxels where contours overlap" in found.header) is (even_odd != union)


@pytest.mark.parametrize("own", [True, False])
def test_contours_of_a_number_that_no_structure_bears(tmp_path, own):
    """The structure set was renumbered and its contours were not: an empty mask would say that nothing was drawn."""
    planned(tmp_path)
    image, path = image_of(tmp_path / "ct"), squares(tmp_path / "rt.dcm", (5, 5, 10))
    dataset = dcmread(path)
    stray = copy.deepcopy(dataset.ROIContourSequence[0])
    stray.ReferencedROINumber = 77
    dataset.ROIContourSequence = [dataset.ROIContourSequence[0], stray] if own else [stray]
    dataset.save_as(path)
    found = mask(path, image, label="GTV")
    if own:
        assert (found.marked.sum(), found.header["contours of no structure"]) == (100, "1 sets")
    else:
        refused(found, "not_readable", "ReferencedROINumber")
