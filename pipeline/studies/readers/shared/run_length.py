"""COCO's run-length encoding of a mask, as its counts or as the compressed string of them (cocoapi, maskApi.c)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Reason
from pipeline.studies.readers.shared.base import check_size, refused

__all__ = ["expanded"]

_LONGEST = 7  # characters of one count: 35 bits are more than any mask


def expanded(size: tuple[int, int], counts: str | Sequence[int]) -> NDArray[np.bool_]:
    """Return the mask (rows, columns) of run lengths down its columns, the first run outside.

    Raises:
        StudyError: NOT_READABLE when the runs are not those of a mask of this size.
    """
    check_size(size[0] * size[1])
    try:
        runs = np.array(_parsed(counts) if isinstance(counts, str) else counts, dtype=np.int64)
    except (ValueError, TypeError, OverflowError):
        runs = np.array([-1])
    if runs.ndim != 1 or (runs < 0).any() or runs.sum() != size[0] * size[1]:
        message = f"the runs cover {runs.sum()} pixels, not the {size[0]} x {size[1]} that the mask states"
        raise refused(Reason.NOT_READABLE, message)
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(size[::-1]).T


def _parsed(text: str) -> list[int]:
    """Return the counts of a compressed string: five bits a character, from the third on less the last but one."""
    counts: list[int] = []
    digits: list[int] = []
    for character in text:
        digit = ord(character) - 48
        if not 0 <= digit < 64 or len(digits) == _LONGEST:
            raise refused(Reason.NOT_READABLE, "the compressed run lengths are damaged")
        digits.append(digit & 31)
        if not digit & 32:
            value = sum(part << 5 * place for place, part in enumerate(digits))
            value -= (digit & 16 != 0) << 5 * len(digits)  # the last character's highest bit is the sign
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            digits = []
    if digits:
        raise refused(Reason.TRUNCATED, "the compressed run lengths end in the middle of a number")
    return counts
