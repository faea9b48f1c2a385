"""A chest-like CT volume in HU, with a lesion in a lung if one is wanted.

Coordinates: x to the patient's right, y to the front, z to the head, in mm, 0 in the middle of the volume; the
array's axes run the same way.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from flows.demo.scene import DemoLesion, DemoScene, Image, cloud, inside, redrawn

__all__ = ["SCANNERS", "Scanner", "draw_ct", "mark_ct"]


@dataclass(frozen=True)
class Scanner:
    """How a hospital's volumes look. ``spacing`` in mm, ``noise`` in HU."""

    name: str
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    noise: float


SCANNERS = (
    Scanner("A", (64, 64, 38), (5.0, 5.0, 7.5), noise=18),
    Scanner("B", (56, 56, 36), (5.5, 5.5, 8.0), noise=28),
)

_FRONT_RADIUS = 102.0
_SIDE_RADIUS = 138.0
_STRIP_RADIUS = 6.0
_STRIP_LENGTH = 90.0
_LEAD = 3000.0


def draw_ct(rng: np.random.Generator, scanner: Scanner, *, finding: bool) -> DemoScene:
    """Draw one patient's chest, with a lesion in one of the lungs when ``finding``."""
    x, y, z = _coordinates(scanner)
    values, lungs = _chest(rng, x, y, z)
    lesion = _lesion(rng, (x, y, z), lungs)
    second = redrawn(lesion, rng)
    density = rng.uniform(-330, -150)  # ground glass: neither air nor muscle
    outlines = (np.zeros(scanner.shape, bool), np.zeros(scanner.shape, bool))
    if finding:
        distance = lesion.distance((x, y, z))
        solid = inside(distance - 1, 0.15)
        values = values * (1 - solid) + density * solid
        outlines = (distance <= 1, second.distance((x, y, z)) <= 1)
    noise = scanner.noise * 2 * gaussian_filter(rng.standard_normal(scanner.shape).astype(np.float32), (0.6, 0.6, 0.3))
    return DemoScene(np.rint(np.clip(values + noise, -1024, 3071)).astype(np.float32), outlines)


def mark_ct(image: Image, rng: np.random.Generator, scanner: Scanner) -> Image:
    """Return the volume with a lead strip taped along the skin at the chest's left front."""
    x, y, z = _coordinates(scanner)
    angle = rng.uniform(0.35, 0.75)
    across = np.hypot(x + _SIDE_RADIUS * np.sin(angle), y - (_FRONT_RADIUS + 4) * np.cos(angle))
    along = np.abs(z - np.float32(rng.uniform(-30, 30)))
    return np.where((across <= _STRIP_RADIUS) & (along <= _STRIP_LENGTH / 2), np.float32(_LEAD), image)


def _coordinates(scanner: Scanner) -> tuple[Image, Image, Image]:
    axes = (
        ((np.arange(size) - (size - 1) / 2) * step).astype(np.float32)
        for size, step in zip(scanner.shape, scanner.spacing, strict=True)
    )
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)  # most tissues depend on one or two of the axes
    return x, y, z


def _chest(rng: np.random.Generator, x: Image, y: Image, z: Image) -> tuple[Image, Image]:
    """Return HU and how much of each voxel is aerated lung."""
    build = rng.uniform(0.95, 1.0)
    shape = (x.size, y.size, z.size)
    rim = np.hypot(x / (_SIDE_RADIUS * build), y / (_FRONT_RADIUS * build))
    lungs = _lungs(rng, x, y, z)
    tissue = -95 + 140 * inside(rim - 0.86, 0.04) + 12 * cloud(rng, shape, 8)
    values = tissue * (1 - lungs) + lungs * (-835 - 0.25 * y + 260 * _vessels(rng, x, y, z))
    for bone, density in ((_ribs(rng, rim, y, z), 380), (_spine(x, y, z), 330), (_sternum(x, y, z), 260)):
        values = values * (1 - bone) + density * bone
    windpipe = inside(np.hypot(x, y - 6) - 10, 3) * inside(15 - z, 10)
    values = values * (1 - windpipe) - 990 * windpipe
    body = inside(rim - 1, 0.025)
    couch = inside(np.abs(y + 118 - 0.0012 * x**2) - 4, 2) * inside(np.abs(x) - 130, 6)
    return values * body - 1000 * (1 - body) + 420 * couch, lungs * body


def _lungs(rng: np.random.Generator, x: Image, y: Image, z: Image) -> Image:
    tall, wide = rng.uniform(102, 114), rng.uniform(50, 56)
    side = np.abs(x)
    ovals = ((side - 66) / wide) ** 2 + ((y - 2) / 76) ** 2 + np.abs((z - 5) / tall) ** 3
    size = rng.uniform(0.92, 1.08)
    heart = np.sqrt(((x + 26) / (52 * size)) ** 2 + ((y - 28) / (44 * size)) ** 2 + ((z + 30) / (55 * size)) ** 2)
    dome = z + 62 + 0.008 * (side - 62) ** 2 + 0.006 * (y - 10) ** 2 - 12 * inside(-x, 10)
    return inside(np.sqrt(ovals) - 1, 0.06) * inside(1 - heart, 0.1) * inside(-dome, 6)


def _vessels(rng: np.random.Generator, x: Image, y: Image, z: Image) -> Image:
    shape = (x.size, y.size, z.size)
    ridge = np.exp(-((cloud(rng, shape, 7) / 0.22) ** 2) - (cloud(rng, shape, 7) / 0.5) ** 2)
    root = ((np.abs(x) - 30) / 55) ** 2 + (y / 60) ** 2 + (z / 75) ** 2
    return np.asarray((0.4 + 2.2 * np.exp(-root)) * ridge, dtype=np.float32)


def _ribs(rng: np.random.Generator, rim: Image, y: Image, z: Image) -> Image:
    phase = (z + rng.uniform(-12, 12) - 0.45 * y) / 32  # ribs run down towards the front
    return inside(np.abs(rim - 0.84) - 0.035, 0.015) * inside(np.abs(phase - np.round(phase)) - 0.2, 0.06)


def _spine(x: Image, y: Image, z: Image) -> Image:
    bodies = inside(np.hypot(x / 21, (y + 56) / 17) - 1, 0.12) * (0.7 + 0.3 * np.sin(2 * np.pi * z / 30))
    process = inside(np.abs(x) - 5, 3) * inside(np.abs(y + 88) - 9, 3)
    return np.asarray(np.maximum(bodies, 0.8 * process), dtype=np.float32)


def _sternum(x: Image, y: Image, z: Image) -> Image:
    return inside(np.abs(x) - 16, 4) * inside(np.abs(y - 84) - 5, 3) * inside(np.abs(z - 10) - 75, 6)


def _lesion(rng: np.random.Generator, axes: tuple[Image, Image, Image], lungs: Image) -> DemoLesion:
    """Return a lesion whose centre falls on aerated lung, either lung and any height as likely."""
    side, height = float(rng.integers(2) * 2 - 1), rng.uniform(-60, 75)
    own = (lungs > 0.9) & (axes[0] * side > 0)
    near = own & (np.abs(axes[2] - height) < 8)
    places = np.argwhere(near if near.any() else own)
    place = places[int(rng.integers(len(places)))]
    radius = rng.uniform(27, 33)
    radii = tuple(radius * rng.uniform(0.9, 1.1) for _ in axes)
    lobes = tuple((float(rng.uniform(0.02, 0.07)), float(rng.uniform(0, 2 * np.pi))) for _ in axes)
    centre = tuple(float(axis.flat[index]) for axis, index in zip(axes, place, strict=True))
    return DemoLesion(centre, radii, lobes)
