"""A finished file read object by object: what was read of it stays in memory, so it is opened anew now and then."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pikepdf

__all__ = ["FileReader", "Place", "reading", "references"]

_MOST = 2000
"""Objects that are read of a file before it is opened anew: some megabytes."""

Place = tuple[int, int]
"""An object's number and generation; (0, 0) of one that stands inside another."""


_REFERENCE = re.compile(rb"(\d+) (\d+) R|null")


def references(array: pikepdf.Object) -> list[Place]:
    """Return what an array refers to, without reading any of it; (0, 0) for nothing."""
    return [(int(number or 0), int(again or 0)) for number, again in _REFERENCE.findall(array.unparse(resolved=True))]


class FileReader:
    """Gives a file's objects by their places. Keep no object longer than it takes to look at it.

    ``anew`` opens the file again; None where there is only the one that is open, as one that was changed in memory.
    """

    def __init__(self, pdf: pikepdf.Pdf, anew: Callable[[], pikepdf.Pdf] | None = None) -> None:
        self._pdf, self._anew = pdf, anew
        self._read = 0

    @property
    def pdf(self) -> pikepdf.Pdf:
        """The file, as it is open now."""
        return self._pdf

    def object(self, place: Place) -> pikepdf.Object:
        """Return an object."""
        self._read += 1
        if self._read > _MOST and self._anew is not None:
            del self._pdf  # before the next one is there: memory holds a file once
            self._pdf, self._read = self._anew(), 0
        return self._pdf.get_object(place)

    def note_references(self, many: int) -> None:
        """Note that an object with so many references was read: each takes memory too."""
        self._read += many // 4

    def objects(self) -> Iterator[pikepdf.Object]:
        """Yield every object of the file."""
        if self._anew is None:
            yield from self._pdf.objects
        else:
            for number in range(1, int(self._pdf.trailer.Size)):
                yield self.object((number, 0))

    def pages(self) -> Iterator[Place]:
        """Yield the places of the pages in their order."""
        root = self._pdf.Root.get("/Pages")
        if root is not None:
            yield from self._below(root.objgen, set())

    def _below(self, place: Place, above: set[Place]) -> Iterator[Place]:
        kids = self.object(place).get("/Kids")
        if kids is None:
            yield place
        elif place not in above:  # a tree that holds itself has no end
            below = references(kids)
            del kids  # it would keep the file as it was opened first
            for kid in below:
                yield from self._below(kid, above | {place})


@contextmanager
def reading(path: Path) -> Iterator[FileReader]:
    """Read a file on a disk, whose objects leave memory again."""

    def opened() -> pikepdf.Pdf:
        return pikepdf.open(path, access_mode=pikepdf.AccessMode.stream)

    reader = FileReader(opened(), opened)
    try:
        yield reader
    finally:
        reader.pdf.close()
