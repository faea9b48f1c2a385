"""The exact number of bytes, and keys that stand once."""

import copy
import json

import nibabel
import nrrd
import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from tests.field.making import AFFINE, RAMP, SHAPE, film, image_of, label_map, mask, refused, series, volume
from tests.pipeline.studies.readers.masks.test_rtstruct import circle, structure_set
from tests.pipeline.studies.writers import save, segmentation


def bits(marks):
    return np.packbits(marks.ravel(), bitorder="little").tobytes()


def one_bit(tmp_path, frames, rows, columns):
    """Return an image, the path of its segmentation with one marked frame a slice, and the marks."""
    array = np.zeros((columns, rows, frames), np.int16)
    images = series(array)
    image = volume(tmp_path / "ct", images)
    marks = np.zeros((frames, rows, columns, 1), bool)
    for index in range(frames):
        marks[index, 1 + index % 2 : rows - 1, 1 : columns - 2] = True
    return image, segmentation(tmp_path / "seg.dcm", images, marks, ["Mass"]), marks[..., 0]


@pytest.mark.parametrize("size", [(6, 14, 11), (9, 7, 5), (5, 3, 3), (4, 8, 8)])
def test_frames_in_bytes_of_their_own_do_not_slip(tmp_path, size):
    image, path, marks = one_bit(tmp_path, *size)
    frames = dcmread(path).pixel_array  # in the order of the file
    for pixels in (bits(frames), b"".join(map(bits, frames))):
        dataset = dcmread(path)
        dataset.PixelData = pixels + b"\0" * (len(pixels) % 2)
        dataset.save_as(path)
        np.testing.assert_array_equal(mask(path, image).marked, marks.transpose(2, 1, 0))


def test_a_length_that_fits_both_ways_is_refused(tmp_path):
    image, path, _ = one_bit(tmp_path, 2, 5, 4)
    dataset = dcmread(path)
    dataset.PixelData = bits(dataset.pixel_array) + b"\0"
    dataset.save_as(path)
    assert refused(mask(path, image), "not_readable", "PixelData")


@pytest.mark.parametrize("more", [2, 20, 200])
def test_a_length_that_fits_no_way_is_refused(tmp_path, more):
    image, path, marks = one_bit(tmp_path, 6, 14, 11)
    dataset = dcmread(path)
    dataset.PixelData = bits(marks) + bytes(more + len(bits(marks)) % 2 + 8)
    dataset.save_as(path)
    assert refused(mask(path, image), "not_readable", "PixelData")


@pytest.mark.parametrize("extra", [RAMP[..., 0].tobytes(), b"\1\2"])
def test_pixels_behind_those_announced_are_refused(tmp_path, extra):
    images = series()
    images[2].PixelData += extra
    assert refused(image_of(save(tmp_path, images)), "not_readable", "PixelData holds")


def test_zeros_behind_the_pixels_are_told(tmp_path):
    images = series()
    images[2].PixelData += bytes(10)
    image = volume(tmp_path, images)
    assert image.header["bytes behind the pixels"] == "10, all 0"
    np.testing.assert_array_equal(image.volume.array, RAMP)


def test_frames_that_nobody_announces_are_refused(tmp_path):
    path = film(tmp_path / "us.dcm", np.zeros((4, 6), np.uint8))
    dataset = dcmread(path)
    dataset.PixelData = bytes(4 * 6 * 3)
    dataset.save_as(path)
    assert refused(image_of(path), "not_readable", "72 bytes")


def test_a_nifti_longer_than_it_says_is_refused(tmp_path):
    path = label_map(tmp_path / "a.nii", RAMP)
    content = path.read_bytes()
    path.write_bytes(content + bytes(32))
    assert refused(image_of(path), "not_readable", "longer")
    header = nibabel.Nifti1Header.from_fileobj(path.open("rb"))
    header["vox_offset"] = 336
    path.write_bytes(header.binaryblock + content[348:])
    assert refused(image_of(path), "not_readable", "vox_offset")


def picture(tmp_path):
    Image.fromarray(np.zeros((20, 30), np.uint8)).save(tmp_path / "a.png")
    return image_of(tmp_path / "a.png")


def coco(path, images, annotations, categories=((1, "mass"),)):
    content = {
        "images": [{"id": number, "file_name": name, "height": 20, "width": 30} for number, name in images],
        "categories": [{"id": number, "name": name} for number, name in categories],
        "annotations": [
            {"id": number, "image_id": image, "category_id": 1, "bbox": box, "iscrowd": 0}
            for number, (image, box) in enumerate(annotations)
        ],
    }
    path.write_text(json.dumps(content))
    return path


BOX = [2, 2, 4, 4]


@pytest.mark.parametrize(
    ("images", "categories", "key"),
    [
        ([(1, "a.png"), (1, "b.png")], [(1, "mass")], "images' id"),
        ([(1, "a.png"), (2, "a.png")], [(1, "mass")], "file_name"),
        ([(1, "a.png"), (2, "b.png")], [(1, "mass"), (1, "cyst")], "categories' id"),
    ],
)
def test_merged_coco_files_are_refused_by_the_key(tmp_path, images, categories, key):
    path = coco(tmp_path / "c.json", images, [(1, BOX)], categories)
    assert refused(mask(path, picture(tmp_path), label="mass", key="a"), "not_readable", key)


def test_shapes_of_no_image_are_told(tmp_path):
    path = coco(tmp_path / "c.json", [(1, "a.png")], [(1, BOX), (9, BOX)])
    found = mask(path, picture(tmp_path), label="mass", key="a")
    assert (found.marked.sum(), found.header["shapes of images that the file does not list"]) == (16, "1")


def test_a_json_key_that_stands_twice_is_refused(tmp_path):
    path = tmp_path / "p.json"
    path.write_text('{"a": {"img_size": [20, 30], "mass": []}, "a": {"img_size": [20, 30], "mass": []}}')
    assert refused(mask(path, picture(tmp_path), label="mass", key="a"), "not_readable", "twice")


@pytest.mark.parametrize("content", ['{"images": 1}', '{"images": [[]], "categories": [], "annotations": []}', "[1]"])
def test_json_of_another_make_is_refused_in_words(tmp_path, content):
    (tmp_path / "c.json").write_text(content)
    assert refused(mask(tmp_path / "c.json", picture(tmp_path), label="mass", key="a"), "not_readable")


def test_segments_of_one_number_are_refused(tmp_path):
    image, path, _ = one_bit(tmp_path, 4, 8, 8)
    dataset = dcmread(path)
    dataset.SegmentSequence.append(copy.deepcopy(dataset.SegmentSequence[0]))
    dataset.save_as(path)
    assert refused(mask(path, image), "not_readable", "SegmentNumber")


@pytest.mark.parametrize("where", ["StructureSetROISequence", "ROIContourSequence"])
def test_structures_of_one_number_are_refused(tmp_path, where):
    image = volume(tmp_path / "ct", series(np.zeros((40, 40, 5), np.int16)))
    path = structure_set(tmp_path / "rt.dcm", [("Mass", [circle(20, 20, 2, 5)])], AFFINE)
    dataset = dcmread(path)
    dataset[where].value.append(copy.deepcopy(dataset[where].value[0]))
    dataset.save_as(path)
    assert refused(mask(path, image), "not_readable", "ROINumber")


def test_slicer_segments_of_one_value_are_refused(tmp_path):
    image = image_of(label_map(tmp_path / "ct.nii", RAMP))
    header = {f"Segment{n}_{key}": value for n in (0, 1) for key, value in (("Name", f"s{n}"), ("LabelValue", "1"))}
    header |= {"space": "right-anterior-superior", "kinds": ["domain"] * 3, "space directions": AFFINE[:3, :3].T}
    nrrd.write(str(tmp_path / "m.seg.nrrd"), np.ones(SHAPE, np.uint8), header | {"space origin": AFFINE[:3, 3]})
    assert refused(mask(tmp_path / "m.seg.nrrd", image, label="s0"), "not_readable", "LabelValue")


@pytest.mark.parametrize("equal", [True, False])
def test_two_frames_of_one_segment_on_one_slice_are_told(tmp_path, equal):
    """Two readers' frames merged under one segment number, or one frame written twice."""
    image, path, marks = one_bit(tmp_path, 4, 8, 8)
    dataset = dcmread(path)
    frames = dataset.pixel_array
    second = frames[1].copy()
    second[0, 0] = not equal
    dataset.PerFrameFunctionalGroupsSequence.append(copy.deepcopy(dataset.PerFrameFunctionalGroupsSequence[1]))
    dataset.NumberOfFrames = 5
    dataset.PixelData = bits(np.concatenate([frames, second[None]]))
    dataset.save_as(path)
    found = mask(path, image, label="mass")
    assert found.header["frames of one segment in one place"] == "1, united with the first there"
    assert found.marked.sum() == marks.sum() + (not equal)


def test_frames_of_two_segments_on_one_slice_are_not_told(tmp_path):
    images = series(np.zeros((8, 8, 4), np.int16))
    image = volume(tmp_path / "ct", images)
    marks = np.zeros((4, 8, 8, 2), bool)
    marks[1:3, 2:5, 2:5] = True
    path = segmentation(tmp_path / "seg.dcm", images, marks, ["Mass", "Mass"])
    found = mask(path, image, label="mass")
    assert (found.marked.sum(), dict(found.header)) == (18, {})
