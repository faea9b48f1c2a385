"""The image header that Siemens keeps in a private element of its own (CSA, second version): names and texts.

Little endian: ``SV10``, four bytes, the number of tags, four bytes; each tag a name of 64 bytes, multiplicity, kind,
type, the number of items and four bytes; each item four numbers, of which the second is its length, and its text,
filled up to a multiple of four.
"""

import struct
from collections.abc import Mapping

__all__ = ["csa_texts"]

_MAGIC = b"SV10"
_HEAD = struct.Struct("<4s4sII")
_TAG = struct.Struct("<64si4siii")
_ITEM = struct.Struct("<4i")
_MOST_TAGS, _MOST_ITEMS = 1024, 4096


def csa_texts(content: bytes) -> Mapping[str, tuple[str, ...]]:
    """Return the texts of each tag that states any; nothing for what is no such header, or ends early."""
    texts: dict[str, tuple[str, ...]] = {}
    if not content.startswith(_MAGIC):
        return texts
    try:
        _, _, tags, _ = _HEAD.unpack_from(content)
        place = _HEAD.size
        for _ in range(min(tags, _MOST_TAGS)):
            name, _, _, _, items, _ = _TAG.unpack_from(content, place)
            place += _TAG.size
            values = []
            for _ in range(min(items, _MOST_ITEMS)):
                length = max(0, _ITEM.unpack_from(content, place)[1])
                place += _ITEM.size
                values.append(_text(content[place : place + length]))
                place += (length + 3) // 4 * 4
            texts[_text(name)] = tuple(value for value in values if value)
    except struct.error:
        return {}
    return {name: stated for name, stated in texts.items() if stated}


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode("latin-1").strip()
