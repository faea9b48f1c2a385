"""A picture in one plane without a place in the patient: its grid, with or without directions."""

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Reason
from pipeline.studies.geometry import Geometry, lps_to_ras
from pipeline.studies.readers.shared.base import refused

__all__ = ["NO_SPACING", "Direction", "check_same_size", "flat_geometry"]

NO_SPACING = "not stated; distances in pixels"
"""The fact of a picture whose distances are in pixels."""

Direction = tuple[int, int, int]


def flat_geometry(
    shape: tuple[int, ...], spacing: NDArray[np.float64], directions: tuple[Direction, Direction] | None, source: str
) -> Geometry:
    """Return the grid of a picture (row, column) whose first pixel lies at the origin.

    ``spacing``: mm between rows, then between columns. ``directions``: where a row runs to, then a column, in
    LPS+; None when that is not known: the picture is laid out as it is seen, and tells no sides. ``source``: what
    states the spacing, ``NO_SPACING`` where nothing does.
    """
    along_row, along_column = directions or ((1, 0, 0), (0, 0, -1))
    affine = np.eye(4)
    affine[:3, 0] = np.array(along_column) * spacing[0]  # the row index grows down a column
    affine[:3, 1] = np.array(along_row) * spacing[1]
    affine[:3, 2] = np.cross(along_column, along_row)
    known = {"oriented": directions is not None, "scaled": not source.startswith(NO_SPACING)}
    return Geometry(shape, lps_to_ras(affine), None, **known)


def check_same_size(shape: tuple[int, ...], image: Geometry) -> None:
    """Refuse a mask without a place of its own that has not just the image's pixels.

    Raises:
        StudyError: OTHER_GRID, excluded.
    """
    if shape != image.shape:
        raise refused(Reason.OTHER_GRID, f"the mask has {shape} pixels, the image {image.shape}", excluded=True)
