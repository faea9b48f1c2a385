"""LabelMe's shapes against pixels counted by hand and another rasteriser."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import Reason
from tests.pipeline.studies.readers.regions.pictures import in_outline, read, rows_of, star, write
from tests.pipeline.studies.writers import refusal


def shape(kind, points, label="nodule", **more):
    return {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}, **more}


def labelme(path, *shapes, **head):
    content = {
        "version": "5.4.1", "flags": {}, "shapes": list(shapes), "imagePath": "..\\SECRET\\a.png", "imageData": None,
        "imageHeight": 6, "imageWidth": 9, **head,
    }  # fmt: skip
    return write(path, {key: value for key, value in content.items() if value != "absent"})


def png(array):
    file = io.BytesIO()
    Image.fromarray(array).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()


def test_shapes_by_hand(tmp_path):
    path = labelme(
        tmp_path / "a.json",
        shape("polygon", [[0, 0], [4, 0], [4, 2], [2, 2], [2, 4], [0, 4]]),
        shape("rectangle", [[8, 3], [6, 1]]),
        shape("rectangle", [[0, 0], [9, 6]], "mass"),
    )
    mask = read(path)
    assert rows_of(mask.marked) == ["####.....", "####..##.", "##....##.", "##.......", ".........", "........."]
    assert mask.header == {"mask drawn from": "boxes and polygons", "annotation": "box and outline"}


def test_a_circle_is_its_centre_and_a_point_of_its_rim(tmp_path):
    path = labelme(tmp_path / "a.json", shape("circle", [[2.5, 2.5], [2.5, 4.5]]))
    mask = read(path)
    assert rows_of(mask.marked) == ["..#......", ".###.....", "#####....", ".###.....", "..#......", "........."]
    assert mask.header == {"mask drawn from": "ellipses"}


@pytest.mark.parametrize("value", [1, 255])
def test_a_mask_lies_between_the_pixels_of_its_corners(tmp_path, value):
    drawn = np.array([[0, 1, 1], [1, 0, 0]], np.uint8) * value
    path = labelme(tmp_path / "a.json", shape("mask", [[5.0, 2.0], [7.0, 3.0]], mask=png(drawn)))
    mask = read(path)
    assert rows_of(mask.marked)[2:4] == ["......##.", ".....#..."]
    assert mask.marked.sum() == 3


def test_outlines_are_those_of_another_rasteriser(tmp_path):
    rng, size = np.random.default_rng(7), (61, 83)
    for number in range(20):
        points = star(rng, size)
        path = labelme(
            tmp_path / f"{number}.json", shape("polygon", points.tolist()), imageHeight=size[0], imageWidth=size[1]
        )
        np.testing.assert_array_equal(read(path, shape=size).marked, in_outline(points, size))


def test_no_shape_at_all_is_an_empty_mask_and_another_label_is_missing(tmp_path):
    assert not read(labelme(tmp_path / "none.json")).marked.any()
    path = labelme(tmp_path / "mass.json", shape("rectangle", [[0, 0], [2, 2]], "mass"))
    refusal(Reason.MASK_MISSING_LABEL, lambda: read(path), excluded=True)


def test_the_file_of_another_image_is_refused(tmp_path):
    path = labelme(tmp_path / "a.json", shape("rectangle", [[0, 0], [2, 2]]), imagePath="b.png")
    refusal(Reason.MASK_MISSING_ENTRY, lambda: read(path), excluded=True)
    unnamed = labelme(tmp_path / "u.json", shape("rectangle", [[0, 0], [2, 2]]), imagePath="absent")
    assert read(unnamed).marked.sum() == 4


def test_the_size_has_to_be_the_images_or_is_not_stated(tmp_path):
    path = labelme(tmp_path / "a.json", shape("rectangle", [[0, 0], [2, 2]]), imageWidth=8)
    refusal(Reason.OTHER_GRID, lambda: read(path), excluded=True)
    unsized = labelme(
        tmp_path / "u.json", shape("rectangle", [[0, 0], [2, 2]]), imageWidth="absent", imageHeight="absent"
    )
    assert read(unsized).header["image size in the annotation"] == "not stated"


def test_points_are_left_out_and_lines_refused(tmp_path):
    box = shape("rectangle", [[0, 0], [2, 2]])
    path = labelme(tmp_path / "a.json", box, shape("point", [[4, 4]]), shape("line", [[0, 0], [3, 3]], "mass"))
    assert read(path).header["shapes smaller than a pixel"] == "1 of 2"
    refusal(Reason.UNSUPPORTED_FORMAT, lambda: read(path, "mass"))
    only = labelme(tmp_path / "b.json", shape("point", [[4, 4]]))
    refusal(Reason.MASK_WITHOUT_AREA, lambda: read(only), excluded=True)


BOMB = {"mask": png(np.zeros((2000, 2000), np.uint8))}


@pytest.mark.parametrize(
    ("wrong", "reason", "excluded"),
    [
        (shape("polygon", [[0, 0], [float("nan"), 1], [2, 2]]), Reason.NOT_READABLE, False),
        (shape("polygon", [[0, 0], [1e400, 1], [2, 2]]), Reason.NOT_READABLE, False),
        (shape("polygon", [[0, 0, 0], [1, 1, 1]]), Reason.NOT_READABLE, False),
        (shape("polygon", "SECRET"), Reason.NOT_READABLE, False),
        (shape("polygon", [[-5, -5], [3, 0], [3, 3]]), Reason.OTHER_GRID, True),
        (shape("polygon", [[0, 0], [30, 0], [3, 3]]), Reason.OTHER_GRID, True),
        (shape("polygon", [[1, 1], [4, 1], [1, 1]]), Reason.MASK_WITHOUT_AREA, True),
        (shape("polygon", []), Reason.MASK_WITHOUT_AREA, True),
        (shape("rectangle", [[0, 0]]), Reason.NOT_READABLE, False),
        (shape("rectangle", [[0, 0], [3, 1], [4, 4], [1, 3]]), Reason.NOT_READABLE, False),
        (shape("circle", [[0, 0], [float("inf"), 1]]), Reason.NOT_READABLE, False),
        (shape("circle", [[3, 3], [33, 3]]), Reason.OTHER_GRID, True),
        (shape("circle", [[3, 3], [3, 3]]), Reason.MASK_WITHOUT_AREA, True),
        (shape("mask", [[0, 0], [2, 1]], mask="SECRET!"), Reason.NOT_READABLE, False),
        (shape("mask", [[0, 0], [2, 1]], **BOMB), Reason.NOT_READABLE, False),
        (shape("mask", [[0, 0], [1999, 1999]], **BOMB), Reason.OTHER_GRID, True),
        (shape("mask", [[0.5, 0], [2, 1]], **BOMB), Reason.NOT_READABLE, False),
        (shape("mask", [[0, 0], [2, 0]], mask=png(np.array([[0, 1, 2]], np.uint8))), Reason.NOT_READABLE, False),
        (shape("SECRET", [[0, 0], [2, 1]]), Reason.UNSUPPORTED_FORMAT, False),
        ({"points": [[0, 0]]}, Reason.NOT_READABLE, False),
        ("SECRET", Reason.NOT_READABLE, False),
    ],
)  # fmt: skip
def test_what_is_no_shape_is_refused(tmp_path, wrong, reason, excluded):
    path = labelme(tmp_path / "SECRET.json", wrong)
    refusal(reason, lambda: read(path), excluded=excluded)


def test_a_key_that_stands_twice_is_refused(tmp_path):
    path = labelme(tmp_path / "SECRET.json", shape("rectangle", [[0, 0], [2, 2]]))
    path.write_text(path.read_text().replace('"imageHeight": 6', '"imageHeight": 6, "imageHeight": 6'))
    refusal(Reason.NOT_READABLE, lambda: read(path))


def test_a_million_points_take_a_bounded_memory(tmp_path):
    along = np.linspace(0, 2 * np.pi, 1_000_000)
    points = np.round(np.stack([250 + 200 * np.cos(along), 250 + 200 * np.sin(along)], axis=1), 3)
    path = labelme(tmp_path / "a.json", shape("polygon", points.tolist()), imageHeight=500, imageWidth=500)
    assert json.loads(path.read_text())["imageHeight"] == 500
    marked = read(path, shape=(500, 500)).marked
    assert abs(marked.sum() / (np.pi * 200**2) - 1) < 1e-3
