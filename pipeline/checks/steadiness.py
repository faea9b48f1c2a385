"""Whether the model answers for each study alone, and gives the same answer each time."""

import torch
from torch import Tensor, nn

from cam import as_logits
from pipeline.errors import ModelError

__all__ = ["answers_alone"]

_REPEATS = 2  # chance can make two answers alike, three hardly
_SAME_CALL = 1000  # steps of rounding: a GPU may add in another order
_OTHER_BATCH = 8  # roots of a step: kernels differ by the size of a batch


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
        again = [as_logits(network(noise.clone()), 1, output_name) for _ in range(_REPEATS)]
    if not all(_are_alike(first, output, _SAME_CALL * torch.finfo(first.dtype).eps) for output in again):
        raise ModelError(
            "the model's outputs for one input change from call to call: it draws random numbers (a functional "
            "dropout needs training=self.training) or keeps a state; make it answer the same each time in eval()"
        )
    return _are_alike(first, beside, _OTHER_BATCH * torch.finfo(first.dtype).eps ** 0.5)


def _are_alike(first: Tensor, second: Tensor, rounding: float) -> bool:
    if first.shape != second.shape:
        return False
    first, second = first.double(), second.double()
    largest = torch.maximum(first.abs().amax(), second.abs().amax())
    return bool((first - second).abs().amax() <= rounding * largest)
