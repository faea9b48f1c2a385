"""Tensors brought to a device without a wait of the host, and back in as few copies as there are devices.

At each copy back the host waits. A copy to a CUDA device from pinned memory goes on while the host does something else;
torch keeps that memory until the copy is done.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.models.arithmetic import layout_of
from pipeline.vocabulary import MemoryFormat

__all__ = ["on_device", "on_host"]

Key = TypeVar("Key", bound=Hashable)


def on_device(pictures: Sequence[Tensor], device: torch.device, layout: MemoryFormat = "contiguous") -> Tensor:
    """Return pictures (C, *S) together (B, C, *S) on a device, their values in memory as ``layout`` says."""
    together = torch.stack(list(pictures))
    if device.type == "cuda":
        together = together.pin_memory()
    return together.to(device, non_blocking=True, memory_format=layout_of(layout, together.ndim))


def on_host(tensors: Mapping[Key, Tensor]) -> dict[Key, NDArray[np.float32]]:
    """Return the tensors as float32 arrays of their shapes, in their order; those of a device come in one copy."""
    by_device: dict[torch.device, list[Key]] = {}
    for key, values in tensors.items():
        by_device.setdefault(values.device, []).append(key)
    arrays: dict[Key, NDArray[np.float32]] = {}
    for device, keys in by_device.items():
        single = [tensors[key].float() for key in keys]
        arrays |= zip(keys, _as_they_are(single) if device.type == "cpu" else _in_one_copy(single), strict=True)
    return {key: arrays[key] for key in tensors}


def _as_they_are(values: list[Tensor]) -> list[NDArray[np.float32]]:
    return [tensor.numpy() for tensor in values]


def _in_one_copy(values: list[Tensor]) -> list[NDArray[np.float32]]:
    flat = torch.cat([tensor.flatten() for tensor in values]).cpu()
    parts = torch.split(flat, [tensor.numel() for tensor in values])
    return [part.view(tensor.shape).numpy() for part, tensor in zip(parts, values, strict=True)]
