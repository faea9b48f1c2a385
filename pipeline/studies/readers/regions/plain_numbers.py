"""Numbers in text files: plain decimal ones, and nothing that only one language or library takes for a number."""

import re
from math import isfinite

from pipeline.errors import Reason
from pipeline.studies.readers.shared.base import refused

__all__ = ["plain_number"]

_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
_COMMA = re.compile(r"[+-]?\d*,\d+")


def plain_number(text: str, what: str) -> float:
    """Return the number that a text is.

    Raises:
        StudyError: NOT_READABLE for a decimal comma, and for whatever else is no finite number; ``what`` names it.
    """
    value = float(text) if text.isascii() and _NUMBER.fullmatch(text) else float("nan")
    if not isfinite(value):
        why = "it has a decimal comma; write a point" if _COMMA.fullmatch(text) else "it is no finite number"
        raise refused(Reason.NOT_READABLE, f"{what} cannot be read: {why}")
    return value
