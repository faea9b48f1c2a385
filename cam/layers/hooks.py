"""Which modules of a network can be watched.

Hooks that give another output in a layer's stead are set in front of those that are there: what others have set to keep
the outputs (Hugging Face's hidden states) has to keep the one that goes on.
"""

from collections.abc import Iterator

import torch
from torch import nn

__all__ = ["hookable"]


def hookable(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Return the modules that take hooks, by name: all but those compiled to TorchScript."""
    return ((name, module) for name, module in model.named_modules() if not isinstance(module, torch.jit.ScriptModule))
