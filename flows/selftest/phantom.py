"""Phantom studies: a body with an organ, a lesion or none, noise of one of two sites, and six kinds of shortcut.

A patient is a handful of numbers. ``render`` is a pure function of them and of the shortcuts that the study carries,
so that one study can be drawn with and without a shortcut, all else equal.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

__all__ = ["KINDS", "PLANE", "SPACE", "Phantom", "PhantomPatient", "ShortcutKind", "draw_patient", "render"]

Picture = NDArray[np.float32]
Range = tuple[float, float]
ShortcutKind = Literal["marker", "frame", "tube", "noise", "position", "contrast"]
KINDS: tuple[ShortcutKind, ...] = get_args(ShortcutKind)

_AIR, _BODY, _ORGAN = 0.05, 0.35, 0.55
_MARKER, _FRAME, _TUBE = 0.95, 0.85, 0.45
_GAIN, _OFFSET = 1.3, 0.1
_TEXTURE_GRAIN, _TEXTURE_NOISE = 0.8, 1.5
_SITES = ((1.0, 1.0), (1.03, 1.1))
"""Gain and noise of each site; neither has to do with the label."""


@dataclass(frozen=True)
class Phantom:
    """A kind of phantom: its grid, and sizes in voxels."""

    shape: tuple[int, ...]
    body: Range
    organ: Range
    radius: Range
    contrast: Range
    noise: Range
    jitter: float
    shift: int
    frame: int
    marker: int
    tube: Range
    """Half the length and half the width of the bright line."""


PLANE = Phantom(
    shape=(64, 64),
    body=(19, 23),
    organ=(10, 13),
    radius=(3.5, 5),
    contrast=(0.15, 0.23),
    noise=(0.035, 0.05),
    jitter=2,
    shift=9,
    frame=3,
    marker=6,
    tube=(8, 1.0),
)
SPACE = Phantom(
    shape=(24, 24, 24),
    body=(7.2, 8.4),
    organ=(4.2, 5.2),
    radius=(2.2, 3),
    contrast=(0.25, 0.35),
    noise=(0.03, 0.045),
    jitter=0.7,
    shift=3,
    frame=2,
    marker=3,
    tube=(4, 0.8),
)


@dataclass(frozen=True)
class PhantomPatient:
    """What is drawn of one patient; places and sizes in voxels, directions as unit vectors."""

    phantom: Phantom
    ill: bool
    site: int
    centre: tuple[float, ...]
    body: tuple[float, ...]
    organ: tuple[float, ...]
    lesion: tuple[float, ...] = field(metadata={"about": "where a lesion is, or would be"})
    radius: float
    contrast: float
    marker: tuple[int, ...]
    tube: tuple[tuple[float, ...], tuple[float, ...]] = field(metadata={"about": "middle and direction"})
    noise: float
    noise_seed: int

    def lesion_mask(self, kinds: Collection[ShortcutKind] = ()) -> NDArray[np.bool_]:
        """Return where the lesion is in a study that carries ``kinds``; empty in the healthy."""
        inside = _ball(self.phantom, _moved(self, kinds, self.lesion), self.radius) < 1
        return inside & self.ill

    def organ_mask(self, kinds: Collection[ShortcutKind] = ()) -> NDArray[np.bool_]:
        """Return where the organ is in a study that carries ``kinds``."""
        return _ball(self.phantom, _moved(self, kinds, self.centre), self.organ) < 1


def draw_patient(phantom: Phantom, rng: np.random.Generator, *, ill: bool) -> PhantomPatient:
    """Draw a patient; only ``ill`` differs between two that are drawn with the same generator's state."""
    dimensions = len(phantom.shape)
    centre = np.array(phantom.shape) / 2 - 0.5 + rng.uniform(-phantom.jitter, phantom.jitter, dimensions)
    organ = rng.uniform(*phantom.organ, dimensions)
    radius = rng.uniform(*phantom.radius)
    off = _direction(rng, dimensions) * rng.uniform(0, 0.9) * (organ.min() - 0.6 * radius)
    lesion = centre + off
    beside = _direction(rng, dimensions)
    along = _perpendicular(_direction(rng, dimensions), beside)
    middle = lesion + beside * (radius + phantom.tube[1] + 1)
    return PhantomPatient(
        phantom=phantom,
        ill=ill,
        site=int(rng.integers(len(_SITES))),
        centre=_numbers(centre),
        body=_numbers(rng.uniform(*phantom.body, dimensions)),
        organ=_numbers(organ),
        lesion=_numbers(lesion),
        radius=float(radius),
        contrast=float(rng.uniform(*phantom.contrast)),
        marker=tuple(int(at) for at in rng.integers(phantom.marker, phantom.marker + 3, dimensions)),
        tube=(_numbers(middle), _numbers(along)),
        noise=float(rng.uniform(*phantom.noise)),
        noise_seed=int(rng.integers(2**31)),
    )


def render(patient: PhantomPatient, kinds: Collection[ShortcutKind] = ()) -> Picture:
    """Draw the study of a patient as it looks with these shortcuts; shape that of the phantom, float32."""
    phantom = patient.phantom
    picture = np.full(phantom.shape, _AIR)
    for radii, level in ((patient.body, _BODY), (patient.organ, _ORGAN)):
        picture += (level - picture) * _soft(_ball(phantom, _moved(patient, kinds, patient.centre), radii), radii)
    if patient.ill:
        ball = _ball(phantom, _moved(patient, kinds, patient.lesion), patient.radius)
        picture += patient.contrast * _soft(ball, (patient.radius,))
    if "tube" in kinds:
        picture += _TUBE * _line(patient, _moved(patient, kinds, patient.tube[0]))
    gain, noise = _SITES[patient.site]
    picture = gain * picture + noise * patient.noise * _grain(patient, textured="noise" in kinds)
    if "marker" in kinds:
        _burn_in(picture, patient.marker, phantom.marker)
    if "frame" in kinds:
        picture[_border(phantom)] = _FRAME
    if "contrast" in kinds:
        picture = _GAIN * picture + _OFFSET
    return picture.astype(np.float32)


def _moved(patient: PhantomPatient, kinds: Collection[ShortcutKind], place: tuple[float, ...]) -> tuple[float, ...]:
    """Return a place of the patient's where he lies shifted along the last axis."""
    return (*place[:-1], place[-1] + patient.phantom.shift * ("position" in kinds))


def _ball(phantom: Phantom, centre: tuple[float, ...], radii: tuple[float, ...] | float) -> NDArray[np.float64]:
    """Return the distance from the centre as a share of the radius, shape that of the phantom."""
    per_axis = np.broadcast_to(radii, len(phantom.shape))
    axes = np.ogrid[tuple(slice(size) for size in phantom.shape)]
    parts = [((axis - middle) / radius) ** 2 for axis, middle, radius in zip(axes, centre, per_axis, strict=True)]
    return np.sqrt(_total(parts))


def _total(parts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the sum of arrays that broadcast together, one for each axis."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _soft(distance: NDArray[np.float64], radii: tuple[float, ...]) -> NDArray[np.float64]:
    """Return 1 inside and 0 outside, over an edge of about one voxel."""
    return np.clip(0.5 + (1 - distance) * float(np.mean(radii)), 0, 1)


def _line(patient: PhantomPatient, middle: tuple[float, ...]) -> NDArray[np.float64]:
    """Return 1 on the bright line, 0 off it."""
    half, width = patient.phantom.tube
    axes = np.ogrid[tuple(slice(size) for size in patient.phantom.shape)]
    offsets = [axis - at for axis, at in zip(axes, middle, strict=True)]
    along: NDArray[np.float64] = _total([offset * part for offset, part in zip(offsets, patient.tube[1], strict=True)])
    along = np.clip(along, -half, half)
    squares = _total([(offset - along * part) ** 2 for offset, part in zip(offsets, patient.tube[1], strict=True)])
    return np.asarray(np.clip(0.5 + width - np.sqrt(squares), 0, 1))


def _grain(patient: PhantomPatient, *, textured: bool) -> NDArray[np.float64]:
    """Return noise of deviation 1, or the other scanner's: smoother and stronger, from the same random numbers."""
    white = np.random.default_rng(patient.noise_seed).standard_normal(patient.phantom.shape)
    if not textured:
        return white
    smooth = gaussian_filter(white, _TEXTURE_GRAIN, mode="wrap")
    return _TEXTURE_NOISE * np.asarray(smooth) / float(smooth.std())


def _burn_in(picture: NDArray[np.float64], corner: tuple[int, ...], size: int) -> None:
    """Write an L into the air, whose strokes are a third of its size thick."""
    thick = max(size // 3, 1)
    start = [slice(at, at + size) for at in corner]
    for axis in range(picture.ndim):
        stroke = [slice(at, at + thick) for at in corner]
        stroke[axis] = start[axis]
        picture[tuple(stroke)] = _MARKER


def _border(phantom: Phantom) -> NDArray[np.bool_]:
    border = np.ones(phantom.shape, dtype=bool)
    border[tuple(slice(phantom.frame, -phantom.frame) for _ in phantom.shape)] = False
    return border


def _direction(rng: np.random.Generator, dimensions: int) -> NDArray[np.float64]:
    vector = rng.standard_normal(dimensions)
    return np.asarray(vector / np.linalg.norm(vector))


def _perpendicular(vector: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    part = vector - (vector @ other) * other
    return np.asarray(part / np.linalg.norm(part))


def _numbers(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
