"""Whether memory ran out: torch has a type for a device's, and only words for the host's and for libraries."""

import torch

__all__ = ["is_out_of_memory"]

_WORDS = ("DefaultCPUAllocator", "STATUS_ALLOC_FAILED", "CUDA error: out of memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether a device or this machine could not give the memory that was asked for."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _WORDS)
