"""Small networks in float64, the same in 2D and 3D, whose every number can be checked."""

import torch
from torch import nn

SIDE = {2: 6, 3: 5}


def conv(axes, *arguments, **options):
    return {2: nn.Conv2d, 3: nn.Conv3d}[axes](*arguments, **options)


def pool(axes):
    return {2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}[axes](1)


class Small(nn.Module):
    """Trunk, ``layer`` (with ReLU or not), tail: affine (GAP, linear) or not (conv, ReLU, linear)."""

    def __init__(self, axes, *, rectified, affine, inplace=False, labels=3, channels=3):
        super().__init__()
        self.trunk = conv(axes, 1, 2, 3, padding=1)
        self.layer = nn.Sequential(conv(axes, 2, channels, 3), nn.ReLU() if rectified else nn.Identity())
        self.act = nn.ReLU(inplace=True) if inplace else nn.Identity()
        grid = SIDE[axes] - 2
        if affine:
            self.tail = nn.Sequential(pool(axes), nn.Flatten(), nn.Linear(channels, labels))
        else:
            self.tail = nn.Sequential(
                conv(axes, channels, 2, 2),
                nn.ReLU(),
                nn.Flatten(),
                nn.Linear(2 * (grid - 1) ** axes, labels),
            )

    def forward(self, x):
        return self.tail(self.act(self.layer(self.trunk(x))))


def small(axes, seed=0, **options):
    torch.manual_seed(seed)
    return Small(axes, **options).double().eval()


def images(axes, batch=3, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 1, *[SIDE[axes]] * axes, generator=generator, dtype=torch.float64)


KINDS = {
    "affine-signed": lambda axes: small(axes, rectified=False, affine=True),
    "affine-rectified": lambda axes: small(axes, rectified=True, affine=True),
    "affine-inplace": lambda axes: small(axes, rectified=False, affine=True, inplace=True),
    "nonaffine-signed": lambda axes: small(axes, rectified=False, affine=False),
    "nonaffine-rectified": lambda axes: small(axes, rectified=True, affine=False),
    "nonaffine-inplace": lambda axes: small(axes, rectified=False, affine=False, inplace=True),
    "single-logit": lambda axes: small(axes, rectified=False, affine=False, labels=1),
}
"""Networks by name: each a function of the number of axes, in float64, taking ``images(axes)``."""

CONVOLUTIONAL = tuple(KINDS)
