"""The objects of a PDF file, each written as soon as it is whole; small ones packed together, their places at the end.

What stands where is kept in ten bytes an object. The same objects in the same order give the same bytes.
"""

import hashlib
import zlib
from array import array
from collections.abc import Iterable
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

__all__ = ["ObjectFile"]

_HEAD = b"%PDF-1.7\n%\xbf\xf7\xa2\xfe\n"
_FLATE = b"/Filter/FlateDecode"
_PACKED = 100
"""Objects of one packed stream."""

_FREE, _ALONE, _TOGETHER = 0, 1, 2
"""What a row of the table of objects tells: no object, one at a place of the file, or one in a packed stream."""

_WIDTHS = (1, 5, 2)
"""Bytes of a row: what it tells, the place or the packed stream's number, and which one in that stream."""


class ObjectFile:
    """A file to which objects are written by number, each once and in any order; ``finish`` makes it a PDF.

    ``last`` is the highest number that was given out.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.last = 0
        self._file = file
        self._digest = hashlib.md5(usedforsecurity=False)
        self._end = 0
        self._kinds, self._places, self._orders = array("B"), array("Q"), array("H")
        self._waiting: dict[str, list[tuple[int, bytes]]] = {}
        file.seek(0)
        file.truncate()
        self._put(_HEAD)

    def reserve(self) -> int:
        """Return the number of an object that will be written."""
        self.last += 1
        return self.last

    def write(self, number: int, content: bytes, kind: str = "") -> None:
        """Write an object that is no stream; those of a ``kind`` are packed together, for who reads only them."""
        waiting = self._waiting.setdefault(kind, [])
        waiting.append((number, content))
        if len(waiting) == _PACKED:
            self._pack(kind)

    def write_stream(self, number: int, entries: bytes, data: bytes) -> None:
        """Write a stream; ``entries`` are those of its dictionary, but for its length."""
        self._note(number, _ALONE, self._end, 0)
        self._put_stream(number, entries, data)

    def write_packed(self, number: int, entries: bytes, parts: Iterable[bytes]) -> None:
        """Write a stream whose data, part after part, are compressed here."""
        packer = zlib.compressobj()
        data = b"".join([*map(packer.compress, parts), packer.flush()])
        self.write_stream(number, entries + _FLATE, data)

    def add(self, content: bytes) -> int:
        """Write an object that is no stream and return its number."""
        number = self.reserve()
        self.write(number, content)
        return number

    def finish(self, root: int) -> None:
        """Write the table of objects; ``root`` is the catalog. An object that was reserved only is a free one."""
        for kind in list(self._waiting):
            self._pack(kind)
        number, start = self.reserve(), self._end
        self._note(number, _ALONE, start, 0)
        identity = self._digest.hexdigest().encode()
        entries = b"/Type/XRef/Size %d/Root %d 0 R/ID[<%b><%b>]/W[%d %d %d]" % (
            self.last + 1, root, identity, identity, *_WIDTHS,
        )  # fmt: skip
        predictor = b"/DecodeParms<</Predictor 12/Columns %d>>" % sum(_WIDTHS)
        self._put_stream(number, entries + predictor + _FLATE, zlib.compress(_differences(self._table())))
        self._put(b"startxref\n%d\n%%%%EOF\n" % start)
        self._file.flush()

    def _put_stream(self, number: int, entries: bytes, data: bytes) -> None:
        self._put(b"%d 0 obj\n<<%b/Length %d>>\nstream\n" % (number, entries, len(data)))
        self._put(data)
        self._put(b"\nendstream\nendobj\n")

    def _put(self, content: bytes) -> None:
        self._file.write(content)
        self._digest.update(content)
        self._end += len(content)

    def _note(self, number: int, kind: int, place: int, order: int) -> None:
        for column in (self._kinds, self._places, self._orders):
            column.frombytes(bytes(column.itemsize * max(0, number + 1 - len(column))))
        if self._kinds[number] != _FREE:
            raise ValueError(f"object {number} is written twice")
        self._kinds[number], self._places[number], self._orders[number] = kind, place, order

    def _pack(self, kind: str) -> None:
        """Write the waiting objects of a kind as one compressed stream."""
        objects = self._waiting.pop(kind)
        stream, places, start = self.reserve(), [], 0
        for order, (number, content) in enumerate(objects):
            self._note(number, _TOGETHER, stream, order)
            places.append(b"%d %d" % (number, start))
            start += len(content) + 1
        head = b" ".join(places) + b"\n"
        entries = b"/Type/ObjStm/N %d/First %d" % (len(objects), len(head))
        self.write_packed(stream, entries, [head, b"\n".join(content for _, content in objects)])

    def _table(self) -> NDArray[np.uint8]:
        """Return the rows of the table of objects as bytes (N, 8)."""
        columns = (np.asarray(column).astype(">u8") for column in (self._kinds, self._places, self._orders))
        parts = [
            column.view(np.uint8).reshape(-1, 8)[:, 8 - width :] for column, width in zip(columns, _WIDTHS, strict=True)
        ]
        return np.concatenate(parts, axis=1)


def _differences(rows: NDArray[np.uint8]) -> bytes:
    """Return rows (N, M) as PNG's filter 'up' has them: what each byte differs by from the one above it."""
    above = np.zeros_like(rows)
    above[1:] = rows[:-1]
    filtered = np.full((len(rows), rows.shape[1] + 1), 2, np.uint8)
    filtered[:, 1:] = rows - above
    return filtered.tobytes()
