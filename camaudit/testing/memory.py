"""How many bytes of tensors live at once while something runs, counted by their storages: the same on every machine."""

import weakref
from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten

from camaudit.testing.operations import EachOperation

__all__ = ["peak_bytes"]


class _Storages:
    """Adds up the storages that operations return, and takes off those that end."""

    def __init__(self) -> None:
        self.living: dict[int, int] = {}
        self.peak: int = 0

    def count(self, _function: object, _args: object, _named: object, result: object) -> None:
        """Count the storages of what an operation returned."""
        for value in tree_flatten(result)[0]:
            if isinstance(value, Tensor):
                self._count(value.untyped_storage())

    def _count(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata  # noqa: SLF001 - the only name of a storage that lives as long as it does
        if key not in self.living:
            self.living[key] = storage.nbytes()
            weakref.finalize(storage, self.living.pop, key, None)
        self.peak = max(self.peak, sum(self.living.values()))


def peak_bytes(run: Callable[[], object]) -> int:
    """Return the most bytes that tensors made inside ``run`` held at once, views of one storage counted once."""
    storages = _Storages()
    with EachOperation(storages.count):
        kept = run()
    del kept
    return storages.peak
