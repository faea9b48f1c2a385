"""Scenes to try a metric on, and what each declared invariance does to one: the scores before and after are the same.

The values of a scene are whole 64ths, so that no two of them are told apart by rounding alone, and its border is empty,
so that it can be moved.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.metrics.map_evidence import LesionLimits, MarkedVoxels, MaskedEvidence, RegionOverlap
from pipeline.studies.geometry import Geometry
from pipeline.studies.volume import Heatmap

__all__ = ["CHANGES", "Scene", "odd_scenes", "scenes"]

_GRIDS = (((15, 18), (0.7, 1.3)), ((12, 14, 11), (0.8, 1.1, 2.9)))
_MARGIN = 3
_STEPS = 64


@dataclass(frozen=True)
class Scene:
    """A map, a mask and which voxels were seen, on a grid with a spacing in mm; ``about`` says what it is."""

    about: str
    values: NDArray[np.float32]
    mask: NDArray[np.bool_]
    seen: NDArray[np.bool_]
    spacing: tuple[float, ...]
    scaled: bool = True

    def overlap(self, rule: float = 0.5) -> RegionOverlap:
        """Return what a metric is given; a voxel of the region exceeds ``rule`` of the maximum."""
        affine = np.diag([*self.spacing, *([1.0] * (4 - len(self.spacing)))])
        geometry = Geometry(self.values.shape, affine, scaled=self.scaled)
        heatmap = Heatmap(self.values.copy(), geometry, self.seen.copy(), "method", "layer", "target")
        evidence = MaskedEvidence(heatmap, rule, LesionLimits(tolerance_mm=2.0))
        return RegionOverlap(evidence, MarkedVoxels(self.mask.copy(), geometry))


def scenes() -> Iterator[Scene]:
    """Yield ordinary scenes in 2D and 3D, fully seen: a blob with noise and negative parts, a mask near or far."""
    for shape, spacing in _GRIDS:
        for number in range(6):
            generator = np.random.Generator(np.random.PCG64(number))
            inner = [slice(_MARGIN, size - _MARGIN) for size in shape]
            places = np.stack(np.meshgrid(*(np.arange(size) for size in shape), indexing="ij"))
            peak, middle = ([generator.uniform(_MARGIN + 1, size - _MARGIN - 2) for size in shape] for _ in range(2))
            blob = np.exp(-sum(((at - to) / 2.5) ** 2 for at, to in zip(places, peak, strict=True)))
            noisy = np.round(_STEPS * (blob + generator.uniform(-0.3, 0.3, shape))) / _STEPS
            away = sum((at - to) ** 2 for at, to in zip(places, middle, strict=True))
            values, mask = np.zeros(shape, np.float32), np.zeros(shape, bool)
            values[tuple(inner)], mask[tuple(inner)] = noisy[tuple(inner)], (away < 6)[tuple(inner)]
            yield Scene(f"blob {number} in {len(shape)}D", values, mask, np.ones(shape, bool), spacing)


def odd_scenes() -> Iterator[Scene]:
    """Yield scenes at the ends of what can come: empty, constant, unseen, single voxels, no physical size."""
    for scene in list(scenes())[::6]:
        first, rest = np.zeros(scene.mask.shape, bool), np.ones(scene.mask.shape, bool)
        first.flat[0], rest.flat[0] = True, False
        spot = np.where(first, np.float32(1), np.float32(0))
        where = f"in {scene.mask.ndim}D"
        for about, change in (
            ("an empty mask", {"mask": first & False}),
            ("a mask of everything", {"mask": first | True}),
            ("a map of zeros", {"values": 0 * scene.values}),
            ("a constant map", {"values": np.ones_like(scene.values)}),
            ("a map that is negative everywhere", {"values": -1 - np.abs(scene.values)}),
            ("a map of one voxel", {"values": spot}),
            ("a map of the smallest numbers", {"values": spot * np.finfo(np.float32).smallest_subnormal}),
            ("a map of the largest numbers", {"values": np.finfo(np.float32).max * (spot - (1 - spot))}),
            ("a map and a mask of one voxel", {"values": spot, "mask": first}),
            ("a mask at the corner", {"mask": first}),
            ("no voxel seen", {"seen": first & False}),
            ("a mask that was not seen", {"mask": first, "seen": rest}),
            ("a map and an empty mask of zeros", {"values": 0 * scene.values, "mask": first & False}),
            ("a grid without physical size", {"scaled": False}),
        ):
            yield replace(scene, about=f"{about} {where}", **change)
    for shape in ((1, 1), (1, 6), (1, 1, 1), (2, 1, 3)):
        whole = np.ones(shape, bool)
        rising = np.arange(whole.size, dtype=np.float32).reshape(shape)
        yield Scene(f"a grid of {shape}", rising, rising >= whole.size // 2, whole, (1.0, 2.0, 3.0)[: len(shape)])


def _flip(scene: Scene) -> Iterator[Scene]:
    for axis in range(scene.mask.ndim):
        yield _moved(scene, partial(np.flip, axis=axis))


def _permutation(scene: Scene) -> Iterator[Scene]:
    for turns in range(1, scene.mask.ndim):
        order = tuple(np.roll(np.arange(scene.mask.ndim), turns))
        moved = _moved(scene, partial(np.transpose, axes=order))
        yield replace(moved, spacing=tuple(scene.spacing[axis] for axis in order))


def _shift(scene: Scene) -> Iterator[Scene]:
    axes = tuple(range(scene.mask.ndim))
    for steps in ((1, -2, 2), (-_MARGIN, _MARGIN, 1)):
        yield _moved(scene, partial(np.roll, shift=steps[: len(axes)], axis=axes))


def _shuffle(scene: Scene) -> Iterator[Scene]:
    order = np.random.Generator(np.random.PCG64(7)).permutation(scene.mask.size)
    yield _moved(scene, lambda array: array.ravel()[order].reshape(array.shape))


def _moved(scene: Scene, move: Callable[[NDArray[np.generic]], NDArray[np.generic]]) -> Scene:
    parts = {name: np.ascontiguousarray(move(getattr(scene, name))) for name in ("values", "mask", "seen")}
    return replace(scene, **parts)  # type: ignore[arg-type]


def _scale(scene: Scene) -> Iterator[Scene]:
    for power in (-20, 3, 40):  # of two: exact
        yield replace(scene, values=np.ldexp(scene.values, power))


def _monotone(scene: Scene) -> Iterator[Scene]:
    yield replace(scene, values=np.where(scene.values > 0, np.sqrt(np.abs(scene.values)), scene.values))
    yield replace(scene, values=np.where(scene.values > 0, scene.values**3, scene.values))


def _spacing(scene: Scene) -> Iterator[Scene]:
    yield replace(scene, spacing=tuple(step * factor for step, factor in zip(scene.spacing, (2, 0.3, 5), strict=False)))


CHANGES: Mapping[str, Callable[[Scene], Iterator[Scene]]] = {
    "scale": _scale,
    "monotone": _monotone,
    "flip": _flip,
    "permutation": _permutation,
    "shift": _shift,
    "shuffle": _shuffle,
    "spacing": _spacing,
}
"""For each invariance, what it makes of a scene."""
