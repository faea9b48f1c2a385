"""timm and transformers import torchvision, whose compiled operators load beside one build of torch only."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch


@contextmanager
def undeclared() -> Iterator[None]:
    """Let torchvision be imported whether or not its compiled operators could be loaded: no network here calls them."""
    declare = torch.library.register_fake

    def unless_torchvisions(operator: object, *args: object, **kwargs: object) -> Callable:
        if isinstance(operator, str) and operator.startswith("torchvision::"):
            return lambda function: function
        return declare(operator, *args, **kwargs)

    torch.library.register_fake = unless_torchvisions
    try:
        yield
    finally:
        torch.library.register_fake = declare
