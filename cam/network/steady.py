"""Whether a model answers for each sample alone, and answers the same each time: all that follows rests on it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from cam.network.outputs import as_logits

__all__ = ["check_steady", "mixes_samples"]


def mixes_samples(model: nn.Module, x: Tensor) -> bool:
    """Tell whether a batch normalisation without running statistics takes its mean over the batch.

    Raises:
        ValueError: when it does and ``x`` (B, C, *S) holds more than one sample.
    """
    names = [
        name for name, module in model.named_modules() if isinstance(module, _BatchNorm) and module.running_mean is None
    ]
    if names and len(x) > 1:
        raise ValueError(
            f"{names[0] or type(model).__name__!r} has no running statistics and normalises over the batch, so a "
            f"sample's logits depend on the others: {_ALONE}"
        )
    return bool(names)


def check_steady(model: nn.Module, x: Tensor, logits: Tensor, alone: Sequence[Tensor]) -> None:
    """Compare the logits (B, K) of ``x`` with those of its first sample ``alone`` (1, K), where such a forward was run.

    Raises:
        ValueError: when they differ: the model mixes samples, or gives other logits in each forward.
    """
    if not alone or _alike(alone[0], logits[:1]):
        return
    with torch.no_grad():
        again = as_logits(model(x[:1]), 1)
    if len(x) > 1 and _alike(alone[0], again):
        raise ValueError(f"a sample's logits depend on the other samples of its batch: {_ALONE}")
    raise ValueError(
        "the model's logits differ between two passes of the same input: it draws random numbers (a functional "
        "dropout needs training=self.training) or keeps a state; make it deterministic in evaluation mode"
    )


_ALONE = "explain one sample at a time (x[i : i + 1])"


def _alike(first: Tensor, second: Tensor) -> bool:
    if first.shape != second.shape:
        return False
    rounding = max(torch.finfo(first.dtype).eps, torch.finfo(second.dtype).eps) ** 0.5  # kernels differ by batch size
    first, second = first.detach().double(), second.detach().double()
    largest = torch.maximum(first.abs().amax(), second.abs().amax())
    return not bool((first - second).abs().amax() > 8 * rounding * largest)  # NaN is told elsewhere
