"""Colour to one grey value a pixel: the luminance of ITU-R BT.601, which clinicians' screens print."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["LUMINANCE", "luminance"]

LUMINANCE = "ITU-R BT.601 luminance"
"""How a picture's facts name the conversion."""

_WEIGHTS = np.array([0.299, 0.587, 0.114])


def luminance(rgb: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601-7, 2.5.1) of values (..., 3), in their own range."""
    grey: NDArray[np.float64] = np.asarray(rgb, dtype=np.float64) @ _WEIGHTS
    return grey
