"""VIA's regions against pixels counted by hand and another rasteriser."""

import numpy as np
import pytest

from pipeline.errors import Reason
from tests.pipeline.studies.readers.regions.pictures import centres, in_outline, read, rows_of, star, write
from tests.pipeline.studies.writers import refusal


def region(name, label="nodule", attribute="label", **numbers):
    return {"shape_attributes": {"name": name, **numbers}, "region_attributes": {attribute: label} if label else {}}


def entry(*regions, name="a.png", numbered=False):
    listed = dict(zip(map(str, range(99)), regions, strict=False)) if numbered else list(regions)
    return {"filename": name, "size": 1234, "regions": listed, "file_attributes": {}}


def exported(path, *entries):
    return write(path, {f"{each['filename']}{number}": each for number, each in enumerate(entries)})


RECT = region("rect", x=2, y=1, width=3, height=2)


@pytest.mark.parametrize("numbered", [False, True])
def test_regions_by_hand(tmp_path, numbered):
    circle = region("circle", cx=7, cy=4, r=1)
    path = exported(
        tmp_path / "v.json",
        entry(RECT, circle, region("rect", "mass", x=0, y=0, width=9, height=6), numbered=numbered),
        entry(region("rect", x=0, y=0, width=1, height=1), name="b.png"),
    )
    mask = read(path)
    assert rows_of(mask.marked) == [".........", "..###....", "..###....", "......##.", "......##.", "........."]
    assert mask.header["annotation"] == "box and outline"
    assert mask.header["image size in the annotation"] == "not stated"
    assert read(path, key="b").marked.sum() == 1


def test_a_project_holds_the_same(tmp_path):
    content = {"_via_settings": {}, "_via_img_metadata": {"a.png1234": entry(RECT)}, "_via_attributes": {}}
    mask = read(write(tmp_path / "p.json", content))
    assert (mask.marked.sum(), mask.header["annotation"]) == (6, "box")


def test_outlines_and_turned_ellipses_are_those_of_other_rasterisers(tmp_path):
    rng, size = np.random.default_rng(5), (61, 83)
    points = star(rng, size)
    polygon = region("polygon", all_points_x=points[:, 0].tolist(), all_points_y=points[:, 1].tolist())
    oval = region("ellipse", "mass", cx=40.2, cy=30.1, rx=25.5, ry=9.25, theta=0.7)
    path = exported(tmp_path / "v.json", entry(polygon, oval))
    np.testing.assert_array_equal(read(path, shape=size).marked, in_outline(points, size))
    away = (centres(size) - (40.2, 30.1)) @ np.array([[np.cos(0.7), -np.sin(0.7)], [np.sin(0.7), np.cos(0.7)]])
    inside = (((away / (25.5, 9.25)) ** 2).sum(axis=1) <= 1).reshape(size)
    np.testing.assert_array_equal(read(path, "mass", shape=size).marked, inside)
    # the long axis runs down to the right, as on the screen
    assert inside[44, 55]
    assert not inside[16, 55]


def test_the_class_is_the_only_attribute_or_the_one_that_says_so(tmp_path):
    only = region("rect", attribute="what is it", x=0, y=0, width=2, height=2)
    assert read(exported(tmp_path / "a.json", entry(only))).marked.sum() == 4
    both = region("rect", attribute="class", x=0, y=0, width=2, height=2)
    both["region_attributes"]["quality"] = "good"
    assert read(exported(tmp_path / "b.json", entry(both))).marked.sum() == 4
    both["region_attributes"]["type"] = "solid"
    path = exported(tmp_path / "SECRET.json", entry(both))
    refusal(Reason.MASK_MISSING_LABEL, lambda: read(path), excluded=True)


def test_check_boxes_may_name_several_and_an_unlabelled_region_is_no_ones(tmp_path):
    several = region("rect", {"nodule": True, "mass": True, "cyst": False}, x=0, y=0, width=2, height=2)
    path = exported(tmp_path / "a.json", entry(several, region("rect", "", x=4, y=4, width=2, height=2)))
    assert read(path).marked.sum() == read(path, "mass").marked.sum() == 4
    refusal(Reason.MASK_MISSING_LABEL, lambda: read(path, "cyst"), excluded=True)


def test_regions_without_any_attribute_are_the_only_label(tmp_path):
    plain = region("rect", None, x=0, y=0, width=2, height=2)
    assert read(exported(tmp_path / "a.json", entry(plain))).marked.sum() == 4


def test_polylines_are_refused_and_points_left_out(tmp_path):
    line = region("polyline", "mass", all_points_x=[0, 3, 3], all_points_y=[0, 0, 3])
    path = exported(tmp_path / "a.json", entry(RECT, region("point", cx=1, cy=1), line))
    assert read(path).header["shapes smaller than a pixel"] == "1 of 2"
    refusal(Reason.UNSUPPORTED_FORMAT, lambda: read(path, "mass"))


@pytest.mark.parametrize(
    ("wrong", "reason", "excluded"),
    [
        (region("rect", x=2, y=1, width=-3, height=2), Reason.NOT_READABLE, False),
        (region("rect", x=2, y=1, width=float("nan"), height=2), Reason.NOT_READABLE, False),
        (region("rect", x="2", y=1, width=3, height=2), Reason.NOT_READABLE, False),
        (region("rect", x=2, y=1, width=30, height=2), Reason.OTHER_GRID, True),
        (region("circle", cx=2, cy=2, r=-1), Reason.NOT_READABLE, False),
        (region("circle", cx=2, cy=2, r=1e308), Reason.OTHER_GRID, True),
        (region("ellipse", cx=2, cy=2, rx=1, ry=float("inf")), Reason.NOT_READABLE, False),
        (region("polygon", all_points_x=[1, 2, 3], all_points_y=[1, 2]), Reason.NOT_READABLE, False),
        (region("polygon", all_points_x=[1, 2, None], all_points_y=[1, 2, 3]), Reason.NOT_READABLE, False),
        (region("SECRET", x=1), Reason.UNSUPPORTED_FORMAT, False),
        ({"shape_attributes": {"name": "rect"}}, Reason.NOT_READABLE, False),
        ([], Reason.NOT_READABLE, False),
    ],
)
def test_what_is_no_region_is_refused(tmp_path, wrong, reason, excluded):
    path = exported(tmp_path / "SECRET.json", entry(wrong))
    refusal(reason, lambda: read(path), excluded=excluded)


def test_a_picture_that_is_listed_twice_and_via_3_are_refused(tmp_path):
    twice = exported(tmp_path / "SECRET.json", entry(RECT), entry(RECT))
    refusal(Reason.NOT_READABLE, lambda: read(twice))
    third = write(tmp_path / "SECRET3.json", {"project": {"pid": "__VIA_PROJECT_ID__"}, "file": {}, "metadata": {}})
    refusal(Reason.UNSUPPORTED_FORMAT, lambda: read(third))
