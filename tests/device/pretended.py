"""``with pretended_cuda() as meter:`` code that asks for "cuda" gets a device, and the meter says what it did there.

It sees: operands of two devices, ``.numpy()`` of a device's tensor, a generator of the host, weights left behind, every
wait of the host and its line, float64 arithmetic on the device. It does not see: races of streams, memory running out,
the device's own rounding, TF32, the limits of its libraries, time.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from tests.device.device_tensor import BACKEND, pinned, record_into, run
from tests.device.happenings import Meter

__all__ = ["pretended_cuda"]

_NAME = "pretended CUDA device"
_MADE_ON_THE_HOST = (torch.tensor, torch.as_tensor, torch.asarray)


class _EveryOperation(TorchDispatchMode):
    """Sees operations that have no tensor yet: what makes a tensor tells its device by an argument alone."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(function, args, kwargs or {})


class _CudaByName(TorchFunctionMode):
    """Turns "cuda" in the arguments of torch's functions into the pretended device."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if function is torch.Tensor.pin_memory:
            return pinned(args[0])
        if function is torch.Tensor.cuda:
            function, args = torch.Tensor.to, (args[0], torch.device(BACKEND, 0))
        by_name = function in (torch.Tensor.to, torch.Tensor.type_as)
        args = tuple(_renamed(value) if by_name or isinstance(value, torch.device) else value for value in args)
        if "device" in kwargs:
            kwargs["device"] = _renamed(kwargs["device"])
            if function in _MADE_ON_THE_HOST and kwargs["device"] is not None:
                return function(*args, **{**kwargs, "device": "cpu"}).to(torch.device(kwargs["device"]))
        return function(*args, **kwargs)


def _renamed(value: Any) -> Any:
    kind = (
        value.type if isinstance(value, torch.device) else value.partition(":")[0] if isinstance(value, str) else None
    )
    return torch.device(BACKEND, 0) if kind == "cuda" else value


def _answers_of_cuda(memory: int) -> dict[str, Any]:
    return {
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "_lazy_init": lambda: None,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "mem_get_info": lambda *_: (memory, memory),
        "empty_cache": lambda: None,
        "synchronize": lambda *_: None,
        "set_sync_debug_mode": lambda *_: None,
        "reset_peak_memory_stats": lambda *_: None,
        "max_memory_allocated": lambda *_: 0,
        "get_device_name": lambda *_: _NAME,
        "get_device_properties": lambda *_: SimpleNamespace(total_memory=memory, name=_NAME),
        "get_device_capability": lambda *_: (9, 0),
        "is_bf16_supported": lambda *_, **__: True,
    }


@contextmanager
def pretended_cuda(roots: Sequence[Path] = (), memory: int = 80 * 2**30) -> Iterator[Meter]:
    """Let "cuda" be the pretended device, with so many bytes of memory; ``roots`` are the folders whose lines count.

    What was moved there stays usable afterwards, under the backend's own name.
    """
    meter = Meter([Path(root).resolve() for root in roots])
    record_into(meter)
    with ExitStack() as stack:
        for name, answer in _answers_of_cuda(memory).items():
            stack.enter_context(mock.patch.object(torch.cuda, name, answer))
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", message="Converting a tensor with requires_grad=True to a scalar")
        stack.enter_context(_EveryOperation())
        stack.enter_context(_CudaByName())
        yield meter
