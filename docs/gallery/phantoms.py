"""Small pictures with a lesion whose place is known, and networks that learn them in seconds, for the examples.

Nothing here is realistic beyond the one property that an example is about: an outline, speckle, a bias field, spacing.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import OneCycleLR

__all__ = [
    "Phantom",
    "classifier",
    "ct",
    "magnetic_resonance",
    "radiograph",
    "real_studies",
    "trained",
    "ultrasound",
]

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Phantom:
    """A picture in [0, 1], its lesion's voxels (none where there is no lesion), and its affine to RAS+ mm."""

    image: Array
    lesion: NDArray[np.bool_]
    affine: NDArray[np.float64]


def real_studies(name: str) -> Path | None:
    """Return a folder of real studies where there is one: in CAMAUDIT_DATA, or in shared/data beside this tree."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = Path(os.environ.get("CAMAUDIT_DATA") or beside) / name
    return folder if folder.is_dir() else None


def _axes(shape: tuple[int, ...]) -> list[NDArray[np.float64]]:
    """Return coordinates that run from -1 to 1 along each axis."""
    return list(np.meshgrid(*(np.linspace(-1, 1, side) for side in shape), indexing="ij"))


def _ball(shape: tuple[int, ...], centre: NDArray[np.float64], radius: float) -> NDArray[np.bool_]:
    axes = _axes(shape)
    return np.asarray(sum((axis - middle) ** 2 for axis, middle in zip(axes, centre, strict=True)) < radius**2)


def _body(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return a soft ellipsoid that is 1 inside the body."""
    square = sum((axis / reach) ** 2 for axis, reach in zip(_axes(shape), (0.9, 0.75, 0.9), strict=False))
    return np.asarray(1 / (1 + np.exp(12 * (np.sqrt(square) - 1))))


def radiograph(rng: np.random.Generator, *, ill: bool, marker: bool = False) -> Phantom:
    """Return a picture of 64 x 64: a chest, a round opacity where ``ill``, a burned-in letter where ``marker``."""
    shape = (64, 64)
    lesion = _ball(shape, rng.uniform(-0.4, 0.4, 2), rng.uniform(0.14, 0.2)) & ill
    image = 0.4 * _body(shape) + 0.25 * gaussian_filter(lesion.astype(float), 1.5)
    image += gaussian_filter(rng.normal(0, 0.12, shape), 1.5)
    if marker:
        image[4:12, 4:6] = image[10:12, 4:10] = 1  # an L, in the air
    return Phantom(image.astype(np.float32), lesion, np.diag([1.0, 1.0, 1.0, 1.0]))


def ultrasound(rng: np.random.Generator, *, ill: bool) -> Phantom:
    """Return a sector of 64 x 64 with multiplicative speckle; the lesion is darker and throws no shadow."""
    shape = (64, 64)
    depth, across = _axes(shape)
    sector = np.hypot(depth + 1, across) < 1.9
    sector &= np.abs(np.arctan2(across, depth + 1.2)) < 0.7
    lesion = _ball(shape, np.array([rng.uniform(-0.1, 0.5), rng.uniform(-0.3, 0.3)]), rng.uniform(0.15, 0.2)) & ill
    speckle = gaussian_filter(rng.rayleigh(1, shape), (0.6, 1.2))
    tissue = 0.4 * np.where(lesion, 0.35, 1) * speckle
    return Phantom((sector * tissue).astype(np.float32), lesion & sector, np.diag([0.5, 0.5, 1.0, 1.0]))


def ct(rng: np.random.Generator, *, ill: bool) -> Phantom:
    """Return a volume of 32 x 32 x 16 whose slices lie 2.5 mm apart; the lesion is a bright ball, in millimetres."""
    shape, spacing = (32, 32, 16), np.array([1.25, 1.25, 2.5])
    centre = rng.uniform(-10, 10, 3)
    places = [axis * side * step / 2 for axis, side, step in zip(_axes(shape), shape, spacing, strict=True)]
    lesion = (sum((axis - middle) ** 2 for axis, middle in zip(places, centre, strict=True)) < 5**2) & ill
    image = 0.4 * _body(shape) + 0.35 * gaussian_filter(lesion.astype(float), 0.6)
    image += gaussian_filter(rng.normal(0, 0.08, shape), 0.8)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -spacing * (np.array(shape) - 1) / 2
    return Phantom(image.astype(np.float32), np.asarray(lesion), affine)


def magnetic_resonance(rng: np.random.Generator, *, ill: bool) -> Phantom:
    """Return a slice of 64 x 64 under a smooth bias field: brightness alone does not tell the lesion."""
    shape = (64, 64)
    lesion = _ball(shape, rng.uniform(-0.35, 0.35, 2), rng.uniform(0.13, 0.19)) & ill
    field = gaussian_filter(rng.normal(0, 1, shape), 16)
    field = 1 + 0.35 * field / np.abs(field).max()
    white = gaussian_filter1d(gaussian_filter(rng.normal(0, 1, shape), 3), 2, axis=0)
    tissue = 0.45 + 0.05 * white / white.std() + 0.35 * gaussian_filter(lesion.astype(float), 1)
    image = _body(shape) * field * tissue + rng.normal(0, 0.02, shape)
    return Phantom(image.astype(np.float32), lesion, np.diag([0.9, 0.9, 4.0, 1.0]))


def classifier(axes: int, pooled: str = "max", seed: int = 0) -> nn.Sequential:
    """Return four blocks of convolutions, the ``max`` or ``mean`` over places, and a linear layer for two labels."""
    torch.manual_seed(seed)
    conv, norm = {2: (nn.Conv2d, nn.BatchNorm2d), 3: (nn.Conv3d, nn.BatchNorm3d)}[axes]
    pools = {"max": (nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d), "mean": (nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)}
    blocks: list[nn.Module] = []
    for channels, width, stride in ((1, 8, 1), (8, 16, 2), (16, 16, 1), (16, 16, 1)):
        blocks += [conv(channels, width, 3, stride, 1), norm(width), nn.ReLU()]
    return nn.Sequential(*blocks, pools[pooled][axes - 2](1), nn.Flatten(), nn.Linear(16, 2))


def trained(
    draw: Callable[[np.random.Generator, bool], Phantom], axes: int, pooled: str = "max", steps: int = 80
) -> nn.Sequential:
    """Return a classifier that learned to tell ``draw(rng, True)`` from ``draw(rng, False)``, in evaluation mode."""
    network = classifier(axes, pooled).train()
    optimizer = torch.optim.AdamW(network.parameters())
    pace = OneCycleLR(optimizer, 1e-2, total_steps=steps)
    rng = np.random.default_rng(1)
    for _ in range(steps):
        labels = torch.arange(16) % 2
        pictures = [draw(rng, bool(label)).image for label in labels]
        loss = cross_entropy(network(torch.from_numpy(np.stack(pictures))[:, None]), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        pace.step()
    return network.eval()
