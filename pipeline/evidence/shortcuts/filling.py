"""Painting over: a region filled with what surrounds it, and the same shape moved to where nothing is."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, distance_transform_edt, gaussian_filter

from pipeline.evidence.metrics.parts import pieces_of
from pipeline.evidence.shortcuts.study import Ruler

__all__ = ["MovedRegion", "fill", "move"]

Region = NDArray[np.bool_]
Image = NDArray[np.float32]

_TRIES = 400  # places that are drawn for a piece
_FITTING = 24  # places that fit, of which the most alike is taken
_PIECES = 24  # the largest pieces of a region; what is left of it stays in the picture
_MARGIN = 8  # units around a hole that its filling is made of
_NOISE_LIMIT = 3.0  # standard deviations: what is stronger is structure


@dataclass(frozen=True, eq=False)
class MovedRegion:
    """A region and as many voxels elsewhere in the same tissue, of the same shape where that fits."""

    where: Region
    moved: Region


def move(region: Region, allowed: Region, image: Image, rng: np.random.Generator) -> MovedRegion | None:
    """Return a region with its pieces moved to other places of ``allowed``; None when none can be moved.

    Of places that fit, the one is taken whose brightness is most like the surroundings of the piece. A piece that fits
    nowhere as it is becomes a round one of as many voxels; where there are not so many, it is in neither of the two.
    """
    pieces = pieces_of(region)
    largest = [int(number) for number in np.argsort(-pieces.voxels, kind="stable")[:_PIECES] if pieces.voxels[number]]
    free = allowed & ~region
    where, moved = np.zeros_like(region), np.zeros_like(region)
    for number in largest:
        voxels = np.argwhere(pieces.numbers == number)
        around = _widened(voxels, region.shape) & free
        level = float(np.median(image[around])) if around.any() else float(np.median(image[voxels_at(voxels)]))
        places = _places(voxels, free, rng)
        if not places and int(free.sum()) < len(voxels):
            continue
        best = min(places, key=partial(_unlike, image, level), default=None)
        best = _heap(len(voxels), free, region) if best is None else best
        where[voxels_at(voxels)] = True
        moved[voxels_at(best)] = True
        free[voxels_at(best)] = False
    return MovedRegion(where, moved) if where.any() else None


def voxels_at(voxels: NDArray[np.intp]) -> tuple[NDArray[np.intp], ...]:
    """Return voxels (n, d) as an index."""
    return tuple(voxels.T)


def _widened(voxels: NDArray[np.intp], shape: tuple[int, ...]) -> Region:
    """Return a piece with what lies within two voxels of it."""
    piece = np.zeros(shape, bool)
    piece[voxels_at(voxels)] = True
    box = tuple(
        slice(max(0, int(low) - 3), int(high) + 4) for low, high in zip(voxels.min(0), voxels.max(0), strict=True)
    )
    piece[box] = binary_dilation(piece[box], np.ones((5,) * len(shape), bool))
    return piece


def _unlike(image: Image, level: float, place: NDArray[np.intp]) -> float:
    return abs(float(image[voxels_at(place)].mean()) - level)


def _heap(count: int, free: Region, region: Region) -> NDArray[np.intp]:
    """Return so many free voxels (count, d), those nearest to the free voxel that lies farthest from a region."""
    candidates = np.argwhere(free)
    far = candidates[int(np.argmax(distance_transform_edt(~region)[free]))]
    distances = ((candidates - far) ** 2).sum(axis=1)
    return np.asarray(candidates[np.argsort(distances, kind="stable")[:count]])


def _places(voxels: NDArray[np.intp], free: Region, rng: np.random.Generator) -> list[NDArray[np.intp]]:
    """Return the voxels of a piece at other places that are free, drawn at random."""
    targets = np.argwhere(free)
    if len(targets) < len(voxels):
        return []
    centre = voxels[int(np.argmin(((voxels - voxels.mean(axis=0)) ** 2).sum(axis=1)))]
    places = []
    for target in targets[rng.integers(len(targets), size=_TRIES)]:
        placed = voxels + (target - centre)
        within = (placed >= 0).all() and (placed < np.asarray(free.shape)).all()
        if within and free[voxels_at(placed)].all():
            places.append(placed)
        if len(places) == _FITTING:
            break
    return places


def fill(x: Image, hole: Region, tissue: Region, ruler: Ruler, rng: np.random.Generator) -> Image:
    """Return an input (channels, *S) with a hole painted over.

    Each voxel takes the smoothed value of the nearest voxel of ``tissue`` beside the hole, smoothed once more, and
    noise as it is elsewhere in the tissue. Without any tissue, the whole picture's is taken.
    """
    box = _around(hole, ruler)
    inside = hole[box]
    source = tissue[box] & ~inside
    if not source.any():
        source = ~inside if not inside.all() else np.ones_like(inside)
    filled = x.copy()
    nearest = distance_transform_edt(~source, sampling=_spacings(ruler), return_distances=False, return_indices=True)
    weight = gaussian_filter(source.astype(np.float32), ruler.sigmas(1))
    for channel in filled:
        part = channel[box]
        smooth = gaussian_filter(np.where(source, part, 0).astype(np.float32), ruler.sigmas(1)) / np.maximum(
            weight, 1e-6
        )
        base = np.where(inside, smooth[tuple(nearest)], part)
        base = np.where(inside, gaussian_filter(base, ruler.sigmas(1)), part)
        noise = _noise_elsewhere(part - smooth, source, rng)
        channel[box] = np.where(inside, base + noise, part)
    return filled


def _spacings(ruler: Ruler) -> tuple[float, ...]:
    return tuple(1 / step for step in ruler.steps)


def _around(hole: Region, ruler: Ruler) -> tuple[slice, ...]:
    """Return the box around a hole, which must not be empty, with room for its surroundings."""
    voxels = np.argwhere(hole)
    margins = ruler.voxels(_MARGIN)
    return tuple(
        slice(max(0, int(low) - margin), int(high) + 1 + margin)
        for low, high, margin in zip(voxels.min(axis=0), voxels.max(axis=0), margins, strict=True)
    )


def _noise_elsewhere(residual: Image, source: Region, rng: np.random.Generator) -> Image:
    """Return the noise of a source moved by chance, so that neighbours stay as alike as they are; structure is cut."""
    values = residual[source]
    spread = 1.4826 * float(np.median(np.abs(values)))
    limit = _NOISE_LIMIT * spread
    drawn = rng.choice(values, size=residual.shape)
    shifts = tuple(int(rng.integers(size)) for size in residual.shape)
    noise = np.roll(np.where(source, residual, drawn), shifts, axis=tuple(range(residual.ndim)))
    return np.clip(noise, -limit, limit).astype(np.float32)
