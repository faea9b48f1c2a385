"""A map carried to the mask's grid on a device: the plan's own weights, in double precision, rounded once an axis.

No setting of the device (TF32) reaches a product of doubles. NumPy rounds each product to float32, so the two back
ends differ by float32's rounding.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.studies.geometry import GeometryError, Resampling

__all__ = ["DeviceResampling"]


@dataclass(frozen=True, eq=False)
class DeviceResampling:
    """A plan on a device, made once and used for every map of a layer."""

    plan: Resampling
    device: torch.device

    def apply(self, values: NDArray[np.floating]) -> Tensor:
        """Return values (source shape) at the target's voxels, float32 (target shape) on the device, 0 where unseen.

        Raises:
            GeometryError: when they have another shape, or NaN or infinity is among them.
        """
        if values.shape != self.plan.source_shape:
            raise GeometryError(
                f"values must have the plan's source shape {self.plan.source_shape}, not {values.shape}"
            )
        field = self._general(values) if self.plan.separable is None else self._separable(values)
        if not bool(torch.isfinite(field.sum())) and not bool(torch.isfinite(field).all()):  # a finite sum acquits
            raise GeometryError("array holds NaN or infinity")
        return field if self._unseen is None else field.masked_fill_(self._unseen, 0)

    @cached_property
    def _unseen(self) -> Tensor | None:
        return None if self.plan.seen.all() else torch.from_numpy(~self.plan.seen).to(self.device)

    @cached_property
    def _weights(self) -> tuple[tuple[int, Tensor], ...]:
        along = self.plan.separable or ()
        return tuple((axis, torch.from_numpy(weights).to(self.device, torch.float64)) for axis, weights in along)

    def _separable(self, values: NDArray[np.floating]) -> Tensor:
        order = np.argsort([axis for axis, _ in self._weights]).tolist()
        field = _on(self.device, values).permute(order)
        for axis, weights in self._weights:
            carried = torch.tensordot(weights, field.double(), dims=([1], [axis]))
            field = carried.movedim(0, axis).float()
        return field.contiguous()

    def _general(self, values: NDArray[np.floating]) -> Tensor:
        source, field = _on(self.device, values).double(), torch.empty(self.plan.shape, device=self.device)
        for first, places in enumerate(self.plan.places()):
            shape = field[first].shape
            field[first] = _linear(source, [self._spread(place, shape) for place in places])
        return field

    def _spread(self, places: NDArray[np.float64], shape: torch.Size) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(places)).to(self.device).expand(shape)


def _on(device: torch.device, values: NDArray[np.floating]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(device)


def _linear(source: Tensor, places: list[Tensor]) -> Tensor:
    """Return a grid's values at places (in its voxels, one tensor an axis), the border's value held outside."""
    lows, shares = [], []
    for place, size in zip(places, source.shape, strict=True):
        clamped = place.clamp(0, size - 1)
        low = clamped.floor().clamp(max=max(size - 2, 0))
        lows.append(low.long())
        shares.append(clamped - low)
    total = torch.zeros_like(shares[0])
    for corner in product((0, 1), repeat=source.ndim):
        weight = torch.ones_like(total)
        at = []
        for upper, low, share, size in zip(corner, lows, shares, source.shape, strict=True):
            weight = weight * (share if upper else 1 - share)
            at.append((low + upper).clamp(max=size - 1))
        total += weight * source[tuple(at)]
    return total
