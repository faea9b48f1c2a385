"""Values as a PDF file writes them."""

import re
from collections.abc import Iterable

__all__ = ["array_of", "reference", "text_string"]

_ESCAPED = re.compile(rb"[\\()]")


def reference(number: int) -> bytes:
    """Return what stands for an object where another names it."""
    return b"%d 0 R" % number


def array_of(values: Iterable[bytes]) -> bytes:
    """Return an array."""
    return b"[%b]" % b" ".join(values)


def text_string(words: str) -> bytes:
    """Return words that are read and not drawn: as they are, or as UTF-16 where they are more than ASCII."""
    if words.isascii() and words.isprintable():
        return b"(%b)" % _ESCAPED.sub(rb"\\\g<0>", words.encode())
    return b"<FEFF%b>" % words.encode("utf-16-be", "replace").hex().encode()
