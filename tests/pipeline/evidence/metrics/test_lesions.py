"""Lesions and marks by hand, and against a slow definition that walks from voxel to voxel."""

from itertools import product

import numpy as np
import pytest
from cc3d import connected_components

from tests.pipeline.evidence.metrics.scenes_by_hand import answer, overlap_of

NAMES = ("lesion_sensitivity", "froc", "false_marks")


def answers(values, mask, spacing=None, **limits):
    overlap = overlap_of(values, mask, spacing, **limits)
    return tuple(answer(overlap, name) for name in NAMES)


def picture(*rows):
    """Return a map from rows of digits."""
    return np.array([[int(digit) for digit in row] for row in rows], float)


MASK = picture(
    "1100000",
    "0100000",
    "0000011",
    "0000010",
    "1000000",
)  # three lesions, of 3, 3 and 1 pixels


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (MASK, (1, 1, 0)),
        (picture("9000000", "0000000", "0000000", "0000000", "0000000"), (1 / 3, 1 / 3, 0)),
        # the highest mark is false: with none accepted nothing is found
        (picture("8000000", "0000000", "0000000", "0000000", "0009000"), (1 / 3, 4 / 15, 1)),
        # the false mark is the lower one: it costs nothing
        (picture("9000000", "0000000", "0000000", "0000000", "0008000"), (1 / 3, 1 / 3, 1)),
        # as high as each other: they are accepted together
        (picture("9000000", "0000000", "0000000", "0000000", "0009000"), (1 / 3, 4 / 15, 1)),
        # two marks in one lesion: found once, and none of them is false
        (picture("9000000", "0000000", "0000008", "0000080", "0000000"), (2 / 3, 2 / 3, 0)),
        # a mark that covers a lesion, with its maximum beside it, does not find it
        (picture("7790000", "0700000", "0000000", "0000000", "0000000"), (0, 0, 1)),
        # its maximum is three pixels, two of them in the lesion
        (picture("9990000", "0000000", "0000000", "0000000", "0000000"), (1 / 3, 1 / 3, 0)),
        (picture("0999000", "0000000", "0000000", "0000000", "0000000"), (0, 0, 1)),
        (0 * MASK, (0, 0, 0)),
    ],
)
def test_by_hand(values, expected):
    assert answers(values, MASK) == pytest.approx(expected)


def test_what_touches_at_a_corner_is_one_lesion():
    corner = np.zeros((2, 2, 2))
    corner[0, 0, 0] = corner[1, 1, 1] = 1
    peak = np.zeros((2, 2, 2))
    peak[0, 0, 0] = 1
    assert answers(peak, corner) == (1, 1, 0)
    assert answers(picture("100"), picture("101")) == (0.5, 0.5, 0)


def test_lesions_and_marks_below_the_smallest_size_do_not_count():
    """Of 2 x 3 = 6 mm2 a pixel: the lesion of one is too small, and so is a mark of one."""
    spacing, large = (2.0, 3.0), {"smallest_lesion": 18.0}
    assert answers(MASK, MASK, spacing, **large) == (1, 1, 0)
    peak = picture("9900000", "0000000", "0000000", "0000000", "0000000")
    assert answers(peak, MASK, spacing, **large) == (0, 0, 0)  # 12 mm2
    assert answers(peak, MASK, spacing, smallest_lesion=12.0) == (1 / 2, 1 / 2, 0)
    # in the part that is too small to be a lesion a mark is neither right nor false
    three = picture("0000000", "0000000", "0000000", "8000000", "9800000")
    assert answers(three, MASK, spacing, **large) == (0, 0, 0)
    assert answers(three, MASK, spacing, smallest_lesion=6.0) == (1 / 3, 1 / 3, 0)
    assert answers(MASK, MASK, spacing, smallest_lesion=19.0)[0] == "no_lesion_of_that_size"


def test_a_size_in_mm3_needs_a_physical_size():
    overlap = overlap_of(MASK, MASK, scaled=False, smallest_lesion=2.0)
    assert {answer(overlap, name) for name in NAMES} == {"no_physical_size"}
    overlap = overlap_of(MASK, MASK, scaled=False)
    assert [answer(overlap, name) for name in NAMES] == [1, 1, 0]


def test_an_empty_mask_has_false_marks_and_no_lesion():
    assert answers(MASK, 0 * MASK) == ("empty_mask", "empty_mask", 3)


def test_many_false_marks_use_up_what_is_accepted():
    values = np.zeros((3, 41))
    values[1, ::2] = np.linspace(9, 8, 21)  # 21 marks from left to right, each lower
    for place, expected in ((0, 5 / 5), (1, 4 / 5), (2, 3 / 5), (3, 2 / 5), (8, 1 / 5), (9, 0)):
        mask = np.zeros((3, 41), bool)
        mask[1, 2 * place] = True
        assert answers(values, mask) == pytest.approx((1, expected, 20))


def slow_pieces(part):
    """Walk from each voxel to its neighbours in all directions."""
    left = {tuple(at) for at in np.argwhere(part).tolist()}
    pieces = []
    while left:
        open_ones, piece = [left.pop()], set()
        while open_ones:
            at = open_ones.pop()
            piece.add(at)
            beside = {tuple(np.add(at, step).tolist()) for step in product((-1, 0, 1), repeat=part.ndim)} & left
            left -= beside
            open_ones += beside
        pieces.append(piece)
    return pieces


def slow_answers(values, mask, region, least):
    """The definition in words, mark by mark; the values are all different."""
    lesions = slow_pieces(mask)
    counted = [piece for piece in lesions if len(piece) >= least]
    marks = [max(piece, key=lambda at: values[at]) for piece in slow_pieces(region) if len(piece) >= least]
    marks.sort(key=lambda at: -values[at])
    false = [at for at in marks if not any(at in piece for piece in lesions)]
    sensitivity = sum(any(at in piece for at in marks) for piece in counted) / len(counted)
    scores = []
    for allowed in (0, 1, 2, 4, 8):
        accepted = marks[: marks.index(false[allowed])] if len(false) > allowed else marks
        scores.append(sum(any(at in piece for at in accepted) for piece in counted) / len(counted))
    return sensitivity, sum(scores) / 5, len(false)


@pytest.mark.parametrize("shape", [(14, 17), (8, 9, 7)])
def test_marks_are_those_of_the_slow_definition(shape):
    generator = np.random.default_rng(6)
    for least in (1, 2, 3) * 4:
        values = generator.random(shape)
        mask = generator.random(shape) < 0.05
        mask[:3, :3] = True
        overlap = overlap_of(values, mask, rule=0.9, smallest_lesion=float(least))
        expected = slow_answers(values.astype(np.float32), mask, overlap.evidence.region, least)
        assert tuple(answer(overlap, name) for name in NAMES) == pytest.approx(expected)


def test_pieces_are_another_librarys():
    part = np.random.default_rng(1).random((20, 22, 18)) < 0.1
    overlap = overlap_of(part, part)
    numbers = connected_components(part, connectivity=26)
    assert sorted(overlap.marked.pieces.voxels[1:]) == sorted(np.bincount(numbers.ravel())[1:])
