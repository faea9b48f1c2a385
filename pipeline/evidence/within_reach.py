"""Which cells of a grid lie near a part of it, without a distance for every cell.

Cells along the last axis are bits of a byte, so that a shift along another one costs an eighth. No step keeps other
threads of the interpreter from their work, as a distance transform does from its first cell to its last: the model's
thread would wait for it.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np
from edt import edt as distance_transform
from numpy.typing import NDArray

__all__ = ["at_boundary", "within_reach"]

_FEW = 24
"""Cells up to which a part is shifted; the shifts grow with the square of the reach, a distance transform does not."""

_SMALL = 2**18
"""Cells up to which one distance transform costs less than the shifts, and is over before anybody waits for it."""


def at_boundary(part: NDArray[np.bool_], spacing: Sequence[float], reach: float) -> NDArray[np.bool_]:
    """Return which cells are no further than ``reach`` in mm from a cell of the other kind, centre to centre.

    ``spacing`` is the distance in mm between neighbours along each axis.
    """
    if part.size <= _SMALL:
        kinds = part.astype(np.uint8) + 1
        away = distance_transform(kinds, anisotropy=tuple(spacing), black_border=False, parallel=1)
        return np.asarray(away <= reach)
    return np.where(part, within_reach(~part, spacing, reach), within_reach(part, spacing, reach))


def within_reach(part: NDArray[np.bool_], spacing: Sequence[float], reach: float) -> NDArray[np.bool_]:
    """Return which cells are no further than ``reach`` in mm from a cell of ``part``, centre to centre.

    ``spacing`` is the distance in mm between neighbours along each axis.
    """
    far = [min(int(reach / step), size - 1) for step, size in zip(spacing, part.shape, strict=True)]
    if max(far) > _FEW:
        away = distance_transform(~part, anisotropy=tuple(spacing), black_border=False, parallel=1)
        return np.asarray(away <= reach)  # where nothing is of the part, all is infinitely far
    lines = _lines(part, far[-1])
    near = np.zeros_like(lines[0])
    for shift in product(*(range(-cells, cells + 1) for cells in far[:-1])):
        left = reach**2 - sum((cells * step) ** 2 for cells, step in zip(shift, spacing, strict=False))
        if left >= 0:
            to = tuple(slice(max(cells, 0), min(cells, 0) or None) for cells in shift)
            come_from = tuple(slice(max(-cells, 0), min(-cells, 0) or None) for cells in shift)
            near[to] |= lines[min(int(left**0.5 / spacing[-1]), far[-1])][come_from]
    return np.unpackbits(near, axis=-1, count=part.shape[-1]).view(np.bool_)


def _lines(part: NDArray[np.bool_], far: int) -> list[NDArray[np.uint8]]:
    """Return a part as bits, grown along its last axis by 0, 1, ... ``far`` cells."""
    grown, lines = part.copy(), [np.packbits(part, axis=-1)]
    for cells in range(1, far + 1):
        grown[..., cells:] |= part[..., :-cells]
        grown[..., :-cells] |= part[..., cells:]
        lines.append(np.packbits(grown, axis=-1))
    return lines
