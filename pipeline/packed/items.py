"""Items that lie as bytes, a block at a time: a long list of objects in a few hundred bytes each, or in a file."""

import pickle
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import eq
from typing import Any, Final, Generic, TypeVar

from pipeline.packed.on_demand import OnDemand

__all__ = ["Keep", "MappedItems", "PackedItems", "in_memory", "pack", "unpack"]

Item = TypeVar("Item")
Answer = TypeVar("Answer")

Keep = Callable[[bytes], Callable[[], bytes]]
"""Takes some bytes; what it returns gives them back, as often as it is called."""

_BLOCK = 512
_QUICK: Final = 1
"""zlib's level: what is kept for minutes is not worth more."""


def in_memory(data: bytes) -> Callable[[], bytes]:
    """Keep bytes where they are."""
    return lambda: data


def pack(item: object) -> bytes:
    """Return anything as bytes for this process alone: a pickle, which must never come from elsewhere."""
    return zlib.compress(pickle.dumps(item, protocol=pickle.HIGHEST_PROTOCOL), _QUICK)


def unpack(data: bytes) -> Any:  # noqa: ANN401 - whatever was packed
    """Return what ``pack`` was given."""
    return pickle.loads(zlib.decompress(data))


class PackedItems(OnDemand[Item]):
    """A list that can be added to. In memory as objects are the newest items and those of the block last looked into.

    ``keep`` has the blocks. They never leave this process. Going through the items is
    quick; of items asked for here and there, each takes the reading of its block.
    """

    def __init__(self, items: Iterable[Item] = (), keep: Keep = in_memory) -> None:
        self._keep = keep
        self._blocks: list[Callable[[], bytes]] = []
        self._newest: list[Item] = []
        self._open: tuple[int, list[Item]] = (-1, [])
        for item in items:
            self.append(item)

    def append(self, item: Item) -> None:
        """Add an item at the end."""
        self._newest.append(item)
        if len(self._newest) == _BLOCK:
            self._blocks.append(self._keep(pack(self._newest)))
            self._newest = []

    def __len__(self) -> int:
        return _BLOCK * len(self._blocks) + len(self._newest)

    def _item(self, place: int) -> Item:
        block, number = divmod(place, _BLOCK)
        return self._newest[number] if block == len(self._blocks) else self._block(block)[number]

    def __iter__(self) -> Iterator[Item]:
        for block in range(len(self._blocks)):
            yield from self._unpacked(block)
        yield from self._newest

    def __eq__(self, other: object) -> bool:
        """Tell whether another list, packed or not, has the same items."""
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]

    def _block(self, number: int) -> list[Item]:
        if self._open[0] != number:
            self._open = number, self._unpacked(number)
        return self._open[1]

    def _unpacked(self, number: int) -> list[Item]:
        items: list[Item] = unpack(self._blocks[number]())
        return items


class MappedItems(OnDemand[Answer], Generic[Item, Answer]):
    """What a function makes of each item of a list, made whenever it is asked for."""

    def __init__(self, function: Callable[[Item], Answer], items: Sequence[Item]) -> None:
        self._function, self._items = function, items

    def __len__(self) -> int:
        return len(self._items)

    def _item(self, place: int) -> Answer:
        return self._function(self._items[place])

    def __iter__(self) -> Iterator[Answer]:
        return map(self._function, self._items)
