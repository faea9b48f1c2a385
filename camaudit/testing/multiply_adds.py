"""How many multiply-adds something runs, counted operation by operation: the same on every machine."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch.utils.flop_counter import flop_registry

from camaudit.testing.operations import EachOperation

__all__ = ["multiply_adds"]


def multiply_adds(run: Callable[[], object]) -> int:
    """Return the multiply-adds of ``run`` in convolutions, matrix products and attention; all else is free."""
    total = 0

    def count(function: Any, args: Sequence[Any], named: Mapping[str, Any], result: Any) -> None:  # noqa: ANN401
        nonlocal total
        products = flop_registry.get(getattr(function, "overloadpacket", None))
        if products is not None:
            total += products(*args, **named, out_val=result) // 2  # a product and a sum are one

    with EachOperation(count):
        run()
    return total
