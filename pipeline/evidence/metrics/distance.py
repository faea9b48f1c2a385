"""How far the map lies from the mask, in mm.

Positions are taken through the grid's affine, so unequal spacings, oblique and sheared grids are measured as they lie.
The mask counts whole, with the voxels that the model never saw.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.metrics.declaration import metric
from pipeline.evidence.metrics.map_evidence import RegionOverlap, profiles_of
from pipeline.evidence.metrics.parts import nearest, right_angled

__all__ = ["assd", "centre_distance", "hd95", "hit_within", "mass_centre_distance", "surface_dice"]

_IN_SPACE = ("scale", "flip", "permutation", "shift")
_HALF = 0.5 + 1e-9  # a voxel's cell with its faces: what lies on a face lies in both cells
_ON_THE_LINE = 1 + 1e-6  # a distance that is the tolerance but for float32's rounding is within it
_PLACE = "none in closed form: it depends on the mask's place; the random map beside it shows what chance gives"
_FORM = "none: it depends on the form of the map's region; the random map beside it shows what chance gives"


@metric(
    "centre_distance",
    title="Centre distance",
    definition="distance from the map's maximum (the centroid of all voxels tied for it) to the nearest voxel centre "
    "of the mask, 0 in one of its voxels; undefined for a constant map and where no physical size is known",
    unit="mm",
    better="lower",
    range=(0.0, None),
    chance=_PLACE,
    invariant=(*_IN_SPACE, "monotone"),
    version=1,
)
def centre_distance(overlap: RegionOverlap) -> float:
    """Return the distance in mm from the maximum of H to the mask."""
    overlap.require_place()
    centre = _voxels_at(overlap, overlap.evidence.maxima).mean(axis=0)
    if _in_mask(overlap.mask, centre):
        return 0.0
    marked = overlap.geometry.world(_candidates(overlap))
    return float(np.linalg.norm(marked - overlap.geometry.world(centre[None]), axis=1).min())


def _voxels_at(overlap: RegionOverlap, indices: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return flat indices as indices along the axes (N, axes)."""
    return np.column_stack(np.unravel_index(indices, overlap.mask.shape))


def _in_mask(mask: NDArray[np.bool_], place: NDArray[np.float64]) -> bool:
    """Tell whether a place (in voxels) lies in a voxel of the mask; on a face, in either of the two."""
    sides = [{int(np.ceil(at - _HALF)), int(np.floor(at + _HALF))} for at in place]
    inside = [[at for at in side if 0 <= at < size] for side, size in zip(sides, mask.shape, strict=True)]
    return any(bool(mask[voxel]) for voxel in product(*inside))


def _candidates(overlap: RegionOverlap) -> NDArray[np.intp]:
    """Return voxels of the mask (N, axes) among which the nearest to any place outside it is."""
    if right_angled(overlap.geometry):
        return overlap.marked.surface.voxels
    return _voxels_at(overlap, overlap.marked.indices)


@metric(
    "hit_within",
    title="Hit within tolerance",
    definition="1 when the map's maximum lies no further from the nearest voxel centre of the mask than the tolerance "
    "(overlap.tolerance_mm), else 0; voxels tied for the maximum count in proportion; undefined for a constant map and "
    "where no physical size is known",
    unit="1",
    better="higher",
    range=(0.0, 1.0),
    chance=_PLACE,
    invariant=(*_IN_SPACE, "monotone"),
    version=1,
    source="Zhang et al. 2018 (pointing game), with the tolerance in mm instead of 15 pixels",
    equals="neither",
)
def hit_within(overlap: RegionOverlap) -> float:
    """Return the share of the voxels with the highest H that lie in the mask or within the tolerance of it."""
    overlap.require_place()
    tied = overlap.evidence.maxima
    beside = tied[~overlap.mask.ravel()[tied]]
    if not len(beside):
        return 1.0
    away = nearest(_voxels_at(overlap, beside), _candidates(overlap), overlap.geometry)
    too_far = np.count_nonzero(away > overlap.evidence.limits.tolerance_mm * _ON_THE_LINE)
    return 1 - too_far / len(tied)


@metric(
    "mass_centre_distance",
    title="Distance of centres of mass",
    definition="distance from the centre of mass of the map's positive part to that of the mask; undefined for a "
    "constant map and where no physical size is known; says little of several lesions",
    unit="mm",
    better="lower",
    range=(0.0, None),
    chance=_PLACE,
    invariant=_IN_SPACE,
    version=1,
    source="Metrics Reloaded (Maier-Hein et al. 2024), whose code gives -1 where it is undefined",
    equals="paper",
)
def mass_centre_distance(overlap: RegionOverlap) -> float:
    """Return the distance in mm between the centres of mass of H and of the mask."""
    overlap.require_place()
    highest = overlap.evidence.extremes[1]
    centres = np.stack([_centre(overlap.evidence.profiles, highest), _centre(profiles_of(overlap.mask))])
    map_centre, mask_centre = overlap.geometry.world(centres)
    return float(np.linalg.norm(map_centre - mask_centre))


def _centre(profiles: Sequence[NDArray[np.float64]], highest: float = 1.0) -> NDArray[np.float64]:
    """Return the centre of mass (in voxels) of weights on a grid from their profiles; ``highest`` is the largest."""
    scaled = [profile / highest for profile in profiles]  # the sum of products of the largest numbers is no infinity
    return np.array([float(profile @ np.arange(len(profile)) / profile.sum()) for profile in scaled])


@metric(
    "hd95",
    title="HD95",
    definition="95th percentile of the distances from each surface voxel of the map's region to the mask's surface, "
    "and the other way round, the larger of both; undefined when either is empty and where no physical size is known",
    unit="mm",
    better="lower",
    range=(0.0, None),
    chance=_FORM,
    invariant=_IN_SPACE,
    version=2,
    source="Metrics Reloaded (Maier-Hein et al. 2024); surface-distance weighs by surface elements instead",
    equals="paper",
)
def hd95(overlap: RegionOverlap) -> float:
    """Return the 95th percentile Hausdorff distance in mm between the surfaces of region and mask."""
    return max(float(np.percentile(distances, 95)) for distances in _between_surfaces(overlap))


@metric(
    "assd",
    title="Average surface distance",
    definition="mean over the surface voxels of the map's region and of the mask of the distance to the other's "
    "surface; undefined when either is empty and where no physical size is known",
    unit="mm",
    better="lower",
    range=(0.0, None),
    chance=_FORM,
    invariant=_IN_SPACE,
    version=1,
    source="Metrics Reloaded (Maier-Hein et al. 2024), average symmetric surface distance",
    equals="paper",
)
def assd(overlap: RegionOverlap) -> float:
    """Return the mean distance in mm of all surface voxels to the other surface."""
    return float(np.concatenate(_between_surfaces(overlap)).mean())


def _between_surfaces(overlap: RegionOverlap) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    overlap.require_surfaces()
    return overlap.surface_distances


@metric(
    "surface_dice",
    title="Normalised surface Dice",
    definition="share of the surfaces of the map's region and of the mask, by the area of their elements, that lies "
    "within the tolerance (overlap.tolerance_mm) of the other; 0 when the map has no region, undefined when the mask "
    "is empty and where no physical size is known",
    unit="1",
    better="higher",
    range=(0.0, 1.0),
    chance=_FORM,
    invariant=_IN_SPACE,
    version=1,
    source="Nikolov et al. 2018; surface elements and areas as its code, surface-distance, has them",
    equals="both",
)
def surface_dice(overlap: RegionOverlap) -> float:
    """Return the share of both surfaces' area that lies within the tolerance of the other surface."""
    overlap.require_mask()
    overlap.require_physical_size()
    if not overlap.evidence.region_voxels:
        return 0.0
    parts = overlap.evidence.region_surface.elements, overlap.marked.surface.elements
    tolerance = overlap.evidence.limits.tolerance_mm * _ON_THE_LINE
    near = whole = 0.0
    for (corners, areas), (others, _) in (parts, parts[::-1]):
        near += float(areas[nearest(corners, others, overlap.geometry) <= tolerance].sum())
        whole += float(areas.sum())
    return near / whole
