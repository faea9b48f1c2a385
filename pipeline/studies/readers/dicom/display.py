"""The display transform of a picture (PS3.3 C.11.2): its first table or window, over the range that is stored.

A window's output runs from the lowest to the highest value that the picture can hold, whatever the sign of its rescale
slope: what is brighter before is brighter after.
"""

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from pipeline.errors import Reason
from pipeline.studies.readers.dicom.header import Header, keyword
from pipeline.studies.readers.dicom.lookup_table import table_of
from pipeline.studies.readers.shared.base import refused

__all__ = ["displayed"]

Values = NDArray[np.float64]


def displayed(dataset: Dataset, header: Header, values: Values, ends: Values) -> tuple[Values, Values, str]:
    """Return values after the first display transform that is stated, the ends of their range, and which it was.

    Raises:
        StudyError: NOT_READABLE for a table or a window that is none.
    """
    tables = dataset.get("VOILUTSequence")
    if tables:
        table = table_of(tables[0], float(ends.min()))
        return table.apply(values), table.ends, "table applied"
    width, centre = _first(header, "window_width"), _first(header, "window_centre")
    if width is None or centre is None:
        return values, ends, "none stated"
    low, high = float(ends.min()), float(ends.max())
    share = _share(str(header.get("window_function") or "LINEAR"), values, centre, width)
    return share * (high - low) + low, ends, "window applied"


def _first(header: Header, name: str) -> float | None:
    """Return the first of an attribute's numbers; None when it states none."""
    text = (header.get(name) or "").split("\\")[0].strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise refused(Reason.NOT_READABLE, f"{keyword(name)} does not hold a finite number")
    return value


def _share(function: str, values: Values, centre: float, width: float) -> Values:
    """Return where values lie in a window, 0 to 1."""
    narrowest = {"LINEAR": 1.0, "LINEAR_EXACT": 0.0, "SIGMOID": 0.0}.get(function)
    if narrowest is None:
        raise refused(Reason.NOT_READABLE, "VOILUTFunction is neither LINEAR, LINEAR_EXACT nor SIGMOID")
    if width < narrowest or width == 0:
        raise refused(Reason.NOT_READABLE, f"WindowWidth is {width:g}, below what VOILUTFunction {function} takes")
    if function == "SIGMOID":
        with np.errstate(over="ignore"):
            sigmoid: Values = 1 / (1 + np.exp(-4 * (values - centre) / width))
        return sigmoid
    if function == "LINEAR" and width == 1:
        return (values > centre - 0.5).astype(np.float64)
    shift, span = (0.5, width - 1) if function == "LINEAR" else (0.0, width)
    share: Values = ((values - (centre - shift)) / span + 0.5).clip(0, 1)
    return share
