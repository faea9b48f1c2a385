"""Peaks planted where their region is known: inside, beside, on the skin, in the air, at the picture's edge."""

import numpy as np
import pytest

from pipeline.config import OverlapConfig
from pipeline.evidence.metrics.map_evidence import MarkedVoxels
from pipeline.evidence.metrics.registry import evidence_of
from pipeline.evidence.shown_body import SURFACE_MM, ShownBody
from pipeline.evidence.whereabouts import peak_of
from pipeline.studies.geometry import Geometry
from pipeline.studies.volume import Heatmap


def disc(shape, centre, radius):
    """Return a disc, or a ball, of ``radius`` voxels."""
    away = np.stack(np.indices(shape)) - np.reshape(centre, (-1, *[1] * len(shape)))
    return np.sqrt(np.square(away).sum(axis=0)) <= radius


def picture(step=1.0):
    """Return a radiograph's grid and a body with a dark lung in it, on 200 x 160 pixels of ``step`` mm."""
    geometry = Geometry((200, 160), np.array([[0, -step, 0, 0], [0, 0, 1, 0], [-step, 0, 0, 0], [0, 0, 0, 1.0]]))
    image = disc(geometry.shape, (100, 80), 70).astype(np.float32)
    image[disc(geometry.shape, (100, 80), 30)] = 0.05
    return geometry, image


def peak(geometry, image, index, mask=None, config=None, grid=None):
    field = np.zeros(geometry.shape, np.float32)
    field[index] = 3.0
    heatmap = Heatmap(field, geometry, np.ones(geometry.shape, bool), "gradcam", "l", "nodule")
    body = ShownBody(image[None], grid or geometry).region
    marked = None if mask is None else MarkedVoxels(mask, geometry)
    return peak_of(evidence_of(heatmap, config or OverlapConfig()), body, marked)


@pytest.mark.parametrize(
    ("index", "region"),
    [
        ((100, 80), "lesion"),
        ((107, 80), "near"),  # 3 mm beside the outline
        ((115, 80), "body"),  # in the lung: dark, and enclosed by the body
        ((145, 80), "body"),
        ((165, 80), "surface"),  # 5 mm under the skin
        ((175, 80), "surface"),  # 5 mm over it
        ((185, 80), "outside"),
        ((198, 80), "border"),
        ((1, 80), "border"),
        ((100, 158), "border"),
    ],
)
def test_a_planted_peak_is_found_where_it_is(index, region):
    geometry, image = picture()
    mask = disc(geometry.shape, (100, 80), 4)
    found = peak(geometry, image, index, mask)
    assert found.region == region
    assert found.position_mm == pytest.approx((-index[1], 0, -index[0]))
    assert found.value == 3.0


@pytest.mark.parametrize(
    ("index", "region"),
    [((3, 80), "border"), ((4, 80), "outside"), ((195, 80), "outside"), ((196, 80), "border"),
     ((10, 2), "border"), ((10, 3), "outside"), ((10, 156), "outside"), ((10, 157), "border")],
)  # fmt: skip
def test_the_border_is_two_hundredths_of_each_axis_rounded_down(index, region):
    """Of 200 rows 4 at either end, of 160 columns 3 (3.2)."""
    geometry, image = picture()
    assert peak(geometry, image, index).region == region


def test_the_border_is_rounded_down_also_from_above_a_half():
    """Of 190 rows 3.8 are 3."""
    geometry = Geometry((190, 160), np.eye(4))
    image = disc(geometry.shape, (95, 80), 60).astype(np.float32)
    assert peak(geometry, image, (3, 80)).region == "outside"


def test_beside_a_lesion_the_region_of_the_body_is_told_too():
    geometry, image = picture()
    at_lesion = peak(geometry, image, (100, 80), disc(geometry.shape, (100, 80), 4))
    assert (at_lesion.region, at_lesion.body_region) == ("lesion", "body")


def test_a_tolerance_in_mm_says_nothing_of_a_picture_without_a_size():
    geometry, image = picture()
    pixels = Geometry(geometry.shape, geometry.affine, scaled=False)
    mask = disc(geometry.shape, (100, 80), 4)
    assert [peak(grid, image, (107, 80), mask).region for grid in (geometry, pixels)] == ["near", "body"]


def test_where_nobody_can_tell_the_region_there_is_no_peak():
    geometry, _ = picture()
    field = np.zeros(geometry.shape, np.float32)
    field[100, 80] = 1
    heatmap = Heatmap(field, geometry, np.ones(geometry.shape, bool), "gradcam", "l", "nodule")
    assert peak_of(evidence_of(heatmap, OverlapConfig()), lambda _: None, None) is None


def test_without_a_mask_a_peak_is_told_from_the_body_alone():
    geometry, image = picture()
    assert peak(geometry, image, (100, 80)).region == "body"
    assert peak(geometry, image, (100, 80), np.zeros(geometry.shape, bool)).region == "body"


def test_the_tolerance_is_the_configurations_in_mm():
    geometry, image = picture(step=2.0)
    mask = disc(geometry.shape, (100, 80), 4)
    at = (107, 80)  # three pixels of 2 mm beside the outline
    assert peak(geometry, image, at, mask).region == "body"
    assert peak(geometry, image, at, mask, OverlapConfig(tolerance_mm=6)).region == "near"


def test_the_models_input_may_lie_on_another_grid():
    geometry, image = picture()
    coarse = Geometry((50, 40), geometry.affine @ np.diag([4.0, 4.0, 1, 1]))
    for index, region in (((145, 80), "body"), ((175, 80), "surface"), ((188, 80), "outside")):
        assert peak(geometry, image[::4, ::4], index, grid=coarse).region == region


@pytest.mark.parametrize(
    ("index", "place"),
    [((20, 20), "upper left"), ((20, 140), "upper right"), ((180, 80), "lower"), ((100, 10), "left"),
     ((100, 80), "middle"), ((66, 52), "upper left"), ((67, 54), "middle")],
)  # fmt: skip
def test_a_place_is_named_as_it_stands_in_the_picture(index, place):
    geometry, image = picture()
    found = peak(geometry, image, index)
    assert found.place == place
    assert found.normalised == pytest.approx(((index[1] + 0.5) / 160, (index[0] + 0.5) / 200))


def test_tied_voxels_have_their_middle_for_a_peak():
    geometry, image = picture()
    found = peak(geometry, image, (slice(96, 105), slice(30, 51)))
    assert found.position_mm == pytest.approx((-40, 0, -100))


def test_a_constant_map_has_no_peak():
    geometry, image = picture()
    assert peak(geometry, image, (slice(None), slice(None))) is None


def turned(order, flips):
    """Return a chest-like volume of 60 x 50 x 40 voxels of 4 mm, its axes permuted and flipped, and what turns it."""
    base = np.diag([4.0, 4.0, 4.0, 1.0])
    turn = np.zeros((4, 4))
    turn[3, 3] = 1
    shape = (60, 50, 40)
    for axis, world in enumerate(order):
        turn[world, axis] = -1 if flips[axis] else 1
        turn[world, 3] = shape[world] - 1 if flips[axis] else 0
    return Geometry(tuple(shape[world] for world in order), base @ turn), turn


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
@pytest.mark.parametrize("flips", [(0, 0, 0), (1, 0, 1), (1, 1, 1)])
def test_a_volumes_peak_is_named_by_the_patients_sides_however_the_array_lies(order, flips):
    geometry, turn = turned(order, flips)
    image = np.zeros((60, 50, 40), np.float32)
    image[disc((60, 50), (30, 25), 18)] = 1  # a column of tissue from top to bottom
    image[disc((60, 50), (30, 25), 8)] = 0  # a lung that is open where the volume ends
    stored = np.flip(image.transpose(order), [axis for axis in range(3) if flips[axis]])
    cases = (((31, 25, 20), "body", "middle"), ((55, 47, 35), "outside", "upper front right"),
             ((30, 43, 3), "surface", "lower front"), ((5, 25, 20), "outside", "left"))  # fmt: skip
    for world, region, place in cases:
        index = tuple(np.rint(np.linalg.inv(turn) @ [*world, 1])[:3].astype(int))
        found = peak(geometry, np.ascontiguousarray(stored), index)
        assert (found.region, found.place) == (region, place)
        assert found.position_mm == pytest.approx([4.0 * at for at in world])


def test_the_band_at_the_skin_is_no_finer_than_the_input_shows():
    geometry, image = picture()
    assert SURFACE_MM == 10.0
    assert peak(geometry, image, (158, 80)).region == "body"  # 12 mm under the skin
    coarse = Geometry((20, 16), geometry.affine @ np.diag([10.0, 10.0, 1, 1]))
    assert peak(geometry, image[::10, ::10], (166, 80), grid=coarse).region == "surface"  # the air's cell is 14 mm off


def test_an_input_that_shows_nothing_has_no_body():
    geometry, image = picture()
    assert peak(geometry, np.full_like(image, 0.5), (100, 80)).region == "outside"
