"""Surfaces and distances in mm, held against MONAI's, against surface-distance's table and against the hand."""

from itertools import product

import numpy as np
import pytest

from pipeline.evidence.metrics.parts import Surface, nearest
from pipeline.studies.geometry import Geometry
from tests.pipeline.evidence.metrics.scenes_by_hand import answer, overlap_of

SPACING = {2: (0.7, 1.9), 3: (0.8, 1.3, 4.1)}


def blobs(axes, seed):
    """Return two parts that overlap and lie away from the border, as smooth and as rough as chance has it."""
    generator = np.random.default_rng(seed)
    shape = (16, 14) if axes == 2 else (12, 11, 10)
    parts = []
    for _ in range(2):
        middle = [size / 2 + generator.uniform(-1, 1) for size in shape]
        away = sum((at - to) ** 2 for at, to in zip(np.indices(shape), middle, strict=True))
        part = (away < generator.uniform(6, 12)) & (generator.random(shape) < 0.9)
        parts.append(part)
    return parts


def grid(part, affine=None):
    spacing = SPACING[part.ndim]
    return Geometry(part.shape, np.diag([*spacing, *([1.0] * (4 - part.ndim))]) if affine is None else affine)


@pytest.mark.parametrize("axes", [2, 3])
def test_elements_have_the_areas_of_the_papers_code(axes):
    """All 16 or 256 neighbourhoods, each alone in its cell."""
    from monai.metrics import utils

    make = {
        2: utils.create_table_neighbour_code_to_contour_length,
        3: utils.create_table_neighbour_code_to_surface_area,
    }[axes]
    table, kernel = make(SPACING[axes], "cpu")
    kernel = np.asarray(kernel).reshape((2,) * axes).astype(int)
    for code in range(1, len(table) - 1):
        part = (code & kernel) > 0
        corners, areas = Surface(part, grid(part)).elements
        (own,) = np.flatnonzero((corners == 1).all(axis=1))
        assert areas[own] == pytest.approx(float(table[code]), abs=1e-5)


def test_a_box_of_elements_by_hand():
    """The faces' own cells have whole faces; edges and corners are cut off."""
    part = np.zeros((4, 5), bool)
    part[1:3, 1:4] = True
    _, lengths = Surface(part, Geometry(part.shape, np.diag([3.0, 4.0, 1, 1]))).elements
    assert lengths.sum() == pytest.approx(4 * 2.5 + 2 * 1 * 3 + 2 * 2 * 4)


def test_on_a_sheared_grid_the_area_is_that_of_the_sheared_faces():
    affine = np.eye(4)
    affine[:3, :3] = np.array([[1.0, 0.6, 0.0], [0.0, 0.8, 0.0], [0.0, 0.0, 2.0]])
    part = np.ones((40, 50, 60), bool)
    sides = affine[:3, :3] * [40, 50, 60]
    faces = [np.linalg.norm(np.cross(sides[:, first], sides[:, second])) for first, second in ((0, 1), (0, 2), (1, 2))]
    assert Surface(part, Geometry(part.shape, affine)).elements[1].sum() == pytest.approx(2 * sum(faces), rel=0.05)


def test_on_a_sheared_picture_each_corner_is_cut_off_along_its_own_diagonal():
    affine = np.eye(4)
    affine[:2, :2] = [[1.0, 0.8], [0.0, 1.5]]
    shorter, longer = np.hypot(1.0 - 0.8, 1.5) / 2, np.hypot(1.0 + 0.8, 1.5) / 2

    def lengths_of(*marked):
        part = np.zeros((4, 4), bool)
        part[tuple(np.transpose(marked))] = True
        corners, lengths = Surface(part, Geometry(part.shape, affine)).elements
        return dict(zip(map(tuple, corners.tolist()), lengths.tolist(), strict=True))

    own = {(1, 1): shorter, (1, 2): longer, (2, 1): longer, (2, 2): shorter}
    assert lengths_of((1, 1)) == pytest.approx(own)
    # where two touch at a corner, the lesser of the two ways to part them
    assert lengths_of((1, 1), (2, 2))[2, 2] == lengths_of((1, 2), (2, 1))[2, 2] == pytest.approx(2 * shorter)


def monai_scores(region, mask, tolerance):
    import torch
    from monai import metrics

    spacing = SPACING[mask.ndim]
    first, second = (torch.from_numpy(part.astype(np.float32))[None, None] for part in (region, mask))
    return {
        "hd95": metrics.compute_hausdorff_distance(
            first, second, include_background=True, percentile=95, spacing=spacing
        ),
        "assd": metrics.compute_average_surface_distance(
            first, second, include_background=True, symmetric=True, spacing=spacing
        ),
        "surface_dice": metrics.compute_surface_dice(
            first, second, [tolerance], include_background=True, spacing=spacing, use_subvoxels=True
        ),
    }


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("seed", range(6))
def test_distances_between_surfaces_are_monais(axes, seed):
    region, mask = blobs(axes, seed)
    tolerance = 1.0 + 0.1 * seed
    overlap = overlap_of(region, mask, SPACING[axes], tolerance_mm=tolerance)
    for name, expected in monai_scores(region, mask, tolerance).items():
        assert answer(overlap, name) == pytest.approx(float(expected), rel=1e-5), name


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("axes", [2, 3])
def test_a_transform_and_a_comparison_of_all_points_give_the_same(axes, turned):
    """Thousands of points are looked up, a few are compared; a grid that is turned is still at right angles."""
    generator = np.random.default_rng(3)
    affine = np.diag([*SPACING[axes], *([1.0] * (4 - axes))])
    if turned:
        affine[:3, :3] = np.linalg.qr(generator.normal(size=(3, 3)))[0] @ affine[:3, :3]
    shape = (90, 70) if axes == 2 else (24, 20, 18)
    points, others = (np.argwhere(generator.random(shape) < share) + 5 for share in (0.6, 0.01))
    geometry = Geometry(shape, affine)
    assert len(points) > 1000
    expected = np.concatenate(
        [nearest(points[start : start + 500], others, geometry) for start in range(0, len(points), 500)]
    )
    assert nearest(points, others, geometry) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("other", [(3, 24, 25), (45, 22, 30), (24, 2, 60)])
def test_what_is_looked_up_may_lie_beyond_the_points_on_any_side(other):
    points = np.argwhere(np.ones((12, 11, 10))) + 20
    away = np.linalg.norm((points - other) * SPACING[3], axis=1)
    geometry = Geometry((64, 64, 64), np.diag([*SPACING[3], 1.0]))
    assert nearest(points, np.array([other]), geometry) == pytest.approx(away, rel=1e-6)


def test_a_sheared_grid_is_never_looked_up():
    """Its distances are not those of its spacing."""
    affine = np.eye(4)
    affine[0, 1] = 0.9
    points, others = np.argwhere(np.ones((40, 40))), np.array([[0, 39]])
    away = np.linalg.norm((points - others) @ affine[:2, :2].T, axis=1)
    assert nearest(points, others, Geometry((40, 40), affine)) == pytest.approx(away, rel=1e-12)


def test_half_of_a_surface_within_the_tolerance():
    """Two voxels side by side share four of their eight corners."""
    region, mask = np.zeros((5, 5, 5)), np.zeros((5, 5, 5), bool)
    region[2, 2, 2], mask[3, 2, 2] = 1, True
    for tolerance, expected in ((0.999, 0.5), (1.0, 1.0)):
        assert answer(overlap_of(region, mask, tolerance_mm=tolerance), "surface_dice") == pytest.approx(expected)


def test_without_a_region_the_surface_is_missed_and_distances_are_undefined():
    mask = np.eye(4, dtype=bool)
    overlap = overlap_of(np.zeros((4, 4)), mask)
    assert [answer(overlap, name) for name in ("surface_dice", "hd95", "assd")] == [0, "empty_region", "empty_region"]


@pytest.mark.parametrize("name", ["surface_dice", "hd95", "assd", "hit_within", "mass_centre_distance"])
def test_pixels_are_no_millimetres(name):
    assert answer(overlap_of(np.eye(4), np.eye(4), scaled=False), name) == "no_physical_size"


def test_a_hit_within_the_tolerance_is_measured_in_mm():
    values, mask = np.zeros((9, 12)), np.zeros((9, 12), bool)
    values[4, 8], mask[4, 6] = 1, True  # two voxels of 1.9 mm
    for tolerance, expected in ((3.7, 0), (3.8, 1), (3.9, 1)):
        assert answer(overlap_of(values, mask, (0.7, 1.9), tolerance_mm=tolerance), "hit_within") == expected
    values[4, 6] = values[0, 0] = 1  # one in the mask, one beside it, one far away
    assert answer(overlap_of(values, mask, (0.7, 1.9), tolerance_mm=3.8), "hit_within") == pytest.approx(2 / 3)
    assert answer(overlap_of(values, mask, (0.7, 1.9), tolerance_mm=3.7), "hit_within") == pytest.approx(1 / 3)


def test_a_distance_that_is_the_tolerance_but_for_rounding_is_within_it():
    """From 0.3 to 0.6 mm it is a little more than 0.3 mm in float64."""
    values, mask = np.zeros((9, 4)), np.zeros((9, 4), bool)
    values[6, 1], mask[3, 1] = 1, True
    assert answer(overlap_of(values, mask, (0.1, 1.0), tolerance_mm=0.3), "hit_within") == 1


@pytest.mark.parametrize("shear", [0.0, 0.9])
def test_the_nearest_voxel_is_found_on_a_sheared_grid(shear):
    affine = np.eye(4)
    affine[0, 1] = shear
    generator = np.random.default_rng(2)
    for _ in range(20):
        mask = generator.random((6, 6)) < 0.5
        mask[0, 0], peak = False, np.zeros((6, 6))
        peak[0, 0] = 1
        expected = min(np.linalg.norm(affine[:2, :2] @ at) for at in np.argwhere(mask))
        for distance, hit in ((expected + 1e-5, 1), (expected - 1e-5, 0)):
            assert answer(overlap_of(peak, mask, affine=affine, tolerance_mm=distance), "hit_within") == hit


def test_on_a_sheared_grid_the_nearest_voxel_may_lie_inside_the_mask():
    """It has neighbours of the mask at all its faces, and yet no other is as near."""
    affine = np.eye(4)
    affine[0, 1] = 3.0
    peak, mask = np.zeros((6, 4)), np.zeros((6, 4), bool)
    peak[4, 0], mask[0:3, 0:3] = 1, True
    assert answer(overlap_of(peak, mask, affine=affine, tolerance_mm=1.2), "hit_within") == 1
    assert answer(overlap_of(peak, mask, affine=affine), "centre_distance") == pytest.approx(1)


def test_centres_of_mass_are_weighed_and_in_mm():
    values, mask = np.zeros((5, 7)), np.zeros((5, 7), bool)
    values[1, 2], values[1, 6], values[4, 0] = 3, 1, -9
    mask[3, 3] = True
    assert answer(overlap_of(values, mask, (2.0, 1.0)), "mass_centre_distance") == pytest.approx(4.0)
    oblique = np.eye(4)
    oblique[:2, :2] = [[0.0, -1.0], [2.0, 0.0]]
    assert answer(overlap_of(values, mask, affine=oblique), "mass_centre_distance") == pytest.approx(4.0)


def test_all_corners_of_a_grid_are_of_its_surface():
    whole = np.ones((3, 4, 2), bool)
    surface = {tuple(at) for at in Surface(whole, Geometry(whole.shape, np.eye(4))).voxels.tolist()}
    assert surface == set(product(range(3), range(4), range(2))) - {(1, 1, 2)}
