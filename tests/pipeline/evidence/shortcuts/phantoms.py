"""Phantoms with a lesion and one shortcut, and scoring functions that lean on exactly one thing.

A phantom is a body with an organ and, in positives, a blob; ``kind`` says which shortcut its ``carriers`` bear. Scoring
functions read one property of the picture and nothing else, so that the truth needs no training.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, grey_opening

from pipeline.evidence.shortcuts import BatteryStudy

KINDS = ("border", "outside", "texture", "contrast", "position", "body_marks", "air_marks")
AIR, BODY, ORGAN = 0.05, 0.4, 0.55


@dataclass(frozen=True)
class PlantedStudy:
    """A study and where its body's centre lies, in voxels from the field's."""

    study: BatteryStudy
    carries: bool


def _axes(shape):
    return np.meshgrid(*(np.arange(size) - (size - 1) / 2 for size in shape), indexing="ij")


def _radius(axes, half):
    """Return the distance from the body's centre as a share of its radius."""
    sizes = (0.62, 0.68) if len(axes) == 2 else (0.56, 0.60, 0.56)
    return np.sqrt(sum((axis / (half * size)) ** 2 for axis, size in zip(axes, sizes, strict=True)))


def draw(rng, shape, *, positive, kind, carries, patient):
    """Draw one study; ``kind`` is None or the shortcut that it bears when ``carries``."""
    axes, half = _axes(shape), min(shape) / 2
    jitter = rng.normal(0, 0.03 * half, len(shape))
    if kind == "position" and carries:
        jitter[0] += 0.2 * half
    axes = [axis - offset for axis, offset in zip(axes, jitter, strict=True)]
    radius = _radius(axes, half)
    organ = np.sqrt(sum((axis / (half * (0.42 if len(shape) == 2 else 0.36))) ** 2 for axis in axes))
    image = AIR + (BODY - AIR) * (radius < 1) + (ORGAN - BODY) * (organ < 1)
    lesion = np.zeros(shape, bool)
    if positive:
        centre = rng.uniform(-0.16, 0.16, len(shape)) * half
        distance = np.sqrt(sum((axis - middle) ** 2 for axis, middle in zip(axes, centre, strict=True)))
        lesion = distance < max(2.5, 0.13 * half)
        image = image + 0.28 * np.clip(1.3 - distance / (0.13 * half), 0, 1)
    image = gaussian_filter(image, 0.5)
    if kind == "body_marks" and carries:
        image = image + 0.5 * _tube(axes, half)
    noise = 0.04 * rng.standard_normal(shape)
    if kind == "texture" and carries:
        noise = 0.08 * rng.standard_normal(shape)
    image = image + noise
    if kind == "contrast" and carries:
        image = 1.35 * image + 0.1
    if kind == "air_marks" and carries:
        corner = tuple(slice(max(5, size // 10), max(5, size // 10) + (5 if size > 40 else 3)) for size in shape)
        image[corner] = 0.95
    if kind == "outside" and carries:  # half a shell around the body: too large for a mark, too far in for the border
        image = image + (0.35 if len(shape) == 2 else 0.14) * _shell(
            radius, axes[0]
        )  # near a body of few voxels: faint
    if kind == "border" and carries:
        frame = np.ones(shape, bool)
        frame[tuple(slice(3, -3) for _ in shape)] = False
        image[frame] = 0.8
    study = BatteryStudy(image[None].astype(np.float32), lesion, positive, patient, (1.0,) * len(shape))
    return PlantedStudy(study, carries)


def _shell(radius, axis):
    """Return a thin half shell a little way off the body, inside the border."""
    inner = np.zeros(radius.shape, bool)
    inner[tuple(slice(5, -5) for _ in radius.shape)] = True
    low, high = (1.2, 1.4) if radius.ndim == 2 else (1.4, 1.6)
    return inner & (radius > low) & (radius < high) & (axis > 0)


def _tube(axes, half):
    """Return a short straight line at the body's side, in volumes in the middle plane."""
    inside = np.abs(axes[1] - (0.46 if len(axes) == 2 else 0.40) * half) < 1.1
    if len(axes) == 3:
        inside = inside & (np.abs(axes[2]) < 1.1)
    return inside & (np.abs(axes[0]) < 0.3 * half)


def cohort(kind, *, n=24, shape=(64, 64), seed=0, confounded=True):
    """Draw as many positives as negatives; carriers are the positives, or every other study of both labels."""
    rng = np.random.default_rng(seed)
    studies = []
    for number in range(n):
        positive = number % 2 == 0
        carries = positive if confounded else number % 4 < 2
        studies.append(draw(rng, shape, positive=positive, kind=kind, carries=carries, patient=f"p{number}").study)
    return studies


def _middle(image):
    return image[tuple(slice(size // 2 - size // 5, size // 2 + size // 5) for size in image.shape)]


def _corner(image):
    """Return a piece of the air that holds the mark in carriers."""
    return image[tuple(slice(4, max(9, size // 4)) for size in image.shape)]


def _border(image):
    frame = np.ones(image.shape, bool)
    frame[tuple(slice(3, -3) for _ in image.shape)] = False
    return image[frame].mean()


def _outside(image):
    axes, half = _axes(image.shape), min(image.shape) / 2
    return image[_shell(_radius(axes, half), axes[0])].mean()


def _texture(image):
    return np.median(np.abs(_middle(image - gaussian_filter(image, 1.0))))


def _contrast(image):
    return np.median(_middle(image))


def _position(image):
    inner = tuple(slice(4, -4) for _ in image.shape)
    body = gaussian_filter(image, 1.0)[inner] > 0.25
    return np.argwhere(body).mean(axis=0)[0] if body.any() else image.shape[0] / 2


def _tube_side(image):
    half = min(image.shape) / 2
    across = (image.shape[1] - 1) / 2 + (0.46 if image.ndim == 2 else 0.40) * half
    side = np.take(image, range(int(across) - 3, int(across) + 5), axis=1)
    return np.clip(side - 0.7, 0, None).mean()


def _air_mark(image):
    return np.sort(_corner(image), axis=None)[-8:].mean()


def _lesion(image):
    """Return how far the brightest blob stands out of the organ, in shares of its contrast; lines do not count."""
    smooth = grey_opening(gaussian_filter(image, 1.0), 3)
    middle = smooth[tuple(slice(round(size * 0.2), -round(size * 0.2)) for size in image.shape)]
    organ = np.percentile(middle, {2: 85, 3: 93}[image.ndim])
    return (middle.max() - organ) / (organ - np.median(image[image < 0.4 * organ]))


READERS = {
    "border": _border,
    "outside": _outside,
    "texture": _texture,
    "contrast": _contrast,
    "position": _position,
    "body_marks": _tube_side,
    "air_marks": _air_mark,
}
"""What reads nothing but its own shortcut."""


class PlantedScore:
    """A scoring function that reads one thing: -3 for the mean negative of a cohort, +3 for its mean positive."""

    def __init__(self, read, studies):
        values = np.array([read(study.x[0].astype(np.float64)) for study in studies])
        positive = np.array([study.positive for study in studies])
        self.read, self.low, self.high = read, values[~positive].mean(), values[positive].mean()
        self.shown = []

    def __call__(self, x):
        self.shown.append(len(x))
        values = np.array([self.read(each[0].astype(np.float64)) for each in x])
        return 6 * (values - (self.low + self.high) / 2) / (self.high - self.low)


def lesion_score(studies):
    """Return a scoring function that reads the lesion and nothing else."""
    return PlantedScore(_lesion, studies)


def shortcut_score(kind, studies):
    """Return a scoring function that reads one shortcut and nothing else."""
    return PlantedScore(READERS[kind], studies)
