"""A bright blob in a volume or a picture, and a network that reads brightness alone: where its map peaks is known."""

import nibabel
import numpy as np
import torch
from torch import nn

SHAPE, CENTRE = (24, 20, 14), (8, 12, 5)
PICTURE, SPOT = (40, 30), (12, 21)
KINDS = {
    2: (nn.Conv2d, nn.AdaptiveAvgPool2d, nn.AvgPool2d),
    3: (nn.Conv3d, nn.AdaptiveAvgPool3d, nn.AvgPool3d),
}


def network(axes=3, channels=1, *, cell=1):
    """Return a network whose logit 1 rises with brightness, and whose only features have cells of ``cell`` voxels."""
    convolution, pool, coarser = KINDS[axes]
    layers = [convolution(channels, 2, 1), nn.ReLU(), pool(1), nn.Flatten(), nn.Linear(2, 2)]
    with torch.no_grad():
        layers[0].weight[:] = torch.tensor([1.0, -1.0]).reshape(2, *[1] * (axes + 1)) / channels
        layers[0].bias[:] = torch.tensor([-0.05, -0.5])
        layers[4].weight[:] = torch.tensor([[-5.0, 0.0], [5.0, 0.0]])
        layers[4].bias.zero_()
    return nn.Sequential(*([coarser(cell)] if cell > 1 else []), *layers).eval()


def oblique(spacing=(1.0, 1.5, 2.5), seed=3):
    """Return an oblique, anisotropic affine, one axis flipped."""
    turn = np.linalg.qr(np.eye(3) + 0.25 * np.random.default_rng(seed).normal(size=(3, 3)))[0]
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag(spacing) * [1, -1, 1]
    affine[:3, 3] = [10.0, -20.0, 5.0]
    return affine


def blob(shape=SHAPE, centre=CENTRE, width=2.0):
    """Return a smooth blob of height 1, float32."""
    place = np.indices(shape) - np.reshape(centre, (-1, *[1] * len(shape)))
    return np.exp(-(place**2).sum(axis=0) / (2 * width**2)).astype(np.float32)


def world(affine, index=CENTRE):
    """Return where a voxel lies, (x, y, z)."""
    return affine[:3, : len(index)] @ np.array(index, float) + affine[:3, 3]


def write_scan(path, array=None, affine=None):
    """Write a volume as NIfTI and return its path."""
    array, affine = blob() if array is None else array, oblique() if affine is None else affine
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return path


def cells_apart(placed, place):
    """Return how far a map's peak lies from a place in the world, in the map's own cells along its own axes."""
    axes = len(placed.grid.shape)
    index = np.linalg.inv(placed.affine) @ [*place, 1.0]
    return np.abs(index[:axes] - placed.peak).max()
