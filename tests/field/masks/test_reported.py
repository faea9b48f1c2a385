"""Masks as people have reported them in public threads, rebuilt; each names its thread."""

import copy
import gzip
import json

import nibabel
import nrrd
import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.uid import generate_uid

from tests.field.making import AFFINE, RAMP, SHAPE, image_of, label_map, listed, mask, refused, scanned, series, volume
from tests.pipeline.studies.readers.masks.test_rtstruct import circle, structure_set
from tests.pipeline.studies.writers import save, segmentation

MARKS = np.zeros(SHAPE, np.uint8)
MARKS[2:5, 3:6, 1:4] = 1
RNG = np.random.default_rng(9)


def drawn(images, path, marks=MARKS, names=("Mass",)):
    """Write a segmentation of these slices and return its path; ``marks`` are (column, row, slice)."""
    return segmentation(path, images, marks.transpose(2, 1, 0)[..., None].astype(bool), list(names))


# values


@pytest.mark.parametrize("table", [True, False])
def test_an_image_in_the_place_of_a_label_map(tmp_path, table):
    """nnU-Net issue 1007: the CT itself lies in labelsTr."""
    if table:
        (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "mass": 1}}))
    path = label_map(tmp_path / "m.nii", RAMP - 1024)
    found = mask(path, image_of(label_map(tmp_path / "ct.nii", RAMP)), label="mass")
    assert not hasattr(found, "marked") or "values that the table does not name" in found.header


def test_a_mask_with_soft_edges(tmp_path):
    """nnU-Net issue 2404: a PNG of 256 values, resized with interpolation, under the labels 0 and 1."""
    Image.fromarray(np.zeros((20, 30), np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.tile(np.arange(30, dtype=np.uint8) * 8, (20, 1))).save(tmp_path / "m.png")
    assert refused(mask(tmp_path / "m.png", image_of(tmp_path / "a.png"), label="mass"), "unsupported_format", "values")


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int32, np.uint16, np.int8])
def test_labels_in_any_number_type(tmp_path, kind):
    """nnU-Net issues 2868 and 2029: labels stored as floating-point numbers."""
    path = label_map(tmp_path / "m.nii", (MARKS * 14).astype(kind))
    found = mask(path, image_of(label_map(tmp_path / "ct.nii", RAMP)), label="spine", value=14)
    np.testing.assert_array_equal(found.marked, MARKS > 0)


def test_a_label_that_a_table_skips(tmp_path):
    """nnU-Net issue 1183: BraTS' label 4 under a table of 1, 2 and 3."""
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "core": 1, "edema": 2, "et": 3}}))
    path = label_map(tmp_path / "m.nii", MARKS * 4)
    image = image_of(label_map(tmp_path / "ct.nii", RAMP))
    assert refused(mask(path, image, label="et"), "mask_missing_label", "4")


# background


def test_a_label_map_whose_background_is_described(tmp_path):
    """highdicom writes segment 0 as Background in a label map: it is no segment to be wanted."""
    images = series()
    image = volume(tmp_path / "ct", images)
    path = segmentation(tmp_path / "m.dcm", images, MARKS.transpose(2, 1, 0), ["Mass"], kind="LABELMAP")
    assert mask(path, image).marked.sum() == MARKS.sum()
    refused(mask(path, image, label="background"), "mask_missing_label")


def test_a_mask_of_the_healthy_tissue(tmp_path):
    """A mask that was saved the other way round: nothing in the file says so, but that it holds no 0."""
    path = label_map(tmp_path / "m.nii", np.full(SHAPE, 255, np.uint8))
    found = mask(path, image_of(label_map(tmp_path / "ct.nii", RAMP)), label="mass")
    assert "whole image" in found.header["mask extent"]


# lengths


def test_gzip_members_one_after_another(tmp_path):
    """bgzip and some pipelines write a .nii.gz as several gzip members (nibabel and zlib read all of them)."""
    content = label_map(tmp_path / "m.nii", MARKS).read_bytes()
    (tmp_path / "m.nii.gz").write_bytes(gzip.compress(content[:700]) + gzip.compress(content[700:]))
    image = image_of(label_map(tmp_path / "ct.nii", RAMP))
    np.testing.assert_array_equal(mask(tmp_path / "m.nii.gz", image).marked, MARKS > 0)
    (tmp_path / "m.nii.gz").write_bytes(gzip.compress(content[:700]))
    refused(mask(tmp_path / "m.nii.gz", image), "truncated")
    (tmp_path / "m.nii.gz").write_bytes(gzip.compress(content) + gzip.compress(content))
    refused(mask(tmp_path / "m.nii.gz", image), "not_readable", "longer")


@pytest.mark.parametrize("change", [-1, 1, 40])
def test_an_nrrd_of_another_length(tmp_path, change):
    about = {"space": "right-anterior-superior", "space directions": AFFINE[:3, :3].T, "space origin": AFFINE[:3, 3]}
    nrrd.write(str(tmp_path / "m.nrrd"), MARKS, {**about, "kinds": ["domain"] * 3, "encoding": "raw"})
    content = (tmp_path / "m.nrrd").read_bytes()
    (tmp_path / "m.nrrd").write_bytes(content[:change] if change < 0 else content + bytes(change))
    found = mask(tmp_path / "m.nrrd", image_of(label_map(tmp_path / "ct.nii", RAMP)))
    assert found.reason in ("truncated", "not_readable")


def test_more_frames_than_are_announced(tmp_path):
    """dcmjs issue 66's kin: NumberOfFrames was not raised with the frames."""
    images = series()
    image, path = volume(tmp_path / "ct", images), drawn(images, tmp_path / "m.dcm")
    dataset = dcmread(path)
    dataset.NumberOfFrames = int(dataset.NumberOfFrames) - 1
    dataset.save_as(path)
    refused(mask(path, image), "not_readable")


# keys


def test_two_annotations_of_one_id(tmp_path):
    """COCO files merged without new numbers: the annotations' ids say nothing of whose they are; all are drawn."""
    Image.fromarray(np.zeros((20, 30), np.uint8)).save(tmp_path / "a.png")
    shapes = [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": box, "iscrowd": 0} for box in ([2, 2, 4, 4], [9, 9, 3, 3])
    ]
    content = {"images": [{"id": 1, "file_name": "a.png", "height": 20, "width": 30}], "annotations": shapes}
    (tmp_path / "c.json").write_text(json.dumps({**content, "categories": [{"id": 1, "name": "mass"}]}))
    assert mask(tmp_path / "c.json", image_of(tmp_path / "a.png"), label="mass", key="a").marked.sum() == 25


@pytest.mark.parametrize("name", ["Segment0_Name", "Segment0_LabelValue"])
def test_a_key_that_stands_twice_in_an_nrrd(tmp_path, name):
    about = {"space": "right-anterior-superior", "space directions": AFFINE[:3, :3].T, "space origin": AFFINE[:3, 3]}
    segments = {"Segment0_ID": "S", "Segment0_Name": "mass", "Segment0_LabelValue": "1", "Segment0_Layer": "0"}
    nrrd.write(str(tmp_path / "m.seg.nrrd"), MARKS, {**about, "kinds": ["domain"] * 3, "encoding": "raw", **segments})
    content = (tmp_path / "m.seg.nrrd").read_bytes()
    at = content.index(name.encode())
    (tmp_path / "m.seg.nrrd").write_bytes(content[:at] + name.encode() + b":=7\n" + content[at:])
    refused(mask(tmp_path / "m.seg.nrrd", image_of(label_map(tmp_path / "ct.nii", RAMP)), label="mass"), "not_readable")


# references


@pytest.mark.parametrize("flip", [1, -1])
@pytest.mark.parametrize("order", [1, -1])
def test_a_ct_whose_columns_run_the_other_way(tmp_path, flip, order):
    """TotalSegmentator PR 598 and highdicom issues 117 and 330: a negated axis, frames in another order than slices."""
    affine = AFFINE @ np.diag([1, flip, 1, 1])
    images = series(RAMP, affine)
    image = volume(tmp_path / "ct", images)
    path = drawn(images, tmp_path / "m.dcm")
    dataset = dcmread(path)
    frames = dataset.pixel_array[::order]
    dataset.PerFrameFunctionalGroupsSequence = list(dataset.PerFrameFunctionalGroupsSequence)[::order]
    dataset.PixelData = np.packbits(frames.ravel(), bitorder="little").tobytes()
    dataset.PixelData += b"\0" * (len(dataset.PixelData) % 2)
    dataset.save_as(path)
    along = slice(None, None, flip)  # slices are stacked along their normal, which turns with the columns
    np.testing.assert_array_equal(image.volume.array, RAMP[..., along])
    np.testing.assert_array_equal(mask(path, image).marked, MARKS[..., along] > 0)


def test_a_segment_with_slices_left_out_between(tmp_path):
    """OHIF issue 2833: empty frames inside of a segment are not stored."""
    images = series()
    marks = MARKS.copy()
    marks[..., 2] = 0
    np.testing.assert_array_equal(
        mask(drawn(images, tmp_path / "m.dcm", marks), volume(tmp_path / "ct", images)).marked, marks > 0
    )


def test_a_segmentation_beside_the_field_of_view(tmp_path):
    """lidc2dicom issue 9: the signs of x and y were lost when the orientation was written."""
    images = series()
    path = drawn(images, tmp_path / "m.dcm")
    dataset = dcmread(path)
    shared = dataset.SharedFunctionalGroupsSequence[0]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = [-1, 0, 0, 0, -1, 0]
    dataset.save_as(path)
    refused(mask(path, volume(tmp_path / "ct", images)), "other_grid")


def test_a_segmentation_without_a_series_but_with_a_frame_of_reference(tmp_path):
    """OHIF issue 4030: no ReferencedSeriesSequence; the frame of reference ties it to the MR."""
    images, frame = series(), generate_uid()
    for image in images:
        image.FrameOfReferenceUID = frame
    save(tmp_path / "a" / "mr", images)
    path = drawn(images, tmp_path / "a" / "seg.dcm")
    dataset = dcmread(path)
    dataset.FrameOfReferenceUID = frame
    for name in ("ReferencedSeriesSequence", "SourceImageSequence"):
        if name in dataset:
            delattr(dataset, name)
    for group in dataset.PerFrameFunctionalGroupsSequence:
        if "DerivationImageSequence" in group:
            del group.DerivationImageSequence
    dataset.save_as(path)
    (study,), _, numbers = scanned(tmp_path / "a")
    assert (numbers.masks_used, [int(mask.array.sum()) for mask in study.masks]) == (1, [27])


@pytest.mark.parametrize("noise", [1e-4, 1e-2, 0.3])
def test_contours_a_little_beside_their_slices(tmp_path, noise):
    """OHIF issue 3651: contours that lie a rounding error off their slices are on them."""
    image = volume(tmp_path / "ct", series(np.zeros((40, 40, 5), np.int16)))
    paths = []
    for name, add in (("exact", 0.0), ("off", noise)):
        path = structure_set(tmp_path / f"{name}.dcm", [("Mass", [circle(20, 20, 2, 5)])], AFFINE)
        dataset = dcmread(path)
        for contour in dataset.ROIContourSequence[0].ContourSequence:
            points = np.array(contour.ContourData, float).reshape(-1, 3)
            contour.ContourData = [f"{value:.5f}" for value in (points + np.array([0, 0, add])).ravel()]
        dataset.save_as(path)
        paths.append(mask(path, image, label="mass"))
    np.testing.assert_array_equal(paths[0].marked, paths[1].marked)
    assert ("contours off their slices" in paths[1].header) is (noise > 0.1)


def test_a_structure_set_without_any_image_named(tmp_path):
    """OHIF issue 2063: no ContourImageSequence, points beside closed contours; the positions tell."""
    image = volume(tmp_path / "ct", series(np.zeros((40, 40, 5), np.int16)))
    path = structure_set(tmp_path / "rt.dcm", [("Mass", [circle(20, 20, 2, 5)])], AFFINE)
    dataset = dcmread(path)
    contours = dataset.ROIContourSequence[0].ContourSequence
    point = copy.deepcopy(contours[0])
    point.ContourGeometricType, point.NumberOfContourPoints, point.ContourData = "POINT", 1, contours[0].ContourData[:3]
    contours.append(point)
    for contour in contours:
        if "ContourImageSequence" in contour:
            del contour.ContourImageSequence
    dataset.save_as(path)
    found = mask(path, image, label="mass")
    assert found.marked.any()
    assert found.header["contours left out"] == "1 POINT"


def test_a_segmentation_and_a_mask_file_of_one_image(tmp_path):
    """A SEG and a NIfTI of it side by side, as converters leave them: two columns, not one reader's parts."""
    images = series()
    save(tmp_path / "a" / "ct", images)
    drawn(images, tmp_path / "a" / "ct_seg.dcm")
    label_map(tmp_path / "a" / "ct_seg.nii", MARKS)
    _, rows, numbers = scanned(tmp_path / "a")
    assert numbers.masks_used == 2
    assert len({mask.reader for mask in rows[0].masks}) == 2


# strictness


@pytest.mark.parametrize("shift", [1e-7, 1e-5, 1e-3])
def test_a_mask_whose_header_was_rounded(tmp_path, shift):
    """nnU-Net issues 1913 and 1287: origins that differ in the last digits that a tool writes."""
    image = image_of(label_map(tmp_path / "ct.nii", RAMP))
    affine = AFFINE.copy()
    affine[:3, 3] += shift
    np.testing.assert_array_equal(mask(label_map(tmp_path / "m.nii", MARKS, affine), image).marked, MARKS > 0)


@pytest.mark.parametrize("text", ["0.99999999999999", "1.0000000000001", "-2.0510349e-10"])
def test_directions_with_the_noise_of_a_scanner(tmp_path, text):
    """MONAILabel issue 1336: ImageOrientationPatient of 0.9999999 and 1e-10 beside a mask on a clean grid."""
    images = series()
    for image in images:
        image.ImageOrientationPatient = [text if "e-" not in text else 1, text if "e-" in text else 0, 0, 0, 1, 0]
    image = volume(tmp_path / "ct", images)
    assert mask(label_map(tmp_path / "m.nii", MARKS), image).marked.sum() == 27


def test_two_forms_that_differ_in_the_last_digit(tmp_path):
    """itk-snap and nibabel threads: sform and qform of one file that were rounded apart."""
    made = nibabel.Nifti1Image(MARKS, AFFINE)
    made.header.set_xyzt_units("mm")
    made.set_sform(AFFINE + np.diag([1e-6, 0, 0, 0]), 1)
    made.set_qform(AFFINE, 1)
    nibabel.save(made, tmp_path / "m.nii")
    assert mask(tmp_path / "m.nii", image_of(label_map(tmp_path / "ct.nii", RAMP))).marked.sum() == 27


# several masks


def test_masks_of_one_reader_that_overlap_are_counted_once(tmp_path):
    for name in ("m.nii", "n.nii"):
        label_map(tmp_path / "a" / name, MARKS)
    label_map(tmp_path / "a" / "ct.nii", RAMP)
    study = listed(tmp_path / "a", "study,patient,image,mask:r:mass\ns,p,ct.nii,m.nii;n.nii\n")
    assert [int(mask.array.sum()) for mask in study.masks] == [27]


def test_a_part_that_is_missing_leaves_no_half_mask(tmp_path):
    label_map(tmp_path / "a" / "m.nii", MARKS)
    label_map(tmp_path / "a" / "ct.nii", RAMP)
    study = listed(tmp_path / "a", "study,patient,image,mask:r:mass\ns,p,ct.nii,m.nii;gone.nii\n")
    assert (study.masks, [fault.reason for fault in study.mask_faults]) == ((), ["missing_file"])
