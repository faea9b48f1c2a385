"""Texts behind each other in one piece of memory: eight bytes each beside their letters, a ``str`` takes fifty."""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from pipeline.packed.on_demand import OnDemand

__all__ = ["TextMap", "Texts"]

_SURROGATES = "surrogatepass"
"""Names of files can hold bytes that are no letters."""


class Texts(OnDemand[str]):
    """Texts that can be added to and looked up. What is looked up first takes an index of sixteen bytes a text."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._letters, self._ends = bytearray(), array("q")
        self._index: tuple[array[int], array[int]] | None = None
        for text in texts:
            self.append(text)

    def append(self, text: str) -> None:
        """Add a text at the end."""
        self._letters += text.encode("utf-8", _SURROGATES)
        self._ends.append(len(self._letters))
        self._index = None

    def __len__(self) -> int:
        return len(self._ends)

    def _item(self, place: int) -> str:
        start = self._ends[place - 1] if place else 0
        return self._letters[start : self._ends[place]].decode("utf-8", _SURROGATES)

    def find(self, text: str) -> int | None:
        """Return the place at which a text stands first; None where it is none of them."""
        if self._index is None:
            self._index = self._indexed()
        hashes, places = self._index
        wanted = hash(text)
        for number in range(bisect_left(hashes, wanted), len(hashes)):
            if hashes[number] != wanted:
                break
            if self[places[number]] == text:
                return places[number]
        return None

    def _indexed(self) -> "tuple[array[int], array[int]]":
        """Return the sorted hashes of all texts and where each stands; of equal ones the first comes first."""
        hashes = np.fromiter(map(hash, self), dtype=np.int64, count=len(self))
        order = np.argsort(hashes, kind="stable")
        return array("q", hashes[order].tobytes()), array("q", order.astype(np.int64).tobytes())


class TextMap(Mapping[str, str]):
    """A mapping from texts to texts, in the order in which they came; each key comes once."""

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._keys, self._values = Texts(), Texts()
        for key, value in pairs:
            self._keys.append(key)
            self._values.append(value)

    def __getitem__(self, key: str) -> str:
        place = self._keys.find(key)
        if place is None:
            raise KeyError(key)
        return self._values[place]

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)
