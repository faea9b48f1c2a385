"""What is tried: a network with random weights, and the shape of the image that it takes."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Candidate:
    """``make`` returns the network; ``shape`` is that of one image, (C, *S).

    ``group`` is the candidate's row in docs/layers.md. ``is_dense`` tells of a network that answers voxel by voxel,
    which is asked about the whole of its second label.
    """

    group: str
    name: str
    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    is_dense: bool = False
