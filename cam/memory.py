"""What was found out about a model once: kept by whoever asks again, for as long as the model lives."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock, RLock
from typing import TypeVar
from weakref import WeakKeyDictionary, ref

from torch import nn

__all__ = ["Memory"]

Answer = TypeVar("Answer")


class Memory:
    """Remembers what costs forwards to find out: the layer that ``auto`` stands for, how a tail can be run on.

    Hand the same one to every ``explain`` of a run. A model that is gone is forgotten, and so is what was known of one
    whose modules (or, where it matters, weights) have changed. It may be shared by threads: those that work on the
    same model then wait for each other, as hooks are set on it meanwhile.
    """

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[nn.Module, dict[object, tuple[object, object]]] = WeakKeyDictionary()
        self._models: WeakKeyDictionary[nn.Module, RLock] = WeakKeyDictionary()
        self._lock = Lock()

    def __contains__(self, model: nn.Module) -> bool:
        """Tell whether anything is known of this model."""
        with self._lock:
            return model in self._known

    @contextmanager
    def alone_with(self, model: nn.Module) -> Iterator[None]:
        """Keep other threads that share this memory from the model; the same thread may enter again."""
        with self._lock:
            lock = self._models.setdefault(model, RLock())
        with lock:
            yield

    def recall(self, model: nn.Module, key: object, ask: Callable[[], Answer], *, weights: bool = False) -> Answer:
        """Return what ``ask`` said about this model and ``key``, or ask now.

        ``weights`` tells that the answer holds for these weights only, not for any that the same modules may have.
        """
        signature = _signature(model, weights)
        with self._lock:
            known = self._known.setdefault(model, {}).get(key)
        if known is None or known[0] != signature:
            known = (signature, ask())
            with self._lock:
                self._known.setdefault(model, {})[key] = known
        answer: Answer = known[1]  # type: ignore[assignment]
        return answer


def _signature(model: nn.Module, weights: bool) -> object:
    """Return what changes when a module or a weight does; weak, so that a module's place in memory is not its name."""
    modules = tuple(ref(module) for module in model.modules())
    if not weights:
        return modules
    return modules, tuple(
        (id(parameter), parameter.data_ptr(), 0 if parameter.is_inference() else parameter._version)  # noqa: SLF001 - the only count of in-place writes there is
        for parameter in model.parameters()
    )
