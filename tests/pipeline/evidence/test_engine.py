"""The reference back end hands on what it is given: the voxels that the model saw, names, and the region's rule."""

import numpy as np

from pipeline.config import OverlapConfig
from pipeline.evidence.engine import MapNames, NumpyEngine
from pipeline.studies.geometry import Geometry
from pipeline.studies.volume import Heatmap, Mask

GRID = Geometry((2, 2, 2), np.eye(4))
QUARTER, MOST = OverlapConfig(threshold=0.25), OverlapConfig(threshold=0.9)
VALUES = np.array([0, 0, 0, 0, 1, 2, 3, 4], np.float32).reshape(2, 2, 2)


class Plan:
    """Doubles a map; the model saw all but the last voxel."""

    seen = np.arange(8).reshape(2, 2, 2) < 7

    def apply(self, values):
        return 2 * values


def test_a_carried_map_is_scored_where_the_model_saw_it_by_the_rule_that_is_asked():
    """What was seen is 2, 4 and 6 beside zeros: above 0.25 x 6 lie three voxels, above 0.9 x 6 one."""
    carrier = NumpyEngine().carrier(Plan())
    assert carrier.seen is Plan.seen
    for overlap, voxels in ((QUARTER, 3), (MOST, 1)):
        evidence = carrier.evidence(VALUES, GRID, MapNames("gradcam", "layer", "nodule"), overlap)
        assert (evidence.seen_voxels, evidence.region_voxels, float(evidence.total)) == (7, voxels, 12.0)
    heatmap = evidence.heatmap
    assert (heatmap.method, heatmap.layer, heatmap.target) == ("gradcam", "layer", "nodule")


def test_a_map_on_the_masks_grid_is_scored_by_the_rule_that_is_asked():
    engine = NumpyEngine()
    heatmap = Heatmap(VALUES, GRID, np.ones(GRID.shape, bool), "gradcam", "layer", "nodule")
    marked = engine.marked(Mask(VALUES > 2, GRID, "nodule", "anna"))
    for overlap, voxels, common in ((QUARTER, 3, 2), (MOST, 1, 1)):
        evidence = engine.evidence(heatmap, overlap)
        assert evidence.region_voxels == voxels
        assert engine.overlap(evidence, marked).common_voxels == common
