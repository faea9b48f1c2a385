"""Where the peak of a map lies: in a lesion, in the body or beside it, and in which part of the picture.

A map that misses the lesion looks somewhere else, and where that is tells a reader more than that it missed: a marker
in a corner, the skin, the edge of the picture.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.metrics.map_evidence import MarkedVoxels, MaskedEvidence
from pipeline.evidence.metrics.parts import nearest
from pipeline.evidence.planes import along_the_page
from pipeline.evidence.shown_body import ON_THE_LINE
from pipeline.findings.scores import MapPeak
from pipeline.studies.geometry import Geometry
from pipeline.vocabulary import BodyRegion, PeakRegion

__all__ = ["RegionAt", "border_band", "peak_of"]

_BORDER = 0.02
"""The share of an axis at each of its ends that is the picture's border."""

RegionAt = Callable[[NDArray[np.float64]], BodyRegion | None]
"""What tells the region of a position (3,) in mm where nothing is marked; None where it cannot be told."""


def peak_of(evidence: MaskedEvidence, region_at: RegionAt, marked: MarkedVoxels | None) -> MapPeak | None:
    """Return where a map's peak lies, seen from one mask (None: there is none).

    Of voxels that are tied for the highest value, the one nearest to their middle. None for a constant map, and where
    ``region_at`` cannot tell the region.
    """
    if evidence.degenerate:
        return None
    geometry = evidence.heatmap.geometry
    tied = np.stack(np.unravel_index(evidence.maxima, geometry.shape), axis=1)
    index = tied[np.argmin(np.square(tied - tied.mean(axis=0)).sum(axis=1))]
    position = geometry.world(index[None])[0]
    region = _of_picture(index, geometry) or region_at(position)
    if region is None:
        return None
    shares = along_the_page(geometry, index)
    return MapPeak(
        region=_of_lesion(index, evidence, marked) or region,
        body_region=region,
        place=_named(shares),
        position_mm=(float(position[0]), float(position[1]), float(position[2])),
        normalised=shares,
        value=float(evidence.positive[tuple(index)]),
    )


def _of_lesion(index: NDArray[np.intp], evidence: MaskedEvidence, marked: MarkedVoxels | None) -> PeakRegion | None:
    if marked is None or not len(marked.indices):
        return None
    if marked.mask[tuple(index)]:
        return "lesion"
    if not marked.geometry.scaled:  # a tolerance in mm says nothing of pixels
        return None
    away = nearest(index[None], marked.surface.voxels, marked.geometry)[0]
    return "near" if away <= evidence.limits.tolerance_mm * ON_THE_LINE else None


def border_band(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return how many voxels at each end of each axis are the picture's border.

    None along an axis of few voxels: each of them may show anything.
    """
    return tuple(int(_BORDER * size) for size in shape)


def _of_picture(index: NDArray[np.intp], geometry: Geometry) -> BodyRegion | None:
    bands = zip(index.tolist(), border_band(geometry.shape), geometry.shape, strict=True)
    return "border" if any(at < band or at >= size - band for at, band, size in bands) else None


def _named(shares: tuple[float, ...]) -> str:
    """Return a place by thirds: ``upper left`` of a picture, ``upper front left`` of a patient; ``middle`` of both."""
    sides: tuple[tuple[float, str, str], ...]
    if len(shares) == 2:
        sides = ((shares[1], "upper", "lower"), (shares[0], "left", "right"))
    else:
        sides = ((shares[2], "upper", "lower"), (shares[1], "front", "back"), (shares[0], "right", "left"))
    words = [low if share < 1 / 3 else high for share, low, high in sides if not 1 / 3 <= share <= 2 / 3]
    return " ".join(words) or "middle"
