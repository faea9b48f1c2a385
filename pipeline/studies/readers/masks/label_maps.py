"""Values of a label map: whole numbers, and each of them named by somebody.

A value that nobody names, or that is wanted and not there, is never passed over in silence: a map of 0 and 255 under a
table that names 1 would be an empty mask. Numbers that a scale has moved by less than a thousandth are the whole
numbers beside them.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Reason
from pipeline.studies.readers.shared.base import MaskRequest, refused

__all__ = ["binary", "holding", "named_values_facts", "present", "stated_value", "whole_values"]

_WHOLE = 1e-3
_LARGEST = 2**31 - 1
_TABLE = 2**16  # values of which a table tells which are there
_FULL_SCALE = frozenset((255, 65535))  # what "inside" is in a map of two values, and no label's number
_SHOWN = 5


def whole_values(values: NDArray[np.generic]) -> NDArray[np.integer]:
    """Return a map's values as whole numbers.

    Raises:
        StudyError: NOT_FINITE; NOT_READABLE for values further than a thousandth from a whole number.
    """
    if values.dtype.kind in "bui":
        whole: NDArray[Any] = values.view(np.uint8) if values.dtype.kind == "b" else values
        return whole
    if not np.isfinite(values).all():
        raise refused(Reason.NOT_FINITE, "the mask holds NaN or infinity")
    rounded = np.rint(values)
    apart = np.abs(np.asarray(values - rounded, dtype=np.float64))
    if apart.size and apart.max() > _WHOLE:
        worst = float(np.asarray(values).ravel()[apart.argmax()])
        message = f"the mask's values are not whole: {worst:g} is among them, and labels are whole numbers"
        raise refused(Reason.NOT_READABLE, message)
    if np.abs(rounded).max(initial=0) > _LARGEST:
        raise refused(Reason.NOT_READABLE, f"the mask holds values beyond {_LARGEST}, which are no labels")
    numbers: NDArray[np.integer] = rounded.astype(np.int32)
    return numbers


def present(values: NDArray[np.integer]) -> frozenset[int]:
    """Return the values that a map holds besides 0."""
    inside = values[values != 0]
    if not inside.size:
        return frozenset()
    low, high = int(inside.min()), int(inside.max())
    if high - low >= _TABLE:
        return frozenset(np.unique(inside).tolist())
    there = np.zeros(high - low + 1, dtype=bool)
    there[inside.astype(np.int64) - low] = True
    return frozenset((np.flatnonzero(there) + low).tolist())


def holding(values: NDArray[np.integer], numbers: Iterable[int]) -> NDArray[np.bool_]:
    """Return where a map holds one of the numbers."""
    return np.isin(values, sorted(numbers))


def binary(values: NDArray[np.integer]) -> tuple[NDArray[np.bool_], dict[str, str]]:
    """Return where a map of two values is not 0.

    Raises:
        StudyError: UNSUPPORTED_FORMAT for several labels: nothing tells which is meant.
    """
    marked = values != 0
    flat = values.ravel(order="K")  # in memory's order, which is not the axes' in NIfTI
    inside = flat[flat != 0]
    if inside.size and inside.min() != inside.max():
        message = f"the mask holds {len(present(values))} values besides 0, and nothing tells which is meant"
        raise refused(Reason.UNSUPPORTED_FORMAT, message)
    return marked, {"mask extent": "the whole image: it holds no 0"} if inside.size == values.size else {}


def stated_value(values: NDArray[np.integer], wanted: MaskRequest) -> tuple[NDArray[np.bool_], dict[str, str]]:
    """Return where a map holds the number that the manifest states, and what else is there.

    Raises:
        StudyError: MASK_MISSING_LABEL, excluded, when the number is absent and the map is plainly one of two values.
    """
    there, known = present(values), wanted.known | ({wanted.value} if wanted.value is not None else set())
    if there and not there & known and there <= _FULL_SCALE:
        message = f"the mask holds 0 and {_listed(there)}, and the wanted value is {wanted.value}"
        raise refused(Reason.MASK_MISSING_LABEL, message, excluded=True)
    facts = {}
    if there and wanted.value not in there:
        facts["label value"] = f"{wanted.value} is absent; the mask holds {_listed(there)}"
    if there - known:
        facts["values that no column names"] = _listed(there - known)
    return values == wanted.value, facts


def named_values_facts(there: frozenset[int], named: frozenset[int], meant: frozenset[int]) -> dict[str, str]:
    """Return the fact of values that a mask holds and its table does not name.

    Raises:
        StudyError: MASK_MISSING_LABEL, excluded, when what is meant is absent beside them: it may be one.
    """
    unnamed = there - named
    if unnamed and not there & meant:
        message = (
            f"the mask holds the values {_listed(unnamed)}, which its table does not name, and none of those meant"
        )
        raise refused(Reason.MASK_MISSING_LABEL, message, excluded=True)
    return {"values that the table does not name": _listed(unnamed)} if unnamed else {}


def _listed(numbers: Iterable[int]) -> str:
    ordered = sorted(numbers)
    shown = ", ".join(map(str, ordered[:_SHOWN]))
    return f"{shown} and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else shown
