"""Outputs are complete or absent: written under a temporary name, flushed, renamed.

Long arrays of JSON are written and read item by item: a million studies are never all dictionaries at once.
"""

import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from pipeline.errors import OutputError

__all__ = ["json_array", "json_items", "written"]

_BETWEEN = " \t\r\n"


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


def json_array(items: Iterable[object]) -> Iterator[bytes]:
    """Yield the parts of an array's text, an item a line."""
    yield b"["
    for number, item in enumerate(items):
        yield (",\n" if number else "\n").encode() + json.dumps(item).encode()
    yield b"\n]"


def json_items(text: str, start: int = 0, closing: str = "") -> Iterator[Any]:
    """Yield the items of the array that begins in a text at ``start``; ``closing`` is all that stands behind it.

    Raises:
        ValueError: when there is no such array, or it is cut off or otherwise no JSON.
    """
    decoder = json.JSONDecoder()
    place = _skipped(text, _behind(text, start, "["))
    is_open = not text.startswith("]", place)
    while is_open:
        item, place = decoder.raw_decode(text, place)
        yield item
        place = _skipped(text, place)
        is_open = not text.startswith("]", place)
        place = _skipped(text, _behind(text, place, ",")) if is_open else place
    if text[place + 1 :].strip() != closing:
        raise ValueError(f"something else stands behind character {place}")


def _skipped(text: str, place: int) -> int:
    while text[place : place + 1] and text[place] in _BETWEEN:
        place += 1
    return place


def _behind(text: str, place: int, sign: str) -> int:
    place = _skipped(text, place)
    if text[place : place + 1] != sign:
        raise ValueError(f"{sign} is missing at character {place}")
    return place + 1
