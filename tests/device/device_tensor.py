"""A tensor that lives on the pretended device: a processor's tensor that nothing else can reach.

torch lets a backend be written in Python under the key PrivateUse1. Every operation on such a tensor comes here, in the
threads of autograd as well: it is held against a device's rules, counted, computed by the processor's kernels and
wrapped again. Importing this module sets the backend up for the whole process, and has to happen before the process's
first backward: autograd counts the devices then, and never again.
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from tests.device.happenings import Meter

__all__ = ["BACKEND", "DeviceTensor", "pinned", "record_into", "run"]

BACKEND = "pretended"
_DISGUISE = torch.device("cuda", 0)
_ELSEWHERE = ("cuda", BACKEND)

_aten = torch.ops.aten
_COPIES = {_aten._to_copy, _aten.copy_, _aten.copy, _aten._copy_from, _aten._copy_from_and_resize}
_INDEXING = {_aten.index, _aten.index_put, _aten.index_put_, _aten._index_put_impl_, _aten._unsafe_index}
_SHAPE_BY_DATA = {
    _aten.nonzero, _aten.masked_select, _aten._unique, _aten._unique2, _aten.unique_dim, _aten.unique_consecutive,
    _aten.unique_dim_consecutive, _aten.equal, _aten.bincount, _aten.histc,
}  # fmt: skip
_STATUS_READ_BACK = {
    _aten._linalg_eigh, _aten._linalg_solve_ex, _aten.linalg_lstsq, _aten._linalg_svd, _aten.linalg_inv_ex,
    _aten.linalg_cholesky_ex, _aten.linalg_lu_factor_ex, _aten.linalg_qr, _aten.linalg_eig,
}  # fmt: skip

_meters = [Meter()]  # torch calls back without a word of who asked, from its own threads too


def record_into(meter: Meter) -> None:
    """Let what happens from now on be written into this meter."""
    _meters[0] = meter


class DeviceTensor(Tensor):
    """``held`` is the processor's tensor that computes for it."""

    held: Tensor

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: Tensor) -> "DeviceTensor":
        return torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            layout=held.layout,
            device=torch.device(BACKEND, 0),
        )

    def __init__(self, held: Tensor) -> None:
        self.held = held

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(function, args, kwargs or {})

    @property
    def device(self) -> torch.device:
        """Say that it is the first CUDA device, so that code which asks takes its way for CUDA."""
        return _DISGUISE

    @property
    def is_cuda(self) -> bool:
        return True

    @property
    def is_cpu(self) -> bool:
        return False

    def get_device(self) -> int:
        return 0

    def data_ptr(self) -> int:
        return self.held.data_ptr()

    def tolist(self) -> Any:
        _meters[0].note("value", "tolist")
        return self.held.tolist()

    def numpy(self, *, force: bool = False) -> Any:
        if force:
            return self.detach().cpu().numpy()
        raise _meters[0].fault("numpy", "a tensor on cuda:0 has no array; .cpu() comes first")

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self.numpy()

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"DeviceTensor({self.held!r})"

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        with torch.no_grad():
            copied: Tensor = self.clone()
        if isinstance(self, torch.nn.Parameter):
            copied = torch.nn.Parameter(copied.detach(), self.requires_grad)
        copied.requires_grad_(self.requires_grad)
        memo[id(self)] = copied
        return copied


def run(function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Run an operation of torch: on the processor as it is, or on the device by its rules."""
    tensors = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
    is_there = any(isinstance(tensor, DeviceTensor) for tensor in tensors)
    asked = kwargs.get("device")
    stays = is_there if asked is None else torch.device(asked).type in _ELSEWHERE
    if not is_there and not stays:
        return function(*args, **kwargs)
    name = str(function).removeprefix("aten.").removesuffix(".default")
    _refuse_mixed_devices(function, name, tensors)
    if stays and kwargs.get("generator") is not None:
        raise _meters[0].fault(name, "the generator is the processor's, the values are made on cuda")
    stays = _note(function.overloadpacket, name, args, kwargs, stays)
    inner_args, inner_kwargs = tree_map(_inside, (args, kwargs))
    answer = function(*inner_args, **inner_kwargs)
    if any(isinstance(tensor, DeviceTensor) and tensor.shape != tensor.held.shape for tensor in tensors):
        raise RuntimeError(f"{name} changed a tensor's shape in place, which a pretended device cannot follow")
    if not stays:
        return answer
    if any(isinstance(value, Tensor) and value.dtype == torch.float64 for value in tree_leaves(answer)):
        _meters[0].note("float64", name)
    # an operation in place answers with the tensor that it was given
    given = {id(tensor.held): tensor for tensor in tensors if isinstance(tensor, DeviceTensor)}
    return tree_map(lambda value: _outside(value, given), answer)


def _inside(value: Any) -> Any:
    if isinstance(value, DeviceTensor):
        return value.held
    if isinstance(value, torch.device) and value.type in _ELSEWHERE:
        return torch.device("cpu")
    return value


def _outside(value: Any, given: dict[int, DeviceTensor]) -> Any:
    if not isinstance(value, Tensor) or isinstance(value, DeviceTensor):
        return value
    same = given.get(id(value))
    return DeviceTensor(value) if same is None else same


def _refuse_mixed_devices(function: Any, name: str, tensors: list[Tensor]) -> None:
    host = [tensor for tensor in tensors if not isinstance(tensor, DeviceTensor)]
    if not host or len(host) == len(tensors) or function.overloadpacket in _COPIES | _INDEXING:
        return
    takes_numbers = torch.Tag.pointwise in function.tags or "fill" in name or "where" in name
    if takes_numbers and all(tensor.ndim == 0 for tensor in host):
        return
    places = ", ".join(
        f"{'cuda' if isinstance(tensor, DeviceTensor) else 'cpu'}{tuple(tensor.shape)}" for tensor in tensors
    )
    raise _meters[0].fault(name, f"its tensors have to be on the same device, they are on {places}")


def _note(packet: Any, name: str, args: Any, kwargs: dict[str, Any], stays: bool) -> bool:
    """Write down what the host waits for; return whether the answer lies on the device."""
    meter = _meters[0]
    if packet in _COPIES:
        return _note_copy(packet, name, args, kwargs, stays)
    if packet is _aten._local_scalar_dense:
        meter.note("value", name)
    elif packet in _INDEXING:
        _note_indexing(name, args)
    elif packet in _SHAPE_BY_DATA or (packet is _aten.repeat_interleave and kwargs.get("output_size") is None):
        meter.note("shape", name)
    elif packet in _STATUS_READ_BACK:
        meter.note("solver", name)
    return stays


def pinned(tensor: Tensor) -> Tensor:
    """Return a copy in memory that the device could read by itself; a machine without a device has none such."""
    copied = tensor.clone()
    copied.is_pinned_for_the_device = True  # type: ignore[attr-defined]
    return copied


def _is_pinned(tensor: Tensor) -> bool:
    return getattr(tensor, "is_pinned_for_the_device", False)


def _note_copy(packet: Any, name: str, args: Any, kwargs: dict[str, Any], stays: bool) -> bool:
    into = args[0] if packet in (_aten.copy_, _aten.copy) else None
    source = args[0] if into is None else args[1]
    target_there = stays if into is None else isinstance(into, DeviceTensor)
    source_there = isinstance(source, DeviceTensor)
    if source_there and not target_there:
        _meters[0].note("to_host", name, source.nbytes)
    elif target_there and not source_there and not (kwargs.get("non_blocking") and _is_pinned(source)):
        _meters[0].note("to_device", name, source.nbytes)
    return target_there


def _note_indexing(name: str, args: tuple[Any, ...]) -> None:
    whole, indices = args[0], [index for index in args[1] if isinstance(index, Tensor)]
    if not isinstance(whole, DeviceTensor):
        raise _meters[0].fault(name, "a tensor on cpu is indexed by one on cuda")
    for index in indices:
        if not isinstance(index, DeviceTensor):
            _meters[0].note("to_device", f"{name} by the host's index", index.nbytes)
        if index.dtype in (torch.bool, torch.uint8):
            _meters[0].note("shape", f"{name} by a mask")
    values = args[2] if len(args) > 2 else None
    if isinstance(values, Tensor) and not isinstance(values, DeviceTensor) and values.ndim:
        raise _meters[0].fault(name, "values on cpu are put into a tensor on cuda")


_setup_privateuseone_for_python_backend(BACKEND)
_library = torch.library.Library("_", "IMPL")
_library.fallback(lambda function, *args, **kwargs: run(function, args, kwargs), "PrivateUse1")
