"""Where a map without a mask lies, by hand."""

import numpy as np
import pytest

from pipeline.config import OverlapConfig
from pipeline.evidence.metrics.registry import evidence_of
from pipeline.evidence.placement import placement_of, voxels_in_body
from pipeline.studies.geometry import Geometry
from pipeline.studies.volume import Heatmap

GRID = Geometry((3, 5), np.eye(4))


def heatmap(values, seen=None):
    array = np.array(values, np.float32)
    return Heatmap(array, GRID, np.ones(array.shape, bool) if seen is None else np.array(seen), "gradcam", "l", "a")


def placed(values, body, seen=None):
    return placement_of(evidence_of(heatmap(values, seen), OverlapConfig()), voxels_in_body(heatmap(body, seen)))


BODY = [[0, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]]


def test_a_map_is_placed_by_peak_and_by_body():
    place = placed([[0, 0, 0, 0, 3], [0, 0, 1, 0, 0], [0, 0, 0, 0, -9]], BODY)
    assert place.peak == (0.0, 1.0)
    assert place.energy_in_body == pytest.approx(1 / 4)
    assert place.peak_in_body == 0.0
    assert place.body_share == pytest.approx(3 / 15)
    assert place.reason is None


def test_tied_maxima_count_in_proportion_and_their_centroid_is_the_peak():
    place = placed([[2, 0, 0, 0, 0], [0, 0, 2, 0, 0], [0, 0, 0, 0, 0]], BODY)
    assert place.peak == (0.25, 0.25)
    assert place.peak_in_body == 0.5


def test_half_of_an_interpolated_body_is_not_in_it():
    place = placed([[0, 0, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]], np.multiply(BODY, 0.5))
    assert (place.energy_in_body, place.peak_in_body, place.reason) == (None, None, "no_body")
    assert place.peak == (0.5, 0.5)


def test_a_constant_map_lies_nowhere():
    place = placed(np.ones((3, 5)), BODY)
    assert place.model_dump(exclude={"reason"}) == dict.fromkeys(
        ("peak", "energy_in_body", "peak_in_body", "body_share")
    )
    assert place.reason == "constant_map"


def test_what_the_model_never_saw_is_no_part_of_the_body():
    seen = np.ones((3, 5), bool)
    seen[1, 1] = False
    place = placed([[0, 0, 0, 0, 1], [0, 5, 1, 0, 0], [0, 0, 0, 0, 0]], BODY, seen)
    assert place.body_share == pytest.approx(2 / 14)
    values = [[0, 0, 0, 0, 1], [0, 5, 1, 0, 0], [0, 0, 0, 0, 0]]
    assert placement_of(evidence_of(heatmap(values, seen), OverlapConfig()), voxels_in_body(heatmap(BODY))) == place
    assert place.energy_in_body == pytest.approx(1 / 2)


def test_an_axis_of_one_voxel_has_its_peak_at_its_start():
    grid = Geometry((1, 5), np.eye(4))
    line = Heatmap(np.array([[0, 0, 1, 0, 0]], np.float32), grid, np.ones((1, 5), bool), "gradcam", "l", "a")
    assert placement_of(evidence_of(line, OverlapConfig()), voxels_in_body(line)).peak == (0.0, 0.5)
