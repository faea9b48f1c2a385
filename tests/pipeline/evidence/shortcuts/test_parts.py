"""Parts of a picture and what is taken from a donor, on squares whose every brightness is known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from pipeline.evidence.shortcuts import parts as module
from pipeline.evidence.shortcuts.parts import ANATOMY, UNKNOWN_LESION, Levels, find_parts, grown
from pipeline.evidence.shortcuts.study import BatteryStudy, Ruler
from pipeline.evidence.shortcuts.transplants import NO_OUTSIDE, TRANSPLANTS, DissectedStudy
from tests.pipeline.evidence.shortcuts.test_asked import BAND, BODY, FOUND, SHAPE, own, region, rng_of

SQUARE = (slice(16, 48), slice(16, 48))


def picture(*marks, body=0.5, air=0.0, noise=0.0, channels=1):
    """Return 64 x 64 with a square body of 32 x 32; ``marks`` are (place, brightness)."""
    image = np.full((64, 64), air)
    image[SQUARE] = body
    for place, value in marks:
        image[place] = value
    image += noise * np.random.default_rng(3).standard_normal(image.shape)
    return np.repeat(image[None], channels, axis=0).astype(np.float32)


def parts_of(x, *, lesion=None, positive=False):
    return find_parts(BatteryStudy(x, lesion, positive, "p"))


def masked(place, shape=(64, 64)):
    where = np.zeros(shape, bool)
    where[place] = True
    return where


# Lengths and places.


def test_a_region_grows_by_units_along_each_axis_and_keeps_itself():
    """Slices are two units thick: one unit reaches no other slice, two reach the next."""
    point = masked((4, 4), (9, 9))
    ruler = Ruler((0.5, 1.0))
    np.testing.assert_array_equal(np.argwhere(grown(point, 1, ruler)), [[4, 3], [4, 4], [4, 5]])
    assert grown(point, 2, ruler)[[3, 5], [4, 4]].all()
    assert not grown(point & False, 5, ruler).any()
    assert grown(point, 0, ruler).sum() == 1


def test_the_band_is_four_units_and_at_most_an_eighth_of_an_axis():
    band = module._band((64, 16, 7), Ruler((1.0, 1.0, 1.0)))
    inner = np.zeros((64, 16, 7), bool)
    inner[4:60, 2:14] = True  # 7 voxels have no eighth
    np.testing.assert_array_equal(band, ~inner)
    assert not module._band((7, 7), Ruler((1.0, 1.0))).any()


def test_levels_are_usable_where_every_channel_has_two():
    low = np.zeros(2)
    assert Levels("a", low, np.array([1.0, 1.0])).usable()
    assert not Levels("a", low, np.array([1.0, 0.0])).usable()


# Parts of a picture.


def test_the_body_is_found_in_the_mean_of_the_channels():
    x = np.concatenate([picture(), 1 - picture(body=1.0)])  # the second has a dark body: only the mean of both is flat
    x[1] = picture(body=0.0)[0]
    x[1][masked((slice(20, 44), slice(20, 44)))] = 0.6
    body = parts_of(x[::-1].copy()).body
    assert body[17:47, 17:47].all()


def test_a_body_keeps_its_size_and_what_hangs_on_it_by_a_thread_is_none_of_it():
    parts = parts_of(picture(((slice(30, 34), slice(48, 56)), 0.5)))
    expected = masked(SQUARE)
    assert np.count_nonzero(parts.body[:, :46] != expected[:, :46]) < 100
    assert not parts.body[30:34, 52:].any()


def test_of_two_pieces_the_larger_is_the_body_and_its_holes_are_of_it():
    parts = parts_of(picture(((slice(28, 36), slice(28, 36)), 0.0), ((slice(4, 12), slice(20, 32)), 0.5)))
    assert parts.body[28:36, 28:36].all()
    assert not parts.body[5:11, 21:31].any()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_volumes_hole_that_is_open_at_its_end_is_closed_slice_by_slice(axis):
    x = np.zeros((24, 24, 24), np.float32)
    x[5:19, 5:19] = 0.5
    x[9:15, 9:15] = 0.0
    body = np.moveaxis(parts_of(np.moveaxis(x, 2, axis)[None].copy()).body, axis, 2)
    assert body[9:15, 9:15, 12].all()
    assert not body[:3, :3].any()


def test_a_bright_lesion_moves_no_level():
    x = picture(((slice(28, 36), slice(28, 36)), 9.0), noise=0.01)
    lesion = masked((slice(28, 36), slice(28, 36)))
    known = parts_of(x, lesion=lesion, positive=True)
    assert known.body[18:46, 18:46].all()
    assert not known.body[:12].any()
    assert known.body_marks.sum() == 0


def test_levels_are_those_of_air_and_of_the_inner_body():
    """The body's rim is half as bright and the band is brighter than air: neither counts."""
    x = picture(noise=0.001)
    x[0, BORDER] = 0.2
    levels = parts_of(x).levels
    assert (levels.kind, levels.low[0], levels.high[0]) == (
        "air and body",
        pytest.approx(0, abs=0.01),
        pytest.approx(0.5, abs=0.01),
    )
    body = parts_of(x).body_levels
    assert body.kind == "quartiles of the body"
    assert body.low[0] <= body.high[0]
    assert body.low[0] == pytest.approx(0.5, abs=0.01)


BORDER = np.ones((64, 64), bool)
BORDER[4:-4, 4:-4] = False


def test_quartiles_of_the_body_channel_by_channel():
    x = picture(channels=2)
    x[1, 16:32, 16:48], x[1, 32:48, 16:48] = 0.9, 0.2
    levels = parts_of(x).body_levels
    assert levels.low == pytest.approx([0.5, 0.2], abs=0.01)
    assert levels.high == pytest.approx([0.5, 0.9], abs=0.01)


def test_the_airs_noise_is_robustly_measured_beside_body_band_and_marks():
    """Of what a blur of one voxel takes away: 1.4826 times the median distance from the median."""
    x = picture(((slice(6, 10), slice(8, 12)), 3.0), noise=0.1)
    x[0][BORDER] = np.random.default_rng(1).normal(0, 1, BORDER.sum())
    parts = parts_of(x)
    taken = (x[0] - gaussian_filter(x[0], 1.0))[~parts.body & ~parts.air_marks & ~BORDER]
    assert parts.air_noise[0] == pytest.approx(1.4826 * np.median(np.abs(taken - np.median(taken))))
    assert parts.air_marks[7:9, 9:11].all()


def test_marks_in_the_air_are_small_dense_and_not_at_the_end():
    small, large = (slice(6, 9), slice(6, 9)), (slice(50, 62), slice(2, 18))
    touching, faint = (slice(0, 3), slice(30, 33)), (slice(6, 9), slice(54, 57))
    single = (slice(56, 57), slice(56, 58))
    marks = parts_of(
        picture((small, 0.9), (large, 0.9), (touching, 0.9), (faint, 0.2), (single, 0.9), noise=0.001)
    ).air_marks
    corners = grown(masked(SQUARE), 4, Ruler((1.0, 1.0)))  # what the body's outline leaves of them is dense too
    np.testing.assert_array_equal(marks & ~corners, masked((slice(5, 10), slice(5, 10))))


def test_a_mark_must_stand_out_of_the_noise_too():
    """Noise of 0.2: three voxels of 0.6 are below 3.2 of its deviations; 0.9 is above."""
    for value, is_mark in ((0.45, False), (0.95, True)):
        x = picture(noise=0.2, body=0.6)
        x[0, 6:9, 6:9] = value
        assert parts_of(x).air_marks[7, 7] == is_mark


def test_marks_in_the_body_are_thin_and_deep_and_none_where_nobody_knows_the_lesion():
    line, wall = (slice(24, 40), 32), (slice(20, 44), 17)
    x = picture((line, 0.9), (wall, 0.9), noise=0.005)
    marks = parts_of(x).body_marks
    assert marks[24:40, 32].all()
    assert not marks[20:44, :20].any(), "the wall is thin and bright itself"
    assert marks.sum() < 70
    assert parts_of(x, positive=True).body_marks == UNKNOWN_LESION
    lesion = masked((slice(24, 40), slice(30, 35)))
    assert not parts_of(x, lesion=lesion, positive=True).body_marks.any()
    few = parts_of(picture(((slice(24, 26), 32), 0.9), noise=0.005)).body_marks
    assert not few.any(), "two voxels are less than eight units"
    blob = parts_of(picture(((slice(26, 38), slice(26, 38)), 0.9), noise=0.005)).body_marks
    assert isinstance(blob, str) or not blob[29:35, 29:35].any(), "what is broad is no mark"


def test_a_line_in_the_band_is_no_mark_of_the_body():
    x = picture(
        ((slice(48, 64), slice(16, 48)), 0.5), ((61, slice(24, 40)), 0.9), ((52, slice(24, 40)), 0.9), noise=0.005
    )
    marks = parts_of(x).body_marks
    assert marks[52, 24:40].all()
    assert not marks[60:].any()


def test_the_soft_edge_of_a_body_is_none_of_its_levels():
    """A ring of one voxel is almost a third of a body of 12 x 12, the next one a third of what is left."""
    x = picture(body=0.0)
    x[0, 26:38, 26:38] = 0.3
    x[0, 27:37, 27:37] = 0.4
    x[0, 28:36, 28:36] = 0.5
    assert parts_of(x).body_levels.low[0] == pytest.approx(0.4)


def test_a_line_that_is_hardly_brighter_is_no_mark_however_little_noise_there_is():
    line = (slice(24, 40), 32)
    assert not parts_of(picture((line, 0.55), noise=0.001)).body_marks.any()
    assert parts_of(picture((line, 0.6), noise=0.001)).body_marks.any()


def test_what_fills_the_box_that_a_mark_may_not_hold_is_none():
    """Of 128 voxels the box's 14 are made 13, which have a middle: a square of 13 fills it, one of 12 does not."""
    for size, is_mark in ((13, False), (12, True)):
        x = np.zeros((1, 128, 128), np.float32)
        x[0, 32:96, 32:96] = 0.5
        x[0, 58 : 58 + size, 58 : 58 + size] = 0.9
        assert parts_of(x).body_marks.any() == is_mark


def test_in_two_slices_a_mark_may_lie():
    """Both are the last of their axis, and neither is the picture's end."""
    x = np.repeat(picture(((slice(6, 9), slice(6, 9)), 0.9))[..., None], 2, axis=-1)
    assert parts_of(x).air_marks[7, 7].all()


def test_a_body_full_of_thin_bright_things_has_anatomy_and_no_marks():
    lines = [((slice(20, 44), column), 0.9) for column in range(20, 44, 4)]
    assert parts_of(picture(*lines)).body_marks == ANATOMY


def test_a_corner_of_air_is_no_outside():
    """Less than a hundredth of the picture: the whole of it is body, whose dark middle has set the threshold."""
    x = np.full((1, 64, 64), 0.5, np.float32)
    x[0, 26:38, 26:38] = 0
    x[0, :6, :6] = 0
    parts = parts_of(x)
    assert parts.body.all()
    assert parts.centre is None
    assert parts.levels.kind == "quartiles of the body"
    x[0, :12, :12] = 0
    assert not parts_of(x).body[:6, :6].any()


# What is taken from a donor.


def test_noise_is_measured_beside_marks_and_lesion_and_outside_of_what_stands_out():
    image = np.where(BODY, 3.0, 0.0)
    image[2, 2] = 50
    mark = region(12, 6)
    given = own(image, found=FOUND, body_marks=mark, air_noise=np.array([0.1]))
    body, outside = given.tissues
    np.testing.assert_array_equal(body, BODY & ~mark & ~grown(FOUND, 1, Ruler((1.0, 1.0))))
    expected = ~grown(BODY, 1, Ruler((1.0, 1.0)))
    expected[2, 2] = False
    np.testing.assert_array_equal(outside, expected)
    np.testing.assert_array_equal(own(body_marks="why").tissues[0], BODY)


def with_noise(given, noise):
    """Return a study whose noise is said to be this."""
    given.__dict__["noise"] = np.full((1, *SHAPE), noise, np.float32)
    return given


def test_a_transplant_brings_the_donors_structure_and_keeps_the_own_noise():
    """Donor 5 with noise 1, at the same contrast: 4, and the own noise of 10 on top."""
    for name, where in (("border", BAND), ("outside", ~BODY & ~BAND)):
        changed = TRANSPLANTS[name](with_noise(own(7.0), 10), with_noise(own(5.0), 1), rng_of(0))
        np.testing.assert_array_equal(changed[0], np.where(where, 14.0, 7.0))


def test_a_pictures_border_is_given_but_for_lesions_of_either():
    found = region(0, slice(0, 4)), region(15, slice(0, 4))
    changed = TRANSPLANTS["border"](
        with_noise(own(7.0, found=found[0]), 0), with_noise(own(5.0, found=found[1]), 0), rng_of(0)
    )
    np.testing.assert_array_equal(changed[0], np.where(BAND & ~found[0] & ~found[1], 5.0, 7.0))


def test_what_lies_outside_is_given_where_it_is_outside_of_both_bodies():
    other = region(slice(4, 12), slice(2, 12))
    changed = TRANSPLANTS["outside"](with_noise(own(7.0), 0), with_noise(own(5.0, body=other), 0), rng_of(0))
    np.testing.assert_array_equal(changed[0], np.where(~BODY & ~other & ~BAND, 5.0, 7.0))
    turned = TRANSPLANTS["outside"](with_noise(own(7.0, body=other), 0), with_noise(own(5.0), 0), rng_of(0))
    np.testing.assert_array_equal(turned, changed)


def cube(value, body):
    x = np.full((1, 6, 6, 6), value, np.float32)
    band = np.ones((6, 6, 6), bool)
    band[1:-1, 1:-1, 1:-1] = False
    levels = Levels("air and body", np.zeros(1), np.ones(1))
    flat = own()
    parts = replace(flat.parts, body=body, band=band, air_marks=body & False, levels=levels, body_levels=levels)
    given = DissectedStudy(BatteryStudy(x, None, False, "p"), parts)
    given.__dict__["noise"] = np.zeros_like(x)
    return given


def test_a_volumes_border_is_given_outside_of_both_bodies_alone():
    body, other = (masked((slice(2, 4), slice(2, 4), slice(*ends)), (6, 6, 6)) for ends in ((0, 4), (2, 6)))
    mine, theirs = cube(7.0, body), cube(5.0, other)
    changed = TRANSPLANTS["border"](mine, theirs, rng_of(0))
    np.testing.assert_array_equal(changed[0], np.where(mine.parts.band & ~body & ~other, 5.0, 7.0))


def test_levels_of_different_kinds_are_those_of_the_bodies():
    """The donor has no outside: of both the quartiles are taken, 1 to 2 and 3 to 7: a value v becomes 4 v - 1."""
    mine = own(2.0, body_levels=Levels("quartiles of the body", np.array([1.0]), np.array([2.0])))
    quartiles = Levels("quartiles of the body", np.array([3.0]), np.array([7.0]))
    changed = TRANSPLANTS["contrast"](mine, own(levels=quartiles, body_levels=quartiles), rng_of(0))
    np.testing.assert_allclose(changed, 7.0)


@pytest.mark.parametrize("flat", [0, 1])
def test_levels_that_do_not_differ_give_no_contrast(flat):
    given = [own(high=1.0), own(high=1.0)]
    given[flat] = own(high=0.0)
    assert TRANSPLANTS["contrast"](*given, rng_of(0)) == "air and body are equally bright"


def noisy(spread, *, high=1.0, body=None):
    x = spread * np.random.default_rng(int(10 * spread)).standard_normal((64, 64))
    full = Levels("air and body", np.zeros(1), np.array([high]))
    everywhere = np.ones((64, 64), bool) if body is None else body
    parts = replace(own().parts, body=everywhere, band=everywhere & False, air_marks=everywhere & False,
                    body_marks=everywhere & False, levels=full, body_levels=full, air_noise=np.ones(1))  # fmt: skip
    return DissectedStudy(BatteryStudy(x[None].astype(np.float32), None, False, "p"), parts)


def test_noise_is_given_as_strong_as_it_would_be_at_the_own_contrast():
    """The donor has four times the contrast and twice the noise: half as strong as the own."""
    changed = TRANSPLANTS["texture"](noisy(1.0), noisy(2.0, high=4.0), rng_of(0))
    assert changed.std() == pytest.approx(0.5, rel=0.12)


def test_a_body_too_small_to_measure_its_noise_gives_none_whichever_it_is():
    small = noisy(1.0, body=masked((slice(0, 10), slice(0, 10))))
    for pair in ((small, noisy(2.0)), (noisy(2.0), small)):
        assert TRANSPLANTS["texture"](*pair, rng_of(0)) == "the body is too small to measure its noise"


def moved(own_centre, donor_centre, x=None):
    image = np.arange(256.0).reshape(SHAPE) if x is None else x
    mine, theirs = (
        own(image, centre=centre if centre is None else np.array(centre)) for centre in (own_centre, donor_centre)
    )
    return TRANSPLANTS["position"](mine, theirs, rng_of(0))


def test_a_shift_is_rounded_mirrors_what_is_missing_and_goes_no_further_than_the_field():
    image = np.arange(256.0).reshape(SHAPE)
    shifted = moved((8.0, 8.0), (5.8, 8.4))  # two up, and none to the right
    np.testing.assert_array_equal(shifted[0, :14], image[2:])
    np.testing.assert_array_equal(shifted[0, 14:], image[[15, 14]])
    assert moved((0.0, 0.0), (16.0, 0.0)) == "the bodies lie too far apart"
    assert moved((0.0, 0.0), (15.0, 0.0)).shape == (1, *SHAPE)
    assert moved(None, (1.0, 1.0)) == moved((1.0, 1.0), None) == NO_OUTSIDE
