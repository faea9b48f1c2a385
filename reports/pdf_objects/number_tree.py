"""A PDF's map from rising numbers to values, written leaf by leaf."""

from reports.pdf_objects.object_file import ObjectFile
from reports.pdf_objects.values import array_of, reference

__all__ = ["NumberTree"]

_LEAF = 64


class NumberTree:
    """Gives each value the next number from 0."""

    def __init__(self, objects: ObjectFile) -> None:
        self.next_key = 0
        self._objects = objects
        self._first = 0
        self._values: list[bytes] = []
        self._leaves: list[int] = []

    def add(self, value: bytes) -> int:
        """Add a value, or a reference to one, and return its number."""
        key = self.next_key
        self._values.append(value)
        self.next_key += 1
        if len(self._values) == _LEAF:
            self._close_leaf()
        return key

    def root(self) -> bytes:
        """Return the tree's root; nothing is added afterwards."""
        if not self._leaves:
            return b"<<%b>>" % self._numbers()
        if self._values:
            self._close_leaf()
        return b"<</Kids%b>>" % array_of(map(reference, self._leaves))

    def _close_leaf(self) -> None:
        limits = b"/Limits[%d %d]" % (self._first, self.next_key - 1)
        self._leaves.append(self._objects.add(b"<<%b%b>>" % (limits, self._numbers())))
        self._first, self._values = self.next_key, []

    def _numbers(self) -> bytes:
        pairs = (b"%d %b" % (number, value) for number, value in enumerate(self._values, self._first))
        return b"/Nums" + array_of(pairs)
