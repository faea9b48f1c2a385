"""What the demo's pictures have in common: a finding with two experts' outlines, and soft edges.

Everything here and in ``radiograph`` and ``ct`` is a pure function of the random generator that is handed in.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

__all__ = ["DemoLesion", "DemoScene", "Image", "Outline", "cloud", "inside", "redrawn"]

Image = NDArray[np.float32]
Outline = NDArray[np.bool_]


@dataclass(frozen=True)
class DemoScene:
    """A picture without a marker: values, the two experts' outlines (both empty when there is no finding)."""

    image: Image
    outlines: tuple[Outline, Outline]


@dataclass(frozen=True)
class DemoLesion:
    """A lobulated ellipsoid: centre, radii and lobes in the units of the picture's coordinates.

    ``lobes`` holds, for each axis, the amplitude and the phase of the wave that dents the outline along it.
    """

    centre: tuple[float, ...]
    radii: tuple[float, ...]
    lobes: tuple[tuple[float, float], ...]

    def distance(self, axes: tuple[Image, ...]) -> Image:
        """Return the distance from the centre as a share of the radius: 1 on the outline."""
        parts = [(axis - middle) / radius for axis, middle, radius in zip(axes, self.centre, self.radii, strict=True)]
        dents = sum(
            amplitude * np.sin(3 * part + phase) for part, (amplitude, phase) in zip(parts, self.lobes, strict=True)
        )
        squares: Image = sum(part**2 for part in parts)  # type: ignore[assignment]  # sum() starts from the integer 0
        return np.asarray(np.sqrt(squares) * (1 + dents), dtype=np.float32)


def redrawn(finding: DemoLesion, rng: np.random.Generator) -> DemoLesion:
    """Return the finding as another expert would outline it: a little off, a little larger or smaller."""
    shift = rng.normal(0, 0.07, len(finding.centre)) * finding.radii
    size = rng.uniform(0.92, 1.15)
    centre = tuple(float(value) for value in np.add(finding.centre, shift))
    return DemoLesion(centre, tuple(radius * size for radius in finding.radii), finding.lobes)


def inside(distance: Image | NDArray[np.float64], softness: float) -> Image:
    """Return 1 where ``distance`` is well below 0, 0 where it is well above, and a soft edge between."""
    return np.asarray(0.5 - 0.5 * np.tanh(distance * np.float32(1 / softness)), dtype=np.float32)


def cloud(rng: np.random.Generator, shape: tuple[int, ...], grain: float) -> Image:
    """Return smooth noise of mean 0 and deviation 1 whose blobs measure about ``grain`` voxels.

    It is drawn on a coarse grid and enlarged: a wide blur of a whole picture would be the slowest step of a scene.
    """
    step = max(grain / 2, 1.0)
    coarse = tuple(int(size / step) + 2 for size in shape)
    field = gaussian_filter(rng.standard_normal(coarse).astype(np.float32), 1.0)
    field = (field - field.mean()) / field.std()
    for axis, size in enumerate(shape):
        position = np.arange(size) / step
        low = position.astype(int)
        weight = (
            (position - low).astype(np.float32).reshape([-1 if other == axis else 1 for other in range(len(shape))])
        )
        field = field.take(low, axis) * (1 - weight) + field.take(low + 1, axis) * weight
    return np.asarray(field, dtype=np.float32)
