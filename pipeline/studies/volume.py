"""Arrays that know where they lie: image, mask, heatmap."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.studies.geometry import Geometry, GeometryError

__all__ = ["Heatmap", "Mask", "Volume"]


@dataclass(frozen=True)
class Volume:
    """An image: float32 values (HU for CT, stored values after the modality transform otherwise) on a grid.

    Raises:
        GeometryError: when the array's shape is not the grid's, or it holds NaN or infinity.
    """

    array: NDArray[np.float32]
    geometry: Geometry

    def __post_init__(self) -> None:
        _freeze(self, np.float32)


@dataclass(frozen=True)
class Mask:
    """One reader's annotation of one label: True inside.

    Raises:
        GeometryError: when the array's shape is not the grid's.
    """

    array: NDArray[np.bool_]
    geometry: Geometry
    label: str
    reader: str

    def __post_init__(self) -> None:
        _freeze(self, np.bool_)


@dataclass(frozen=True)
class Heatmap:
    """A raw, signed map on a grid, with the voxels that the model saw.

    Raises:
        GeometryError: when the array's or ``seen``'s shape is not the grid's, or the array holds NaN or infinity.
    """

    array: NDArray[np.float32]
    geometry: Geometry
    seen: NDArray[np.bool_]
    method: str
    layer: str
    target: str

    def __post_init__(self) -> None:
        _freeze(self, np.float32)
        if self.seen.shape != self.geometry.shape:
            raise GeometryError(f"seen must have the grid's shape {self.geometry.shape}, not {self.seen.shape}")


def _freeze(holder: Volume | Mask | Heatmap, kind: type[np.generic]) -> None:
    array = np.ascontiguousarray(holder.array, dtype=kind)
    if array.shape != holder.geometry.shape:
        raise GeometryError(f"the array's shape {array.shape} is not the grid's {holder.geometry.shape}")
    if kind is np.float32 and not np.isfinite(array).all():
        raise GeometryError("the array holds NaN or infinity")
    array = array.view()
    array.setflags(write=False)
    object.__setattr__(holder, "array", array)
