"""Small networks that differ in what follows the layer: behind which head are two methods one map."""

from collections.abc import Callable, Mapping

import torch
from monai.networks.blocks.transformerblock import TransformerBlock
from torch import Tensor, nn

from camaudit.testing.methods import Trial

__all__ = ["HEADS", "head_trial"]

_SIDE, _CHANNELS, _LABELS = 6, 4, 3


class _Tokens(nn.Module):
    """Patches of 2 to a side, attention, and a linear layer on the class token or on the mean of the tokens."""

    def __init__(self, axes: int, *, class_token: bool) -> None:
        super().__init__()
        conv = {2: nn.Conv2d, 3: nn.Conv3d}[axes]
        self.patches = conv(1, _CHANNELS * 2, 2, 2)
        self.token = nn.Parameter(torch.randn(1, 1, _CHANNELS * 2)) if class_token else None
        self.blocks = nn.Sequential(*(TransformerBlock(_CHANNELS * 2, 8, 2) for _ in range(2)))
        self.norm = nn.LayerNorm(_CHANNELS * 2)
        self.head = nn.Linear(_CHANNELS * 2, _LABELS)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        if self.token is not None:
            tokens = torch.cat([self.token.expand(len(x), -1, -1), tokens], dim=1)
        tokens = self.norm(self.blocks(tokens))
        logits: Tensor = self.head(tokens.mean(dim=1) if self.token is None else tokens[:, 0])
        return logits


def _convolutional(axes: int, pooled: str, *, perceptron: bool) -> nn.Module:
    conv = {2: nn.Conv2d, 3: nn.Conv3d}[axes]
    pools: Mapping[str, Callable[[], list[nn.Module]]] = {
        "mean": lambda: [{2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}[axes](1)],
        "maximum": lambda: [{2: nn.AdaptiveMaxPool2d, 3: nn.AdaptiveMaxPool3d}[axes](1)],
        "none": list,
    }
    width = _CHANNELS * (_SIDE**axes if pooled == "none" else 1)
    linear = [nn.Linear(width, 5), nn.ReLU(), nn.Linear(5, _LABELS)] if perceptron else [nn.Linear(width, _LABELS)]
    body = [conv(1, 3, 3, padding=1), nn.ReLU(), conv(3, _CHANNELS, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*body, *pools[pooled](), nn.Flatten(), *linear)


HEADS: Mapping[str, tuple[Callable[[int], nn.Module], tuple[str, ...]]] = {
    "mean, linear": (lambda axes: _convolutional(axes, "mean", perceptron=False), ("1", "3")),
    "mean, perceptron": (lambda axes: _convolutional(axes, "mean", perceptron=True), ("1", "3")),
    "maximum, linear": (lambda axes: _convolutional(axes, "maximum", perceptron=False), ("1", "3")),
    "all places, linear": (lambda axes: _convolutional(axes, "none", perceptron=False), ("1", "3")),
    "all places, perceptron": (lambda axes: _convolutional(axes, "none", perceptron=True), ("1", "3")),
    "tokens, mean": (lambda axes: _Tokens(axes, class_token=False), ("blocks.0.norm1", "blocks.1.norm1")),
    "tokens, after the last attention": (lambda axes: _Tokens(axes, class_token=False), ("blocks.1.norm1", "norm")),
    "class token": (lambda axes: _Tokens(axes, class_token=True), ("blocks.0.norm1", "blocks.1.norm1")),
}
"""By name: what builds the network for a number of axes, and its layers; most maps are taken at the last."""


def head_trial(name: str, axes: int, seed: int) -> Trial:
    """Return a network with the head ``name``, random weights and inputs of both signs, in float64."""
    build, layers = HEADS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build(axes).double().eval()
        return Trial(model, torch.randn(3, 1, *(_SIDE,) * axes, dtype=torch.float64), layers)
