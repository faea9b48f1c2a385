"""Layers that run several times in a forward, or on the slices of an image: which call is meant, and how they join.

``"features#0"``, ``"features#1"`` are the calls of the module ``features`` in their order: two views, two time points,
the slices of a loop. ``"features#sum"`` has the channels of all calls side by side: the gradient of a sum is the sum of
the gradients, so any method that adds channels up gives exactly the sum of the calls' maps, before its last ReLU.
"""

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cam.layers.tokens import TokenGrid

__all__ = ["LayerCall", "SlicedGrid", "Slices", "joined", "layer_call", "remedy", "taken_apart"]


@dataclass(frozen=True)
class LayerCall:
    """A module's name, and which of its calls: one by its ``number``, the sum of all, or the only one there is."""

    module: str
    number: int | None = None
    is_sum: bool = False


def layer_call(name: str, modules: Container[str]) -> LayerCall:
    """Return which call of which module a layer's name means; a module that is really called so comes first."""
    named = re.fullmatch(r"(.+)#(\d+|sum)", name)
    if named is None or name in modules:
        return LayerCall(name)
    return LayerCall(named[1], None if named[2] == "sum" else int(named[2]), is_sum=named[2] == "sum")


@dataclass(frozen=True)
class Slices:
    """Tells that a layer sees the image slice by slice (2.5D), or instance by instance (multiple-instance learning).

    Its rows are the slices of all samples, (B x n, C, *S'), those of a sample together unless not ``samples_first``; or
    it is called once for each slice, (B, C, *S') each. ``axis`` is the one of the image's spatial axes along which the
    slices lie: maps are (B, *S) with n cells there. None says that the instances are no axis of one image; their maps
    are (B, n, *S'), and methods that mask the image are refused.
    """

    axis: int | None = 0
    samples_first: bool = True

    def __post_init__(self) -> None:
        if self.axis is not None and (isinstance(self.axis, bool) or not isinstance(self.axis, int) or self.axis < 0):
            raise ValueError(f"slices.axis must be the number of a spatial axis, from 0, or None, not {self.axis!r}")

    def over(self, rows: int, spatial: tuple[int, ...], samples: int) -> "SlicedGrid | None":
        """Return the grid of a layer of so many rows with this spatial shape S' each; None where it does not do."""
        axis = self.axis or 0
        if not spatial or rows % samples or axis > len(spatial):
            return None
        shape = (*spatial[:axis], rows // samples, *spatial[axis:])
        return SlicedGrid(shape, channels="first", slices=self)


@dataclass(frozen=True)
class SlicedGrid(TokenGrid):
    """How the rows of slices (B x n, C, *S') make a layer (B, C, *S) of whole images."""

    slices: Slices = Slices()

    @property
    def _axis(self) -> int:
        return self.slices.axis or 0

    def fits(self, shape: Sequence[int]) -> bool:
        """Return whether an output of this shape can be laid out so."""
        across = (*self.shape[: self._axis], *self.shape[self._axis + 1 :])
        return tuple(shape[2:]) == across and shape[0] % self.shape[self._axis] == 0

    def lay_out(self, output: Tensor) -> Tensor:
        """Return the rows of slices as (B, C, *S): a view."""
        number, rest = self.shape[self._axis], output.shape[1:]
        if self.slices.samples_first:
            return output.reshape(-1, number, *rest).movedim(1, 2 + self._axis)
        return output.reshape(number, -1, *rest).movedim(0, 2 + self._axis)

    def put_back(self, values: Tensor, like: Tensor) -> Tensor:
        """Return the rows whose slices are ``values`` (B, C, *S), in the precision of ``like``."""
        place = 1 if self.slices.samples_first else 0
        rows = values.to(like.dtype).movedim(2 + self._axis, place)
        return rows.reshape(-1, *rows.shape[2:]).clone()


def joined(parts: Sequence[Tensor], slices: Slices | None) -> Tensor:
    """Return the calls' activations or gradients (B, C, *S) as one: along the slices' axis, or their channels."""
    if len(parts) == 1:
        return parts[0]
    return torch.cat(list(parts), dim=1) if slices is None else torch.stack(list(parts), dim=2 + (slices.axis or 0))


def taken_apart(values: Tensor, calls: int, slices: Slices | None) -> tuple[Tensor, ...]:
    """Return what ``joined`` puts together, call by call."""
    return values.chunk(calls, dim=1) if slices is None else values.unbind(2 + (slices.axis or 0))


def remedy(name: str, calls: int) -> str:
    """Return what to do about a layer that is called so often."""
    shown = ", ".join(f"'{name}#{number}'" for number in range(min(calls, 3)))
    more = ", ..." if calls > 3 else ""
    return (
        f"take a map of each, layers=[{shown}{more}], their sum, '{name}#sum', or, of a loop over slices, say "
        f"grids={{{name!r}: Slices(axis)}}"
    )
