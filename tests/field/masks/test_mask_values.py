"""Values of masks: whole, and each of them named; the background is what the file says."""

import json

import nibabel
import numpy as np
import pytest
from pydicom import dcmread

from pipeline.errors import StudyError
from tests.field.making import AFFINE, SHAPE, image_of, label_map, listed, mask, refused, series, volume
from tests.pipeline.studies.writers import save, segmentation


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "archive"
    label_map(folder / "ct.nii", np.zeros(SHAPE, np.int16))
    return folder


def labels(**values):
    array = np.zeros(SHAPE, np.float64)
    for place, value in enumerate(values.values()):
        array[place : place + 2, 3:5, place] = value
    return array


SIX = {f"l{value}": value for value in range(1, 7)}


@pytest.mark.parametrize("table", [False, True])
@pytest.mark.parametrize("value", range(1, 7))
def test_labels_that_a_scale_has_moved_a_little_are_whole(root, value, table):
    array = labels(**SIX)
    made = nibabel.Nifti1Image(array, AFFINE)
    made.set_data_dtype(np.int16)  # saved under a scale: 1.00005, 1.9999999995 ...
    nibabel.save(made, root / "m.nii")
    stored = np.unique(np.asanyarray(nibabel.load(root / "m.nii").dataobj))
    assert (stored != np.rint(stored)).any()
    if table:
        (root / "dataset.json").write_text(json.dumps({"labels": {"background": 0, **SIX}}))
    column = f"mask:r1:l{value}" + ("" if table else f"={value}")
    study = listed(root, f"study,patient,image,{column}\ns,p,ct.nii,m.nii\n")
    np.testing.assert_array_equal(study.masks[0].array, array == value)


@pytest.mark.parametrize("wrong", [0.5, 1.002, 0.37])
def test_values_that_are_not_whole_are_refused(root, wrong):
    array = labels(a=1, b=wrong).astype(np.float32)
    found = mask(label_map(root / "m.nii", array), image_of(root / "ct.nii"), label="a", value=1)
    assert refused(found, "not_readable", "not whole")


def test_0_and_255_under_a_table_that_names_1_is_no_empty_mask(root):
    (root / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "mass": 1}}))
    path = label_map(root / "m.nii", labels(a=255).astype(np.uint8))
    assert refused(mask(path, image_of(root / "ct.nii"), label="mass"), "mask_missing_label", "255")


@pytest.mark.parametrize("top", [255, 65535])
def test_0_and_255_in_a_column_that_states_1_is_no_empty_mask(root, top):
    label_map(root / "m.nii", labels(a=top).astype(np.uint16))
    study = listed(root, "study,patient,image,mask:r1:mass=1\ns,p,ct.nii,m.nii\n")
    assert refused(study, "mask_missing_label", str(top))


def test_what_is_absent_and_what_nobody_names_is_told(root):
    label_map(root / "m.nii", labels(a=1, b=7).astype(np.uint8))
    study = listed(root, "study,patient,image,mask:r1:mass=2\ns,p,ct.nii,m.nii\n")
    assert not study.masks[0].array.any()
    assert study.header["label value (r1, mass)"] == "2 is absent; the mask holds 1, 7"
    both = listed(root, "study,patient,image,mask:r1:mass=1,mask:r1:cyst=7\ns,p,ct.nii,m.nii,m.nii\n")
    assert not [name for name in both.header if name.startswith("values that")]


def test_a_value_beside_the_table_is_told(root):
    (root / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "mass": 1}}))
    path = label_map(root / "m.nii", labels(a=1, b=3).astype(np.uint8))
    found = mask(path, image_of(root / "ct.nii"), label="mass")
    assert (found.marked.sum(), found.header) == (4, {"values that the table does not name": "3"})


def test_a_mask_without_a_background_is_told(root):
    found = mask(label_map(root / "m.nii", np.ones(SHAPE, np.uint8)), image_of(root / "ct.nii"))
    assert found.header == {"mask extent": "the whole image: it holds no 0"}


def test_a_value_with_two_names_is_refused(root):
    path = label_map(root / "m.nii", labels(a=1).astype(np.uint8))
    (root / "dataset.json").write_text('{"labels": {"background": 0, "mass": 1, "cyst": 1}}')
    assert refused(mask(path, image_of(root / "ct.nii"), label="mass"), "not_readable", "twice")
    (root / "dataset.json").write_text('{"labels": {"1": "mass", "1": "cyst"}}')
    assert refused(mask(path, image_of(root / "ct.nii"), label="mass"), "not_readable", "twice")


def labelled(tmp_path, background, numbers, described):
    images = series()
    image = volume(tmp_path / "ct", images)
    array = np.zeros((SHAPE[2], SHAPE[1], SHAPE[0]), np.uint8)
    array[1, 3:5, 2:4], array[2, 6:8, 5:9] = 1, 2
    path = segmentation(tmp_path / "seg.dcm", images, array, ["Mass", "Cyst"], kind="LABELMAP")
    dataset = dcmread(path)
    translate = np.array(numbers, np.uint8)
    dataset.PixelData = translate[dataset.pixel_array].tobytes()
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.SegmentSequence = dataset.SegmentSequence[1:]
    for segment, number in zip(dataset.SegmentSequence, described, strict=True):
        segment.SegmentNumber = number
    if background is None:
        if "PixelPaddingValue" in dataset:
            del dataset.PixelPaddingValue
    else:
        dataset.PixelPaddingValue = background
    dataset.save_as(path)
    return path, image, {"Mass": array == 1, "Cyst": array == 2}


@pytest.mark.parametrize("label", ["Mass", "Cyst"])
@pytest.mark.parametrize(
    ("background", "numbers", "described"),
    [(0, (0, 1, 2), (1, 2)), (None, (0, 1, 2), (1, 2)), (255, (255, 0, 1), (0, 1)), (255, (255, 1, 0), (1, 0))],
)
def test_the_background_of_a_label_map_is_the_one_it_states(tmp_path, label, background, numbers, described):
    path, image, marks = labelled(tmp_path, background, numbers, described)
    found = mask(path, image, label=label)
    np.testing.assert_array_equal(found.marked, marks[label].transpose(2, 1, 0))


def test_a_number_that_no_segment_describes_is_not_dropped(tmp_path):
    path, image, _ = labelled(tmp_path, 0, (0, 1, 7), (1, 2))
    assert mask(path, image, label="mass").header == {"values that the table does not name": "7"}
    assert refused(mask(path, image, label="cyst"), "mask_missing_label", "7")


@pytest.mark.parametrize(
    ("name", "wanted", "taken"),
    [
        ("Segment_1", "nodule", True), ("mask", "nodule", True), ("lung nodule", "nodule", True), ("", "nodule", True),
        ("Tumour 2", "tumor", True), ("External", "nodule", False), ("Background", "nodule", False),
        ("left lung", "left breast mass", False),
    ],
)  # fmt: skip
def test_the_only_segment_is_taken_when_its_name_fits(tmp_path, name, wanted, taken):
    images = series()
    image = volume(tmp_path / "ct", images)
    marks = np.zeros((SHAPE[2], SHAPE[1], SHAPE[0], 1), bool)
    marks[1, 2, 3] = True
    path = segmentation(tmp_path / "seg.dcm", images, marks, [name or "x"])
    if not name:
        dataset = dcmread(path)
        dataset.SegmentSequence[0].SegmentLabel = ""
        dataset.save_as(path)
    found = mask(path, image, label=wanted)
    assert isinstance(found, StudyError) is not taken
    assert taken or refused(found, "mask_missing_label")


@pytest.mark.parametrize(("maximum", "readable"), [(255, True), (230, True), (229, False), (0, False), (None, False)])
def test_shares_of_a_voxel_are_shares(tmp_path, maximum, readable):
    images = series()
    image = volume(tmp_path / "ct", images)
    shares = np.zeros((SHAPE[2], SHAPE[1], SHAPE[0], 1))
    shares[1, 2:5, 3:6], shares[2, 2:5, 3:6] = 0.4, 0.9
    about = {"kind": "FRACTIONAL", "fractional_type": "PROBABILITY"}
    path = segmentation(tmp_path / "seg.dcm", images, shares, ["Mass"], **about)
    dataset = dcmread(path)
    dataset.MaximumFractionalValue = maximum
    dataset.save_as(path)
    found = mask(path, image, label="mass")
    if readable:
        assert found.marked.sum() == 9
    else:
        refused(found, "not_readable", "MaximumFractionalValue")


def test_a_numbered_segment_can_be_chosen(tmp_path):
    images = series()
    save(tmp_path / "archive" / "ct", images)
    marks = np.zeros((SHAPE[2], SHAPE[1], SHAPE[0], 1), bool)
    marks[1, 2, 3] = True
    segmentation(tmp_path / "archive" / "seg.dcm", images, marks, ["ptx"])
    study = listed(tmp_path / "archive", "study,patient,image,mask:r:pneumothorax=1\ns,p,ct,seg.dcm\n")
    assert study.masks[0].array.sum() == 1
