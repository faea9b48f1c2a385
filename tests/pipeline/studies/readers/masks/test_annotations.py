"""Boxes, polygons and run lengths of pictures, against hand-counted pixels and pycocotools."""

import json
from functools import partial

import numpy as np
import pytest

from pipeline.errors import Reason
from pipeline.studies.geometry import Geometry
from pipeline.studies.readers import BUILT_IN, MaskRequest, read_mask
from pipeline.studies.readers.masks import annotations
from pipeline.studies.readers.masks.annotations import image_key
from pipeline.studies.readers.shared.base import ImageFile
from pipeline.studies.readers.shared.run_length import expanded
from pipeline.studies.volume import Volume
from tests.pipeline.studies.writers import refusal

SHAPE = (6, 9)
EXCLUDED = {"excluded": True}


@pytest.fixture
def image():
    return ImageFile(Volume(np.zeros(SHAPE, np.float32), Geometry(SHAPE, np.eye(4))))


def pixels(rows, columns, shape=SHAPE):
    expected = np.zeros(shape, bool)
    expected[rows, columns] = True
    return expected


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


# -- which entry is the image's


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("a.b.nii.gz", "a.b"),
        ("1.2.840.113", "1.2.840.113"),
        ("train/00000013_005.png", "00000013_005"),
        ("x\\y.JPEG", "y"),
        ("1.2.3.dcm", "1.2.3"),
    ],
)
def test_an_images_name_is_its_files_without_folder_and_ending(name, key):
    assert image_key(name, BUILT_IN.image_endings) == key


def boxes(path, *lines, columns="image,label,x_min,y_min,x_max,y_max"):
    return write(path, "\n".join([columns, *lines]) + "\n")


def test_an_image_that_is_not_listed_is_excluded(tmp_path, image):
    path = boxes(tmp_path / "SECRET.csv", "a.png,Nodule,1,1,3,3", "x/b.png,Nodule,1,1,3,3", "y/b.png,Nodule,1,1,3,3")
    for key, found in [("SECRET", 0), (None, 0), ("b", 2)]:
        read = partial(read_mask, path, image, MaskRequest("nodule", key=key))
        words = refusal(Reason.MASK_MISSING_ENTRY, read, **EXCLUDED)
        assert words == (
            f"the mask's file lists 3 images, and {found} of them bear this image's name; "
            "the manifest can state it as path#name"
        )
    for key in ("a", "a.png", "y/b.png"):
        assert read_mask(path, image, MaskRequest("nodule", key=key)).marked.sum() == 4


def test_a_volume_has_no_boxes(tmp_path):
    volume = ImageFile(Volume(np.zeros((6, 9, 2), np.float32), Geometry((6, 9, 2), np.eye(4))))
    path = boxes(tmp_path / "SECRET.csv", "a,Nodule,1,1,3,3")
    refusal(Reason.OTHER_GRID, lambda: read_mask(path, volume, MaskRequest("nodule", key="a")), **EXCLUDED)


# -- boxes


def test_boxes_mark_the_centres_inside_them(tmp_path, image):
    path = boxes(tmp_path / "b.csv", "a.png,Nodule,2,1,5,3", "a.png,nodule,6.4,4.6,8.6,6", "a.png,Mass,0,0,9,6")
    found = read_mask(path, image, MaskRequest("NODULE", key="a"))
    np.testing.assert_array_equal(found.marked, pixels(slice(1, 3), slice(2, 5)) | pixels(5, slice(6, 9)))
    assert found.header == {"mask drawn from": "boxes", "annotation": "box"}


def test_boxes_may_state_their_extent(tmp_path, image):
    path = boxes(tmp_path / "b.csv", "a,2,1,3,2", columns="patientId,x,y,width,height")
    found = read_mask(path, image, MaskRequest("opacity", key="a")).marked
    np.testing.assert_array_equal(found, pixels(slice(1, 3), slice(2, 5)))


def test_a_line_without_a_box_says_that_nothing_is_marked(tmp_path, image):
    path = boxes(tmp_path / "b.csv", "a,No finding,,,,", "b,Nodule,1,1,3,3")
    found = read_mask(path, image, MaskRequest("nodule", key="a"))
    assert (found.marked.any(), found.header) == (False, {})


def test_a_readers_boxes_are_its_own(tmp_path, image):
    columns = "image_id,class_name,rad_id,x_min,y_min,x_max,y_max"
    lines = ("a,Nodule,R8,1,1,3,3", "a,Nodule,R9,4,1,6,3", "a,Nodule,R9,7,4,9,6", "b,Nodule,R10,1,1,3,3")
    path = boxes(tmp_path / "SECRET.csv", *lines, columns=columns)
    found = read_mask(path, image, MaskRequest("nodule", key="a", reader="r9")).marked
    expected = pixels(slice(1, 3), slice(4, 6)) | pixels(slice(4, 6), slice(7, 9))
    np.testing.assert_array_equal(found, expected)
    for reader in ("R10", None):
        read = partial(read_mask, path, image, MaskRequest("nodule", key="a", reader=reader))
        assert "lists 2 readers" in refusal(Reason.MASK_MISSING_ENTRY, read, **EXCLUDED)


def test_boxes_of_another_size_of_image_are_excluded(tmp_path, image):
    columns = "image,x_min,y_min,x_max,y_max,image_width,image_height"
    path = boxes(tmp_path / "SECRET.csv", "a,1,1,3,3,9,6", "b,1,1,3,3,6,9", columns=columns)
    assert read_mask(path, image, MaskRequest("n", key="a")).marked.sum() == 4
    words = refusal(Reason.OTHER_GRID, lambda: read_mask(path, image, MaskRequest("n", key="b")), **EXCLUDED)
    assert words == "the mask was drawn on (9, 6) pixels, the image has (6, 9)"


@pytest.mark.parametrize("line", ["a,n,1,1,10.2,3", "a,n,1,1,3,7.2", "a,n,-1.2,1,3,3", "a,n,1,-1.2,3,3"])
def test_boxes_that_leave_the_image_are_excluded(tmp_path, image, line):
    path = boxes(tmp_path / "SECRET.csv", line)
    words = refusal(Reason.OTHER_GRID, lambda: read_mask(path, image, MaskRequest("n", key="a")), **EXCLUDED)
    assert "the image to [9, 6] (x, y)" in words
    near = boxes(tmp_path / "near.csv", "a,n,-0.9,-0.9,9.9,6.9")
    assert read_mask(near, image, MaskRequest("n", key="a")).marked.all()


def test_a_box_below_a_pixel_is_no_mask(tmp_path, image):
    path = boxes(tmp_path / "SECRET.csv", "a,n,1.6,1.6,2.4,2.4", "b,n,1.6,1.6,2.4,2.4", "b,n,1,1,2,2")
    words = refusal(Reason.MASK_WITHOUT_AREA, lambda: read_mask(path, image, MaskRequest("n", key="a")), **EXCLUDED)
    assert words == "the mask's 1 shapes enclose no pixel's centre"
    found = read_mask(path, image, MaskRequest("n", key="b"))
    assert found.header["shapes smaller than a pixel"] == "1 of 2"


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        ("image,x_min,y_min,x_max", "a,1,1,3"),
        ("SECRET,x_min,y_min,x_max,y_max", "a,1,1,3,3"),
        ("image,x_min,y_min,x_max,y_max", "a,SECRET,1,3,3"),
        ("image,x_min,y_min,x_max,y_max", "a,1,1,3"),
        ("image,x_min,y_min,x_max,y_max", "a,3,1,1,3"),
        ("image,x_min,y_min,x_max,y_max", "a,1,1,nan,3"),
        ("image,x_min,y_min,x_max,y_max,image_width,image_height", "a,1,1,2,2,9,6\na,1,1,2,2,9,7"),
    ],
)
def test_a_damaged_table_is_refused(tmp_path, image, columns, line):
    path = boxes(tmp_path / "SECRET.csv", line, columns=columns)
    refusal(Reason.NOT_READABLE, lambda: read_mask(path, image, MaskRequest(key="a")))


# -- polygons and run lengths by image


L_SHAPE = [[1, 1], [4, 1], [4, 2], [2, 2], [2, 5], [1, 5]]
L_PIXELS = pixels(1, slice(1, 4)) | pixels(slice(2, 5), 1)
RUNS = {"size": [6, 9], "counts": [7, 4, 2, 1, 5, 1, 34]}
"""The same pixels down the columns, counted by hand: (1..4, 1), (1, 2), (1, 3)."""


def test_polygons_of_an_image(tmp_path, image):
    entry = {"img_size": [6, 9], "Nodule": [L_SHAPE, [[6, 1], [9, 1], [9, 4], [6, 4]]], "Mass": []}
    path = write(tmp_path / "p.json", {"a": entry, "b": {"img_size": [6, 9]}})
    found = read_mask(path, image, MaskRequest("nodule", key="a"))
    np.testing.assert_array_equal(found.marked, L_PIXELS | pixels(slice(1, 4), slice(6, 9)))
    assert found.header == {"mask drawn from": "polygons"}
    for label, key in [("mass", "a"), ("nodule", "b")]:
        assert not read_mask(path, image, MaskRequest(label, key=key)).marked.any()


def test_polygons_that_overlap_are_united(tmp_path, image):
    square = [[1, 1], [4, 1], [4, 4], [1, 4]]
    path = write(tmp_path / "p.json", {"a": {"img_size": [6, 9], "n": [square, square]}})
    assert read_mask(path, image, MaskRequest("n", key="a")).marked.sum() == 9


def test_run_lengths_of_an_image(tmp_path, image):
    path = write(tmp_path / "p.json", {"a": {"Nodule": RUNS, "Mass": {"size": [6, 9], "counts": [54]}}})
    found = read_mask(path, image, MaskRequest("nodule", key="a"))
    np.testing.assert_array_equal(found.marked, L_PIXELS)
    assert found.header == {"mask drawn from": "run lengths"}
    assert not read_mask(path, image, MaskRequest("mass", key="a")).marked.any()


def test_the_label_has_to_be_one_that_the_file_knows(tmp_path, image):
    path = write(tmp_path / "SECRET.json", {"a": {"SECRET": RUNS, "Mass": RUNS}, "b": {}})
    words = refusal(
        Reason.MASK_MISSING_LABEL, lambda: read_mask(path, image, MaskRequest("nodule", key="a")), **EXCLUDED
    )
    assert words == "none of the 2 labels of the mask's file is the wanted one"
    words = refusal(Reason.MASK_MISSING_LABEL, lambda: read_mask(path, image, MaskRequest(key="a")), **EXCLUDED)
    assert words == "the mask's file knows 2 labels, and nothing tells which is meant"
    assert not read_mask(path, image, MaskRequest(key="b")).marked.any()
    only = write(tmp_path / "only.json", {"a": {"SECRET": RUNS}})
    np.testing.assert_array_equal(read_mask(only, image, MaskRequest(key="a")).marked, L_PIXELS)


def test_the_size_stated_has_to_be_the_images(tmp_path, image):
    other = {"img_size": [9, 6], "n": []}
    turned = {"n": {"size": [9, 6], "counts": [54]}}
    path = write(tmp_path / "SECRET.json", {"a": other, "b": turned})
    for key in "ab":
        read = partial(read_mask, path, image, MaskRequest("n", key=key))
        words = refusal(Reason.OTHER_GRID, read, **EXCLUDED)
        assert words == "the mask was drawn on (9, 6) pixels, the image has (6, 9)"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"a": {"n": [L_SHAPE]}}, Reason.NO_GEOMETRY),
        ({"a": [1]}, Reason.NOT_READABLE),
        ([1], Reason.NOT_READABLE),
        ("{", Reason.NOT_READABLE),
        ("[" * 100_000, Reason.NOT_READABLE),
        ({"a": {"img_size": [6, 9], "n": [[[1, 2, 3], [1, 2, 3]]]}}, Reason.NOT_READABLE),
        ({"a": {"img_size": [6, 9], "n": [[1, 2, 3]]}}, Reason.NOT_READABLE),
        ({"a": {"img_size": [6, 9], "n": [[[1, float("nan")], [2, 2]]]}}, Reason.NOT_READABLE),
        ({"a": {"n": {"size": [6, 9], "counts": [53]}}}, Reason.NOT_READABLE),
        ({"a": {"n": {"size": [6, 9], "counts": [60, -6]}}}, Reason.NOT_READABLE),
        ({"a": {"n": {"size": [6, 9]}}}, Reason.NOT_READABLE),
    ],
)
def test_damaged_json_is_refused(tmp_path, image, content, reason):
    path = write(tmp_path / "SECRET.json", content)
    refusal(reason, lambda: read_mask(path, image, MaskRequest("n", key="a")))


def test_what_is_no_number_of_pixels_is_refused_in_our_own_words(tmp_path, image):
    path = write(tmp_path / "SECRET.json", {"a": {"img_size": [6, 9], "n": [[[1, float("nan")], [2, 2]]]}})
    words = refusal(Reason.NOT_READABLE, lambda: read_mask(path, image, MaskRequest("n", key="a")))
    assert words == "an outline's 4 numbers are no points in a plane"
    assert "the runs cover 54 pixels" in refusal(Reason.NOT_READABLE, lambda: expanded((6, 9), [60, -6]))


def test_the_size_is_no_label(tmp_path, image):
    path = write(tmp_path / "p.json", {"a": {"img_size": [6, 9], "Nodule": [L_SHAPE]}})
    np.testing.assert_array_equal(read_mask(path, image, MaskRequest(key="a")).marked, L_PIXELS)


def test_a_file_too_large_is_refused(tmp_path, image, monkeypatch):
    path = write(tmp_path / "SECRET.json", {"a": {"n": RUNS}})
    monkeypatch.setattr(annotations, "_CAP", 10)
    refusal(Reason.TOO_LARGE, lambda: read_mask(path, image, MaskRequest("n", key="a")))


def test_a_file_that_changes_is_read_again(tmp_path, image):
    path = write(tmp_path / "p.json", {"a": {"n": RUNS}})
    assert read_mask(path, image, MaskRequest("n", key="a")).marked.any()
    write(path, {"a": {"n": {"size": [6, 9], "counts": [54]}}})
    assert not read_mask(path, image, MaskRequest("n", key="a")).marked.any()


# -- COCO


def coco(path, *annotations):
    content = {
        "info": {},
        "images": [
            {"id": 3, "file_name": "x/a.png", "height": 6, "width": 9},
            {"id": 4, "file_name": "x/b.png", "height": 9, "width": 6},
        ],
        "annotations": [{"id": number, **one} for number, one in enumerate(annotations)],
        "categories": [{"id": 1, "name": "Nodule"}, {"id": 2, "name": "Mass"}],
    }
    return write(path, content)


FLAT = [value for point in L_SHAPE for value in point]


@pytest.mark.parametrize(
    ("annotation", "expected", "form"),
    [
        ({"bbox": [2, 1, 3, 2]}, pixels(slice(1, 3), slice(2, 5)), "boxes"),
        ({"bbox": [2, 1, 3, 2], "segmentation": []}, pixels(slice(1, 3), slice(2, 5)), "boxes"),
        ({"bbox": [0, 0, 9, 6], "segmentation": [FLAT]}, L_PIXELS, "polygons"),
        ({"bbox": [0, 0, 9, 6], "segmentation": RUNS, "iscrowd": 1}, L_PIXELS, "run lengths"),
    ],
)
def test_coco_annotations(tmp_path, image, annotation, expected, form):
    named = {"image_id": 3, "category_id": 1, **annotation}
    others = [
        {"image_id": 3, "category_id": 2, "bbox": [0, 0, 9, 6]},
        {"image_id": 4, "category_id": 1, "bbox": [0, 0, 1, 1]},
    ]
    path = coco(tmp_path / "c.json", named, *others)
    found = read_mask(path, image, MaskRequest("nodule", key="a"))
    np.testing.assert_array_equal(found.marked, expected)
    assert found.header == {"mask drawn from": form} | ({"annotation": "box"} if form == "boxes" else {})


def test_a_coco_image_without_annotations_is_empty_and_of_another_size_excluded(tmp_path, image):
    path = coco(tmp_path / "SECRET.json")
    assert not read_mask(path, image, MaskRequest("nodule", key="a")).marked.any()
    refusal(Reason.OTHER_GRID, lambda: read_mask(path, image, MaskRequest("nodule", key="b")), **EXCLUDED)
    refusal(Reason.MASK_MISSING_LABEL, lambda: read_mask(path, image, MaskRequest("effusion", key="a")), **EXCLUDED)


# -- run lengths


def test_compressed_runs_by_hand():
    """Counts 2 3 1 (the third from the start on: less the last but one), each five bits and an offset of 48."""
    text = "".join(chr(48 + value) for value in (2, 3, 1, 0b11110))  # the fourth: 1 - 3 = -2 in five bits
    np.testing.assert_array_equal(expanded((7, 1), text)[:, 0], [0, 0, 1, 1, 1, 0, 1])


@pytest.mark.parametrize("seed", range(4))
def test_runs_are_pycocotools(seed):
    peer = pytest.importorskip("pycocotools.mask")
    random = np.random.default_rng(seed)
    shape = (int(random.integers(1, 400)), int(random.integers(1, 400)))
    mask = random.random(shape) < random.choice([0.001, 0.5, 0.99])
    mask[: shape[0] // 2] ^= True
    encoded = peer.encode(np.asfortranarray(mask.astype(np.uint8)))
    np.testing.assert_array_equal(expanded(shape, encoded["counts"].decode()), mask)


@pytest.mark.parametrize(
    ("counts", "reason"), [("P", Reason.TRUNCATED), ("\x10", Reason.NOT_READABLE), ("P" * 9 + "0", Reason.NOT_READABLE)]
)
def test_damaged_runs_are_refused(counts, reason):
    refusal(reason, lambda: expanded((6, 9), counts))
