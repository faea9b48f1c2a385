"""Where a large cohort's columns lie: in a file without a name, read a column at a time; a small one's in memory."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from pipeline.errors import OutputError

__all__ = ["ColumnStore", "Columns"]

Name = TypeVar("Name")
Column = TypeVar("Column", covariant=True)

_IN_MEMORY = 64 * 2**20  # bytes of a cohort that stay in memory


class ColumnStore(AbstractContextManager["ColumnStore"]):
    """A file without a name in ``folder``: what is kept beyond ``limit`` bytes goes there, and is gone with the block.

    Its blocks are those of whoever opened it: no other process can read them, and nothing is left of one that dies.
    """

    def __init__(self, folder: Path, limit: int = _IN_MEMORY) -> None:
        self._folder = folder
        self._file = tempfile.SpooledTemporaryFile[bytes](max_size=limit, dir=str(folder))
        self._end = 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of everything that was kept."""
        self._file.close()

    def keep(self, data: bytes) -> Callable[[], bytes]:
        """Keep bytes behind all that was kept before; see ``Keep``.

        Raises:
            OutputError: when the folder has no room for them.
        """
        start = self._end
        try:
            self._file.seek(start)
            self._file.write(data)
        except OSError as error:
            raise OutputError(f"{self._folder}: has no room for the cohort's columns ({error.strerror})") from error
        self._end += len(data)
        return partial(self._read, start, len(data))

    def _read(self, start: int, size: int) -> bytes:
        self._file.seek(start)
        data: bytes = self._file.read(size)
        return data


class Columns(Mapping[Name, Column]):
    """Columns by name, each made anew whenever it is asked for: whoever asks has the only one."""

    def __init__(self, made: Mapping[Name, Callable[[], Column]]) -> None:
        self._made = made

    def __getitem__(self, name: Name) -> Column:
        return self._made[name]()

    def __contains__(self, name: object) -> bool:
        return name in self._made

    def __iter__(self) -> Iterator[Name]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)
