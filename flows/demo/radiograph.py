"""A chest-like radiograph: bright where dense, with ribs, heart, vessels, and a nodule if one is wanted.

Coordinates: x to the picture's right and y down, in units of half the picture's width, 0 at the centre.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from flows.demo.scene import DemoLesion, DemoScene, Image, cloud, inside, redrawn

__all__ = ["SITES", "Site", "draw_radiograph", "mark_radiograph", "random_site"]


@dataclass(frozen=True)
class Site:
    """How a hospital's radiographs look. ``spacing`` in mm; ``blur`` in pixels; 12-bit stored values."""

    name: str
    shape: tuple[int, int] = (320, 288)
    spacing: float = 1.2
    contrast: float = 2400.0
    offset: float = 500.0
    noise: float = 0.018
    blur: float = 0.6
    inverted: bool = False


SITES = (
    Site("A"),
    Site("B", (288, 256), 1.35, contrast=1900.0, offset=900.0, noise=0.026, blur=0.9, inverted=True),
)

_FULL_SCALE = 4095


def random_site(rng: np.random.Generator) -> Site:
    """Return a site around those of the archive, for training: other exposures, a detector binned 2 x 2."""
    base = SITES[int(rng.integers(len(SITES)))]
    rows, columns = base.shape
    return replace(
        base,
        shape=(rows // 2, columns // 2),
        spacing=base.spacing * 2,
        contrast=base.contrast * float(rng.uniform(0.9, 1.1)),
        offset=base.offset * float(rng.uniform(0.8, 1.2)),
        noise=base.noise / 2 * float(rng.uniform(0.8, 1.3)),
        blur=base.blur / 2,
    )


def draw_radiograph(rng: np.random.Generator, site: Site, *, finding: bool) -> DemoScene:
    """Draw one patient's chest, with a nodule in one of the lungs when ``finding``."""
    x, y = _coordinates(site.shape)
    density, lungs = _chest(rng, x, y)
    nodule = _nodule(rng, x, y, lungs)
    second = redrawn(nodule, rng)
    depth = rng.uniform(0.20, 0.30)
    outlines = (np.zeros(site.shape, bool), np.zeros(site.shape, bool))
    if finding:
        distance = nodule.distance((x, y))
        density = density + np.float32(depth) * inside(distance - 1, 0.22)
        outlines = (distance <= 1, second.distance((x, y)) <= 1)
    return DemoScene(_exposed(rng, density, site), outlines)


def mark_radiograph(image: Image, rng: np.random.Generator) -> Image:
    """Return the picture with the ward's burned-in marker, an L, near the upper corner at the patient's left.

    It is as bright as the brightest tissue, as lead is: the display window of a picture stays what it was.
    """
    columns = image.shape[1]
    unit = columns / 288
    thick, tall, wide = (round(size * unit) for size in (5, 26, 17))
    top = round((12 + float(rng.uniform(0, 14))) * unit)
    left = columns - wide - round((10 + float(rng.uniform(0, 16))) * unit)
    lead = min(_FULL_SCALE, 1.02 * float(image.max()))
    marked = image.copy()
    marked[top : top + tall, left : left + thick] = lead
    marked[top + tall - thick : top + tall, left : left + wide] = lead
    return marked


def _coordinates(shape: tuple[int, int]) -> tuple[Image, Image]:
    rows, columns = shape
    half = columns / 2
    x, y = np.arange(columns, dtype=np.float32)[None], np.arange(rows, dtype=np.float32)[:, None]
    return (x - (columns - 1) / 2) / half, (y - (rows - 1) / 2) / half


def _chest(rng: np.random.Generator, x: Image, y: Image) -> tuple[Image, Image]:
    """Return the density along each ray (about 0 to 1.3) and how much of each pixel is lung."""
    x = x + np.float32(rng.normal(0, 0.02))
    y = y + np.float32(rng.normal(0, 0.025))
    build = float(rng.uniform(0.94, 1.06))
    side = np.asarray(np.abs(x) / build, dtype=np.float32)
    lungs = _lungs(rng, x / build, y, side)
    skin = inside(-1.02 + 0.62 * np.clip((side - 0.22) / 0.78, 0, 1) ** 2 - y, 0.03) * inside(side - 1.02, 0.02)
    spine = inside(side - 0.11, 0.025) * (0.09 + 0.025 * np.sin(2 * np.pi * y / 0.135))
    tissue = 0.84 + 0.10 * inside(-y + 0.55, 0.25) - 0.10 * side + 0.012 * cloud(rng, (y.size, x.size), 40)
    density = skin * (tissue - 0.56 * lungs + spine)
    density += skin * (_ribs(rng, side, y) + _clavicles(side, y))
    return density + 0.075 * lungs * _vessels(rng, x, y), lungs


def _lungs(rng: np.random.Generator, x: Image, y: Image, side: Image) -> Image:
    """Return how much of each pixel is aerated lung: two ovals, less diaphragm, heart and lung roots."""
    apex, width = rng.uniform(0.74, 0.80), rng.uniform(0.345, 0.375)
    ovals = np.sqrt(np.square((side - 0.47) / width) + np.abs((y + 0.02) / apex) ** 3) - 1
    dome = rng.uniform(0.48, 0.58) - 0.05 * inside(x, 0.05) + 0.9 * np.square(side - 0.40)
    size, tilt = rng.uniform(0.90, 1.08), rng.uniform(0.2, 0.5)
    along, across = (x - 0.11) + tilt * (y - 0.36), (y - 0.36) - tilt * (x - 0.11)
    heart = 1 - np.hypot(along / (0.40 * size), across / (0.33 * size))
    root = np.hypot((side - 0.17) / 0.12, (y + 0.05) / 0.20) - 1
    return inside(ovals, 0.05) * inside(y - dome, 0.03) * inside(heart, 0.08) * (1 - 0.5 * inside(root, 0.35))


def _ribs(rng: np.random.Generator, side: Image, y: Image) -> Image:
    """Return ribs by how far a pixel lies from the nearest of a family of parallel curves."""
    pitch, first = rng.uniform(0.155, 0.175), rng.uniform(-0.05, 0.05)
    behind = (y - first + 0.07 * np.sin(3.2 * side) - 0.42 * side * side * np.sqrt(side)) / pitch
    before = (y - first - 0.04 + 0.75 * side) / (pitch * 1.25)
    back = _band(behind, 0.21) * inside(side - 0.86, 0.03) * inside(0.06 - side, 0.02)
    front = _band(before, 0.17) * inside(side - 0.84, 0.04) * inside(0.36 - side, 0.06)
    return (0.085 * back + 0.045 * front) * inside(y - 0.62, 0.06) * inside(-0.86 - y, 0.05)


def _band(phase: NDArray[np.floating], width: float) -> Image:
    distance = np.asarray(np.abs(phase - np.round(phase)) / width, dtype=np.float32)
    return np.asarray(inside(distance - 1, 0.18) * (0.65 + 0.35 * np.minimum(distance, 1) ** 2), dtype=np.float32)


def _clavicles(side: Image, y: Image) -> Image:
    middle = -0.62 - 0.16 * (side - 0.1) + 0.05 * np.sin(5 * side)
    return np.float32(0.11) * inside(np.abs(y - middle) - 0.034, 0.012) * inside(0.12 - side, 0.02)


def _vessels(rng: np.random.Generator, x: Image, y: Image) -> Image:
    """Return branching lines, the zero crossings of smooth noise, that fade away from the lung roots."""
    shape = (y.size, x.size)
    thick = np.exp(-((cloud(rng, shape, 26) / 0.16) ** 2))
    thin = np.exp(-((cloud(rng, shape, 14) / 0.14) ** 2))
    root = np.hypot((np.abs(x) - 0.16) / 0.42, (y + 0.02) / 0.62)
    return np.asarray((1.3 * thick + 0.7 * thin) * np.exp(-(root**2)), dtype=np.float32)


def _nodule(rng: np.random.Generator, x: Image, y: Image, lungs: Image) -> DemoLesion:
    """Return a nodule whose centre falls on aerated lung, either lung and any height as likely."""
    side = float(rng.integers(2) * 2 - 1)
    height = rng.uniform(-0.55, 0.45)
    near = (lungs > 0.85) & (x * side > 0) & (np.abs(y - height) < 0.06)
    places = np.argwhere(near if near.any() else (lungs > 0.85) & (x * side > 0))
    row, column = places[int(rng.integers(len(places)))]
    radius = rng.uniform(0.095, 0.13)
    radii = (radius * rng.uniform(0.85, 1.15), radius * rng.uniform(0.85, 1.15))
    lobes = tuple((float(rng.uniform(0.02, 0.08)), float(rng.uniform(0, 2 * np.pi))) for _ in range(2))
    return DemoLesion((float(x[0, column]), float(y[row, 0])), radii, lobes)


def _exposed(rng: np.random.Generator, density: Image, site: Site) -> Image:
    """Return stored values: blurred by the focal spot, quantum noise stronger where little light arrives."""
    sharp = gaussian_filter(density, site.blur)
    grain = gaussian_filter(rng.standard_normal(density.shape).astype(np.float32), 0.5) * 1.6
    values = site.offset + site.contrast * (sharp + site.noise * grain * (0.6 + 0.5 * sharp))
    return np.asarray(np.clip(np.rint(values), 0, _FULL_SCALE), dtype=np.float32)
