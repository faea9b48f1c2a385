"""Whether the model answers for each study alone, and gives the same answer each time."""

import torch
from torch import Tensor, nn

from cam import as_logits
from pipeline.errors import ModelError

__all__ = ["answers_alone"]


def answers_alone(network: nn.Module, noise: Tensor, output_name: str | int | None = None) -> bool:
    """Tell whether the answer to one input (1, C, *S) is the same beside another one in a batch.

    Raises:
        ModelError: when the answer to the same input changes from call to call.
    """
    other = noise.flip(dims=list(range(2, noise.ndim))) * 0.5
    with torch.no_grad():
        first = as_logits(network(noise.clone()), 1, output_name)
        try:
            beside = as_logits(network(torch.cat([noise, other])), 2, output_name)[:1]
        except (RuntimeError, ValueError):  # a network may be written for one input at a time
            beside = torch.full_like(first, torch.nan)
        again = as_logits(network(noise.clone()), 1, output_name)
    if not _are_alike(first, again):
        raise ModelError(
            "the model's outputs for one input change from call to call: it draws random numbers (a functional "
            "dropout needs training=self.training) or keeps a state; make it answer the same each time in eval()"
        )
    return _are_alike(first, beside)


def _are_alike(first: Tensor, second: Tensor) -> bool:
    if first.shape != second.shape:
        return False
    rounding = torch.finfo(first.dtype).eps ** 0.5  # kernels differ by the size of a batch
    first, second = first.double(), second.double()
    largest = torch.maximum(first.abs().amax(), second.abs().amax())
    return bool((first - second).abs().amax() <= 8 * rounding * largest)
