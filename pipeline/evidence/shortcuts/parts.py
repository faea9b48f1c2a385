"""The parts of a prepared input that a battery changes, found without annotation: body, band, marks, levels.

Bright is dense: pictures whose air is bright have no outside here, and the tests that need one say so.
"""

from dataclasses import dataclass

import numpy as np
from edt import edt as distance_transform
from numpy.typing import NDArray
from scipy.ndimage import (
    binary_dilation,
    binary_fill_holes,
    gaussian_filter,
    generate_binary_structure,
    white_tophat,
)

from pipeline.evidence.metrics.parts import pieces_of
from pipeline.evidence.shortcuts.study import BatteryStudy, Ruler

__all__ = ["ANATOMY", "UNKNOWN_LESION", "Levels", "StudyParts", "find_parts", "grown"]

Region = NDArray[np.bool_]
Image = NDArray[np.float32]

UNKNOWN_LESION = "nobody outlined the lesion, which could be taken for a mark or for noise"
ANATOMY = "more than a tenth of the body is thin and bright: that is anatomy, and marks cannot be told from it"

_SMOOTHED = 0.7  # units, before the body is looked for
_HALO = 0.8  # units that the smoothing and the low threshold add to the body's outline
_NECK = 3  # units: what hangs on the body by less than twice this is not of it
_BODY_OF_SCALE = 0.12  # above the darkest voxels
_BAND = 4  # units
_BAND_LEAVES = 8  # of an axis, the band is at most one part at each end
_MARK_DIAGONAL = 10.0  # units of the box that a mark does not hold; what holds it is anatomy
_MARK_OF_SCALE = 0.14
_MARK_OF_NOISE = 3.2
_DENSE = 0.5  # of the way from air to body: what is less may be the soft edge of the skin
_MARK_IN_AIR = 4  # units, the smallest mark outside the body
_MARK_IN_BODY = 8
_WALL = 0.25  # of the way from the body's outline to its middle
_MARKS_OF_BODY = 0.1  # all marks in it
_MARK_SHARE = 0.03  # of the picture, the largest mark outside the body
_BESIDE_LESION = 2  # units around a lesion that are left to it
_OUTSIDE_SHARE = 0.01  # of the picture: with less there is no outside
_OF_MAD = 1.4826  # median absolute deviation to standard deviation


@dataclass(frozen=True, eq=False)
class Levels:
    """Two brightnesses of each channel that fix its contrast: of air and body, or two quantiles of the body.

    ``kind`` says which; only levels of the same kind can be compared.
    """

    kind: str
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def usable(self) -> bool:
        """Whether the two differ in every channel."""
        return bool((np.abs(self.high - self.low) > 1e-6 * np.maximum(1.0, np.abs(self.high))).all())


@dataclass(frozen=True, eq=False)
class StudyParts:
    """What is where in one input.

    Attributes:
        body: the body, holes filled; everything where the picture has no outside.
        band: the outer band of the field.
        air_marks: bright small pieces outside the body.
        body_marks: bright thin pieces inside, or the reason why what is bright and thin there is not taken for a mark.
        levels: brightness of air and body, or of the body alone.
        body_levels: two quantiles of the body, for pairs of which only one has an outside.
        air_noise: standard deviation of the noise outside the body, for each channel.
        centre: the body's centre in voxels; None without an outside.
    """

    body: Region
    band: Region
    air_marks: Region
    body_marks: Region | str
    levels: Levels
    body_levels: Levels
    air_noise: NDArray[np.float64]
    centre: NDArray[np.float64] | None

    @property
    def outside(self) -> Region:
        """What is not body."""
        return ~self.body


def find_parts(study: BatteryStudy) -> StudyParts:
    """Return the parts of one input."""
    image, ruler = study.x.mean(axis=0, dtype=np.float64).astype(np.float32), study.ruler
    band = _band(image.shape, ruler)
    ordinary = _beside_lesion(study)
    body = _body(image, band, ordinary, ruler)
    low, high = np.percentile(image[ordinary], [1, 99])
    scale = float(high - low)
    air_marks = _air_marks(image, body, ruler)
    has_outside = not body.all()
    quiet = ~body & ~air_marks
    air = quiet & ~band if (quiet & ~band).any() else quiet
    core = _without_rim(body, ruler)
    body_levels = _quantiles(study.x, core)
    return StudyParts(
        body=body,
        band=band,
        air_marks=air_marks,
        body_marks=_body_marks(study, image, body & ~band, scale, ruler),
        levels=_air_and_body(study.x, air, core) if has_outside else body_levels,
        body_levels=body_levels,
        air_noise=_noise(study.x, air),
        centre=np.argwhere(body).mean(axis=0) if has_outside else None,
    )


def grown(region: Region, units: float, ruler: Ruler) -> Region:
    """Return a region with what lies within so many units of it."""
    if not region.any():
        return region.copy()
    steps = tuple(1 / step for step in ruler.steps)
    return np.asarray(distance_transform(~region, anisotropy=steps) <= units)


def _band(shape: tuple[int, ...], ruler: Ruler) -> Region:
    """Return the outer band; an axis too short for one has none."""
    inside = np.ones(shape, bool)
    for axis, wished in enumerate(ruler.voxels(_BAND)):
        width = min(wished, shape[axis] // _BAND_LEAVES)
        if width:
            at = np.arange(shape[axis])
            line = (at >= width) & (at < shape[axis] - width)
            inside &= line.reshape([-1 if other == axis else 1 for other in range(len(shape))])
    return ~inside if not inside.all() else np.zeros(shape, bool)


def _beside_lesion(study: BatteryStudy) -> Region:
    """Return where brightness is measured: a bright lesion would move the outline and levels of a body."""
    everywhere = np.ones(study.x.shape[1:], bool)
    if study.lesion is None:
        return everywhere
    beside = ~grown(study.lesion, _BESIDE_LESION, study.ruler)
    return beside if beside.any() else everywhere


def _body(image: Image, band: Region, ordinary: Region, ruler: Ruler) -> Region:
    """Return the body: what is brighter than air, found inside the band and continued into it.

    So a frame is not taken for a body. The threshold lies just above the darkest voxels: lungs are body, even where
    the wall around them is thin.
    """
    box = tuple(
        slice(int(marked[0]), int(marked[-1]) + 1)
        for marked in (
            np.flatnonzero((~band).any(axis=tuple(other for other in range(image.ndim) if other != axis)))
            for axis in range(image.ndim)
        )
    )
    inner = gaussian_filter(image, ruler.sigmas(_SMOOTHED))[box]
    measured = inner[ordinary[box]] if ordinary[box].any() else inner
    low, high = np.percentile(measured, [2, 99])
    if low == high:
        return np.ones(image.shape, bool)
    bright = _without_holes(np.asarray(inner > low + _BODY_OF_SCALE * (high - low)))
    core = ~grown(~bright, _NECK + _HALO, ruler)
    pieces = pieces_of(grown(core, _NECK, ruler) if core.any() else bright)
    filled = _without_holes(np.asarray(pieces.numbers == np.argmax(pieces.voxels)))
    reach = [(part.start, size - part.stop) for part, size in zip(box, image.shape, strict=True)]
    body = np.pad(filled, reach, mode="edge")
    return body if (~body).mean() >= _OUTSIDE_SHARE else np.ones(image.shape, bool)


def _without_holes(part: Region) -> Region:
    """Return a part with its holes filled, also those that are open in one slice's direction only, as lungs are."""
    filled = np.asarray(binary_fill_holes(part))
    if part.ndim == 2:
        return filled
    for axis in range(part.ndim):
        plane = np.expand_dims(generate_binary_structure(part.ndim - 1, 1), axis)
        filled = filled | binary_fill_holes(part, plane)
    return filled


def _air_marks(image: Image, body: Region, ruler: Ruler) -> Region:
    """Return bright small pieces outside the body that do not touch the field's end, with their soft edges."""
    clear = ~body
    if not clear.any():
        return np.zeros(image.shape, bool)
    level = float(np.median(image[clear]))
    spread = _OF_MAD * float(np.median(np.abs(image[clear] - level)))
    dense = _DENSE * (float(np.median(image[body])) - level)
    pieces = pieces_of(clear & (image > level + max(dense, _MARK_OF_NOISE * spread)))
    small = (pieces.voxels >= ruler.count(_MARK_IN_AIR)) & (pieces.voxels <= _MARK_SHARE * image.size)
    small[_at_the_end(pieces.numbers)] = False
    small[0] = False
    return _with_soft_edge(small[pieces.numbers]) & ~body


def _with_soft_edge(region: Region) -> Region:
    return np.asarray(binary_dilation(region, np.ones((3,) * region.ndim, bool)))


def _at_the_end(numbers: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the pieces that touch the field's outermost voxels, on axes that are long enough to have an inside."""
    ends = [np.take(numbers, [0, -1], axis) for axis in range(numbers.ndim) if numbers.shape[axis] > 2]
    return np.unique(np.concatenate([end.ravel() for end in ends])) if ends else np.zeros(0, np.int32)


def _body_marks(study: BatteryStudy, image: Image, inside: Region, scale: float, ruler: Ruler) -> Region | str:
    """Return thin bright pieces of the body that are not of the lesion, or why there are none that are marks."""
    if study.positive and study.lesion is None:
        return UNKNOWN_LESION
    candidates = _deep(inside, ruler)
    if study.lesion is not None and study.lesion.any():
        candidates &= ~grown(study.lesion, _BESIDE_LESION, ruler)
    if not candidates.any():
        return candidates
    box = ruler.voxels(_MARK_DIAGONAL / np.sqrt(image.ndim))  # 7 in pictures, 6 in volumes
    raised = white_tophat(image, size=tuple(width if width % 2 else width - 1 for width in box))
    noise = float(_noise(image[None], inside)[0])
    thin = candidates & (raised > max(_MARK_OF_SCALE * scale, _MARK_OF_NOISE * noise))
    if thin.sum() > _MARKS_OF_BODY * inside.sum():
        return ANATOMY
    pieces = pieces_of(thin)
    large = pieces.voxels >= ruler.count(_MARK_IN_BODY)
    large[0] = False
    return _with_soft_edge(large[pieces.numbers]) & candidates


def _deep(body: Region, ruler: Ruler) -> Region:
    """Return the body without its wall, which is thin and bright in itself: a quarter of the way to its middle."""
    if body.all() or not body.any():
        return body.copy()
    depth = distance_transform(body, anisotropy=tuple(1 / step for step in ruler.steps))
    return np.asarray(depth > _WALL * depth.max())


def _without_rim(body: Region, ruler: Ruler) -> Region:
    """Return the body without its soft edge, of which more or less counts with the threshold."""
    core = ~grown(~body, 1, ruler)
    return core if core.any() else body


def _noise(x: Image, where: Region) -> NDArray[np.float64]:
    """Return the standard deviation of what a blur of one voxel takes away, robustly, for each channel."""
    if not where.any():
        return np.zeros(len(x))
    residuals = [(channel - gaussian_filter(channel, 1.0))[where] for channel in x]
    return np.array([_OF_MAD * float(np.median(np.abs(each - np.median(each)))) for each in residuals])


def _air_and_body(x: Image, air: Region, body: Region) -> Levels:
    low, high = ([float(np.median(channel[where])) for channel in x] for where in (air, body))
    return Levels("air and body", np.array(low), np.array(high))


def _quantiles(x: Image, body: Region) -> Levels:
    pairs = np.array([np.percentile(channel[body], [25, 75]) for channel in x], dtype=np.float64)
    return Levels("quartiles of the body", pairs[:, 0], pairs[:, 1])
