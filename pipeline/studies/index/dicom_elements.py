"""The elements at the beginning of a DICOM file as bytes: as much as grouping a million headers needs, and no more.

Little endian only; sequences are passed over unread (PS3.5 7.1 and 7.5). Whatever is not to the letter is an error
and left to pydicom, which knows how to take it.
"""

import struct
from collections.abc import Container

__all__ = ["first_elements"]

_UNDEFINED = 0xFFFFFFFF
_ITEM, _END_OF_ITEM, _END_OF_SEQUENCE = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONG = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_SHORT = frozenset(
    (b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SS",
     b"ST", b"TM", b"UI", b"UL", b"US")
)  # fmt: skip
_explicit = struct.Struct("<HH2sH").unpack_from
_implicit = struct.Struct("<HHI").unpack_from
_length = struct.Struct("<I").unpack_from


def first_elements(
    data: bytes,
    at: int,
    *,
    wanted: Container[int],
    last: int,
    implicit: bool = False,
    kinds: dict[int, bytes] | None = None,
) -> tuple[dict[int, bytes], int, bool]:
    """Return the values of the wanted elements from ``at`` on, where it stopped, and whether beyond ``last``.

    It stops before the first tag beyond ``last``, or where the data end; of sequences of undefined length only that
    they are there is told. ``kinds`` is given the value representations of the wanted elements, if explicit.

    Raises:
        ValueError: when an element is not encoded as the standard says, or reaches beyond the data.
        struct.error: when the data end within an element's header.
    """
    values: dict[int, bytes] = {}
    unpack, size = _explicit, len(data)
    while at < size:
        group, number, kind, length = unpack(data, at)
        tag = group << 16 | number
        if tag > last:
            return values, at, True
        if kind in _SHORT and not implicit:
            start = at + 8
        else:
            length, start, plain = _value(data, at, implicit)
            if length == _UNDEFINED:
                at = _behind(data, start, plain)
                if tag in wanted:
                    values[tag] = data[start:at]
                continue
        at = start + length
        if tag in wanted:
            values[tag] = data[start:at]
            if kinds is not None and not implicit:
                kinds[tag] = kind
    if at > size:
        raise ValueError("an element reaches beyond the data")
    return values, at, False


def _value(data: bytes, at: int, implicit: bool) -> tuple[int, int, bool]:
    """Return the length and the place of an element's value, and whether items in it state no VR."""
    if implicit:
        return _implicit(data, at)[2], at + 8, True
    _, _, kind, length = _explicit(data, at)
    if kind in _SHORT:
        return length, at + 8, False
    if kind not in _LONG:
        raise ValueError("an element states no value representation that is known")
    return _length(data, at + 8)[0], at + 12, kind == b"UN"  # PS3.5 6.2.2, note 2


def _behind(data: bytes, at: int, implicit: bool) -> int:
    """Return the place behind a sequence of undefined length."""
    while True:
        group, number, length = _implicit(data, at)
        tag, at = group << 16 | number, at + 8
        if tag == _END_OF_SEQUENCE:
            return at
        if tag != _ITEM:
            raise ValueError("a sequence holds something else than items")
        at = _behind_item(data, at, implicit) if length == _UNDEFINED else at + length


def _behind_item(data: bytes, at: int, implicit: bool) -> int:
    while True:
        group, number, _ = _implicit(data, at)
        if group << 16 | number == _END_OF_ITEM:
            return at + 8
        length, start, plain = _value(data, at, implicit)
        at = _behind(data, start, plain) if length == _UNDEFINED else start + length
