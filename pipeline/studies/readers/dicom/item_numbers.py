"""Numbers in the items of DICOM sequences, by the attribute's keyword."""

import numpy as np
from pydicom import Dataset

from pipeline.errors import Reason
from pipeline.studies.readers.shared.base import refused

__all__ = ["whole_number"]


def whole_number(item: Dataset, keyword: str) -> int:
    """Return the whole number that an item states.

    Raises:
        StudyError: NOT_READABLE when it states none, or something else.
    """
    try:
        value = item.get(keyword)
        number = float("nan") if value is None or isinstance(value, bytes) else float(value)
    except (ValueError, TypeError, AttributeError):
        number = float("nan")
    if not np.isfinite(number) or not number.is_integer():
        raise refused(Reason.NOT_READABLE, f"{keyword} is absent, empty or no whole number")
    return int(number)
