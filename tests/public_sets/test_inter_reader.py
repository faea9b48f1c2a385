"""The program that draws the contours of a public set again: its pixels, its nodules, its agreement."""

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from tests.public_sets.inter_reader import markings_of, nodules_of, pairwise, pixels_within, summary

_SQUARE = np.array([[5, 5], [6, 5], [7, 5], [8, 5], [8, 6], [8, 7], [8, 8], [7, 8], [6, 8], [5, 8], [5, 7], [5, 6]])


def _square(column: int, size: int) -> frozenset[tuple[int, int, int]]:
    return frozenset((column + a, b, 0) for a in range(size) for b in range(size))


def test_a_contour_lies_outside_of_what_it_marks() -> None:
    assert pixels_within(_SQUARE) == {(6, 6), (6, 7), (7, 6), (7, 7)}
    assert pixels_within(np.array([[3, 4]])) == set()


def test_markings_that_touch_through_others_are_one_nodule() -> None:
    markings = {1: _square(0, 2), 2: _square(3, 2), 3: _square(1, 3), 4: _square(20, 2)}
    assert sorted(len(nodule) for nodule in nodules_of(markings)) == [1, 3]


def test_agreement_of_two_squares_by_hand() -> None:
    nodule = [_square(0, 2), _square(1, 2)]  # 2 of 6 pixels are shared, of 4 and 4
    assert pairwise(nodule) == [pytest.approx((1 / 3, 1 / 2))]
    again = summary([nodule, [_square(0, 2)] * 2])
    assert (again.nodules, again.pairs) == (2, 2)
    assert (again.iou, again.dice) == pytest.approx((2 / 3, 3 / 4))


def test_a_hole_is_taken_out(tmp_path: Path) -> None:
    file = tmp_path / "contours.sqlite"
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE zvals (scan_id, val)")
        database.execute("CREATE TABLE annotations (id, scan_id)")
        database.execute("CREATE TABLE contours (id, annotation_id, inclusion, image_z_position, coords)")
        database.executemany("INSERT INTO zvals VALUES (7, ?)", [(-3.0,), (0.0,)])
        database.execute("INSERT INTO annotations VALUES (1, 7)")
        text = "\n".join(f"{a},{b}" for a, b in _SQUARE)
        hole = "5,5\n6,5\n7,5\n7,6\n7,7\n6,7\n5,7\n5,6"  # the pixel (6, 6) lies within it
        database.executemany("INSERT INTO contours VALUES (?, 1, ?, 0.0, ?)", [(1, 1, text), (2, 0, hole)])
    assert list(markings_of(file)) == [(7, {1: frozenset({(6, 7, 1), (7, 6, 1), (7, 7, 1)})})]
