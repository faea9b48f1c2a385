"""What a network tells of itself without a study: spatial axes, channels, outputs; for a draft of a configuration."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["NetworkTraits", "traits_of"]

_USUAL_SIZE = {1: 1024, 2: 224, 3: 96}
_SUM = 1e-4


@dataclass(frozen=True)
class NetworkTraits:
    """``axes`` and ``channels`` of the input, ``outputs`` of the answer; None where the network does not tell.

    ``squashed``: the outputs are probabilities already; ``exclusive``: and sum to one.
    """

    axes: int | None
    channels: int | None
    outputs: int | None
    squashed: bool = False
    exclusive: bool = False


def traits_of(network: nn.Module, size: Sequence[int] | None = None) -> NetworkTraits:
    """Look at a network and show it noise of the spatial ``size`` (the usual one unless it is known)."""
    axes, channels = _input_of(network)
    if axes is None or channels is None:
        return NetworkTraits(axes, channels, _last_features(network))
    shape = tuple(size) if size is not None and len(size) == axes else (_USUAL_SIZE[axes],) * axes
    answer = _answer(network, torch.rand(2, channels, *shape, generator=torch.Generator().manual_seed(0)))
    if answer is None:
        return NetworkTraits(axes, channels, _last_features(network))
    squashed = bool((answer >= 0).all() and (answer <= 1).all())
    exclusive = squashed and bool(((answer.sum(dim=1) - 1).abs() < _SUM).all())
    return NetworkTraits(axes, channels, answer.shape[1], squashed, exclusive)


def _input_of(network: nn.Module) -> tuple[int | None, int | None]:
    """Return spatial axes and channels of the first convolution's input."""
    for module in network.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            return len(module.kernel_size), module.in_channels
    return None, None


def _last_features(network: nn.Module) -> int | None:
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
    return linear[-1].out_features if linear else None


def _answer(network: nn.Module, noise: Tensor) -> Tensor | None:
    """Return the answer (2, K) to noise; None where the network takes none of that shape, or answers otherwise."""
    try:
        with torch.no_grad():
            answer = network(noise)
    except Exception:  # noqa: BLE001 - whatever a network raises at a size that is not its own
        return None
    is_plain = isinstance(answer, Tensor) and answer.ndim >= 2 and bool(torch.isfinite(answer).all())
    return answer.float() if is_plain else None
