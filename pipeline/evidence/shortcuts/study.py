"""A study as a battery of changes takes it, the settings that are locked beforehand, and how lengths are measured."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["BatterySettings", "BatteryStudy", "Ruler", "ScoreOfLabel"]

ScoreOfLabel = Callable[[NDArray[np.float32]], NDArray[np.float64]]
"""Inputs (n, channels, *S) to the label's logits (n): above 0 where the model answers the label."""

_FIELD_UNITS = 64  # the battery's lengths are given for a field of so many units


@dataclass(frozen=True)
class BatterySettings:
    """What decides, fixed before the model is asked.

    A cause is named when Holm's adjusted p is at most ``alpha`` and its effect at least ``minimum_effect`` of the
    distance between the classes, and only where the label's AUROC is at least ``minimum_auroc``. ``flips`` are drawn
    where the exact number of sign flips is larger. ``batch`` is how many inputs the model is shown at once;
    ``lesion_experiments`` whether the lesion is painted over, and what goes with it.
    """

    seed: int = 0
    alpha: float = 0.05
    minimum_effect: float = 0.15
    minimum_auroc: float = 0.8
    flips: int = 4000
    batch: int = 8
    lesion_experiments: bool = False


@dataclass(frozen=True, eq=False)
class BatteryStudy:
    """One study as the model is shown it.

    Attributes:
        x: (channels, *S) the prepared input.
        lesion: (*S) the experts' mask on the same grid; None where nobody outlined anything.
        positive: whether the reference gives the study the label.
        patient: whose study it is, as a pseudonym.
        spacing: mm between voxels for each axis of S; None where it is not known, all axes then count alike.
        avoid: (*S) masks of regions that must not speak for the label, by name.
    """

    x: NDArray[np.float32]
    lesion: NDArray[np.bool_] | None
    positive: bool
    patient: str
    spacing: tuple[float, ...] | None = None
    avoid: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse masks of another grid.

        Raises:
            ValueError: a mask or the spacing does not fit the input.
        """
        shape = self.x.shape[1:]
        masks = {**self.avoid, **({} if self.lesion is None else {"lesion": self.lesion})}
        for name, mask in masks.items():
            if mask.shape != shape or mask.dtype != np.bool_:
                raise ValueError(f"mask {name!r} must be bool of shape {shape}, is {mask.dtype} of {mask.shape}")
        if self.spacing is not None and len(self.spacing) != len(shape):
            raise ValueError(f"spacing must give {len(shape)} lengths, gives {len(self.spacing)}")

    @property
    def ruler(self) -> "Ruler":
        """How the battery's lengths are measured in this study."""
        return Ruler.of(self.x.shape[1:], self.spacing)


@dataclass(frozen=True)
class Ruler:
    """The battery's lengths in voxels of a grid.

    They are given in units. A unit is one 64th of the field, the geometric mean of its extents in mm, but never less
    than the finest spacing: on a grid of fewer than 64 voxels a unit is a voxel. ``steps`` is the unit in voxels for
    each axis, below 1 where slices lie further apart than a unit.
    """

    steps: tuple[float, ...]

    @classmethod
    def of(cls, shape: tuple[int, ...], spacing: tuple[float, ...] | None) -> "Ruler":
        """Return the ruler of a grid; axes of one voxel give no length."""
        sizes = np.ones(len(shape)) if spacing is None else np.asarray(spacing, dtype=np.float64)
        long = np.asarray(shape) > 1
        extents = (np.asarray(shape) * sizes)[long]
        unit = (
            max(float(np.exp(np.log(extents).mean())) / _FIELD_UNITS, float(sizes[long].min())) if long.any() else 1.0
        )
        return cls(tuple(float(unit / size) for size in sizes))

    def voxels(self, units: float) -> tuple[int, ...]:
        """Return a length in whole voxels for each axis, at least 1."""
        return tuple(max(1, round(units * step)) for step in self.steps)

    def sigmas(self, units: float) -> tuple[float, ...]:
        """Return a length in voxels for each axis, as a filter's width."""
        return tuple(units * step for step in self.steps)

    def count(self, units: float) -> int:
        """Return how many voxels a thin thing of so many units has at least: it grows with its length, not its area."""
        return max(1, round(units * max(self.steps)))
