"""Arrays that know where they lie: image, mask, heatmap."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.studies.geometry import Geometry, GeometryError

__all__ = ["Heatmap", "Mask", "Volume"]


@dataclass(frozen=True, eq=False)
class Volume:
    """An image: float32 values (HU for CT, stored values after the modality transform otherwise) on a grid.

    Raises:
        GeometryError: when the array's shape is not the grid's, or it holds NaN or infinity.
    """

    array: NDArray[np.float32]
    geometry: Geometry

    def __post_init__(self) -> None:
        _freeze(self, np.float32)


@dataclass(frozen=True, eq=False)
class Mask:
    """One reader's annotation of one label: True inside.

    Raises:
        GeometryError: when the array's shape is not the grid's, or it holds anything but 0 and 1.
    """

    array: NDArray[np.bool_]
    geometry: Geometry
    label: str
    reader: str

    def __post_init__(self) -> None:
        _freeze(self, np.bool_)


@dataclass(frozen=True, eq=False)
class Heatmap:
    """A raw, signed map on a grid, with the voxels that the model saw.

    Raises:
        GeometryError: when the shape of the array or of ``seen`` is not the grid's, or a value is NaN or
            infinite.
    """

    array: NDArray[np.float32]
    geometry: Geometry
    seen: NDArray[np.bool_]
    method: str
    layer: str
    target: str

    def __post_init__(self) -> None:
        _freeze(self, np.float32)
        _freeze(self, np.bool_, "seen")


def _freeze(holder: Volume | Mask | Heatmap, kind: type[np.generic], name: str = "array") -> None:
    given: NDArray[np.generic] = np.asarray(getattr(holder, name))
    if given.shape != holder.geometry.shape:
        raise GeometryError(f"{name} must have the grid's shape {holder.geometry.shape}, not {given.shape}")
    if kind is np.bool_ and given.dtype != np.bool_ and not np.isin(given, (0, 1)).all():
        raise GeometryError(f"{name} must hold True and False (or 1 and 0) only")
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinity, which is refused below
        array = np.asarray(given, dtype=kind).view()  # in whatever order: a copy of a volume costs more than its file
    if kind is np.float32 and not np.isfinite(array).all():
        raise GeometryError(f"{name} holds NaN or infinity")
    array.setflags(write=False)
    object.__setattr__(holder, name, array)
