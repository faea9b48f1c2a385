"""A network without what it learnt: all its weights drawn anew by its own modules, for the length of a block."""

import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.findings.experiments.sanity import RedrawnWeights

__all__ = ["redrawn"]

_RESETS: Final = ("reset_parameters", "_reset_parameters")
_QUANTISED: Final = frozenset({torch.int8, torch.uint8, torch.qint8, torch.quint8})
_CONSTANTS_AT_MOST: Final = 0.01
"""The share of the learnt numbers up to which constants of a network (positions, a filter) may stay as they are."""
_MANY: Final = 100
_A_COPY: Final = 0.5
"""So many values do not correlate with what was learnt by so much when they are drawn."""


@dataclass(frozen=True)
class _Place:
    """A tensor of a module: where it hangs, and what it held."""

    module: nn.Module
    name: str
    tensor: Tensor
    values: Tensor
    is_learnt: bool


@contextmanager
def redrawn(network: nn.Module, seed: int) -> Iterator[RedrawnWeights]:
    """Draw all weights anew by each module's own ``reset_parameters``, BatchNorm's statistics too, from ``seed``.

    Yields how many of the learnt numbers that reached: before the reset they are made not-a-number, and what is still
    so afterwards, or is again what was learnt, was not drawn. Such numbers keep their learnt values in the block. After
    it the network and every generator of random numbers are as they were, also after an exception.
    """
    places = list(_places(network))
    devices = sorted({place.tensor.device.index or 0 for place in places if place.tensor.is_cuda})
    others = random.getstate(), np.random.get_state()  # noqa: NPY002 - a module's own reset may draw from it
    try:
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed % 2**32)  # noqa: NPY002
            with torch.no_grad():
                _reset(network, places)
                weights = _counted(network, places)
            yield weights
    finally:
        random.setstate(others[0])
        np.random.set_state(others[1])  # noqa: NPY002
        _restore(places)


def _places(network: nn.Module) -> Iterator[_Place]:
    """Yield every tensor of numbers that hangs at a module, registered or not, each once."""
    seen: set[int] = set()
    for module in network.modules():
        hanging = (
            [(name, tensor, True) for name, tensor in module.named_parameters(recurse=False)]
            + [(name, tensor, False) for name, tensor in module.named_buffers(recurse=False)]
            + [(name, value, False) for name, value in vars(module).items() if isinstance(value, Tensor)]
        )
        for name, tensor, is_learnt in hanging:
            if id(tensor) not in seen and (tensor.is_floating_point() or tensor.dtype in _QUANTISED):
                seen.add(id(tensor))
                yield _Place(module, name, tensor, tensor.detach().clone(), is_learnt)


def _reset(network: nn.Module, places: list[_Place]) -> None:
    for place in places:
        if place.tensor.is_floating_point():
            _write(place.tensor, torch.full_like(place.values, torch.nan))
    for module in network.modules():
        reset = next((getattr(module, name) for name in _RESETS if callable(getattr(module, name, None))), None)
        with suppress(Exception):  # somebody's own module: what it leaves undrawn is counted
            reset() if reset is not None else None


def _counted(network: nn.Module, places: list[_Place]) -> RedrawnWeights:
    """Count what was drawn, and give the rest its learnt values back."""
    drawn = {id(place): _drawn(place) for place in places}
    learnt = [place for place in places if place.is_learnt]
    kept = [place for place in places if not place.is_learnt and drawn[id(place)] < place.values.numel()]
    values = sum(place.values.numel() for place in learnt)
    constants = sum(place.values.numel() for place in kept)
    left = {type(place.module).__name__ for place in learnt if drawn[id(place)] < place.values.numel()}
    if constants > _CONSTANTS_AT_MOST * values:
        values += constants
        left |= {type(place.module).__name__ for place in kept}
    packed = {type(module).__name__: module for module in network.modules() if hasattr(module, "_packed_params")}
    for place in places:
        _fill_in(place)
    return RedrawnWeights(
        values=values + len(packed),  # how many are packed away cannot be told
        redrawn=sum(drawn[id(place)] for place in learnt),
        left=tuple(sorted({*left, *packed})),
    )


def _drawn(place: _Place) -> int:
    """Return how many of a tensor's values were drawn: not those that nobody wrote, nor a copy of what was learnt."""
    new = _now(place)
    if not new.is_floating_point() or new.shape != place.values.shape:
        return 0
    written = ~torch.isnan(new)
    before, after = place.values[written].double().flatten(), new[written].double().flatten()
    if before.numel() and bool((before == after).all()) and bool((before != before[0]).any()):
        return 0
    if before.numel() >= _MANY and _correlation(before, after) > _A_COPY:
        return 0
    return int(written.sum())


def _correlation(before: Tensor, after: Tensor) -> float:
    before, after = before - before.mean(), after - after.mean()
    scale = float(before.norm() * after.norm())
    return float(before @ after) / scale if scale else 0.0


def _now(place: _Place) -> Tensor:
    """Return the tensor that hangs there now: a module may have hung up another one."""
    tensor: Tensor = getattr(place.module, place.name)
    return tensor


def _fill_in(place: _Place) -> None:
    new = _now(place)
    if new.is_floating_point() and new.shape == place.values.shape:
        _write(new, torch.where(torch.isnan(new), place.values, new))


def _write(tensor: Tensor, values: Tensor) -> None:
    """Write in place, also where the tensor was made in torch's inference mode."""
    with torch.inference_mode() if tensor.is_inference() else torch.no_grad():
        tensor.copy_(values)


def _restore(places: list[_Place]) -> None:
    with torch.no_grad():
        for place in places:
            if place.tensor.is_floating_point():
                _write(place.tensor, place.values)
            hung = (place.module._parameters, place.module._buffers, vars(place.module))  # noqa: SLF001 - no other way
            registry: Any = next(names for names in hung if place.name in names)
            registry[place.name] = place.tensor
