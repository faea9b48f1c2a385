"""In which arithmetic the network runs: its precision, the layout of its weights, and whether a device must repeat."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import nn

from pipeline.config import RunConfig
from pipeline.vocabulary import MemoryFormat

__all__ = ["arithmetic", "arithmetic_in_words", "laid_out", "layout_of"]

_CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


@contextmanager
def arithmetic(run: RunConfig, device: torch.device) -> Iterator[None]:
    """Let what the block computes on ``device`` be computed as the run says; then as it was before.

    ``deterministic`` takes the kernels that repeat themselves wherever torch has such, and no TF32; ``fast`` tries
    which kernel is the quickest, and allows TF32. On the processor there is nothing to choose. Where torch has no
    kernel that repeats itself it takes the other one: whether the maps repeat is measured at the end of a run.
    """
    with ExitStack() as stack:
        if run.precision == "autocast":
            stack.enter_context(torch.autocast(device.type, _half(device)))
        if device.type == "cuda":
            stack.enter_context(_kernels(fast=run.mode == "fast"))
        yield


@contextmanager
def _kernels(*, fast: bool) -> Iterator[None]:
    """Choose CUDA's kernels for the block."""
    strict, warned = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    products = torch.backends.cuda.matmul.allow_tf32
    torch.use_deterministic_algorithms(not fast, warn_only=True)
    torch.backends.cuda.matmul.allow_tf32 = fast
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=fast, deterministic=not fast, allow_tf32=fast):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = products
        torch.use_deterministic_algorithms(strict, warn_only=warned)


def _half(device: torch.device) -> torch.dtype:
    """Return the half precision of autocast: bfloat16, which keeps float32's range, wherever the device has it."""
    return torch.bfloat16 if device.type != "cuda" or torch.cuda.is_bf16_supported() else torch.float16


def arithmetic_in_words(run: RunConfig, device: torch.device) -> str:
    """Return precision, layout and mode as a report names them."""
    half = str(_half(device)).removeprefix("torch.")
    precision = f"autocast ({half})" if run.precision == "autocast" else "float32"
    layout = ", channels last" if run.memory_format == "channels_last" else ""
    return f"{precision}{layout}, {run.mode}"


def layout_of(layout: MemoryFormat, axes: int) -> torch.memory_format:
    """Return torch's name of a layout, for tensors of so many axes."""
    return _CHANNELS_LAST.get(axes, torch.contiguous_format) if layout == "channels_last" else torch.contiguous_format


def laid_out(network: nn.Module, layout: MemoryFormat) -> nn.Module:
    """Lay a network's weights out in memory; only kernels of four and five axes have more than one layout."""
    with torch.no_grad():
        for weight in network.parameters():
            if weight.ndim in _CHANNELS_LAST:
                weight.data = weight.data.contiguous(memory_format=layout_of(layout, weight.ndim))
    return network
