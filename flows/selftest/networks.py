"""The self-test's networks: three or four convolutions and a head, in 2D and 3D."""

from typing import Literal, get_args

from torch import Tensor, nn

__all__ = ["HEADS", "Head", "PhantomNetwork", "build_phantom_network"]

Head = Literal["gap", "gmp", "res"]
HEADS: tuple[Head, ...] = get_args(Head)

_TOP = 8
"""Places that the ``res`` head averages."""


class PhantomNetwork(nn.Module):
    """Convolutions, then a pooled vector of channels, then one logit."""

    def __init__(self, dimensions: int, head: Head, width: int = 16) -> None:
        super().__init__()
        convolution = nn.Conv3d if dimensions == 3 else nn.Conv2d
        normalisation = nn.BatchNorm3d if dimensions == 3 else nn.BatchNorm2d
        self.features = nn.Sequential(
            convolution(1, width // 2, 3, stride=2, padding=1),
            normalisation(width // 2),
            nn.ReLU(),
            convolution(width // 2, width, 3, stride=2, padding=1),
            normalisation(width),
            nn.ReLU(),
            convolution(width, width, 3, padding=1),
            normalisation(width),
            nn.ReLU(),
        )
        self.residual = (
            nn.Sequential(convolution(width, width, 3, padding=1), normalisation(width)) if head == "res" else None
        )
        self.last = nn.ReLU()
        self.head = head
        self.fc = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logit of the lesion, shape (B, 1)."""
        return self.logits(self.activations(x))

    def activations(self, x: Tensor) -> Tensor:
        """Return the last layer's activations, shape (B, channels, *S)."""
        activations: Tensor = self.features(x)
        summed: Tensor = activations if self.residual is None else activations + self.residual(activations)
        last: Tensor = self.last(summed)
        return last

    def logits(self, activations: Tensor) -> Tensor:
        """Return the logit that follows from the last layer, shape (B, 1)."""
        places = activations.flatten(2)
        if self.head == "gap":
            pooled = places.mean(dim=2)
        elif self.head == "gmp":
            pooled = places.amax(dim=2)
        else:
            pooled = places.topk(_TOP, dim=2).values.mean(dim=2)
        logits: Tensor = self.fc(pooled)
        return logits


def build_phantom_network(dimensions: int, head: Head) -> PhantomNetwork:
    """Return an untrained network; its weights follow torch's seed."""
    return PhantomNetwork(dimensions, head)
