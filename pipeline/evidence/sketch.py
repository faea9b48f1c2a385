"""What a model was shown, in numbers: its values, and a sketch by which the same picture is known again.

For the sketch the model's input is averaged over cells, what it shares with their neighbours is taken away, and what is
left is kept on 8 bits. Noise, compression, other units or ends cut off change that little; a shift or a crop changes
it, and is not found.
"""

import base64
import hashlib
import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from pipeline.evidence.sums import sum_in_order
from pipeline.findings.study_audit import InputFacts

__all__ = ["input_facts", "picture_digest", "picture_sketch", "read_sketch", "sketch_shape"]

_CELLS = {2: 24, 3: 8}
"""Cells along each axis, by the number of axes."""

_LARGEST = 127
_FLAT = 1e-9
"""What varies by less than this share of the largest value is the same everywhere."""

_AT_ONCE = 2**16
"""Values whose squares are summed together: no second volume of twice the size is made."""


def input_facts(x: NDArray[np.float32]) -> InputFacts:
    """Describe a model's input (channels, *S).

    Sums are taken in double precision, where a square overflows for no float32 value: what a file holds where nothing
    was measured can be the largest there is.
    """
    mean = float(x.mean(dtype=np.float64))
    return InputFacts(
        shape=x.shape,
        minimum=float(x.min()),
        mean=mean,
        maximum=float(x.max()),
        deviation=math.sqrt(_squares(x.ravel(), mean) / x.size),
        sha256=picture_digest(x),
        sketch=picture_sketch(x),
    )


def _squares(values: NDArray[np.float32], mean: float) -> float:
    parts = (values[start : start + _AT_ONCE].astype(np.float64) - mean for start in range(0, len(values), _AT_ONCE))
    return sum_in_order(float(np.square(part, out=part).sum()) for part in parts)


def picture_digest(x: NDArray[np.float32]) -> str:
    """Return the SHA-256 of a model's input (channels, *S): of its shape and its values."""
    digest = hashlib.sha256(repr(x.shape).encode())
    digest.update(np.ascontiguousarray(x, dtype="<f4").data)
    return digest.hexdigest()


def picture_sketch(x: NDArray[np.float32]) -> str:
    """Return the sketch of a model's input (channels, *S) as text; '' where it is the same everywhere."""
    image = x[0] if len(x) == 1 else x.mean(axis=0, dtype=np.float64)
    largest = max(float(image.max()), -float(image.min()))
    cells = _cell_means(image)
    details = cells - uniform_filter(cells, 3, mode="nearest")
    details -= details.mean()
    height = float(np.abs(details).max())
    if height <= _FLAT * max(largest, 1e-30):
        return ""
    return base64.b64encode(np.round(details / height * _LARGEST).astype(np.int8).tobytes()).decode()


def read_sketch(text: str) -> NDArray[np.float64]:
    """Return a sketch's numbers, of length 1."""
    values = np.frombuffer(base64.b64decode(text), np.int8).astype(np.float64)
    return values / np.linalg.norm(values)


def sketch_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the cells along each axis of pictures of spatial ``shape``: only equal ones can be compared."""
    return tuple(min(_CELLS.get(len(shape), 8), side) for side in shape)


def _cell_means(image: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the means over the cells of a sketch, an axis at a time: its cells come last, so all come round once."""
    means = np.asarray(image)
    for side, count in zip(image.shape, sketch_shape(image.shape), strict=True):
        ends = -(-np.arange(count + 1) * side // count)
        cells = [means[start:end].sum(axis=0, dtype=np.float64) / (end - start) for start, end in pairwise(ends)]
        means = np.stack(cells, axis=-1)
    return means.astype(np.float64)
