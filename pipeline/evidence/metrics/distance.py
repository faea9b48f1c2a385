"""How far the map lies from the mask, in mm.

Positions are taken through the grid's affine, so unequal spacings, oblique and sheared grids are measured as they lie.
The mask counts whole, with the voxels that the model never saw.
"""

from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from scipy.spatial import cKDTree

from pipeline.evidence.metrics.declaration import metric
from pipeline.evidence.metrics.map_evidence import RegionOverlap

__all__ = ["centre_distance", "hd95"]

_IN_SPACE = ("scale", "flip", "permutation", "shift")
_HALF = 0.5 + 1e-9  # a voxel's cell with its faces: what lies on a face lies in both cells


@metric(
    "centre_distance",
    title="Centre distance",
    definition="distance from the map's maximum (the centroid of all voxels tied for it) to the nearest voxel centre "
    "of the mask, 0 in one of its voxels; undefined for a constant map and where no physical size is known",
    unit="mm",
    better="lower",
    range=(0.0, None),
    chance="none in closed form: it depends on the mask's place; the random map beside it shows what chance gives",
    invariant=(*_IN_SPACE, "monotone"),
    version=1,
)
def centre_distance(overlap: RegionOverlap) -> float:
    """Return the distance in mm from the maximum of H to the mask."""
    overlap.require_ranking()
    overlap.require_physical_size()
    order, ends = overlap.evidence.ranking
    tied = np.column_stack(np.unravel_index(order[: ends[0] + 1], overlap.mask.shape))
    centre = tied.mean(axis=0)
    if _in_mask(overlap.mask, centre):
        return 0.0
    marked = overlap.geometry.world(np.argwhere(overlap.mask))
    return float(np.linalg.norm(marked - overlap.geometry.world(centre[None]), axis=1).min())


def _in_mask(mask: NDArray[np.bool_], place: NDArray[np.float64]) -> bool:
    """Tell whether a place (in voxels) lies in a voxel of the mask; on a face, in either of the two."""
    sides = [{int(np.ceil(at - _HALF)), int(np.floor(at + _HALF))} for at in place]
    inside = [[at for at in side if 0 <= at < size] for side, size in zip(sides, mask.shape, strict=True)]
    return any(bool(mask[voxel]) for voxel in product(*inside))


@metric(
    "hd95",
    title="HD95",
    definition="95th percentile of the distances from each surface voxel of the map's region to the mask's surface, "
    "and the other way round, the larger of both; undefined when either is empty and where no physical size is known",
    unit="mm",
    better="lower",
    range=(0.0, None),
    chance="none: it depends on the form of the map's region; the random map beside it shows what chance gives",
    invariant=_IN_SPACE,
    version=1,
)
def hd95(overlap: RegionOverlap) -> float:
    """Return the 95th percentile Hausdorff distance in mm between the surfaces of region and mask."""
    overlap.require_region()
    overlap.require_physical_size()
    region, mask = (overlap.geometry.world(_surface(part)) for part in (overlap.evidence.region, overlap.mask))
    return max(_percentile(region, mask), _percentile(mask, region))


def _surface(part: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the indices (N, axes) of voxels with a face that is the part's border, or the grid's."""
    marked = np.argwhere(part)
    low, high = marked.min(axis=0), marked.max(axis=0) + 1
    box = part[tuple(slice(start, stop) for start, stop in zip(low, high, strict=True))]
    surface: NDArray[np.intp] = np.argwhere(box & ~binary_erosion(box)) + low
    return surface


def _percentile(points: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    tree = cKDTree(others, balanced_tree=False, compact_nodes=False)  # asked once: quick to build counts
    distances, _ = tree.query(points)
    return float(np.percentile(distances, 95))
