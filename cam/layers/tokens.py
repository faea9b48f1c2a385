"""Where a transformer's tokens lie in the image: stated, or measured on the network.

A layer of a transformer returns (B, N, C), or (B, *S, C) in a Swin block. A map needs to know which place each token
stands for. Shapes alone do not tell: six tokens may be 2 x 3 or 3 x 2, and one more may come first or last.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from math import inf, prod
from typing import Literal

import torch
from torch import Tensor, nn

from cam.memory import Memory
from cam.network.graph import GradThroughout, depends_on

__all__ = ["TokenGrid", "measured"]

_Box = tuple[tuple[int, int], ...]  # first voxel and the one past the last, along each axis
_MOST_PREFIX_TOKENS = 64
_ORDERED, _CLEARLY = 0.4, 1.5  # how far off a grid may be, in steps, and by which factor every other is worse


@dataclass(frozen=True)
class TokenGrid:
    """How a layer's output is laid out.

    ``shape`` is the spatial shape S of the patches, in the order of the input's axes. ``prefix`` counts the tokens in
    front of them that stand for no place (class token, registers). ``channels`` tells whether the output is
    (B, prefix + N, C) or (B, *S, C), N = prod(S), with its channels last, or (B, C, prefix + N) or (B, C, *S).

    Raises:
        ValueError: when ``shape`` is not a tuple of positive whole numbers, or ``prefix`` is negative.
    """

    shape: tuple[int, ...]
    prefix: int = 0
    channels: Literal["last", "first"] = "last"

    def __post_init__(self) -> None:
        whole = isinstance(self.shape, tuple) and all(isinstance(size, int) and size > 0 for size in self.shape)
        if not whole or not self.shape:
            raise ValueError(f"token_grid.shape must be a tuple of positive whole numbers, not {self.shape!r}")
        if self.prefix < 0 or self.channels not in ("last", "first"):
            raise ValueError(f"token_grid needs prefix >= 0 and channels 'last' or 'first', not {self}")

    def fits(self, shape: Sequence[int]) -> bool:
        """Return whether an output of this shape can be laid out so."""
        spatial = tuple(shape[1:-1] if self.channels == "last" else shape[2:])
        return spatial == (self.prefix + prod(self.shape),) or (spatial == self.shape and not self.prefix)

    def lay_out(self, output: Tensor) -> Tensor:
        """Return the patches of a layer's raw output as (B, C, *S): a view."""
        channelled = self._channels_second(output)
        if channelled.shape[2:] == self.shape:
            return channelled
        return channelled[..., self.prefix :].reshape(*channelled.shape[:2], *self.shape)

    def put_back(self, values: Tensor, like: Tensor) -> Tensor:
        """Return the raw output whose patches are ``values`` (n, C, *S).

        ``like`` is a raw output of n rows, or of one for all: it gives the prefix tokens, the form and the precision.
        The result shares no memory with either.
        """
        channelled = self._channels_second(like)
        values = values.to(like.dtype)
        if channelled.shape[2:] != self.shape:
            prefix = channelled[..., : self.prefix].expand(len(values), -1, -1)
            values = torch.cat([prefix, values.flatten(2)], dim=2)
        if self.channels == "first":
            return values.clone()
        return values.movedim(1, -1).clone(memory_format=torch.contiguous_format)  # blocks take views of their input

    def _channels_second(self, output: Tensor) -> Tensor:
        return output.movedim(-1, 1) if self.channels == "last" else output


def measured(model: nn.Module, x: Tensor, tokens: int, memory: Memory) -> TokenGrid | None:
    """Measure where a sequence of ``tokens`` tokens lies in an image of the shape of ``x`` (B, C, *S), once a memory.

    The model runs on one sample of noise until it first hands a sequence of that length, (1, tokens, C) or
    (tokens, 1, C), from one module to another. Before any attention a token looks at its own patch alone, and the
    gradient of the token by the image shows which: leading tokens that look nowhere are the prefix, the first that
    looks at the image's corner gives the patch, and the next one along each axis and the last one must look where the
    grid says.

    Where they look at more than a tile (patches that overlap, tokens that have seen their neighbours), their order is
    read off instead: the gradient of all tokens, each weighted by its number, over that of all tokens alike, is at each
    place of the image about the number of the token that looks there. It has to rise as in one grid, and in no other.

    Returns:
        The grid, or None where the tokens' patches are in no grid in the order of the axes, or prefix tokens have
        already seen the image or come last.
    """
    key = ("tokens", tokens, tuple(x.shape[1:]), x.dtype)
    return memory.recall(model, key, lambda: _measured(model, x, tokens))


def _measured(model: nn.Module, x: Tensor, tokens: int) -> TokenGrid | None:
    noise = torch.rand(1, *x.shape[1:], generator=torch.Generator().manual_seed(0)).to(x)
    with torch.inference_mode(False), torch.enable_grad():
        probe = noise.clone().requires_grad_()
        sequence = _first_sequence(model, probe, tokens)
        if sequence is None or not sequence.requires_grad:
            return None
        patch_of = cache(lambda row: _patch_of(sequence, row, probe))
        prefix = _prefix_of(patch_of, tokens)
        if prefix is None:
            return None
        return _grid_of(patch_of, prefix, tokens, x.shape[2:]) or _grid_by_order(sequence, prefix, probe)


class _Reached(BaseException):  # not an Exception: no model may take it for a fault of its own
    def __init__(self, sequence: Tensor) -> None:
        self.sequence = sequence


def _first_sequence(model: nn.Module, probe: Tensor, tokens: int) -> Tensor | None:
    def look(*values: object) -> None:
        for value in values:
            if not isinstance(value, Tensor) or value.ndim != 3 or value.shape[:2] not in ((1, tokens), (tokens, 1)):
                continue
            if depends_on(value, probe):  # a table of positions is not
                raise _Reached(value.flatten(0, 1))

    hooks = []
    try:
        for module in model.modules():
            if not isinstance(module, torch.jit.ScriptModule):
                enter = module.register_forward_pre_hook(
                    lambda _module, given, named: look(*given, *named.values()), with_kwargs=True
                )
                hooks += [enter, module.register_forward_hook(lambda _module, _given, output: look(output))]
        with GradThroughout():
            model(probe.clone())
    except _Reached as reached:
        return reached.sequence
    finally:
        for hook in hooks:
            hook.remove()
    return None


def _patch_of(sequence: Tensor, row: int, probe: Tensor) -> _Box | None:
    """Return the box of voxels that a token depends on, None when it depends on none."""
    weights = torch.arange(1, 1 + sequence.shape[1], device=sequence.device)  # a plain sum is constant after a norm
    score = (sequence[row] * weights).sum()
    (gradient,) = torch.autograd.grad(score, probe, retain_graph=True, allow_unused=True)
    if gradient is None:
        return None
    touched = (gradient[0] != 0).any(dim=0)
    if not bool(touched.any()):
        return None
    places = touched.nonzero()
    return tuple(zip(places.amin(0).tolist(), (places.amax(0) + 1).tolist(), strict=True))


def _prefix_of(patch_of: Callable[[int], _Box | None], tokens: int) -> int | None:
    """Return the number of leading tokens that look nowhere; None where none of the first looks at the image."""
    return next((row for row in range(min(tokens, _MOST_PREFIX_TOKENS)) if patch_of(row)), None)


def _grid_of(
    patch_of: Callable[[int], _Box | None], prefix: int, tokens: int, extent: Sequence[int]
) -> TokenGrid | None:
    sides = [stop for _, stop in patch_of(prefix) or ()]
    shape = tuple(size // side for size, side in zip(extent, sides, strict=True))
    if prefix + prod(shape) != tokens:
        return None
    steps = [tuple(int(other == axis) for other in range(len(shape))) for axis, size in enumerate(shape) if size > 1]
    for cell in chain([(0,) * len(shape), tuple(size - 1 for size in shape)], steps):
        tile = tuple((at * side, (at + 1) * side) for at, side in zip(cell, sides, strict=True))
        row = sum(at * prod(shape[axis + 1 :]) for axis, at in enumerate(cell))
        if patch_of(prefix + row) != tile:
            return None
    return TokenGrid(shape, prefix)


def _grid_by_order(sequence: Tensor, prefix: int, probe: Tensor) -> TokenGrid | None:
    generator = torch.Generator().manual_seed(0)
    channels = torch.randn(sequence.shape[1], generator=generator).to(sequence)
    values = sequence[prefix:] @ channels
    numbers = torch.arange(len(values)).to(values)
    alike, numbered = (_looked_at(values @ weights, probe) for weights in (torch.ones_like(numbers), numbers))
    if alike is None or numbered is None:
        return None
    misfits = {shape: _misfit(alike, numbered, shape) for shape in _shapes(len(values), tuple(probe.shape[2:]))}
    best, *others = sorted(misfits, key=misfits.__getitem__) or [()]
    clear = all(misfits[other] > _CLEARLY * misfits[best] for other in others)
    return TokenGrid(best, prefix) if best and clear and misfits[best] < _ORDERED else None


def _looked_at(score: Tensor, probe: Tensor) -> Tensor | None:
    (gradient,) = torch.autograd.grad(score, probe, retain_graph=True, allow_unused=True)
    return None if gradient is None else gradient[0].double()


def _shapes(tokens: int, extent: Sequence[int]) -> list[tuple[int, ...]]:
    """Return the grids of so many cells that are no finer than the image, with two cells or more along each axis."""
    if len(extent) == 1:
        return [(tokens,)] if 1 < tokens <= extent[0] else []
    firsts = [size for size in range(2, extent[0] + 1) if tokens % size == 0]
    return [(size, *rest) for size in firsts for rest in _shapes(tokens // size, extent[1:])]


def _misfit(alike: Tensor, numbered: Tensor, shape: tuple[int, ...]) -> float:
    """Return how far the numbers of the tokens, read off in each cell of such a grid, are from those of its cells.

    Along each axis, in steps of that axis: a root mean square, of the axis that fits worst.
    """
    owner = torch.zeros(alike.shape[1:], dtype=torch.long, device=alike.device)
    for axis, (size, cells) in enumerate(zip(alike.shape[1:], shape, strict=True)):
        index = (torch.arange(size, device=alike.device) * cells) // size
        owner = owner * cells + index.view([-1 if other == axis else 1 for other in range(len(shape))])
    flat, count = owner.flatten(), prod(shape)
    top = torch.zeros(count, dtype=torch.double, device=alike.device)
    bottom = torch.zeros_like(top)
    for gradient, weighted in zip(alike.flatten(1), numbered.flatten(1), strict=True):
        top.index_add_(
            0, flat, gradient * weighted
        )  # least squares: the number that takes the one gradient to the other
        bottom.index_add_(0, flat, gradient * gradient)
    if not bool((bottom > 0).all()):
        return inf
    off = (top / bottom - torch.arange(count).to(top)).view(shape)
    return max(_off_along(off, axis) for axis in range(len(shape)))


def _off_along(off: Tensor, axis: int) -> float:
    """Return the root mean square of what differs along one axis, in steps of it."""
    step = prod(off.shape[axis + 1 :])
    return float((off - off.mean(axis, keepdim=True)).square().mean().sqrt()) / step
