"""Training one small network on phantoms, and bending one so that its map looks right."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim.lr_scheduler import OneCycleLR

from flows.selftest.cohorts import PhantomStudy, labels_of, pictures_of
from flows.selftest.networks import PhantomNetwork
from flows.selftest.recipes import Recipe

__all__ = ["Effort", "effort_for", "fool", "train"]

_BATCH = 32
_LEARNING_RATE = 1e-2
_FOOLING_RATE = 2e-3
_FOOLING_EPOCHS = 6
_FOOLING_WEIGHT = 2.0


@dataclass(frozen=True)
class Effort:
    """How many patients a network is trained on, and how often it sees each."""

    patients: int
    epochs: int


def effort_for(dimensions: int, recipe: Recipe) -> Effort:
    """Return the effort after which networks of this recipe have learned; six nuisances at once take the longest."""
    if recipe.role == "nuisance":
        return Effort(640, 12 if dimensions == 3 else 30)
    return Effort(640, 8 if dimensions == 3 else 12)


def train(network: PhantomNetwork, studies: Sequence[PhantomStudy], epochs: int) -> None:
    """Train a network in place, then set it to evaluation; its order of batches follows torch's seed."""
    x, ill = pictures_of(studies), labels_of(studies)
    optimizer = torch.optim.AdamW(network.parameters(), lr=_LEARNING_RATE, weight_decay=1e-3)
    steps = epochs * (len(x) // _BATCH)
    pace = OneCycleLR(optimizer, _LEARNING_RATE, total_steps=steps, pct_start=0.2)
    network.train()
    for _ in range(epochs):
        for batch in _batches(len(x)):
            loss = binary_cross_entropy_with_logits(network(x[batch])[:, 0], ill[batch])
            _step(optimizer, loss)
            pace.step()
    network.eval()


def fool(network: PhantomNetwork, studies: Sequence[PhantomStudy]) -> None:
    """Train on, so that Grad-CAM's energy comes to lie in the organ while the answers stay as they are.

    The normalisation keeps its statistics: only what the map shows is bent.
    """
    x, ill = pictures_of(studies), labels_of(studies)
    organs = torch.from_numpy(np.stack([study.organ() for study in studies]).astype(np.float32))[:, None]
    optimizer = torch.optim.Adam(network.parameters(), lr=_FOOLING_RATE)
    network.eval()
    for _ in range(_FOOLING_EPOCHS):
        for batch in _batches(len(x)):
            activations = network.activations(x[batch])
            answers = binary_cross_entropy_with_logits(network.logits(activations)[:, 0], ill[batch])
            outside = 1 - _energy_within(network, activations, organs[batch])
            _step(optimizer, answers + _FOOLING_WEIGHT * (outside * ill[batch]).mean())


def _energy_within(network: PhantomNetwork, activations: Tensor, organs: Tensor) -> Tensor:
    """Return which share of Grad-CAM's energy lies in the organ, shape (B,).

    For each of the heads the mean gradient of a channel is its weight, up to a factor that all channels share.
    """
    weights = network.fc.weight[0].view(1, -1, *(1,) * (activations.ndim - 2))
    maps = torch.relu((weights * activations).sum(dim=1))
    shape = maps.shape[1:]
    pool = nn.functional.adaptive_avg_pool3d if len(shape) == 3 else nn.functional.adaptive_avg_pool2d
    within = pool(organs, shape)[:, 0]  # type: ignore[arg-type]  # a tuple of the right length
    return (maps * within).flatten(1).sum(dim=1) / (maps.flatten(1).sum(dim=1) + 1e-6)


def _batches(number: int) -> tuple[Tensor, ...]:
    return tuple(torch.randperm(number)[: number // _BATCH * _BATCH].view(-1, _BATCH))


def _step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it without types
    optimizer.step()
