"""Which slices may be one volume by what their headers say, beside where they lie: the rule of the scan and the reader.

Three kinds of attributes. Some have to be the same: series, patient, size, kind of image. Echo times and b-values may
differ by what rounding does. Times and acquisitions may differ along the stack, in blocks, as a scanner goes on with
the next part of the body; where they alternate, two volumes lie between each other. Nothing is taken by the letter: a
value that some slices state and others do not differs too.
"""

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from pipeline.errors import Reason, StudyError
from pipeline.studies.readers.dicom.header import Header, keyword
from pipeline.studies.readers.dicom.planes import Plane, Stack, stacked
from pipeline.studies.readers.shared.base import refused

__all__ = ["ALIKE", "BLOCKS", "ROUNDED", "differing", "interleaved", "rounded", "volume_of_slices"]

ALIKE = ("series", "study", "patient", "modality", "rows", "columns", "photometric", "frame_of_reference")
"""What slices of one volume have in common."""

ROUNDED = ("echo_time", "b_value")
"""What may differ by rounding."""

BLOCKS = ("acquisition", "temporal_position")
"""What may differ from block to block along the stack."""

_SAME_SHARE = 0.01  # of an echo time or a b-value


def rounded(header: Header, name: str) -> str | None:
    """Return a number without what rounding does to it (three digits); any other text as it is."""
    text = header.get(name)
    try:
        return f"{float(text):.3g}" if text else None
    except ValueError:
        return text


def differing(headers: Sequence[Header], names: Sequence[str]) -> list[str]:
    """Return those of the attributes in which slices differ."""
    return [name for name in names if not _same(headers, name)]


def _same(headers: Sequence[Header], name: str) -> bool:
    values = {header.get(name) or None for header in headers}
    if len(values) < 2 or name not in ROUNDED:
        return len(values) < 2
    try:
        numbers = np.array([float(value or "nan") for value in values])
    except ValueError:
        return False
    return bool(np.ptp(numbers) <= _SAME_SHARE * np.abs(numbers).max())


def interleaved(headers: Sequence[Header], planes: Sequence[Plane], names: Sequence[str]) -> list[str]:
    """Return those of the attributes of which a value comes back along the stack after another one."""
    first = planes[0].orientation
    normal = np.cross(first[:3], first[3:])
    order = np.argsort([plane.position @ normal for plane in planes], kind="stable")
    returning = []
    for name in names:
        runs = [value for value, _ in groupby(headers[index].get(name) or None for index in order)]
        if len(runs) > len(set(runs)):
            returning.append(name)
    return returning


def volume_of_slices(headers: Sequence[Header], planes: Sequence[Plane]) -> tuple[Stack, dict[str, str]]:
    """Return the volume that slices make up, and the facts of what differs between them.

    Raises:
        StudyError: MIXED_SERIES, with the attribute, for slices that are not of one volume; as ``stacked``.
    """
    hard = differing(headers, (*ALIKE, *ROUNDED)) or _stated_in_part(headers, "temporal_position")
    if hard:
        message = f"the {len(headers)} slices have {_values(headers, hard[0])} different values of {keyword(hard[0])}"
        raise refused(Reason.MIXED_SERIES, message)
    try:
        stack, error = stacked(planes), None
    except StudyError as refusal:
        stack, error = None, refusal
    between = interleaved(headers, planes, BLOCKS)
    if between and (error is None or error.reason is Reason.IRREGULAR_SERIES):
        message = f"slices of {_values(headers, between[0])} different values of {keyword(between[0])} lie between "
        raise refused(Reason.MIXED_SERIES, f"{message}each other: they are volumes of their own")
    if stack is None:
        raise error or refused(Reason.IRREGULAR_SERIES, "the slices are no volume")
    varying = [name for name in (*BLOCKS, *ROUNDED) if _values(headers, name) > 1]
    return stack, {"differs along the stack": ", ".join(map(keyword, varying))} if varying else {}


def _stated_in_part(headers: Sequence[Header], name: str) -> list[str]:
    return [name] if len({bool(header.get(name)) for header in headers}) > 1 else []


def _values(headers: Sequence[Header], name: str) -> int:
    return len({header.get(name) or None for header in headers})
