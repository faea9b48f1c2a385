"""From a map's values to its region: the named rules that a threshold may follow.

``otsu``: Otsu's threshold over 256 bins. A number: that share of the maximum. ``percentile-95``: what exceeds that
percentile of the seen voxels. ``otsu-chexlocalize``: as the code of Saporta et al. 2022 has it, for pictures.

Every threshold is a float32 number: the same float32 values exceed it, wherever they are compared.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, label

__all__ = [
    "CHEXLOCALIZE",
    "UNDEFINED_RULE",
    "RisingValues",
    "ThresholdRule",
    "filled_contours",
    "otsu_of_unsorted",
    "threshold_of",
    "threshold_of_chexlocalize",
]

ThresholdRule = str | float
"""The name of a rule, or a share of the maximum."""

CHEXLOCALIZE = "otsu-chexlocalize"
UNDEFINED_RULE = "undefined:"
"""The beginning of a rule by which no region is drawn; the reason follows."""

_PERCENTILE = "percentile-"
_BINS = 256
_LEVELS = 256  # of an 8-bit picture
_LEAST_CLASS = float(np.finfo(np.float32).eps)  # OpenCV looks at no class with a smaller share of the pixels


class RisingValues(Protocol):
    """All values of a map, rising, wherever they lie: an array, or what a device holds."""

    def __len__(self) -> int:
        """Return how many there are."""

    def __getitem__(self, place: int, /) -> np.float32:
        """Return the value at a place; -1 is the last."""

    def searchsorted(self, values: NDArray[np.float32], /) -> NDArray[np.intp]:
        """Return for each of ``values`` how many are below it."""


def threshold_of(rule: ThresholdRule, ordered: RisingValues) -> float:
    """Return what a value must exceed to belong to the region; ``ordered`` are all values, rising, not all the same.

    Raises:
        ValueError: for a rule that there is none of; for Otsu's of negative values, which no map's evidence has.
    """
    low, high = float(ordered[0]), float(ordered[-1])
    if isinstance(rule, float):
        return _below(rule * high)
    if rule == "otsu":
        if low < 0:  # around 0, float32 numbers are so close together that the search for a bin's start would not end
            raise ValueError(f"ordered must have no negative value, not {low}: otsu_of_unsorted takes them")
        return _otsu(low, high, np.diff(_bin_starts(ordered), append=len(ordered)))
    if rule.startswith(_PERCENTILE):
        return _percentile(ordered, float(rule.removeprefix(_PERCENTILE)))
    raise ValueError(
        f"rule must be otsu, {CHEXLOCALIZE}, {_PERCENTILE}<number> or a share of the maximum, not {rule!r}"
    )


def otsu_of_unsorted(values: NDArray[np.float32]) -> float:
    """Return what ``threshold_of`` does by Otsu's rule, of values in any order, not all the same.

    No value is put in its place among the others, which of noise takes ten times as long as counting.
    """
    low, high = float(values.min()), float(values.max())
    scaled = values.astype(np.float64)  # as ``_bin_starts`` has it, so that each value falls into the same bin
    scaled -= low
    scaled *= _BINS / (high - low)
    counts = np.bincount(scaled.astype(np.int16).ravel(), minlength=_BINS)
    return _otsu(low, high, np.append(counts[: _BINS - 1], counts[_BINS - 1 :].sum()))


def threshold_of_chexlocalize(ordered: NDArray[np.float32]) -> float:
    """Return the highest value that Otsu's threshold on 8 bits leaves out.

    The values are stretched to 0..255 in float32 and cut off to whole numbers; the threshold is OpenCV's, above which
    a pixel is in.
    """
    stretched = ordered - ordered[0]
    grey = (np.float32(_LEVELS - 1) * (stretched / stretched[-1])).astype(np.uint8)
    level = _otsu_of_opencv(np.bincount(grey, minlength=_LEVELS))
    return float(ordered[np.searchsorted(grey, level, side="right") - 1])


def filled_contours(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a picture's region (rows, columns) with every contour of more than one vertex filled.

    Pixels that touch at a corner are of one part. A hole is filled; a part of one pixel has a contour of one vertex
    and is lost, unless it lies in a hole of another.
    """
    parts, number = label(region, np.ones((3, 3)))
    large = np.bincount(parts.ravel(), minlength=number + 1) > 1
    large[0] = False
    filled: NDArray[np.bool_] = binary_fill_holes(large[parts])
    return filled


def _percentile(ordered: RisingValues, percent: float) -> float:
    """Return a percentile, or the last value below the maximum where that is no less: the region is never empty."""
    at = percent / 100 * (len(ordered) - 1)
    first = int(at)
    low, high = float(ordered[first]), float(ordered[min(first + 1, len(ordered) - 1)])
    highest = np.nextafter(ordered[-1], np.float32(-np.inf))
    return min(_below(low + (at - first) * (high - low)), float(highest))


def _otsu(low: float, high: float, voxels: NDArray[np.integer]) -> float:
    """Return Otsu's threshold (1979) of values between two ends, from how many fall into each of 256 bins.

    It is the centre of the bin that is the first after which a cut separates the two classes best. The values are
    scaled and summed in float64, so a factor on all of them changes nothing: exactly for powers of two, up to rounding
    for others.
    """
    counts = voxels.astype(np.float64)
    below = np.cumsum(counts)[:-1]
    above = counts.sum() - below
    sums = np.cumsum(counts * np.arange(_BINS))  # neither class is ever empty: both ends of the range are taken
    between = below * above * (sums[:-1] / below - (sums[-1] - sums[:-1]) / above) ** 2
    return _below(low + (high - low) * (float(np.argmax(between) + 0.5) / _BINS))


def _bin_starts(ordered: RisingValues) -> NDArray[np.intp]:
    """Return where in the rising values each bin begins: at the smallest float32 number that falls into it."""
    low = float(ordered[0])
    scale = _BINS / (float(ordered[-1]) - low)
    bins = np.arange(_BINS)

    def reached(values: NDArray[np.float32]) -> NDArray[np.bool_]:
        return np.asarray((values.astype(np.float64) - low) * scale >= bins)

    first = (low + bins / scale).astype(np.float32)  # to the nearest: the smallest, or the one below it
    while not (enough := reached(first)).all():
        first = np.where(enough, first, np.nextafter(first, np.float32(np.inf)))
    return ordered.searchsorted(first)


def _otsu_of_opencv(counts: NDArray[np.integer]) -> int:
    """Return the level above which a pixel is in, as OpenCV finds it: its order of sums, and the classes it skips."""
    scale = 1.0 / float(counts.sum())
    mean = float(np.arange(_LEVELS) @ counts) * scale
    share = below = best = 0.0
    level = 0
    for grey, count in enumerate(counts.tolist()):
        part = count * scale
        below *= share
        share += part
        if min(share, 1 - share) < _LEAST_CLASS or max(share, 1 - share) > 1 - _LEAST_CLASS:
            continue
        below = (below + grey * part) / share
        above = (mean - share * below) / (1 - share)
        between = share * (1 - share) * (below - above) ** 2
        if between > best:
            best, level = between, grey
    return level


def _below(threshold: float) -> float:
    """Return the largest float32 number that is not above the threshold: the same float32 values exceed both."""
    rounded = np.float32(threshold)
    return float(rounded if float(rounded) <= threshold else np.nextafter(rounded, np.float32(-np.inf)))
