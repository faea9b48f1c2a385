"""Outputs are complete or absent: written under a temporary name, flushed, renamed. What is packed says no time.

Long arrays of JSON are written and read item by item: a million studies are never all dictionaries at once.
"""

import json
import os
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pipeline.errors import OutputError

__all__ = ["ArrayItem", "gzipped", "json_array", "read_items", "written"]

_BETWEEN = " \t\r\n"
_PIECE = 2**20  # bytes of a long array that are read at a time
_GZIP = 31  # zlib's window bits for a gzip stream


@contextmanager
def written(path: Path, *, private: bool = False) -> Iterator[IO[bytes]]:
    """Yield a file that becomes ``path`` when the block ends, and vanishes when it raises.

    A ``private`` one is the owner's alone from its first byte on (mode 0600).

    Raises:
        OutputError: when the folder cannot be written or the disk is full.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if not private:
            temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
        temporary = None
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _umask() -> int:
    current = os.umask(0o077)
    os.umask(current)
    return current


def gzipped(content: bytes, level: int = 6) -> bytes:
    """Return content as gzip without a clock's date: the same content gives the same bytes, whatever the Python.

    ``level`` is zlib's, 0 to 9.
    """
    return zlib.compress(content, level, _GZIP)  # gzip.compress writes another header from Python 3.13 on


def json_array(items: Iterable[object]) -> Iterator[bytes]:
    """Yield the parts of an array's text, an item a line."""
    yield b"["
    for number, item in enumerate(items):
        yield (",\n" if number else "\n").encode() + json.dumps(item).encode()
    yield b"\n]"


@dataclass(frozen=True)
class ArrayItem:
    """An item of a JSON array in a file: its value, and at which bytes it begins and ends."""

    value: Any
    start: int
    end: int


def read_items(file: IO[bytes], start: int = 0, closing: str = "") -> Iterator[ArrayItem]:
    """Yield the items of the array that begins in a file at byte ``start``; ``closing`` is all that stands behind it.

    No more of the file is in memory at a time than an item and a piece.

    Raises:
        ValueError: when there is no such array, or it is cut off or otherwise no JSON in UTF-8.
    """
    text = _Pieces(file, start)
    text.skip("[")
    is_open = text.next_sign() != "]"
    while is_open:
        yield text.item()
        is_open = text.next_sign() != "]"
        if is_open:
            text.skip(",")
    text.skip("]")
    if text.rest().strip() != closing:
        raise ValueError("something else stands behind the array")


class _Pieces:
    """A file's bytes as characters, a piece at a time: the signs of JSON are the same in either reading."""

    def __init__(self, file: IO[bytes], start: int) -> None:
        self._file, self._first = file, start
        self._text, self._place = "", 0
        self._decoder = json.JSONDecoder()
        file.seek(start)

    def _more(self, size: int = _PIECE) -> bool:
        piece = self._file.read(size).decode("latin-1")
        self._text, self._first = self._text[self._place :] + piece, self._first + self._place
        self._place = 0
        return bool(piece)

    def next_sign(self) -> str:
        """Return the next character that is no blank, '' at the end, without taking it."""
        while True:
            while self._text[self._place : self._place + 1] and self._text[self._place] in _BETWEEN:
                self._place += 1
            if self._place < len(self._text) or not self._more():
                return self._text[self._place : self._place + 1]

    def skip(self, sign: str) -> None:
        if self.next_sign() != sign:
            raise ValueError(f"{sign} is missing at byte {self._first + self._place}")
        self._place += 1

    def item(self) -> ArrayItem:
        """Take the next item; a piece that ends within it is made longer, twice as long each time."""
        self.next_sign()
        value, end = self._decoded()
        start, self._place = self._place, end
        letters = self._text[start:end]
        if not letters.isascii():
            value = json.loads(letters.encode("latin-1"))
        return ArrayItem(value, self._first + start, self._first + end)

    def _decoded(self) -> tuple[Any, int]:
        size = _PIECE
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._place)
                if end < len(self._text) or not self._more(size):
                    return value, end
            except ValueError:
                if not self._more(size):
                    raise
            size *= 2

    def rest(self) -> str:
        while self._more():
            pass
        return self._text
