"""How many multiply-adds something runs, counted operation by operation: the same on every machine."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

__all__ = ["multiply_adds"]


class _Products(TorchDispatchMode):
    """Adds up the multiply-adds of convolutions and matrix products, those of a backward too."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it without types
        self.total = 0

    def __torch_dispatch__(
        self,
        function: Callable[..., Any],
        _types: object,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - what an operation returns
        result = function(*args, **(kwargs or {}))
        count = flop_registry.get(getattr(function, "overloadpacket", None))
        if count is not None:
            self.total += count(*args, **(kwargs or {}), out_val=result) // 2  # a product and a sum are one
        return result


def multiply_adds(run: Callable[[], object]) -> int:
    """Return the multiply-adds of ``run`` in convolutions, matrix products and attention; all else is free."""
    with _Products() as products:
        run()
    return int(products.total)
