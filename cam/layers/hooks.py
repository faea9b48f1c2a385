"""Which modules of a network can be watched."""

from collections.abc import Iterator

import torch
from torch import nn

__all__ = ["hookable"]


def hookable(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Return the modules that take hooks, by name: all but those compiled to TorchScript."""
    return ((name, module) for name, module in model.named_modules() if not isinstance(module, torch.jit.ScriptModule))
