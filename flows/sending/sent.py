"""What became of each object: stored, or not, and why."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Sent", "objects_below"]


@dataclass(frozen=True)
class Sent:
    """An object by its file's name; ``reason`` is why it was not stored. ``remark``: stored, with a warning.

    ``is_final``: the server would answer the same of every other object, so none is sent to it any more.
    """

    name: str
    reason: str | None = None
    remark: str | None = None
    is_final: bool = field(default=False, compare=False)


def objects_below(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files of an export by name, what others refer to first: segmentations before what measures in them."""
    files = sorted(folder.rglob("*.dcm"), key=lambda path: (path.parent != folder, path.parent, _rank(path), path.name))
    for path in files:
        yield str(path.relative_to(folder)), path


def _rank(path: Path) -> int:
    return {"measurements": 1, "key-note": 2}.get(path.stem, 0)
