"""Numbers on their way into the page: a header as JSON, and behind it the arrays, each at a multiple of 8 bytes."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ArrayStore", "as_base64", "as_json"]

_ALIGNED = 8


@dataclass
class ArrayStore:
    """Collects arrays; each is then named by a reference (type, where it begins, how many values)."""

    _parts: list[bytes] = field(default_factory=list)
    _size: int = 0

    def keep(self, array: NDArray[Any]) -> dict[str, object]:
        """Keep an array, row by row, little-endian, and return its reference."""
        flat = np.ascontiguousarray(array).reshape(-1)
        content = flat.astype(flat.dtype.newbyteorder("<")).tobytes()
        reference = {"type": flat.dtype.name, "at": self._size, "length": int(flat.size)}
        padding = -len(content) % _ALIGNED
        self._parts += [content, b"\0" * padding]
        self._size += len(content) + padding
        return reference

    def with_header(self, header: Mapping[str, object]) -> bytes:
        """Return the whole: the header's length (4 bytes), the header, the arrays."""
        text = json.dumps(header, allow_nan=False).encode()
        text += b" " * (-(len(text) + 4) % _ALIGNED)
        return len(text).to_bytes(4, "little") + text + b"".join(self._parts)


def as_base64(content: bytes) -> str:
    """Return content as text that may stand in a page."""
    return base64.b64encode(content).decode("ascii")


def as_json(value: object) -> str:
    """Return JSON that no ``script`` element ends in, whatever its strings are."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
