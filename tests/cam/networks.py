"""Small networks in float64, the same in 2D and 3D, whose every number can be checked."""

import pytest
import torch
from monai.networks.nets import ViT
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


def normed(axes):
    """Convolutions with every normalisation, in evaluation with statistics of their own, and a smooth activation."""
    torch.manual_seed(0)
    batch, instance = {2: (nn.BatchNorm2d, nn.InstanceNorm2d), 3: (nn.BatchNorm3d, nn.InstanceNorm3d)}[axes]
    layers = [conv(axes, 1, 2, 3), batch(2), nn.ReLU(inplace=True), nn.GroupNorm(1, 2), conv(axes, 2, 4, 2, bias=False)]
    layers += [nn.LeakyReLU(0.1), instance(4, affine=True), nn.GELU(), pool(axes), nn.Flatten()]
    model = nn.Sequential(*layers, nn.LayerNorm(4), nn.Linear(4, 3)).double()
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.is_floating_point() and value.ndim == 1:
                value.uniform_(0.5, 1.5) if "var" in name else value.normal_()
    return model.eval()


KINDS["normed"] = normed  # for the methods that look into every layer


class First(nn.Module):
    """The logits alone of a network that returns more."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x)[0]


def vivid(model):
    """Weights large enough that attention is far from uniform, and every bias and token counts."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.6)
    return model.double().eval()


def vit(size, patch, *, channels=1, seed=0, **options):
    """MONAI's ViT with a class token: two blocks of two heads."""
    pytest.importorskip("einops", reason="MONAI's transformers need einops")
    torch.manual_seed(seed)
    settings = {"hidden_size": 8, "mlp_dim": 8, "num_layers": 2, "num_heads": 2, "num_classes": 3} | options
    made = ViT(channels, size, patch, spatial_dims=len(size), classification=True, post_activation="none", **settings)
    return vivid(First(made))


class Encoder(nn.Module):
    """A strided convolution, torch's own encoder, and the mean over the tokens."""

    def __init__(self, patch, *, batch_first=True, layers=2, **options):
        super().__init__()
        self.embed = conv(len(patch), 1, 8, patch, stride=patch)
        block = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=batch_first, **options)
        self.encoder = nn.TransformerEncoder(block, layers, enable_nested_tensor=False)
        self.head = nn.Linear(8, 3)
        self.batch_first = batch_first

    def forward(self, x):
        tokens = self.embed(x).flatten(2).transpose(1, 2)
        tokens = self.encoder(tokens) if self.batch_first else self.encoder(tokens.transpose(0, 1)).transpose(0, 1)
        return self.head(tokens.mean(dim=1))


def encoder(patch, seed=0, **options):
    torch.manual_seed(seed)
    return vivid(Encoder(patch, **options))


PATCH = {2: (2, 3), 3: (2, 2, 5)}
KINDS["vit"] = lambda axes: vit([SIDE[axes]] * axes, PATCH[axes])
KINDS["encoder"] = lambda axes: encoder(PATCH[axes])
ATTENTIVE = ("vit", "encoder")
ATTENTIVE_METHODS = ("attention_relevance", "attention_rollout", "grad_eclip", "legrad")
"""The methods that need attention among the image's tokens."""
