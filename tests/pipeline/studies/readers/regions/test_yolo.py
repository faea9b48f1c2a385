"""YOLO's regions, counted by hand and by another rasteriser; and where its classes are named."""

import numpy as np
import pytest

from pipeline.errors import Reason
from pipeline.studies.readers.shared.sidecars import sidecar_of
from tests.pipeline.studies.readers.regions.pictures import in_outline, read, rows_of, star, write
from tests.pipeline.studies.writers import refusal

BOX = "1 0.5 0.5 0.333333 0.666667"  # columns 3 to 5, rows 1 to 4


def yolo(folder, *lines, names="mass\nnodule\n"):
    if names is not None:
        write(folder / "classes.txt", names)
    return write(folder / "a.txt", "\n".join([*lines, ""]))


def test_a_box_by_hand(tmp_path):
    mask = read(yolo(tmp_path, BOX, "0 0.5 0.5 1 1"))
    assert rows_of(mask.marked) == [".........", *["...###..."] * 4, "........."]
    assert mask.header == {
        "mask drawn from": "boxes", "annotation": "box", "coordinates": "shares of the image's width and height"
    }  # fmt: skip


def test_outlines_are_those_of_another_rasteriser(tmp_path):
    size = (61, 83)
    points = star(np.random.default_rng(3), size)
    shares = points / (size[1], size[0])
    path = yolo(tmp_path, "1 " + " ".join(f"{share:.9f}" for share in shares.ravel()))
    np.testing.assert_array_equal(read(path, shape=size).marked, in_outline(points, size))
    assert "annotation" not in read(path, shape=size).header


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("data.yaml", "names: [mass, nodule]\n"),
        ("data.yaml", "path: x\nnames:\n  0: mass\n  1: Nodule\n"),
        ("classes.txt", "mass\nNODULE"),
        ("../../data.yaml", "names: [mass, nodule]"),
    ],
)
def test_classes_are_named_beside_or_above(tmp_path, name, content):
    folder = tmp_path / "labels" / "train"
    path = yolo(folder, BOX, names=None)
    named = write((folder / name).resolve(), content)
    assert read(path).marked.sum() == 12
    assert sidecar_of(path) == named  # counts in the study's digest


def test_without_names_a_number_is_stated_or_the_mask_refused(tmp_path):
    path = yolo(tmp_path, BOX, "0 0.5 0.5 1 1", names=None)
    refusal(Reason.MASK_MISSING_LABEL, lambda: read(path), excluded=True)
    assert read(path, value=1).marked.sum() == 12
    assert read(path, value=0).marked.sum() == 54
    assert not read(path, value=7).marked.any()


def test_a_file_without_a_byte_says_that_nothing_is_marked_and_is_told(tmp_path):
    yolo(tmp_path)
    (tmp_path / "a.txt").write_bytes(b"")
    mask = read(tmp_path / "a.txt")
    assert (mask.marked.any(), mask.header) == (False, {"annotation": "an empty file: nothing marked"})


def test_an_empty_file_is_an_empty_mask_and_another_class_is_missing(tmp_path):
    empty = yolo(tmp_path, "", names="mass\nnodule")
    assert not read(empty).marked.any()
    refusal(Reason.MASK_MISSING_LABEL, lambda: read(empty, "cyst"), excluded=True)
    assert not read(yolo(tmp_path, "0 0.5 0.5 1 1")).marked.any()
    refusal(Reason.MASK_MISSING_LABEL, lambda: read(yolo(tmp_path, "5 0.5 0.5 1 1")), excluded=True)


@pytest.mark.parametrize(
    "line",
    [
        "1 0,5 0,5 0,3 0,6",
        "1 0.5 0.5 0.3 0.6 0.99",
        "1 0.5 0.5 0.3",
        "1 nan 0.5 0.3 0.6",
        "1 inf 0.5 0.3 0.6",
        "1 0.5 0.5 -0.3 0.6",
        "1.5 0.5 0.5 0.3 0.6",
        "-1 0.5 0.5 0.3 0.6",
        "1 4.5 1.5 3 4",
        "1 1e400 0.5 0.3 0.6",
        "nodule 0.5 0.5 0.3 0.6",
        "this is a SECRET",
        "1 \u0660.\u0665 0.5 0.3 0.6",
    ],
)
def test_what_is_no_region_is_refused(tmp_path, line):
    words = refusal(Reason.NOT_READABLE, lambda: read(yolo(tmp_path, BOX, line)))
    assert ("comma" in words) == ("0,5" in line)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("data.yaml", "names: 3"),
        ("data.yaml", "{{SECRET"),
        ("data.yaml", "SECRET"),
        ("data.yaml", "names: {0: a, 0: b}"),
        ("data.yaml", "names: [nodule, Nodule]"),
        ("data.yaml", "a: &a [x, x]\nb: &b [*a, *a]\nnames: [*b]"),
        ("data.yaml", "names: !!python/object/apply:os.system [true]"),
        ("classes.txt", "mass\n\nnodule"),
        ("classes.txt", "\n"),
    ],
)
def test_a_file_that_names_no_classes_is_refused(tmp_path, name, content):
    path = yolo(tmp_path, BOX, names=None)
    write(tmp_path / name, content)
    refusal(Reason.NOT_READABLE, lambda: read(path))


def test_key_points_are_refused_and_a_turned_box_is_an_outline(tmp_path):
    path = yolo(tmp_path, "1 0.2 0.2 0.6 0.2 0.6 0.8 0.2 0.8", names=None)
    write(tmp_path / "data.yaml", "names: [mass, nodule]")
    assert read(path).marked.sum() == 12
    write(tmp_path / "data.yaml", "names: [mass, nodule]\nkpt_shape: [2, 2]")
    refusal(Reason.UNSUPPORTED_FORMAT, lambda: read(path))


def test_a_box_over_the_edge_by_rounding_is_cut_and_a_slim_one_has_no_area(tmp_path):
    assert read(yolo(tmp_path, "1 0.999999 0.5 0.2 1.0")).marked.sum() == 6
    refusal(Reason.MASK_WITHOUT_AREA, lambda: read(yolo(tmp_path, "1 0.5 0.5 0 1")), excluded=True)
