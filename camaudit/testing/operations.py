"""Every operation of torch that runs in a block, those of a backward too, as it ran."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["EachOperation"]

Watcher = Callable[[Any, Sequence[Any], Mapping[str, Any], Any], None]
"""Takes an operation, its arguments by place and by name, and what it returned."""


class EachOperation(TorchDispatchMode):
    """Hands each operation to ``watch`` once it has run."""

    def __init__(self, watch: Watcher) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it without types
        self._watch = watch

    def __torch_dispatch__(
        self,
        function: Callable[..., Any],
        _types: object,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - what an operation returns
        named = kwargs or {}
        result = function(*args, **named)
        self._watch(function, args, named, result)
        return result
