"""Distances in mm, held against a slow definition in float64 and against distance transforms."""

from itertools import product

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from pipeline.evidence.metrics.map_evidence import MarkedVoxels, MaskedEvidence, RegionOverlap
from pipeline.evidence.metrics.registry import METRICS, score_all
from pipeline.studies.geometry import Geometry
from pipeline.studies.volume import Heatmap

SHAPES = [(9, 12), (7, 8, 6)]
SPACING = {2: (0.7, 1.9), 3: (0.8, 1.3, 4.1)}


def overlap_of(values, mask, affine=None, seen=None, scaled=True):
    values, mask = np.asarray(values, np.float32), np.asarray(mask, bool)
    if affine is None:
        affine = np.diag([*SPACING[mask.ndim], *([1.0] * (4 - mask.ndim))])
    geometry = Geometry(mask.shape, affine, scaled=scaled)
    seen = np.ones(mask.shape, bool) if seen is None else seen
    evidence = MaskedEvidence(Heatmap(values, geometry, seen, "m", "l", "t"), 0.5)
    return RegionOverlap(evidence, MarkedVoxels(mask, geometry))


def answers(overlap):
    metrics = [METRICS["centre_distance"], METRICS["hd95"]]
    return [score.reason or score.value for score in score_all(overlap, metrics)]


def random_case(shape, seed):
    """Return a smooth random map and a random mask of two blocks."""
    generator = np.random.default_rng(seed)
    values = generator.normal(size=shape)
    mask = np.zeros(shape, bool)
    for _ in range(2):
        corner = [generator.integers(0, size - 1) for size in shape]
        mask[tuple(slice(start, start + generator.integers(1, 4)) for start in corner)] = True
    return values, mask


def places(affine, voxels):
    """World positions, voxel by voxel, in float64."""
    padded = [[*map(float, voxel), *([0.0] * (3 - len(voxel))), 1.0] for voxel in voxels]
    return [tuple(sum(affine[row][k] * at[k] for k in range(4)) for row in range(3)) for at in padded]


def apart(first, second):
    return sum((a - b) ** 2 for a, b in zip(first, second, strict=True)) ** 0.5


def slow_surface(part):
    """Voxels of a part with a neighbour across a face that is not of it, or beyond the grid."""
    voxels = []
    for voxel in np.argwhere(part).tolist():
        for axis, step in product(range(part.ndim), (-1, 1)):
            beside = [*voxel]
            beside[axis] += step
            inside = 0 <= beside[axis] < part.shape[axis]
            if not inside or not part[tuple(beside)]:
                voxels.append(voxel)
                break
    return voxels


def slow_hd95(affine, region, mask):
    surfaces = [places(affine, slow_surface(part)) for part in (region, mask)]
    directed = []
    for own, other in (surfaces, surfaces[::-1]):
        nearest = sorted(min(apart(a, b) for b in other) for a in own)
        place = 0.95 * (len(nearest) - 1)
        low = int(place)
        high = min(low + 1, len(nearest) - 1)
        directed.append(nearest[low] + (place - low) * (nearest[high] - nearest[low]))
    return max(directed)


def sheared(axes):
    affine = np.eye(4)
    affine[:3, :3] = [[0.9, 0.3, 0.0], [-0.2, 1.4, 0.5], [0.1, 0.0, 3.2]]
    affine[:3, 3] = (-40, 12, 7)
    if axes == 2:
        affine[:3, 2] = np.cross(affine[:3, 0], affine[:3, 1])
    return affine


@pytest.mark.parametrize("oblique", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_distances_are_those_of_the_slow_definition(shape, oblique):
    """Unequal spacings, and a grid whose axes are not at right angles."""
    for seed in range(8):
        values, mask = random_case(shape, seed)
        overlap = overlap_of(values, mask, sheared(len(shape)) if oblique else None)
        affine = overlap.geometry.affine.tolist()
        centre, surface = answers(overlap)
        (peak,) = places(affine, [np.unravel_index(np.argmax(values), shape)])
        assert centre == pytest.approx(min(apart(peak, at) for at in places(affine, np.argwhere(mask))), abs=1e-9)
        assert surface == pytest.approx(slow_hd95(affine, overlap.evidence.region, mask), abs=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_distances_are_those_of_distance_transforms(shape):
    for seed in range(8):
        values, mask = random_case(shape, seed)
        overlap = overlap_of(values, mask)
        spacing = SPACING[len(shape)]
        edges = []
        for part in (overlap.evidence.region, mask):
            edge = np.zeros(shape, bool)
            edge[tuple(np.transpose(slow_surface(part)))] = True
            edges.append(edge)
        to_mask, to_region = (distance_transform_edt(~edge, sampling=spacing) for edge in edges[::-1])
        expected = max(np.percentile(to_mask[edges[0]], 95), np.percentile(to_region[edges[1]], 95))
        centre, surface = answers(overlap)
        assert surface == pytest.approx(expected, abs=1e-9)
        away = distance_transform_edt(~mask, sampling=spacing)
        assert centre == pytest.approx(away.flat[np.argmax(values)], abs=1e-9)


def test_by_hand_along_the_coarse_axis():
    """A peak two voxels of 1.9 mm away from the mask; the wrong axis order would give 1.4 mm."""
    values, mask = np.zeros((9, 12)), np.zeros((9, 12), bool)
    values[4, 8], mask[4, 6] = 1, True
    assert answers(overlap_of(values, mask)) == pytest.approx([3.8, 3.8])
    assert answers(overlap_of(mask, mask)) == [0, 0]


def test_ties_are_taken_at_their_centroid():
    values, mask = np.zeros((9, 12)), np.zeros((9, 12), bool)
    values[4, 2] = values[4, 6] = 1  # the centroid is (4, 4)
    mask[4, 4] = True
    assert answers(overlap_of(values, mask))[0] == 0
    mask[4, 4], mask[4, 9] = False, True
    assert answers(overlap_of(values, mask))[0] == pytest.approx(5 * 1.9)


@pytest.mark.parametrize("marked", [3, 4])
def test_a_centroid_on_a_face_lies_in_both_voxels(marked):
    """Rounding half to even would take one side, and a mirrored map would have another score."""
    values, mask = np.zeros((9, 12)), np.zeros((9, 12), bool)
    values[4, 3] = values[4, 4] = 1
    mask[4, marked] = True
    assert answers(overlap_of(values, mask))[0] == 0
    mask[4, marked], mask[4, 5] = False, True
    assert answers(overlap_of(values, mask))[0] == pytest.approx(1.5 * 1.9)


def test_one_stray_voxel_in_a_hundred_does_not_count():
    """The 95th percentile: a Hausdorff distance would be 20 mm."""
    values, mask = np.zeros((40, 40)), np.zeros((40, 40), bool)
    values[2:32, 2:32], mask[2:32, 2:32] = 1, True
    values[39, 39] = 1
    assert answers(overlap_of(values, mask, np.eye(4)))[1] == 0


def test_what_is_undefined_has_its_reason():
    values, mask = random_case((9, 12), 0)
    assert answers(overlap_of(values, mask & False)) == ["empty_mask"] * 2
    assert answers(overlap_of(0 * values, mask)) == ["constant_map", "empty_region"]
    assert answers(overlap_of(0 * values, mask & False)) == ["empty_mask"] * 2
    assert answers(overlap_of(values, mask, scaled=False)) == ["no_physical_size"] * 2
    unseen = ~mask
    first, second = answers(overlap_of(values, mask, seen=unseen))
    assert first == "mask_outside_field_of_view"
    assert isinstance(second, float)  # the region is there, and so is the mask


def test_only_what_was_seen_is_a_maximum():
    values, mask = np.zeros((9, 12)), np.zeros((9, 12), bool)
    values[4, 8], values[0, 0], mask[4, 6] = 1, 9, True
    seen = np.ones((9, 12), bool)
    seen[0, 0] = False
    assert answers(overlap_of(values, mask, seen=seen)) == pytest.approx([3.8, 3.8])
