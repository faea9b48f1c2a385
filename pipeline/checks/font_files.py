"""Whether a file is a font that a report can embed, from its table of contents alone."""

import struct
from pathlib import Path

__all__ = ["font_fault"]

_TRUETYPE = (b"\x00\x01\x00\x00", b"true")
_NEEDED = (b"cmap", b"glyf", b"head", b"hhea", b"hmtx", b"loca", b"maxp")
_ROW, _LARGEST = 16, 64 * 2**20


def font_fault(path: Path) -> str | None:
    """Return why a file is no TrueType font with outlines of its own; None where it is one."""
    try:
        if path.stat().st_size > _LARGEST:
            return f"{path} is larger than {_LARGEST >> 20} MiB; give a font of fewer characters"
        data = path.read_bytes()
    except OSError as error:
        return f"{path} cannot be read ({error.strerror}); give the path of a TrueType font"
    if data[:4] == b"OTTO":
        return (
            f"{path} is an OpenType font with PostScript outlines; give its TrueType edition (.ttf with glyf outlines)"
        )
    if data[:4] not in _TRUETYPE or len(data) < 12:
        return f"{path} is no TrueType font; give a .ttf file"
    (tables,) = struct.unpack(">H", data[4:6])
    rows = (data[12 + _ROW * number : 12 + _ROW * (number + 1)] for number in range(tables))
    names = {row[:4] for row in rows if len(row) == _ROW and sum(struct.unpack(">II", row[8:])) <= len(data)}
    missing = [name.decode() for name in _NEEDED if name not in names]
    return f"{path} lacks {', '.join(missing)}: it is damaged, or no TrueType font with outlines" if missing else None
