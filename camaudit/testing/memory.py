"""How many bytes of tensors live at once while something runs, counted by their storages: the same on every machine."""

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

__all__ = ["peak_bytes"]


class _Storages(TorchDispatchMode):
    """Adds up the storages that operations return, and takes off those that end."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it without types
        self.living: dict[int, int] = {}
        self.peak: int = 0

    def __torch_dispatch__(
        self,
        function: Callable[..., Any],
        _types: object,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - what an operation returns
        result = function(*args, **(kwargs or {}))
        for value in tree_flatten(result)[0]:
            if isinstance(value, Tensor):
                self._count(value.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata  # noqa: SLF001 - the only name of a storage that lives as long as it does
        if key not in self.living:
            self.living[key] = storage.nbytes()
            weakref.finalize(storage, self.living.pop, key, None)
        self.peak = max(self.peak, sum(self.living.values()))


def peak_bytes(run: Callable[[], object]) -> int:
    """Return the most bytes that tensors made inside ``run`` held at once, views of one storage counted once."""
    with _Storages() as storages:
        kept = run()
    del kept
    return int(storages.peak)
