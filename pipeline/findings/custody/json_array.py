"""Long arrays of JSON, written and read item by item: a million studies are never all dictionaries at once."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["json_array", "json_items"]

_BETWEEN = " \t\r\n"


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
